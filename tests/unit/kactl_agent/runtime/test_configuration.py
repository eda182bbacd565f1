from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from kactl_agent.bfd.settings import AuthKey, AuthSettings, AuthType, BfdSettings, SessionSettings
from kactl_agent.notify.settings import ItemNotify, VrrpNotify
from kactl_agent.runtime.configuration import (
    AgentConfiguration,
    compare,
    dump_sealed,
    dump_to_disk,
    load_sealed,
    settings_for,
    without_secrets,
)
from kactl_agent.tracking.settings import (
    Command,
    Executable,
    ProcessSettings,
    ScriptSettings,
    TrackerKind,
    TrackerUse,
    TrackingSettings,
)
from kactl_agent.vrrp.settings import Family, HmacKey, HmacSettings, VirtualAddress, VrrpSettings


def instance(name: str, **more: object) -> VrrpSettings:
    values: dict[str, object] = {
        "interface": "eth0",
        "virtual_router_id": 1,
        "version": 2,
        "family": Family.IPV4,
        "priority": 100,
    }
    return VrrpSettings(name=name, **(values | more))


HMAC = HmacSettings(keys=(HmacKey(1, b"topsecret" * 4),), active_key=1, time_window=5)
CONFIGURATION = AgentConfiguration(
    revision="r1",
    file="/etc/kactl/agent.yaml",
    vrrp=(
        instance("A", auth_password=b"secret", auth_hmac=HMAC, addresses=(VirtualAddress(b"\1\2\3\4", 24, "eth0"),)),
    ),
)


def test_a_sealed_configuration_travels() -> None:
    assert load_sealed(dump_sealed(CONFIGURATION)) == CONFIGURATION


def test_a_sealed_configuration_cannot_be_changed() -> None:
    descriptor = dump_sealed(CONFIGURATION)
    with pytest.raises(OSError):
        os.pwrite(descriptor, b"x", 0)
    with pytest.raises(OSError):
        os.ftruncate(descriptor, 0)
    os.close(descriptor)


def test_a_configuration_travels_by_disk_too_and_cannot_be_changed_there(tmp_path: Path) -> None:
    descriptor = dump_to_disk(CONFIGURATION, str(tmp_path))
    assert list(tmp_path.iterdir()) == [], "it has no name"
    with pytest.raises(OSError):
        os.pwrite(descriptor, b"x", 0)
    assert os.fstat(descriptor).st_mode & 0o777 == 0o400
    assert load_sealed(descriptor) == CONFIGURATION
    with pytest.raises(FileNotFoundError):
        dump_to_disk(CONFIGURATION, str(tmp_path / "no"))


def test_a_file_that_somebody_may_change_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "named"
    path.write_bytes(msgspec.msgpack.encode(CONFIGURATION))
    path.chmod(0o400)
    with pytest.raises(ValueError, match="not sealed"):
        load_sealed(os.open(path, os.O_RDONLY))
    writable = os.open(tmp_path, os.O_TMPFILE | os.O_RDWR, 0o400)
    os.write(writable, path.read_bytes())
    with pytest.raises(ValueError, match="not sealed"):
        load_sealed(writable)


def test_of_scripts_of_notifications_arguments_stay_with_who_runs_them() -> None:
    command, other = Command(("notify.sh", "hush")), Command(("/bin/lost", "hush"))
    item = ItemNotify(scripts={"notify_master": command, "notify": other}, mail=True, deleted=True)
    executables = ((command, Executable(("/etc/kactl/notify.sh", "hush"), 0, 0)),)
    notify = VrrpNotify(instances={"A": item}, groups={"G": item}, executables=executables)
    shown = without_secrets(msgspec.structs.replace(CONFIGURATION, vrrp_notify=notify)).vrrp_notify
    assert b"hush" not in msgspec.msgpack.encode(shown)
    known = shown.instances["A"]
    assert known.scripts["notify_master"].arguments == ("/etc/kactl/notify.sh",), "the file that is executed"
    assert known.scripts["notify"].arguments == ("/bin/lost",)
    assert (known.mail, known.deleted, shown.groups["G"]) == (True, True, known)


def test_what_is_not_sealed_or_not_ours_is_refused() -> None:
    descriptor = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    os.write(descriptor, msgspec.msgpack.encode(CONFIGURATION))
    with pytest.raises(ValueError, match="not sealed"):
        load_sealed(descriptor)
    readable, writable = os.pipe()
    with pytest.raises(ValueError, match="not sealed"):
        load_sealed(readable)
    os.close(writable)


def test_secrets_stay_with_who_needs_them() -> None:
    shown = without_secrets(CONFIGURATION)
    assert shown.vrrp[0].auth_password == b"*", "that there is one is no secret"
    assert b"secret" not in msgspec.msgpack.encode(shown)


def test_of_what_is_tracked_arguments_stay_with_who_runs_it() -> None:
    tracking = TrackingSettings(
        scripts=(ScriptSettings(name="chk", command=Command(("/bin/chk", "--password", "hush"))),),
        processes=(ProcessSettings(name="p", process="daemon", arguments=("hush",)),),
        uses={"A": (TrackerUse(TrackerKind.SCRIPT, "chk", -5),)},
    )
    shown = without_secrets(msgspec.structs.replace(CONFIGURATION, tracking=tracking)).tracking
    assert b"hush" not in msgspec.msgpack.encode(shown)
    assert shown.scripts[0].command.arguments == ("/bin/chk",)
    assert (shown.processes[0].process, shown.uses) == ("daemon", tracking.uses)


def test_compare_by_name() -> None:
    old = (instance("A"), instance("B"), instance("C"))
    new = (instance("D"), instance("C"), instance("B", priority=7))
    changes = compare(old, new)
    assert (changes.removed, changes.changed, changes.added, changes.unchanged) == (("A",), ("B",), ("D",), 1)


SESSION = SessionSettings(
    name="b", neighbor=b"\1\2\3\4", desired_min_tx_interval=1, required_min_rx_interval=1, detect_mult=3,
    authentication=AuthSettings(AuthType.KEYED_SHA1, (AuthKey(1, b"hush"),), 1),
)  # fmt: skip
EVERYTHING = msgspec.structs.replace(
    CONFIGURATION,
    router_id="lb1",
    sources={"A": {"priority": "default"}},
    bfd=BfdSettings(sessions=(SESSION,)),
    checkers=b"a password of a checker",
)


def test_each_worker_is_wanted_when_there_is_work_for_it() -> None:
    workers = ("vrrp", "bfd", "checkers")
    assert [EVERYTHING.needs(worker) for worker in workers] == [True, True, True]
    empty = AgentConfiguration(revision="r", file="f")
    assert [empty.needs(worker) for worker in workers] == [False, False, False]


@pytest.mark.parametrize("worker", ["vrrp", "bfd", "checkers"])
def test_each_worker_is_given_its_own_part_and_what_is_for_all(worker: str) -> None:
    given = settings_for(worker, EVERYTHING)
    assert [given.needs(other) for other in ("vrrp", "bfd", "checkers")] == [
        other == worker for other in ("vrrp", "bfd", "checkers")
    ]
    assert getattr(given, worker) == getattr(EVERYTHING, worker)
    assert (given.revision, given.file, given.router_id, given.sources) == ("r1", EVERYTHING.file, "lb1", {})


def test_who_only_looks_sees_no_secrets_of_any_worker() -> None:
    data = msgspec.msgpack.encode(without_secrets(EVERYTHING))
    assert b"hush" not in data
    assert b"a password" not in data
    assert without_secrets(EVERYTHING).bfd.sessions[0].name == "b"
