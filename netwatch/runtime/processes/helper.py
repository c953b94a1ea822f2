"""The process that looks into other processes, for which the one that writes has no right any more.

Landlock lets nobody look at a process outside of its own sandbox, so this one has none; it is an ordinary user's, its
filter of system calls lets it open files for reading alone, it has no terminal and no network, and it reads nothing
that came from the network.
"""

import os
import select
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Final, NoReturn

from netwatch.model.errors import GuardError, NetwatchError, UsageError
from netwatch.model.records import Release
from netwatch.runtime.guard import Mode, apply
from netwatch.runtime.live.link import Link, pair
from netwatch.runtime.processes.linux import LinuxSockets
from netwatch.runtime.processes.names import Names
from netwatch.runtime.processes.portable import PsutilSockets
from netwatch.runtime.processes.sockets import Sockets
from netwatch.runtime.processes.watcher import Changes, Watcher, decode, encode

SOCKETS: Final = Path("/proc/net/tcp")
READY_S: Final = 20.0
CLOSE_S: Final = 1.0


class Processes:
    """Names the programs of flows."""

    def __init__(self, mode: Mode = "auto") -> None:
        """Make the process, and wait for its first look.

        It keeps none of the descriptors that are open; whoever else is to have no part in it is made before it.
        Raises UsageError without psutil where that is needed; GuardError.
        """
        kind = _kind()
        mine, theirs = pair()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                _be(theirs.detach(), kind, mode)
            finally:
                os._exit(70)
        theirs.close()
        self._link = Link(mine)
        self._names = Names()
        self._ended = False
        self._events: list[str] = []
        self._wait()

    def poll(self) -> list[str]:
        """Take what was told; return lines for the user. To be called often, as what waits is bounded."""
        self._take()
        events, self._events = self._events, []
        return events

    def _take(self) -> None:
        if self._ended:
            return
        try:
            for data in self._link.receive():
                self._names.take(decode(data))
            why = "the process that looks at sockets ended" if self._link.closed else ""
        except NetwatchError as error:
            why = str(error)
        if why:
            self._ended = True
            self._events.append(f"{why}; programs of new flows stay unknown")

    def named(self, release: Release) -> Release:
        """Return a release with the programs of its flows."""
        self._take()
        return release._replace(flows=self._names.flows(release.flows))

    def report(self) -> str:
        """Say in one line how many flows have a program, and why others have none."""
        return self._names.report()

    def close(self) -> None:
        """Let the process end."""
        self._link.close()
        until = monotonic() + CLOSE_S
        while monotonic() < until and os.waitpid(self._pid, os.WNOHANG) == (0, 0):
            select.poll().poll(10)

    def _wait(self) -> None:
        """Take the first message. Raises GuardError."""
        until = monotonic() + READY_S
        said: list[bytes] = []
        while not said and not self._link.closed and monotonic() < until:
            self._link.wait(100)
            said = self._link.receive()
        first = decode(said[0]) if said else Changes(0, [], [], [], refused="--processes: nothing looks at sockets")
        if first.refused is not None:
            os.kill(self._pid, signal.SIGKILL)
            self.close()
            raise GuardError(first.refused)
        if first.missing:
            self._events.append(f"the sandbox of what looks at sockets is not whole: {', '.join(first.missing)}")
        for data in said:
            self._names.take(decode(data))


def _kind() -> Callable[[], Sockets]:
    if SOCKETS.exists():
        return LinuxSockets
    if find_spec("psutil") is None:
        raise UsageError("--processes: needs psutil here: pip install 'netwatch-telemetry[proc]'")
    return PsutilSockets


def _be(end: int, kind: Callable[[], Sockets], mode: Mode) -> NoReturn:
    """Be the process that looks, until the other end is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # whoever made this process lets it go
    link = Link(_alone(end))
    try:
        state = apply("processes", mode=mode)
    except GuardError as error:
        link.send(encode(Changes(0, [], [], [], refused=str(error))))
        link.flush(None)
        os._exit(0)
    watcher = Watcher(kind())
    changes = watcher.look()
    with suppress(OSError):  # the other end is gone
        link.send(encode(Changes(changes.at, changes.addresses, changes.seen, changes.gone, list(state.missing))))
        changes = Changes(changes.at, [], [], [])
        while not link.closed:
            if changes != Changes(changes.at, [], [], []):
                link.send(encode(changes))
            link.flush(0)
            link.wait(round(watcher.pause * 1000))
            link.receive()
            changes = watcher.look()
    os._exit(0)


def _alone(end: int) -> socket.socket:
    """Let go of every descriptor but this one."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.closerange(3, end)
    try:
        others = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 numbers, no paths
    except OSError:
        others = list(range(end, os.sysconf("SC_OPEN_MAX")))
    for number in others:
        if number > end:
            with suppress(OSError):  # the one that listed them
                os.close(number)
    return socket.socket(fileno=end)
