"""The spawner: a tiny process that starts every script, as its user, so that no timing loop ever pays for a fork.

It is forked before configuration and imports: a fork costs what the process holds in memory. Workers ask over
SOCK_SEQPACKET sockets which the supervisor hands in over the control socket; a run is answered by its pidfd, and by its
exit status when it has ended. A worker that ends takes its runs with it, and so does the supervisor.
"""

from __future__ import annotations

import array
import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections import deque

from kactl_agent.runtime import agent_signals, privileges
from kactl_agent.runtime.spawn_frames import LARGEST, Ended, Run, Signal, SpawnFrame, Started, decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

RUNS_AT_ONCE = 1024
SETTLE = b"\0"
"""What a control message begins with that is not the name of a client, but `UMASK [NETWORK NAMESPACE]`."""
_UNSENT = 256  # answers a worker may leave unread before it is not listened to
_GRACE = 1.0  # seconds from SIGTERM to SIGKILL for what outlives whoever asked for it
_UNSET = ("IFS", "LD_PRELOAD", "LD_LIBRARY_PATH")  # as keepalived 2.4
_NOT_EXECUTED = 127
_HIGHEST_DESCRIPTOR = 1 << 20


class _Client:
    """A worker."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.unsent: deque[tuple[bytes, int | None]] = deque()
        self.runs: dict[int, _Process] = {}

    def send(self, frame: SpawnFrame, descriptor: int | None = None) -> None:
        """Queue a frame; the descriptor is closed once it is sent."""
        self.unsent.append((encode(frame), descriptor))
        self.flush()

    def flush(self) -> None:
        while self.unsent:
            data, descriptor = self.unsent[0]
            passed = array.array("i", () if descriptor is None else (descriptor,))
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)] if passed else []
            try:
                self.socket.sendmsg([data], rights, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError:
                self.close_unsent()  # it is gone, which reading will tell
                return
            self.unsent.popleft()
            if descriptor is not None:
                os.close(descriptor)

    def close_unsent(self) -> None:
        for _data, descriptor in self.unsent:
            if descriptor is not None:
                os.close(descriptor)
        self.unsent.clear()


class _Process:
    """A run that has not ended, or what it started."""

    def __init__(self, pid: int, pidfd: int, failure: int, client: _Client | None, run: int) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.failure = failure  # a pipe that says why the command could not be executed
        self.client = client
        self.run = run
        self.kill_at: float | None = None

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def reap(self) -> Ended:
        _pid, status = os.waitpid(self.pid, 0)
        error = os.read(self.failure, 256).decode(errors="replace")
        os.close(self.failure)
        os.close(self.pidfd)
        return Ended(self.run, os.waitstatus_to_exitcode(status), error)


class Spawner:
    """The process's loop. `control` brings one descriptor a message: the socket of another worker; or `SETTLE`."""

    def __init__(self, control: socket.socket, runs_at_once: int = RUNS_AT_ONCE) -> None:
        self._control = control
        self._runs_at_once = runs_at_once
        self._clients: dict[int, _Client] = {}
        self._processes: dict[int, _Process] = {}  # by pidfd
        self._stopping = False
        self._wakeup, self._woken = socket.socketpair()

    def stop_without(self, supervisor: int) -> None:
        """Stop at SIGTERM, if the supervisor has ended. Otherwise it is meant for the agent and was sent to all of it,
        as service managers do: the supervisor stops us last, when nobody needs scripts any more."""

        def terminated(*_: object) -> None:
            if os.getppid() != supervisor:
                self.stop()

        self._woken.setblocking(False)
        self._wakeup.setblocking(False)
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, terminated)

    def stop(self) -> None:
        self._stopping = True

    def run(self) -> None:
        """Until the supervisor is gone or says so."""
        while not self._stopping:
            self._turn(self._timeout())
        for process in list(self._processes.values()):
            self._abandon(process)
        while self._processes:
            self._turn(self._timeout())

    def _timeout(self) -> float | None:
        times = [process.kill_at for process in self._processes.values() if process.kill_at is not None]
        return max(0.0, min(times) - time.monotonic()) * 1000 + 1 if times else None

    def _turn(self, timeout: float | None) -> None:
        poll = select.poll()
        if not self._stopping:
            poll.register(self._control, select.POLLIN)
            poll.register(self._wakeup, select.POLLIN)  # a signal alone does not end poll
            for client in self._clients.values():
                unread = select.POLLIN if len(client.unsent) < _UNSENT else 0
                poll.register(client.socket, unread | (select.POLLOUT if client.unsent else 0))
        for pidfd in self._processes:
            poll.register(pidfd, select.POLLIN)
        for descriptor, events in poll.poll(timeout):
            if descriptor == self._wakeup.fileno():
                self._wakeup.recv(64)
            elif descriptor == self._control.fileno():
                self._from_supervisor()
            elif (found := self._processes.get(descriptor)) is not None:
                self._ended(found)
            elif (asking := self._clients.get(descriptor)) is not None:
                if events & select.POLLOUT:
                    asking.flush()
                if events & ~select.POLLOUT:
                    self._read(asking)
        now = time.monotonic()
        for process in self._processes.values():
            if process.kill_at is not None and process.kill_at <= now:
                process.kill_at = now + _GRACE
                process.signal(signal.SIGKILL)

    # -- workers -------------------------------------------------------------------------------------------------------

    def _from_supervisor(self) -> None:
        try:
            data, descriptors, _flags, _address = socket.recv_fds(self._control, 256, 1)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        if not data:
            self.stop()
        elif data.startswith(SETTLE):
            umask, _, namespace = data.removeprefix(SETTLE).decode().partition(" ")
            os.umask(int(umask, 8))  # scripts inherit it, as from keepalived
            if namespace:
                privileges.enter_network_namespace(namespace)
        for descriptor in descriptors:
            sock = socket.socket(fileno=descriptor)
            sock.setblocking(False)
            os.set_inheritable(descriptor, False)
            self._clients[descriptor] = _Client(sock)

    def _read(self, client: _Client) -> None:
        try:
            data = client.socket.recv(LARGEST)
            frame = decode(data) if data else None
        except BlockingIOError:
            return
        except (OSError, ValueError):
            frame = None
        match frame:
            case Run():
                self._start(client, frame)
            case Signal():
                if (process := client.runs.get(frame.run)) is not None:
                    process.signal(frame.signal)
            case _:  # gone, or nobody we know
                self._lost(client)

    def _lost(self, client: _Client) -> None:
        del self._clients[client.socket.fileno()]
        client.close_unsent()
        client.socket.close()
        for process in client.runs.values():
            self._abandon(process)

    def _abandon(self, process: _Process) -> None:
        process.client = None
        process.signal(signal.SIGTERM)
        process.kill_at = time.monotonic() + _GRACE

    # -- runs ----------------------------------------------------------------------------------------------------------

    def _start(self, client: _Client, frame: Run) -> None:
        if len(self._processes) >= self._runs_at_once:
            client.send(Ended(frame.run, _NOT_EXECUTED, f"{self._runs_at_once} scripts run already"))
            return
        try:
            ours, theirs = os.pipe()
            pid = os.fork()
        except OSError as error:
            client.send(Ended(frame.run, _NOT_EXECUTED, error.strerror or str(error)))
            return
        if pid == 0:
            _execute(frame, theirs)
        os.close(theirs)
        os.set_blocking(ours, True)
        with contextlib.suppress(OSError):  # whoever is first, it or we: signals are for the whole group
            os.setpgid(pid, pid)
        pidfd = os.pidfd_open(pid)
        process = _Process(pid, pidfd, ours, client, frame.run)
        self._processes[pidfd] = client.runs[frame.run] = process
        client.send(Started(frame.run, pid), os.dup(pidfd))

    def _ended(self, process: _Process) -> None:
        del self._processes[process.pidfd]
        ended = process.reap()
        if process.client is not None:
            del process.client.runs[process.run]
            process.client.send(ended)


