"""The capture processes: one works, others stand by; all are made before any privilege goes, none can be later."""

import os
import select
import signal
from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple, NoReturn

from netwatch.model.errors import NetwatchError
from netwatch.runtime.live.link import Link, pair
from netwatch.runtime.live.messages import Beat, Finished, Message, Ready, Snapshot, decode
from netwatch.runtime.live.worker import STOP

SPARES: Final = 3  # processes that stand by: how often a capture can break down before it ends
FIRST_FD: Final = 900  # capture sockets stand from here on, where nothing may be written to them
GO: Final = b"go"
SILENT_S: Final = 3.0  # a worker that tells nothing for so long is taken for dead
READY_S: Final = 20.0
NEWS_MS: Final = 500  # how long who works is waited for to take what was sent; the rest follows bit by bit


class CrewError(NetwatchError):
    """The capture cannot go on: every process that stood by is used up, or none came up at all."""


class Gap(NamedTuple):
    """A worker that broke down. beat: the last that it told.   snapshot: its live flows as it told them last."""

    why: str
    beat: Beat | None
    snapshot: Snapshot | None


class Member(NamedTuple):
    """A process that was made, and this side of the link to it."""

    pid: int
    link: Link


class Crew:
    """Makes the processes at once; start() lets the first one work.

    work(link): what each of them does; it waits for GO, and never returns.
    """

    def __init__(self, work: Callable[[Link], NoReturn], spares: int = SPARES) -> None:
        self._members = [forked(work) for _ in range(1 + spares)]
        self._news: bytes | None = None  # what those that stand by have missed
        self.ready: list[Ready] = []
        self.beat: Beat | None = None
        self.finished = False
        self._snapshot: Snapshot | None = None
        self._heard_at = 0.0
        self._stopping_at: float | None = None

    def start(self) -> None:
        """Wait until all of them are ready, and let the first one work. Raises CrewError."""
        for member in self._members:
            message = first_message(member.link, "the capture process")
            if not isinstance(message, Ready):
                raise CrewError("the capture process did not say that it is ready")
            self.ready.append(message)
        self._go()

    def messages(self, timeout_ms: int) -> list[Message | Gap]:
        """Return what was told; a Gap where a worker broke down and the next one took over. Raises CrewError."""
        if not self._members:
            return []
        member = self._members[0]
        member.link.wait(timeout_ms)
        member.link.flush(0)
        out: list[Message | Gap] = [decode(data) for data in member.link.receive()]
        now = monotonic()
        if out:
            self._heard_at = now
        for message in out:
            match message:
                case Beat():
                    self.beat = message
                case Snapshot():
                    self._snapshot = message
                case Finished(beat):
                    self.beat, self.finished = beat, True
        if not self.finished and (member.link.closed or now - self._heard_at > SILENT_S):
            out.append(self._replace())
        return out

    @property
    def stopping(self) -> bool:
        """Whether the end was asked for."""
        return self._stopping_at is not None

    def stop(self) -> None:
        """Ask for the end; the last message is Finished."""
        if self._members and self._stopping_at is None:
            self._stopping_at = monotonic()
            self._members[0].link.send(STOP)

    def close(self) -> None:
        """Let go of all processes."""
        for member in self._members:
            member.link.close()  # who stands by sees that, and ends
        for member in self._members:
            reap(member.pid)
        self._members = []

    def tell(self, news: bytes) -> bool:
        """Send a message to the process that works, and to each one that takes over; False: too much waits already.

        The latest one counts.
        """
        if not self._members or not self._members[0].link.send(news):
            return False
        self._members[0].link.flush(NEWS_MS)
        self._news = news
        return True

    def _go(self) -> None:
        self._heard_at = monotonic()
        self._members[0].link.send(GO)
        if self._news is not None:
            self._members[0].link.send(self._news)

    def _replace(self) -> Gap:
        gone = self._members.pop(0)
        gone.link.close()
        why = reap(gone.pid)
        gap = Gap(why, self.beat, self._snapshot)
        self.beat = self._snapshot = None
        if not self._members:
            raise CrewError(f"the capture process ended ({why}), and no other one is left")
        self._go()
        if self._stopping_at is not None:
            self._members[0].link.send(STOP)
        return gap


def first_message(link: Link, who: str) -> Message:
    """Wait for the first thing that a process tells. Raises CrewError where it does not come up."""
    until = monotonic() + READY_S
    said: list[bytes] = []
    while not said:
        if link.closed or monotonic() > until:
            raise CrewError(f"{who} did not come up; see the lines above")
        link.wait(100)
        said = link.receive()
    return decode(said[0])


def forked(work: Callable[[Link], NoReturn]) -> Member:
    """Make a process that does `work` on its end of a new link, and never returns."""
    mine, theirs = pair()
    pid = os.fork()
    if pid == 0:
        mine.close()
        try:
            work(Link(theirs))
        finally:
            os._exit(70)
    theirs.close()
    return Member(pid, Link(mine))


def seclude(link: Link, first_capture: int | None) -> None:
    """Leave to a process that was made nothing but its link and its capture sockets, and no signal but the last ones.

    first_capture: where the descriptors of capture sockets begin, None: nobody knows; all are then kept.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)  # whoever made this process tells it when to stop
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)
    if first_capture is not None:  # what the others talk through is none of its business
        own = link.fileno()
        os.closerange(3, own)
        os.closerange(own + 1, first_capture)


def reap(pid: int) -> str:
    """Wait for a process that ends, a moment at most; say how it ended."""
    until = monotonic() + 1.0
    while monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        select.poll().poll(10)
    return "it does not answer"
