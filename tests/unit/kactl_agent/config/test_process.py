"""Keywords about the processes themselves: numbers and names as keepalived's man page has them."""

from __future__ import annotations

import pytest

from kactl_agent.config.bind import bind
from kactl_agent.config.check import check
from kactl_agent.config.checks.problem import Sheet
from kactl_agent.config.process import resolve_process, umask_bits
from kactl_agent.process_settings import DumpSettings, ProcessSettings, WorkerScheduling


def made(text: str) -> tuple[ProcessSettings, list[str]]:
    document = bind(text, "agent.yaml")
    assert document.diagnostics == []
    assert check(document) == []
    sheet = Sheet(document)
    return resolve_process(sheet), [problem.diagnostic.message for problem in sheet.problems]


def made_global(text: str) -> ProcessSettings:
    settings, notes = made(f"global_defs: {{{text}}}")
    assert notes == []
    return settings


def test_defaults() -> None:
    settings, notes = made("{}")
    nothing = {worker: WorkerScheduling() for worker in ("vrrp", "checkers", "bfd")}
    assert settings == ProcessSettings(workers=nothing)
    assert notes == []
    assert settings.child_wait_time == 5_000_000_000
    assert settings.late_after == 1_000_000_000
    assert settings.umask == 0o177
    assert settings.of("vrrp").rt_time == 10_000


@pytest.mark.parametrize(("prefix", "worker"), [("vrrp", "vrrp"), ("checker", "checkers"), ("bfd", "bfd")])
def test_each_worker_has_its_own_keywords(prefix: str, worker: str) -> None:
    settings = made_global(
        f"{prefix}_priority: -5, {prefix}_rt_priority: 20, {prefix}_rlimit_rttime: 3000, {prefix}_no_swap: true, "
        f"{prefix}_cpu_affinity: [3, 1, 3], {prefix}_process_name: mine"
    )
    expected = WorkerScheduling(nice=-5, rt_priority=20, rt_time=3000, no_swap=True, cpus=(1, 3), name="mine")
    assert settings.of(worker) == expected
    assert {name for name, each in settings.workers.items() if each == WorkerScheduling()} == {
        "vrrp", "checkers", "bfd"
    } - {worker}  # fmt: skip


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("router_id: x", ("", "")),
        ("process_name: lb", ("lb", "lb")),  # children are called as their parent is
        ("process_name: lb, process_names: true", ("lb", "")),  # by what they do: kactl-vrrp
        ("process_name: lb, vrrp_process_name: v", ("lb", "v")),
        ("process_name: lb, process_names: true, vrrp_process_name: true", ("lb", "lb")),
        ("process_names: true", ("", "")),
        ("vrrp_process_name: true", ("", "")),
    ],
)
def test_names(said: str, names: tuple[str, str]) -> None:
    settings = made_global(said)
    assert (settings.name, settings.of("vrrp").name) == names


@pytest.mark.parametrize(("said", "limit"), [("true", 99), ("0", 0), ("-1", 0), ("7", 7), ("99", 99)])
def test_max_auto_priority(said: str, limit: int) -> None:
    settings = made_global(f"max_auto_priority: {said}, min_auto_priority_delay: 250000")
    assert (settings.max_auto_priority, settings.late_after) == (limit, 250_000_000)


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("", 0o177), ("0", 0), ("077", 0o77), ("0x3f", 0o77), ("63", 0o77), ("0177", 0o177),
        ("IWGRP|IWOTH", 0o22), ("IXUSR|IRWXG|IRWXO", 0o177), ("IRWXU", 0o700), ("IRUSR|IWUSR|IXUSR", 0o700),
        ("IRGRP", 0o40), ("IXOTH", 0o1),
    ],
)  # fmt: skip
def test_umask_as_the_c_library_names_its_bits(text: str, bits: int) -> None:
    assert umask_bits(text) == bits
    assert made_global(f"umask: '{text}'" if text else "router_id: x").umask == bits


def test_dump_files() -> None:
    assert made_global("router_id: x").dumps == DumpSettings(
        state="keepalived.data", statistics="keepalived.stats", json="keepalived.json", json_version=1
    )
    settings = made_global(
        "state_dump_file: /tmp/a, stats_dump_file: /tmp/b, json_dump_file: /tmp/c, json_version: 2, "
        "config_save_dir: /var/lib/saved"
    )
    expected = DumpSettings(
        state="/tmp/a", statistics="/tmp/b", json="/tmp/c", json_version=2, save_directory="/var/lib/saved"
    )
    assert settings.dumps == expected


@pytest.mark.parametrize(
    ("outside", "suffix"),
    [
        ("", ""),
        ("instance: one", "one"),
        ("net_namespace: blue", "blue"),
        ("instance: one\nnet_namespace: blue", "blue_one"),  # keepalived 2.2.7: keepalived.blue_one.data
    ],
)
def test_dump_files_carry_instance_and_network_namespace(outside: str, suffix: str) -> None:
    settings, _notes = made(f"global_defs: {{data_use_instance: true}}\n{outside}")
    assert settings.dumps.suffix == suffix
    assert made(f"global_defs: {{data_use_instance: false}}\n{outside}")[0].dumps.suffix == ""


@pytest.mark.parametrize(
    ("said", "value"), [("x: 1", None), ("net_namespace_ipvs: true", ""), ("net_namespace_ipvs: b", "b")]
)
def test_namespace_of_ipvs(said: str, value: str | None) -> None:
    text = "{}" if said == "x: 1" else said
    assert made(text)[0].namespace_ipvs == value


def test_what_stands_outside_of_all_blocks() -> None:
    settings, _notes = made("child_wait_time: 12\nuse_pid_dir: true\ninstance: one\nnet_namespace: blue")
    assert settings.child_wait_time == 12_000_000_000
    assert (settings.use_pid_dir, settings.instance, settings.namespace) == (True, "one", "blue")


def test_keywords_without_an_effect_here_say_so() -> None:
    _settings, notes = made("namespace_with_ipsets: true\nglobal_defs: {include_check: [read]}")
    assert [note.partition(" has no effect")[0] for note in notes] == ["namespace_with_ipsets", "include_check"]
