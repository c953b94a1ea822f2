"""One end of the link between two processes: whole messages with a length in front, bounded both ways."""

import os
import select
import socket
import struct
from collections import deque
from typing import Final

from netwatch.runtime.live.messages import MessageError

LENGTH: Final = struct.Struct(">I")
MESSAGE_MAX: Final = 64 * 1024 * 1024  # bytes of one message: a release of 65,536 flows takes about 40 MB
PENDING_MAX: Final = 64 * 1024 * 1024  # bytes that wait for the reader: what comes then is given up, and counted
CHUNK: Final = 1 << 18


class Link:
    """A stream socket that carries messages.

    What is sent waits here until the reader takes it, up to PENDING_MAX bytes. Raises MessageError for a length beyond
    MESSAGE_MAX. closed: the other end is gone; what was sent to it is lost.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._end.setblocking(False)
        self._got = bytearray()
        self._pending: deque[memoryview] = deque()
        self._size = 0  # bytes that wait
        self.closed = False

    def fileno(self) -> int:
        """Return the descriptor, for poll()."""
        return self._end.fileno()

    @property
    def begun(self) -> bool:
        """Whether a part of a message has come, and the rest has not."""
        return bool(self._got)

    def send(self, data: bytes) -> bool:
        """Send one message, as far as the reader takes it now; False: too much waits already, it is not sent."""
        if len(data) > MESSAGE_MAX:
            raise MessageError(f"a message of {len(data)} bytes (limit {MESSAGE_MAX})")
        if self._size and self._size + len(data) > PENDING_MAX:
            return False
        self._pending.append(memoryview(LENGTH.pack(len(data)) + data))
        self._size += LENGTH.size + len(data)
        self.flush(0)
        return True

    def flush(self, timeout_ms: int | None) -> bool:
        """Write what waits; True where nothing is left. timeout_ms: how long to wait for the reader, None: for ever."""
        while self._pending:
            try:
                count = os.write(self._end.fileno(), self._pending[0][:CHUNK])
            except BlockingIOError:
                waiting = select.poll()
                waiting.register(self._end, select.POLLOUT)
                if timeout_ms == 0 or not waiting.poll(timeout_ms):
                    return False
                continue
            except (BrokenPipeError, ConnectionResetError):  # nobody reads it any more; what was sent to us may be read
                self.closed = True
                self._pending.clear()
                self._size = 0
                break
            self._size -= count
            self._pending[0] = self._pending[0][count:]
            if not self._pending[0]:
                self._pending.popleft()
        return True

    def receive(self) -> list[bytes]:
        """Return the whole messages that have come; `closed` where no more will."""
        while True:
            try:
                data = os.read(self._end.fileno(), CHUNK)
            except BlockingIOError:
                break
            except ConnectionResetError:
                data = b""
            if not data:
                self.closed = True
                break
            self._got += data
        messages: deque[bytes] = deque()
        at = 0
        while len(self._got) - at >= LENGTH.size:
            (size,) = LENGTH.unpack_from(self._got, at)
            if size > MESSAGE_MAX:
                raise MessageError(f"the capture process claims a message of {size} bytes (limit {MESSAGE_MAX})")
            end = at + LENGTH.size + size
            if len(self._got) < end:
                break
            messages.append(bytes(self._got[at + LENGTH.size : end]))
            at = end
        del self._got[:at]
        return list(messages)

    def wait(self, timeout_ms: int | None = None) -> None:
        """Wait until something comes, or the other end is gone."""
        waiting = select.poll()
        waiting.register(self._end, select.POLLIN)
        waiting.poll(timeout_ms)

    def close(self) -> None:
        """Let the other end know that this one is gone."""
        self._end.close()


def pair() -> tuple[socket.socket, socket.socket]:
    """Make both ends of a link."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
