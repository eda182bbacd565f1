"""Who has which firewall mark, and keeps it."""

from __future__ import annotations

from kactl_agent.ipvs.marks import keep_marks, marks_of
from kactl_agent.ipvs.model import AF_INET
from kactl_agent.ipvs.settings import CheckersSettings, MarksSettings, Members, VirtualServerSettings


def group(name: str, number: int, *, fwmark: int = 0) -> VirtualServerSettings:
    members = Members(AF_INET, 6, bytes((10, 0, 0, number)), 1, 80) if not fwmark else Members(AF_INET, fwmark=fwmark)
    return VirtualServerSettings(name=f"[{name}]:0", protocol=6, group=name, members=(members,))


def of(*servers: VirtualServerSettings, first_mark: int = 1000) -> CheckersSettings:
    return CheckersSettings(virtual_servers=servers, marks=MarksSettings(first_mark=first_mark))


def marks(settings: CheckersSettings) -> dict[str, int]:
    return {identity[0].removeprefix("group "): mark for identity, mark in marks_of(settings).given()}


A, B, C = (group(name, number) for number, name in enumerate("abc", 1))


def test_marks_count_from_the_first_one_and_leave_out_those_of_the_configuration() -> None:
    assert marks(of(A, group("m", 9, fwmark=1001), B, first_mark=1000)) == {"a": 1000, "b": 1002}
    assert marks(CheckersSettings(virtual_servers=(A,))) == {}


def test_reloads_leave_everybody_the_mark_it_has() -> None:
    settings = of(A, B)
    settings = keep_marks(settings, of(B))
    assert marks(settings) == {"b": 1001}
    settings = keep_marks(settings, of(C, B))
    assert marks(settings) == {"b": 1001, "c": 1000}
    assert marks(keep_marks(settings, of(B, C, A))) == {"b": 1001, "c": 1000, "a": 1002}


def test_a_mark_that_the_configuration_says_now_is_given_up() -> None:
    settings = keep_marks(of(A, B), of(A, B, group("m", 9, fwmark=1000)))
    assert marks(settings) == {"b": 1001, "a": 1002}


def test_another_first_mark_is_a_new_beginning() -> None:
    assert marks(keep_marks(of(A, B), of(B, first_mark=7))) == {"b": 7}
    assert keep_marks(of(A), CheckersSettings(virtual_servers=(A,))).given_marks == ()
