"""`-w capture.pcapng`: packets to files by a process with a ring of its own, off the way of those that are read."""

import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic, time_ns
from typing import Final, NamedTuple, NoReturn

from netwatch.model.errors import SinkError
from netwatch.runtime.guard import Mode, apply
from netwatch.runtime.live.crew import FIRST_FD, CrewError, Member, first_message, forked, reap, seclude
from netwatch.runtime.live.link import Link
from netwatch.runtime.live.messages import Ready, Recorded, decode, encode
from netwatch.runtime.live.worker import STOP, WAIT_MS
from netwatch.sinks.packetfiles import PacketFiles
from netwatch.sinks.rotation import Rotation
from netwatch.sources.live import Live, LiveCounts, LiveSource, Opened

TELL_S: Final = 0.5
END_S: Final = 30.0  # how long the last file may take


class Record(NamedTuple):
    """Where packets go."""

    path: Path
    rotation: Rotation


class Recorder:
    """The process that writes, seen from the one that made it.

    Made before any privilege goes, and before every process that is to see its end: it ends its last file when nobody
    is left at the other end of its link.
    """

    def __init__(self, opened: Opened, record: Record, snaplen: int, sandbox: Mode) -> None:
        """Make the process; what was opened is its own from here on."""
        self.name = str(record.path)
        self._told: Recorded | None = None
        self._problem: str | None = None
        self._gone = self._stopping = False
        self._reaped = ""
        self._member: Member = forked(lambda link: _record(link, opened, record, snaplen, sandbox))
        opened.close()

    def ready(self) -> Ready:
        """Wait until it has given up its privileges and made its file. Raises SinkError, CrewError."""
        match first_message(self._member.link, "the process that writes packets"):
            case Ready() as ready:
                return ready
            case Recorded(problem=str(problem)):
                raise SinkError(problem)
            case _:
                raise CrewError("the process that writes packets did not say that it is ready")

    def events(self) -> list[str]:
        """Return what happened since the last call, one line each."""
        if self._gone:
            return []
        link = self._member.link
        events = []
        for data in link.receive():
            message = decode(data)
            if isinstance(message, Recorded):
                self._told = message
                if message.problem != self._problem:
                    self._problem = message.problem
                    events.append(message.problem or f"{self.name}: packets are written again")
        if link.closed:
            self._gone = True
            if self._told is None or not self._told.done:
                why = self._reap()
                events.append(f"{self.name}: no more packets are written: the process for it ended ({why})")
        return events

    def stop(self) -> None:
        """Have it write what has come, and end."""
        if not self._gone and not self._stopping:
            self._stopping = True
            self._member.link.send(STOP)

    def finish(self) -> list[str]:
        """Wait until it has ended, and return what is to be said of it."""
        self.stop()
        until = monotonic() + END_S
        lines = self.events()
        while not self._gone and monotonic() < until:
            self._member.link.wait(100)
            lines += self.events()
        told = self._told
        if told is not None and told.done and told.lost + told.dropped:
            lines.append(
                f"{self.name}: {told.packets} packets; the kernel dropped {told.dropped}, {told.lost} are not on disk"
            )
        return lines

    def close(self) -> None:
        """Let go of it."""
        self._reap()

    def _reap(self) -> str:
        """Wait until it has gone, and say how, the first time."""
        self._member.link.close()
        if not self._reaped:
            self._reaped = reap(self._member.pid)
        return self._reaped


def _record(link: Link, opened: Opened, record: Record, snaplen: int, sandbox: Mode) -> NoReturn:
    """Be the process: give up all but one folder and the capture sockets, work, end."""
    seclude(link, None if sandbox == "off" else FIRST_FD)
    state = apply("recorder", write=[record.path.parent], mode=sandbox)
    source = LiveSource(opened)
    try:
        files = PacketFiles(record.path, record.rotation, snaplen, lambda: _counted(source.counts()), time_ns())
    except SinkError as error:
        link.send(encode(Recorded(0, 0, 0, str(error), done=True)))
        link.flush(None)
        os._exit(0)
    link.send(encode(Ready(list(state.missing))))
    record_packets(link, source, files, time_ns)
    os._exit(0)


def record_packets(link: Link, source: Live, files: PacketFiles, now: Callable[[], int]) -> None:
    """Write what comes until the other side says stop, or is gone; then what still lies in the ring."""
    told = monotonic()
    while STOP not in link.receive() and not link.closed:
        batch = source.poll(WAIT_MS)
        if batch is not None:
            files.write(batch, now())
        files.tend(now())
        if monotonic() - told >= TELL_S:
            told = monotonic()
            link.send(encode(_told(files, source, done=False)))
    source.stop()
    while (batch := source.poll(0)) is not None:
        files.write(batch, now())
    files.close(now())
    link.send(encode(_told(files, source, done=True)))
    link.flush(1_000)
    source.close()


def _told(files: PacketFiles, source: Live, *, done: bool) -> Recorded:
    return Recorded(files.packets, files.lost, source.counts().dropped or 0, files.problem, done)


def _counted(counts: LiveCounts) -> dict[str, tuple[int, int | None]]:
    """Return frames that came, dropped ones too, and dropped ones by interface."""
    return {name: (one.received + (one.dropped or 0), one.dropped) for name, one in counts.interfaces.items()}
