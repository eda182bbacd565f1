"""The configuration file and what is put in its place, on a real file system; no worker runs anything of it."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
        self.logged: list[tuple[str, str]] = []

    def log(self, level: str, message: str) -> None:
        self.logged.append((level, message))

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


class Agents:
    """One after the other, with one configuration file. What is killed does nothing any more."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "agent.yaml"
        self.file.write_text("good")
        self.marker = directory / ".agent.yaml.kactl-trial"
        self.start()

    def start(self) -> None:
        """As `supervisor.main` does it."""
        self.host = Host()
        file = ConfigurationFile(self.file)
        if file.trial.exists:
            file.end_interrupted_trial(self.host.log)
        self.versions = Versions(self.host, self.host, file, Version(OLD, self.file.read_bytes()))

    def order(self, *, confirm: int = 1, **more: Any) -> ReloadOrder:
        """The file is edited in place, and a worker is asked what it thinks of it."""
        order = ReloadOrder(confirm=confirm, **more)
        text = b"on trial"
        if not order.file:
            self.file.write_bytes(text)
        assert self.versions.accept(order, text) == ""
        return order

    def try_out(self, **more: Any) -> list[str]:
        order = self.order(**more)
        return self.versions.concluded(order, NEW, b"on trial")

    @property
    def found(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.file.parent.iterdir()}


@pytest.fixture
def killed(tmp_path: Path) -> Agents:
    return Agents(tmp_path)


GONE_BACK = {"agent.yaml": "good", "agent.yaml.rejected": "on trial"}


@pytest.mark.parametrize("file", ["", "new.yaml"])
def test_an_agent_that_is_killed_has_confirmed_nothing(killed: Agents, file: str) -> None:
    killed.try_out(file=file)
    assert stat.S_IMODE(killed.marker.stat().st_mode) == 0o600
    killed.start()
    assert GONE_BACK.items() <= killed.found.items()
    assert not killed.marker.exists()
    assert [level for level, _ in killed.host.logged] == ["warning"]
    killed.start()
    assert killed.host.logged == []


def test_an_agent_that_dies_of_what_it_is_given_does_not_start_with_it(killed: Agents) -> None:
    killed.order()
    killed.start()
    assert killed.found == GONE_BACK


def test_a_file_that_was_not_in_its_place_yet_is_not_put_there(killed: Agents) -> None:
    killed.order(file="new.yaml")
    killed.start()
    assert killed.file.read_text() == "good"
    assert not killed.marker.exists()
    assert killed.host.logged == []


def test_a_file_that_somebody_has_mended_since_stays(killed: Agents) -> None:
    killed.try_out()
    killed.file.write_text("mended")
    killed.start()
    assert killed.found == {"agent.yaml": "mended"}


def test_a_trial_that_has_ended_is_none(killed: Agents) -> None:
    killed.try_out()
    assert killed.versions.confirm(1).error == ""
    assert killed.found == {"agent.yaml": "on trial"}
    killed.start()
    assert killed.found == {"agent.yaml": "on trial"}


def test_a_trial_that_was_rolled_back_refused_or_stopped_is_none(killed: Agents) -> None:
    back = ReloadOrder(back=True)
    killed.try_out()
    assert killed.versions.accept(back, None) == ""
    killed.versions.abandoned(back)
    assert killed.marker.exists(), "it goes on"
    assert killed.versions.accept(back, None) == ""
    killed.versions.concluded(back, OLD, None)
    assert not killed.marker.exists()
    killed.versions.abandoned(killed.order())
    assert not killed.marker.exists()
    killed.try_out()
    killed.versions.stop()
    assert killed.found == GONE_BACK


def test_what_is_in_force_already_is_not_on_trial(killed: Agents) -> None:
    order = ReloadOrder(confirm=1)
    killed.versions.accept(order, b"good")
    killed.versions.concluded(order, OLD, b"good")
    assert killed.found == {"agent.yaml": "good"}


def test_a_stop_that_cannot_put_the_file_back_leaves_that_to_the_next_start(killed: Agents) -> None:
    killed.try_out()
    rejected = killed.file.with_name("agent.yaml.rejected")
    rejected.mkdir()
    killed.versions.stop()
    assert [level for level, _ in killed.host.logged] == ["error"]
    killed.start()
    assert [level for level, _ in killed.host.logged] == ["error"]
    assert killed.file.read_text() == "on trial"
    rejected.rmdir()
    killed.start()
    assert killed.found == GONE_BACK


def test_a_trial_that_cannot_be_written_down_says_what_that_means(killed: Agents) -> None:
    new = killed.marker.with_name(f"{killed.marker.name}-new")
    new.mkdir()
    said = killed.try_out()
    assert "if the agent is killed before, its file stays: Is a directory" in said
    assert killed.host.pending.revision == "new"


@pytest.mark.parametrize("left", [b"", b"\xc1", b"\x80"])
def test_what_cannot_be_read_is_no_trial(killed: Agents, left: bytes) -> None:
    killed.marker.write_bytes(left)
    killed.start()
    assert killed.found == {"agent.yaml": "good"}


def test_a_trial_stays_with_the_link(releases: Releases) -> None:
    releases.switch_to(2)
    releases.reload(confirm=1)
    releases.switch_to(1)
    logged: list[tuple[str, str]] = []
    ConfigurationFile(releases.link).end_interrupted_trial(lambda *line: logged.append(line))
    assert (releases.found, logged) == (UNTOUCHED, [])