def _execute(frame: Run, failure: int) -> NoReturn:
    """In the child: become the user and the command."""
    try:
        spawner = os.getppid()
        signal.set_wakeup_fd(-1)
        os.setpgid(0, 0)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            with contextlib.suppress(OSError):  # the C library keeps two for itself
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.closerange(3, failure)
        os.closerange(failure + 1, _HIGHEST_DESCRIPTOR)
        if frame.umask >= 0:
            os.umask(frame.umask)
        _become(frame.uid, frame.gid)
        privileges.die_with_parent(spawner)
        environment = {name: value for name, value in os.environ.items() if name not in _UNSET}
        os.execve(frame.arguments[0], frame.arguments, environment)
    except BaseException as error:  # noqa: BLE001 - the child must never return into the code of the spawner
        reason = (isinstance(error, OSError) and error.strerror) or repr(error)
        os.write(failure, reason.encode()[:256])
    finally:
        os._exit(_NOT_EXECUTED)


def _become(uid: int, gid: int) -> None:
    """Raises OSError. Where nothing changes it needs no privilege (a user namespace may forbid setgroups)."""
    if (uid, gid) == (os.geteuid(), os.getegid()):
        with contextlib.suppress(PermissionError):
            os.setgroups([gid])
        return
    os.setgroups([gid])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def serve(control: socket.socket, supervisor: int) -> int:
    """The life of the spawner's process. Returns its exit code."""
    privileges.set_process_name("kactl-spawner")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    agent_signals.ignore()
    control.setblocking(False)
    spawner = Spawner(control)
    spawner.stop_without(supervisor)
    spawner.run()
    return 0


def launch() -> tuple[int, socket.socket]:
    """Fork the spawner: its pid and our end of its control socket. To be called early, while this process is small."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    pid = os.fork()
    if pid:
        theirs.close()
        return pid, ours
    code = 1
    try:
        ours.close()
        privileges.die_with_parent(parent)
        code = serve(theirs, parent)
    finally:
        os._exit(code)


def main() -> int:
    """`python -m kactl_agent.runtime.spawner FD PARENT`: one in place of a spawner that has ended."""
    supervisor = int(sys.argv[2])
    privileges.die_with_parent(supervisor)
    return serve(socket.socket(fileno=int(sys.argv[1])), supervisor)


if __name__ == "__main__":
    sys.exit(main())
