"""Ctrl+C and SIGTERM: the first ends the work at a whole packet, the second ends the process at once. And an alarm."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether the user asked to stop; `asked` is set from a signal handler."""

    def __init__(self) -> None:
        self.asked = False


@contextmanager
def stoppable(wake: Callable[[], None], alarm: tuple[int, Callable[[], None]] | None = None) -> Iterator[Stop]:
    """Catch SIGINT and SIGTERM; wake() is called with the first of them, so that a waiting read returns.

    The second one raises KeyboardInterrupt. Outside the main thread nothing is caught.
    alarm: (seconds, what is called then); that is no request to stop.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True
        wake()

    kept = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    if alarm is not None:
        seconds, ring = alarm
        kept[signal.SIGALRM] = signal.signal(signal.SIGALRM, lambda _number, _frame: ring())
        signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield stop
    finally:
        if alarm is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in kept.items():
            signal.signal(number, handler)
