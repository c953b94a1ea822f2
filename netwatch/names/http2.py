"""HTTP/2 in clear text with prior knowledge (RFC 9113), up to the first request's `:authority`."""

from typing import Final

from netwatch.model.errors import ParseError
from netwatch.model.limits import HTTP_HEAD
from netwatch.names.cursor import Cursor
from netwatch.names.hpack import HeaderTable

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, CONTINUATION = 1, 9
END_HEADERS, PADDED, PRIORITY = 0x4, 0x8, 0x20
AUTHORITY: Final = b":authority"
HOST: Final = b"host"
_FRAMES: Final = 64  # before the first request; real clients send two or three


class Http2Side:
    """The frames that a client sent."""

    __slots__ = ("_at", "_block", "_frames")

    def __init__(self) -> None:
        self._at = len(PREFACE)
        self._block = bytearray()
        self._frames = 0

    @property
    def size(self) -> int:
        """Bytes in memory, roughly."""
        return 128 + len(self._block)

    def read(self, data: bytearray) -> bytes | None:
        """Read whole frames; return the first request's authority, b"" where it has none, None to wait.

        Raises ParseError: http2_frame, http_head_too_long, hpack_*, truncated.
        """
        wire = bytes(data) if len(data) >= self._at + 9 else b""
        while len(wire) >= self._at + 9:
            header = Cursor.over(wire, self._at)
            length, kind, flags = header.uint(3), header.uint(1), header.uint(1)
            header.skip(4)
            self._frames += 1
            if self._frames > _FRAMES or length > HTTP_HEAD:
                raise ParseError("http2_frame", self._at)
            if header.left < length:
                return None
            self._at = header.at + length
            if kind == HEADERS:
                self._block += _fragment(header.sub(length), flags)
            elif kind == CONTINUATION:
                self._block += header.sub(length).rest()
            else:
                continue
            if len(self._block) > HTTP_HEAD:
                raise ParseError("http_head_too_long", self._at)
            if flags & END_HEADERS:
                return _authority(bytes(self._block))
        return None


def _fragment(frame: Cursor, flags: int) -> bytes:
    padding = frame.uint(1) if flags & PADDED else 0
    if flags & PRIORITY:
        frame.skip(5)
    if padding > frame.left:
        raise ParseError("http2_frame", frame.at)
    return frame.take(frame.left - padding)


def _authority(block: bytes) -> bytes:
    host = b""
    for name, value in HeaderTable().fields(Cursor.over(block)):
        if name == AUTHORITY:
            return value
        if name == HOST:
            host = value
    return host
