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
        with suppress(OSError):
            null = os.open(os.devnull, os.O_RDWR)
            for stream in self._streams:
                os.dup2(null, stream)
            os.close(null)
        self._streams = []


@contextmanager
def hangups(told: Callable[[], None]) -> Iterator[None]:
    """Call told() at each SIGHUP, except where whoever started this process has it ignored (nohup).

    In the background, too, lines may be written: SIGTTOU, which would stop the process, is ignored.
    """

    def handle(_number: int, _frame: FrameType | None) -> None:
        told()

    kept = {signal.SIGTTOU: signal.signal(signal.SIGTTOU, signal.SIG_IGN)}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        kept[signal.SIGHUP] = signal.signal(signal.SIGHUP, handle)
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
