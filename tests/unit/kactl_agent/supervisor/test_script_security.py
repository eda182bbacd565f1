"""Who could change a script of root. The rule is keepalived's enable_script_security; the cases are ours."""

from __future__ import annotations

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.supervisor.script_security import Component, changeable_by_others

DIRECTORY, FILE, LINK = stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK
ROOT = Component("/", DIRECTORY | 0o755, 0, 0)


@pytest.mark.parametrize(
    ("component", "danger"),
    [
        (Component("/x", FILE | 0o755, 0, 0), ""),
        (Component("/x", FILE | 0o755, 1000, 0), "/x belongs to user 1000"),
        (Component("/x", FILE | 0o555, 1000, 0), "/x belongs to user 1000"),  # who could make it writable
        (Component("/x", FILE | 0o757, 0, 0), "/x may be written by anybody"),
        (Component("/x", FILE | 0o775, 0, 50), "/x may be written by group 50"),
        (Component("/x", FILE | 0o775, 0, 0), ""),
        (Component("/tmp", DIRECTORY | 0o1777, 0, 0), ""),
        (Component("/tmp", DIRECTORY | 0o777, 0, 0), "/tmp may be written by anybody"),
        (Component("/tmp/x", FILE | 0o1777, 0, 0), "/tmp/x may be written by anybody"),
        (Component("/l", LINK | 0o777, 0, 0), ""),
        (Component("/l", LINK | 0o777, 1000, 0), "/l belongs to user 1000"),
    ],
)
def test_one_component(component: Component, danger: str) -> None:
    assert changeable_by_others([ROOT, component, Component("/y", FILE | 0o700, 0, 0)]) == danger


@given(st.lists(st.builds(Component, st.just("/x"), st.integers(0, 0o7777).map(lambda mode: FILE | mode), st.just(0),
                          st.sampled_from([0, 5]))))  # fmt: skip
def test_one_danger_on_the_way_is_enough(components: list[Component]) -> None:
    assert bool(changeable_by_others(components)) is any(changeable_by_others([each]) for each in components)
