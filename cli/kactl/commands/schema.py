"""kactl schema: the JSON Schema of the YAML configuration."""

from __future__ import annotations

import json

import click

from kactl.environment import Environment
from kactl_agent.config.jsonschema import json_schema


@click.command(epilog="\b\nExample: kactl schema > kactl.schema.json")
@click.pass_obj
def schema(environment: Environment) -> None:
    """Print the JSON Schema (2020-12) of the YAML configuration, for editors and other validators."""
    environment.write(json.dumps(json_schema(), indent=2, ensure_ascii=False))
