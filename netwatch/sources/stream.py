"""Bytes in: a file, a pipe or standard input, and the window through which a reader sees them."""

import contextlib
import fcntl
import io
import mmap
import os
import select
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import BinaryIO, Final

import numpy as np

from netwatch.model.arrays import U8
from netwatch.model.errors import SourceError
from netwatch.model.limits import BATCH_BYTES, PAD
from netwatch.sources.base import STOPPED, Damage

WAIT_MS: Final = 200  # how long a stop can go unnoticed while a pipe is silent
WINDOW: Final = BATCH_BYTES // 2  # bytes read at a time: larger ones fall out of the cache, smaller ones cost calls
PIPE_BYTES: Final = 1024 * 1024  # what Linux allows without privilege: fewer, longer batches


class ByteStream(ABC):
    """Bytes in order, read into a caller's buffer.

    name: for messages.   size: bytes in all, None where unknown.   position: bytes taken from the input.
    live: bytes arrive as somebody writes them; what is there now should be used before waiting for more.
    stopped: asked while waiting; a true answer ends the wait with Damage.
    """

    def __init__(self, name: str, size: int | None, *, live: bool) -> None:
        self.name = name
        self.size = size
        self.position = 0
        self.live = live
        self.stopped: Callable[[], bool] = lambda: False
        self._ahead = b""

    @abstractmethod
    def read_some(self, into: memoryview) -> int:
        """Read at least one byte, 0 at the end only. Raises Damage."""

    def ready(self) -> bool:
        """Return whether read_some would not wait."""
        return True

    @abstractmethod
    def close(self) -> None:
        """Let go of the input; may be called twice."""

    def peek(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer at the end, and leave them unread. Raises Damage."""
        room = bytearray(count)
        while len(self._ahead) < count:
            got = self.read_some(memoryview(room)[: count - len(self._ahead)])
            if got == 0:
                break
            self._ahead += bytes(room[:got])
        return self._ahead[:count]

    def readinto(self, into: memoryview) -> int:
        """Read at least one byte into a buffer that has room, 0 at the end only. Raises Damage."""
        if not self._ahead:
            return self.read_some(into)
        count = min(len(into), len(self._ahead))
        into[:count] = self._ahead[:count]
        self._ahead = self._ahead[count:]
        return count


class FileStream(ByteStream):
    """A regular file, a pipe or a device, unbuffered."""

    def __init__(self, path: str) -> None:
        if os.path.isdir(path):  # noqa: PTH112
            raise SourceError(f"{path}: is a folder; name the captures in it")
        try:
            self._file = open(path, "rb", buffering=0)  # noqa: PTH123, SIM115 closed by close()
        except (OSError, ValueError) as error:
            raise SourceError(f"{path}: {_reason(error)}; check the name and that you may read it") from error
        about = os.fstat(self._file.fileno())
        regular = stat.S_ISREG(about.st_mode)
        super().__init__(os.path.basename(path), about.st_size if regular else None, live=not regular)  # noqa: PTH119
        self._poll = None if regular else _poller(self._file.fileno())

    def read_some(self, into: memoryview) -> int:
        if self._poll is not None:
            _wait(self._poll, self.stopped)
        try:
            got = self._file.readinto(into)
        except (OSError, ValueError) as error:
            raise Damage(f"cannot be read on at byte {self.position}: {_reason(error)}") from error
        self.position += got or 0
        return got or 0

    def ready(self) -> bool:
        return self._poll is None or bool(self._poll.poll(0))

    def close(self) -> None:
        self._file.close()


class InputStream(ByteStream):
    """Standard input, or any other stream of bytes that somebody opened, did not read from, and will close."""

    def __init__(self, stdin: BinaryIO) -> None:
        self._poll = None
        self._read: Callable[[memoryview], int | None] = stdin.readinto  # type: ignore[attr-defined]
        try:
            number = stdin.fileno()
            about = os.fstat(number)
        except (OSError, AttributeError, ValueError):  # bytes in memory: all there is now
            super().__init__("-", None, live=False)
            return
        regular = stat.S_ISREG(about.st_mode)
        super().__init__("-", about.st_size if regular else None, live=not regular)
        if not regular:
            # Past any buffer of `stdin`: bytes that wait in one cannot be seen by a poll.
            self._read = io.FileIO(number, closefd=False).readinto
            self._poll = _poller(number)

    def read_some(self, into: memoryview) -> int:
        if self._poll is not None:
            _wait(self._poll, self.stopped)
        try:
            got = self._read(into)
        except (OSError, ValueError) as error:
            raise Damage(f"cannot be read on at byte {self.position}: {_reason(error)}") from error
        self.position += got or 0
        return got or 0

    def ready(self) -> bool:
        return self._poll is None or bool(self._poll.poll(0))

    def close(self) -> None:
        """Leave it open: who opened it closes it."""


class Window:
    """A reused buffer that holds the bytes not yet handed over, with PAD readable bytes behind them.

    raw:  the buffer as memory, for struct.   data: the same as a read-only array.
    at, end: the unread bytes are raw[at:end].   base: the place of raw[0] in the stream.
    """

    def __init__(self, stream: ByteStream, capacity: int = WINDOW) -> None:
        self._stream = stream
        self.ended = False
        self._damage: Damage | None = None
        self.at = self.end = self.base = 0
        self._allocate(capacity)

    def _allocate(self, capacity: int) -> None:
        self.capacity = capacity
        self.raw = mmap.mmap(-1, capacity + PAD)  # zeros, and no memory before it is used
        self._memory = memoryview(self.raw)
        self.data: U8 = np.frombuffer(self._memory.toreadonly(), np.uint8)

    def place(self, at: int) -> int:
        """Return where raw[at] stands in the stream."""
        return self.base + at

    def fill(self, need: int) -> bool:
        """Have at least `need` unread bytes; False when the stream ends before that.

        Where bytes must be read, as many are read as are there; arrays that were handed over change. Raises Damage.
        """
        left = self.end - self.at
        if left >= need:
            return True
        old = self._memory
        if need > self.capacity:
            self._allocate(max(need, min(2 * self.capacity, BATCH_BYTES)))
        self._memory[:left] = old[self.at : self.end]  # memmove: the two may overlap
        self.base += self.at
        self.at, self.end = 0, left
        stream = self._stream
        while not self.ended and self.end < self.capacity and (self.end < need or not stream.live or stream.ready()):
            try:
                got = stream.readinto(self._memory[self.end : self.capacity])
            except Damage as damage:  # what was read before it comes first
                self._damage, got = damage, 0
            self.ended = got == 0
            self.end += got
        if self.end < need and self._damage is not None:
            raise self._damage
        return self.end >= need


def _poller(number: int) -> "select.poll | None":
    poll = select.poll()
    poll.register(number, select.POLLIN)
    with contextlib.suppress(OSError, AttributeError):  # no pipe, or not Linux: only the speed differs
        fcntl.fcntl(number, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return poll


def _wait(poll: "select.poll", stopped: Callable[[], bool]) -> None:
    while not poll.poll(WAIT_MS):
        if stopped():
            raise Damage(STOPPED)


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
