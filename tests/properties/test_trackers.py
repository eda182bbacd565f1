"""Trackers and the instance they move: whatever happens in whatever order, the sum is what the last verdicts say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.tracking.actions import Verdict
from kactl_agent.tracking.contribution import TrackerKey, changed_inputs, contribution, inputs, is_pending
from kactl_agent.tracking.settings import TrackerKind, TrackerUse
from kactl_agent.vrrp.actions import Startup, State
from kactl_agent.vrrp.instance import VrrpInstance
from support.vrrp import interface, make_settings

NAMES = ("a", "b", "c")
KINDS = st.sampled_from(TrackerKind)
KEYS = st.tuples(KINDS, st.sampled_from(NAMES))
VERDICTS = st.builds(Verdict, st.booleans(), st.integers(-300, 300), st.just("why"))


@st.composite
def lists(draw: st.DrawFn) -> tuple[TrackerUse, ...]:
    """The tracker lists of an instance: each tracker once."""
    keys = draw(st.lists(KEYS, unique=True, max_size=5))
    return tuple(TrackerUse(*key, draw(st.integers(-253, 253)), draw(st.booleans())) for key in keys)


def expected(uses: tuple[TrackerUse, ...], verdicts: dict[TrackerKey, Verdict]) -> tuple[int, set[str]]:
    told = {use.name: contribution(use, verdicts[use.kind, use.tracker]) for use in uses}
    priority = max(1, min(254, 100 + sum(weight for weight, _fault in told.values())))
    return priority, {name for name, (_weight, fault) in told.items() if fault}


@given(lists(), st.lists(st.one_of(st.tuples(KEYS, VERDICTS), lists().map(list)), max_size=12), st.data())
def test_the_last_verdicts_decide(
    uses: tuple[TrackerUse, ...], steps: list[tuple[TrackerKey, Verdict] | list[TrackerUse]], data: st.DataObject
) -> None:
    verdicts = {(kind, name): data.draw(VERDICTS) for kind in TrackerKind for name in NAMES}
    instance = VrrpInstance(make_settings())
    instance.handle_event(interface(), 0)
    for use in uses:
        for told in inputs(use, verdicts[use.kind, use.tracker]):
            instance.handle_event(told, 0)
    instance.handle_event(Startup(), 0)
    for step in steps:
        if isinstance(step, list):  # the lists are changed
            changes = changed_inputs(uses, step, verdicts)
            uses = tuple(step)
        else:
            key, verdict = step
            verdicts[key] = verdict
            changes = [told for use in uses if (use.kind, use.tracker) == key for told in inputs(use, verdict)]
        for told in changes:
            instance.handle_event(told, 0)
        priority, faults = expected(uses, verdicts)
        snapshot = instance.snapshot()
        assert (snapshot.effective_priority, set(snapshot.faults)) == (priority, faults)
        assert (snapshot.state is State.FAULT) is bool(faults)


@given(lists(), st.data())
def test_an_instance_starts_when_the_last_tracker_in_doubt_has_decided(
    uses: tuple[TrackerUse, ...], data: st.DataObject
) -> None:
    unknown = Verdict(None)
    instance = VrrpInstance(make_settings())
    instance.handle_event(interface(), 0)
    waited = {use.name for use in uses if is_pending(use, unknown) and use.kind is not TrackerKind.FILE}
    for use in uses:
        for told in inputs(use, unknown if use.kind is not TrackerKind.FILE else Verdict(True, 0)):
            instance.handle_event(told, 0)
    instance.handle_event(Startup(), 0)
    assert set(instance.snapshot().waiting_for) == waited
    for use in data.draw(st.permutations(uses)):
        assert (instance.state is State.INIT) is bool(waited)
        for told in inputs(use, Verdict(True, 0, "why")):
            instance.handle_event(told, 0)
        waited.discard(use.name)
    assert instance.state is not State.INIT
