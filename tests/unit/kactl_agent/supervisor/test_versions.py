"""The configuration file and what is put in its place, on a real file system; no worker runs anything of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.reload_frames import PendingConfirmation
from kactl_agent.supervisor.poller import TimerHandle
from kactl_agent.supervisor.versions import ConfigurationFile, ReloadOrder, Version, Versions

OLD, NEW = (AgentConfiguration(revision=name, file="agent.yaml") for name in ("old", "new"))


class Host:
    """And the part of a Poller that waits."""

    def __init__(self) -> None:
        self.orders: list[ReloadOrder] = []
        self.pending = PendingConfirmation()
        self.timers: list[TimerHandle] = []

    def log(self, level: str, message: str) -> None: ...

    going_back = False

    def request_reload(self, order: ReloadOrder) -> None:
        self.orders.append(order)

    def tell_pending(self, pending: PendingConfirmation) -> None:
        self.pending = pending

    def call_later(self, seconds: float, callback: Callable[[], None]) -> TimerHandle:
        self.timers.append(TimerHandle(callback))
        return self.timers[-1]


class Releases:
    """`agent.yaml` is a link into a directory for each release."""

    def __init__(self, directory: Path) -> None:
        self.link = directory / "agent.yaml"
        self.files = {}
        for number in (1, 2):
            self.files[number] = directory / f"{number}" / "agent.yaml"
            self.files[number].parent.mkdir()
            self.files[number].write_text(f"release {number}")
        self.switch_to(1)
        self.host = Host()
        self.versions = Versions(self.host, self.host, ConfigurationFile(self.link), Version(OLD, b"release 1"))

    def switch_to(self, number: int) -> None:
        other = self.link.with_name("other")
        other.symlink_to(self.files[number])
        other.replace(self.link)

    def reload(self, **how: int | str) -> None:
        """Of release 2, as `supervisor.reload` does it."""
        order = ReloadOrder(**how)
        assert self.versions.accept(order, b"release 2") == ""
        self.versions.concluded(order, NEW, b"release 2")

    @property
    def found(self) -> dict[str, str]:
        return {str(path.relative_to(self.link.parent)): path.read_text() for path in self.link.parent.glob("*/*")}


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    return Releases(tmp_path)


UNTOUCHED = {"1/agent.yaml": "release 1", "2/agent.yaml": "release 2"}
ROLLED_BACK = {"1/agent.yaml": "release 1", "2/agent.yaml": "release 1", "2/agent.yaml.rejected": "release 2"}


def test_a_rollback_changes_what_a_link_leads_to_now(releases: Releases) -> None:
    releases.switch_to(2)
    releases.reload()
    assert releases.found == UNTOUCHED
    back = ReloadOrder(back=True)
    assert releases.versions.accept(back, None) == ""
    releases.versions.concluded(back, OLD, None)
    assert releases.found == ROLLED_BACK
    assert releases.link.is_symlink()


def test_the_end_of_the_agent_changes_what_a_link_leads_to_now(releases: Releases) -> None:
    releases.switch_to(2)
    releases.reload(confirm=1)
    assert releases.host.pending.revision == "new"
    releases.versions.stop()
    assert releases.found == ROLLED_BACK


@pytest.mark.parametrize("back", [False, True])
def test_a_link_that_is_switched_while_the_workers_look_at_the_settings(releases: Releases, back: bool) -> None:
    if back:
        releases.reload(file="new.yaml")
    order = ReloadOrder(back=True) if back else ReloadOrder(file="new.yaml")
    assert releases.versions.accept(order, b"other") == ""
    releases.switch_to(2)
    releases.versions.concluded(order, OLD if back else NEW, b"other")
    kept = {"2/agent.yaml.rejected" if back else "2/agent.yaml.previous": "release 2"}
    said = "release 1" if back else "other"
    assert {name: text for name, text in releases.found.items() if name[0] == "2"} == kept | {"2/agent.yaml": said}
    assert not list(releases.link.parent.glob("*/.agent.yaml*"))


def test_what_is_given_up_leaves_nothing_behind_wherever_the_link_leads(releases: Releases) -> None:
    order = ReloadOrder(file="new.yaml")
    assert releases.versions.accept(order, b"other") == ""
    releases.switch_to(2)
    releases.versions.abandoned(order)
    assert releases.found == UNTOUCHED


def test_what_an_agent_that_was_killed_had_prepared_is_nobodys(releases: Releases) -> None:
    """It is not taken for the file of a reload that was given none, and another one can take its place."""
    left = releases.files[1].with_name(".agent.yaml.kactl-new")
    left.write_text("left behind")
    releases.versions.accept(ReloadOrder(), b"changed since")
    releases.versions.concluded(ReloadOrder(), NEW, b"changed since")
    assert releases.link.read_text() == "release 1"
    order = ReloadOrder(file="new.yaml")
    releases.versions.accept(order, b"other")
    releases.versions.concluded(order, NEW, b"other")
    assert releases.link.read_text() == "other"
    assert not left.exists()
