"""kactl schema prints the JSON Schema."""

from __future__ import annotations

import io
import json

from kactl.app import run
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl_agent.config.jsonschema import json_schema


def test_it_prints_the_json_schema() -> None:
    out = io.StringIO()
    assert run(["schema"], Environment(io.BytesIO(), out, io.StringIO(), {})) == ExitCode.FINE
    assert json.loads(out.getvalue()) == json_schema()
