"""The terminal of a run: it may be closed, or belong to somebody else for now (RELIABILITY C8)."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

STREAMS: Final = (0, 1, 2)


class Terminal:
    """Those of the standard streams that are a terminal."""

    def __init__(self) -> None:
        self._streams = [stream for stream in STREAMS if os.isatty(stream)]

    @property
    def closed(self) -> bool:
        """Whether nobody reads it any more."""
        return any(not os.isatty(stream) for stream in self._streams)

    def leave(self) -> None:
        """Let its streams lead nowhere: what is still said must not fail. Also where it is open."""
        lead_nowhere(*self._streams)
        self._streams = []


def lead_nowhere(*streams: int) -> None:
    """Let what is still written to these descriptors be lost, without an error."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_RDWR)
        for stream in streams:
            os.dup2(null, stream)
        os.close(null)


def write_in_background() -> None:
    """Let lines be written from the background, too: a terminal that minds would stop the process (SIGTTOU)."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)


@contextmanager
def hangups(told: Callable[[], None]) -> Iterator[None]:
    """Call told() at each SIGHUP, except where whoever started this process has it ignored (nohup)."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        told()

    kept = signal.getsignal(signal.SIGHUP)
    if kept is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGHUP, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, kept)
