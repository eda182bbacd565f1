"""Virtual servers in keepalived's language, and what happens to them: what the kernel lane compares with keepalived."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from support import golden, ipvs_guest

FILES = "".join(
    f"track_file f{number} {{\n file {ipvs_guest.FOLDER}/f{number}\n}}\n" for number in range(1, ipvs_guest.FILES + 1)
)


def real(number: int, words: str = "", port: str = "80", address: str = "", weight: int = 0) -> str:
    """A real server that f1, f2, ... keeps up (0) or takes down; with a weight, that changes its weight."""
    check = f"FILE_CHECK {{\n track_file f{number}\n weight {weight}\n }}"
    return f"real_server {address or f'10.0.1.{number}'} {port} {{\n {words}\n {check}\n}}\n"


def refused(number: int, words: str = "") -> str:
    """A real server whose first check fails: nothing listens there."""
    check = f"TCP_CHECK {{\n connect_timeout 1\n connect_ip 127.0.0.1\n connect_port {number}\n warmup 0\n }}"
    return f"real_server 10.0.1.{number} 80 {{\n {words}\n {check}\n}}\n"


def virtual(
    body: str, words: str = "", head: str = "10.0.0.1 80", method: str = "NAT", protocol: str = "protocol TCP"
) -> str:
    text = f"virtual_server {head} {{\n lvs_sched rr\n lvs_method {method}\n {protocol}\n delay_loop 1\n {words}\n"
    return f"{text}{body}}}\n"


def conf(body: str, words: str = "") -> str:
    return f"global_defs {{\n lvs_notify_fifo {ipvs_guest.FIFO}\n {words}\n}}\n{FILES}{body}"


GROUP = """virtual_server_group g {
 10.0.0.1 80
 10.0.0.4-6 81
 10.0.0.16/30 82
 fwmark 9
}
virtual_server_group h {
 10.0.0.1 80
 fd00::1:0-2 80
}
"""
SORRY = "sorry_server 10.0.9.9 80"
Step = list[str]
down, up = "1", "0"


def write(name: str, value: str) -> Step:
    return ["write", name, value]


THREE = real(1) + real(2) + real(3)
SCENARIOS: list[dict[str, Any]] = [
    {
        "name": "quorum-without-sorry-server",
        "conf": conf(virtual(THREE, "quorum 3\n hysteresis 1")),
        "steps": [write("f1", down), write("f2", down), write("f1", up), write("f2", up)],
    },
    {
        "name": "sorry-server-and-inhibit",
        "conf": conf(virtual(real(1) + real(2, "inhibit_on_failure") + real(3), f"quorum 2\n {SORRY}")),
        "steps": [
            *(write("f1", down), write("f2", down), write("f1", up), write("f2", up)),
            *(write("f1", down), write("f2", down), write("f3", down), write("f1", up)),
        ],
    },
    {
        "name": "between-gain-and-loss-at-the-start",
        "conf": conf(virtual(THREE, f"quorum 3\n hysteresis 1\n {SORRY}")),
        "steps": [write("f1", down), write("f1", up)],
    },
    {
        "name": "alpha-without-sorry-server",
        "conf": conf(virtual(real(1) + real(2), "alpha")),
        "files": {"f1": down, "f2": down},
        "steps": [write("f2", up), write("f2", down)],
    },
    {
        "name": "sorry-server-inhibited",
        "conf": conf(
            virtual(real(1) + real(2), f"{SORRY}\n sorry_server_inhibit\n sorry_server_lvs_method DR\n omega")
        ),
        "steps": [write("f1", down), write("f2", down), write("f1", up)],
    },
    {
        "name": "alpha",
        "conf": conf(virtual(real(1) + real(2), f"alpha\n {SORRY}")),
        "files": {"f1": down, "f2": down},
        "steps": [write("f1", up), write("f2", up)],
    },
    {
        "name": "alpha-and-first-failures",
        "conf": conf(virtual(refused(1, "inhibit_on_failure") + real(2), "alpha"), "rs_init_notifies"),
        "lines": 3,
        "steps": [],
    },
    {
        "name": "first-failure-without-alpha",
        "conf": conf(virtual(refused(1) + real(2)), "rs_init_notifies"),
        "lines": 4,
        "steps": [],
    },
    {
        "name": "weights",
        "conf": conf(virtual(real(1, weight=2) + real(2, "weight 5", weight=-2), f"quorum 3\n {SORRY}")),
        "steps": [
            *(write("f1", "3"), write("f1", "-10"), write("f2", "2"), write("f2", "10"), write("f1", "0")),
            write("f2", "0"),
        ],
    },
    {
        "name": "ports-of-direct-routing",
        "conf": conf(
            virtual(
                real(1, port="8080") + real(2, "lvs_method TUN", port="8080") + real(3, "lvs_method NAT", port="8080"),
                method="DR",
            )
        ),
        "steps": [],
    },
    {
        "name": "port-0",
        "conf": conf(
            virtual(
                real(1, port="") + real(2, port="8080"),
                "persistence_timeout 30\n persistence_granularity 255.255.0",
                head="10.0.0.1",
            )
            + virtual(real(3), head="10.0.0.9", method="DR")
        ),
        "steps": [],
    },
    {
        "name": "schedulers-and-flags",
        "conf": conf(
            virtual(real(1), "lvs_sched sh\n sh-port\n hashed", head="10.0.0.1 80")
            + virtual(real(2), "lvs_sched mh\n mh-fallback\n flag-3", head="10.0.0.2 80")
            + virtual(real(3), "ops\n flag-1\n persistence_timeout", head="10.0.0.3 80", protocol="protocol UDP")
            + virtual(real(4), "ops\n lvs_sched wlc\n uthreshold 9", head="10.0.0.4 80")
            + virtual(real(1), head="10.0.0.5 80", protocol="protocol SCTP")
            + virtual(
                real(2),
                "persistence_timeout 30\n persistence_engine sip",
                head="10.0.0.6 5060",
                protocol="protocol UDP",
            )
            + virtual(real(3, "uthreshold 100\n lthreshold 50"), head="10.0.0.7 80")
        ),
        "steps": [],
    },
    {
        "name": "tunnels",
        "conf": conf(
            virtual(
                real(1, "lvs_method TUN type gue port 6080 csum") + real(2, "lvs_method TUN type gre"), method="TUN"
            )
            + virtual(real(1), head="fd00::1 80", method="TUN")
        ),
        "steps": [],
    },
    {
        "name": "tunnels-with-words-of-other-types",
        "conf": conf(
            virtual(
                real(1, "lvs_method TUN type ipip csum")
                + real(2, "lvs_method TUN type gre port 7")
                + real(3, "lvs_method TUN type gre remcsum")
                + real(4, "lvs_method TUN type gue"),
                method="DR",
            )
            + virtual(real(1), head="10.0.0.2 80", method="TUN type ipip port 7")
        ),
        "steps": [],
    },
    {
        "name": "groups",
        "conf": conf(
            GROUP
            + virtual(real(1, port="") + real(2, port="8080"), "sorry_server 10.0.9.9", head="group g")
            + virtual(real(3, port="53"), head="group g", protocol="protocol UDP")
            + virtual(real(1) + real(2, address="fd00::2"), head="group h", method="TUN").replace("10.0.0.1 80", "")
        ).replace(" 10.0.0.1 80\n fd00", " 10.0.0.99 80\n fd00"),
        "steps": [write("f1", down), write("f2", down), write("f2", up)],
    },
    {
        "name": "group-of-direct-routing",
        "conf": conf(GROUP + virtual(real(1) + real(2, port=""), head="group g", method="DR")),
        "steps": [write("f2", down)],
    },
    {
        "name": "firewall-marks",
        "conf": conf(
            virtual(real(1, address="fd00::2"), head="fwmark 8", protocol="")
            + virtual(real(2) + real(1, port=""), "sorry_server 10.0.9.9 81", head="fwmark 8", protocol="")
            + virtual(real(3, "lvs_method TUN"), "ip_family inet6", head="fwmark 9", protocol="")
            + virtual(real(4), "sorry_server 10.0.9.9 81", head="fwmark 5", protocol="", method="DR")
        ),
        "steps": [write("f4", down), write("f2", down), write("f1", down)],
    },
    {
        "name": "quorum-beyond-the-weights",
        "conf": conf(
            virtual(real(3, port="99"), "quorum 7\n hysteresis 9", head="10.0.0.2 53", protocol="", method="DR")
        ),
        "steps": [write("f3", down)],
    },
    {
        "name": "reloads",
        "conf": conf(virtual(THREE)),
        "steps": [
            ["reload", conf(virtual(real(1, "weight 5") + real(3) + real(4)))],
            ["reload", conf(virtual(real(1, "weight 5") + real(3) + real(4), "lvs_sched wlc\n persistence_timeout"))],
            ["reload", conf(virtual(real(4), head="10.0.0.2 80"))],
            write("f4", down),
        ],
    },
    {
        "name": "omega",
        "conf": conf(virtual(THREE, "omega")),
        "steps": [write("f3", down)],
    },
    {
        "name": "foreign-services",
        "conf": conf(virtual(real(1) + real(2))),
        "before": ["ipvsadm -A -u 10.5.5.5:1 -s rr"],
        "steps": [],
    },
    {
        "name": "flush",
        "conf": conf(virtual(real(1) + real(2)), "lvs_flush"),
        "before": ["ipvsadm -A -t 10.0.0.1:80 -s wlc -p 90", "ipvsadm -A -u 10.5.5.5:1 -s rr"],
        "steps": [],
    },
    {
        "name": "flush-on-stop",
        "conf": conf(virtual(real(1) + real(2)), "lvs_flush_on_stop"),
        "before": ["ipvsadm -A -u 10.5.5.5:1 -s rr"],
        "steps": [],
    },
    {
        "name": "flush-own-on-stop",
        "conf": conf(virtual(real(1) + real(2)), "lvs_flush_on_stop VS"),
        "before": ["ipvsadm -A -u 10.5.5.5:1 -s rr"],
        "steps": [],
    },
    {
        "name": "sync-daemons-and-timeouts",
        "conf": conf(
            virtual(real(1)),
            "lvs_sync_daemon d0 id 7 maxlen 1200 port 8899 ttl 3 group 224.0.0.99\n lvs_timeouts tcp 100 udp 20",
        ),
        "steps": [["reload", conf(virtual(real(1)), "lvs_sync_daemon d0")]],
    },
]


def prepared(scenario: dict[str, Any]) -> dict[str, Any]:
    """With every configuration as agent YAML too."""
    made = [[*step, yaml_of(step[1])] if step[0] == "reload" else step for step in scenario["steps"]]
    return {**scenario, "yaml": yaml_of(scenario["conf"]), "steps": made}


def yaml_of(text: str) -> str:
    done = golden.kactl("convert", "-", "--to", "yaml", "--id", golden.CONFIG_ID, stdin=text.encode())
    assert done.status == 0, done.stderr
    return done.stdout


SAMPLES = Path("/usr/share/doc/keepalived/samples")


def configurations() -> list[Path]:
    """The golden configurations and Debian's samples that have virtual servers."""
    cases = [case / "keepalived.conf" for case in golden.cases("convert") if not case.name.endswith(golden.SINCE_2_4)]
    cases = [case for case in cases if case.parent.name != "ssl"]  # keepalived stops: there is no such certificate
    found = [*cases, *sorted(SAMPLES.glob("keepalived.conf.*[!z]"))]
    return [path for path in found if re.search(r"^\s*virtual_server\s", path.read_text(errors="replace"), re.M)]


def chain(paths: list[Path]) -> dict[str, Any]:
    """One configuration after the other by reload; none of their checks comes soon enough to matter."""
    texts = [_without_checks(path.read_text(errors="replace")) for path in paths]
    steps: list[Step] = [["reload", text, yaml_of(text)] for text in texts]
    return {"name": "configurations", "conf": texts[0], "yaml": steps[0][2], "steps": steps[1:], "anew": True}


def _without_checks(text: str) -> str:
    """Every check comes an hour later, or so."""
    text = re.sub(r"\b(delay_loop|warmup)[ \t]+[0-9.]+", r"\1 36000", text)
    return re.sub(r"^(\s*virtual_server\s[^{]*\{)", r"\1\n warmup 36000\n", text, flags=re.M)
