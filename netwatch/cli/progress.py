"""The progress bar of long work: on stderr, only on a terminal, only after a moment."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

Progress = Callable[[int, int | None, int], None]
"""progress(bytes read, bytes in all or None, packets)."""

SHOW_AFTER_S = 0.7
REFRESH_S = 0.2


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Progress | None]:
    """Give a function that moves the bar, or None where nothing is to be shown."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    import time

    begun = time.monotonic()
    shown = begun + SHOW_AFTER_S - REFRESH_S
    bar = None

    def move(done: int, total: int | None, packets: int) -> None:
        nonlocal bar, shown
        now = time.monotonic()
        if now < shown + REFRESH_S:
            return
        shown = now
        if bar is None:
            bar = _bar()
            bar.start()
        rate = packets / (now - begun)
        bar.update(bar.task_ids[0], completed=done, total=total, info=f"{packets:,} packets, {rate:,.0f}/s")

    try:
        yield move
    finally:
        if bar is not None:
            bar.stop()


def _bar() -> "Bar":
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        BarColumn(), DownloadColumn(), TextColumn("{task.fields[info]}", markup=False), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True, auto_refresh=False,
    )  # fmt: skip
    bar.add_task("", total=None, info="")
    return bar
