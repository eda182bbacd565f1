"""Editing a configuration: what the states promise, for any two configurations."""

from __future__ import annotations

from hypothesis import HealthCheck, assume, given, settings
from msgspec.structs import replace

from kactl.editing import changes, text
from kactl.editing.changes import State
from kactl.editing.edit import data_of, edit
from kactl_agent.config.bind import bind
from kactl_agent.config.document import Document, Origin
from kactl_agent.config.emit import emit
from kactl_agent.config.schema.root import Config
from support.comments import documents
from support.schema_strategies import configs

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def changed(before: str, change: dict[str, object], state: State) -> str:
    tree = text.load(before)
    changes.apply(tree, change, state)
    return text.dump(tree, before) if tree else "{}\n"


def document(config: Config) -> Document:
    return Document(config, Origin())


@given(documents(configs(most=4)))
@settings(max_examples=100, suppress_health_check=SLOW)
def test_editing_keeps_what_a_text_says(commented: Document) -> None:
    """Whatever stands where in it: a change beside it changes nothing else."""
    before = emit(commented)
    bound = bind(before, "agent.yaml")
    result = edit(before.encode(), "agent.yaml", {"linkbeat_use_polling": True}, State.MERGED, {})
    wanted = replace(bound.config, linkbeat_use_polling=True)
    assert bind(result.after, "agent.yaml").config == wanted, result.after


@given(configs(most=4), configs(most=4))
@settings(max_examples=150, suppress_health_check=SLOW)
def test_overridden_is_what_the_change_says(before: Config, wanted: Config) -> None:
    result = changed(emit(document(before)), data_of(document(wanted)), State.OVERRIDDEN)
    bound = bind(result, "agent.yaml")
    assert not bound.errors, result
    assert bound.config == wanted, result


@given(configs(most=4))
@settings(max_examples=60, suppress_health_check=SLOW)
def test_what_is_there_already_changes_nothing(config: Config) -> None:
    before = emit(document(config))
    assume(config != Config())
    bound = bind(before, "agent.yaml")
    for state in (State.MERGED, State.REPLACED, State.OVERRIDDEN):
        assert bind(changed(before, data_of(bound), state), "agent.yaml").config == bound.config, (state, before)


@given(configs(most=3), configs(most=3))
@settings(max_examples=60, suppress_health_check=SLOW)
def test_merging_twice_is_merging_once(before: Config, change: Config) -> None:
    said = data_of(document(change))
    once = changed(emit(document(before)), said, State.MERGED)
    assert bind(changed(once, said, State.MERGED), "agent.yaml").config == bind(once, "agent.yaml").config
