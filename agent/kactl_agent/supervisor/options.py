"""The command line of kactl-agent."""

from __future__ import annotations

import argparse
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from kactl_agent import __version__

EXIT_FINE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_CONFIGURATION = 3
EXIT_RUNNING = 4
EXIT_PRIVILEGE = 5

DEFAULT_RUN_DIR = Path("/run/kactl")
SUBSYSTEMS = ("vrrp", "checkers", "bfd")
FACILITIES = ("daemon", "user", *(f"local{number}" for number in range(8)))


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line said."""

    config: Path
    run_dir: Path = DEFAULT_RUN_DIR
    log_level: str = "info"
    log_detail: bool = False
    log_format: str = "text"
    log_stderr: bool = True
    log_syslog: str = ""  # the facility
    log_journal: bool = False
    log_file: Path | None = None
    umask: int | None = None  # None: as the configuration says
    pid_file: Path | None = None
    vrrp_pid_file: Path | None = None
    checkers_pid_file: Path | None = None
    bfd_pid_file: Path | None = None
    ignore_sigint: bool = False
    core_dump: bool = False
    core_dump_pattern: str = ""
    dump_conf: bool = False
    address_monitoring: bool = False
    check: bool = False
    print_capabilities: bool = False
    only: frozenset[str] = frozenset(SUBSYSTEMS)
    config_id: str = ""
    namespace: str = ""
    keep_vips: bool = False
    keep_ipvs: bool = False
    respawn: bool = True
    record: Path | None = None

    @property
    def pid_files(self) -> dict[str, Path]:
        """Those whose place the command line says, by process."""
        said = {"agent": self.pid_file, "vrrp": self.vrrp_pid_file}
        said |= {"checkers": self.checkers_pid_file, "bfd": self.bfd_pid_file}
        return {process: path.absolute() for process, path in said.items() if path is not None}


def _subsystems(text: str) -> frozenset[str]:
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    if not names or names - set(SUBSYSTEMS):
        raise argparse.ArgumentTypeError(f"a comma-separated list of {', '.join(SUBSYSTEMS)}")
    return names


SIGNALS = {
    "STOP": signal.SIGTERM,
    "RELOAD": signal.SIGHUP,
    "DATA": signal.SIGUSR1,
    "STATS": signal.SIGUSR2,
    "STATS_CLEAR": signal.SIGRTMAX - 1,
    "JSON": signal.SIGRTMIN + 2,
    "TDATA": signal.SIGRTMAX,
    "REOPEN_LOGS": signal.SIGRTMIN + 3,
    "LOG_DETAIL": signal.SIGRTMIN + 4,
}
"""What the signals do, by keepalived's names for it (--signum) and two of our own."""


class _SignalNumber(argparse.Action):
    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: object, option: object = None
    ) -> None:
        del namespace, option
        if values not in SIGNALS:
            parser.error(f"--signum: there is no function {values}: {', '.join(SIGNALS)}")
        sys.stdout.write(f"{int(SIGNALS[str(values)])}\n")
        parser.exit()


def _umask(text: str) -> int:
    from kactl_agent.config.process import umask_bits
    from kactl_agent.config.schema.global_defs import Umask
    from kactl_agent.config.schema.shapes import ValueFault

    try:
        return umask_bits(Umask().parse(text))
    except ValueFault as fault:
        raise argparse.ArgumentTypeError(str(fault)) from None


def _configuration(name: str) -> Path:
    """Logs, answers and workers have to say its name."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"the name {name!a} holds bytes that are no UTF-8: use another one") from None
    return Path(name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kactl-agent",
        description="Run VRRP, IPVS with health checks, and BFD as the configuration says. Stays in the foreground.",
        epilog="exit codes: 0 fine, 1 failure at run time, 2 usage, 3 configuration invalid, 4 already running, "
        "5 missing privilege",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--config", required=True, type=_configuration, metavar="FILE", help="configuration in YAML")
    add(
        "--run-dir", type=Path, default=DEFAULT_RUN_DIR, metavar="DIR", help="pid file and control socket (%(default)s)"
    )
    add("--log-level", choices=("debug", "info", "warning", "error"), default="info", help="least level (%(default)s)")
    add("--log-detail", action="store_true", help="codes and causes in text logs as well")
    add("--log-format", choices=("text", "json", "journal"), default="text", help="of the log on stderr (%(default)s)")
    add("--no-log-stderr", dest="log_stderr", action="store_false", help="log to the other targets alone")
    add(
        "--log-syslog", nargs="?", const="daemon", default="", choices=FACILITIES, metavar="FACILITY",
        help="log to syslog as well: daemon (the default), user, local0 .. local7",
    )  # fmt: skip
    add("--log-journal", action="store_true", help="log to systemd's journal as well, with every field")
    add("--log-file", type=Path, metavar="FILE", help="log to files as well, one for each process named after FILE")
    add("--umask", type=_umask, metavar="MASK", help="permissions that new files do not get, whatever FILE says")
    for process in ("", *SUBSYSTEMS):
        name, whose = (f"--{process}-pid-file", f"the {process} process") if process else ("--pid-file", "the agent")
        add(name, type=Path, metavar="FILE", help=f"where the pid of {whose} is written")
    add("--ignore-sigint", action="store_true", help="go on at SIGINT (under a debugger)")
    add("--core-dump", action="store_true", help="let processes that crash leave core dumps")
    add(
        "--core-dump-pattern", nargs="?", const="core", default="", metavar="PATTERN",
        help="set the kernel's core_pattern as long as the agent runs; implies --core-dump",
    )  # fmt: skip
    add("--address-monitoring", action="store_true", help="log every address that comes to the machine or goes")
    add("--dump-conf", action="store_true", help="log the configuration, without secrets, at the start and each reload")
    add(
        "--signum",
        action=_SignalNumber,
        default=argparse.SUPPRESS,
        metavar="FUNCTION",
        help="print the number of a signal and exit",
    )
    add("--check", action="store_true", help="validate FILE and exit")
    add("--print-capabilities", action="store_true", help="say what a service manager has to grant for FILE, and exit")
    add("--only", type=_subsystems, default=frozenset(SUBSYSTEMS), metavar="LIST", help="run only these subsystems")
    add("--config-id", default="", metavar="ID", help="name this node goes by in the configuration")
    add("--namespace", default="", metavar="NAME", help="run in a named network namespace (ip-netns)")
    add("--keep-vips", action="store_true", help="leave virtual addresses in place at the stop")
    add("--keep-ipvs", action="store_true", help="leave IPVS entries in place at the stop")
    add("--no-respawn", action="store_true", help="stop when a worker dies instead of restarting it")
    add("--record", type=Path, metavar="DIR", help="record what every VRRP instance is told and does, to be replayed")
    add("--version", action="version", version=f"kactl-agent {__version__}")
    return parser


def parse(arguments: list[str]) -> Options:
    """Raises SystemExit: 0 for --help and --version, 2 for what is wrong."""
    said = vars(_parser().parse_args(arguments))
    return Options(respawn=not said.pop("no_respawn"), **said)
