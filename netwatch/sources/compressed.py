"""Compressed captures, told by their first bytes, unpacked as they are read and never far ahead (RELIABILITY F4)."""

import sys
import zlib
from abc import abstractmethod
from typing import Any, Final

from netwatch.model.errors import SourceError
from netwatch.model.limits import UNPACK_FREE, UNPACK_RATIO
from netwatch.sources.base import Damage
from netwatch.sources.stream import ByteStream

GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
ZSTD_SKIPPABLE: Final = b"\x50\x2a\x4d\x18"  # pzstd starts its files with one
PACKED_BYTES: Final = 65_536  # read at a time
UNPACKED_BYTES: Final = 1024 * 1024  # made at a time
# zstandard bounds no output: a block of 4 bytes makes 128 KiB, so this many bytes make 4 MiB at most.
ZSTD_PIECE: Final = 128
ZSTD_WINDOW: Final = 2**27  # what the zstd command accepts unasked


class UnpackedStream(ByteStream):
    """The unpacked bytes of another stream; position and size are those of the packed one."""

    kind: str

    def __init__(self, packed: ByteStream, max_bytes: int) -> None:
        super().__init__(packed.name, packed.size, live=packed.live)
        self._packed = packed
        self._max_bytes = max_bytes
        self._chunk = bytearray(PACKED_BYTES)
        self._made = memoryview(b"")  # unpacked, not yet taken
        self._total = 0
        packed.stopped = self._is_stopped

    @abstractmethod
    def unpack(self) -> bytes:
        """Return the next unpacked bytes, b"" at the end only. Raises Damage."""

    def read_some(self, into: memoryview) -> int:
        if not self._made:
            self._judge()
            made = self.unpack()
            self._total += len(made)
            self._made = memoryview(made)[: len(made) - max(self._total - self._max_bytes, 0)]
            if not self._made:
                self._judge()
            self.position = self._packed.position
        count = min(len(into), len(self._made))
        into[:count] = self._made[:count]
        self._made = self._made[count:]
        return count

    def ready(self) -> bool:
        return bool(self._made) or self._packed.ready()

    def close(self) -> None:
        self._packed.close()

    def take(self, count: int = PACKED_BYTES) -> bytes:
        """Return packed bytes, b"" at the end only."""
        got = self._packed.readinto(memoryview(self._chunk)[:count])
        return bytes(self._chunk[:got])

    def cut(self) -> Damage:
        """Return what to raise when the packed bytes end too early."""
        return Damage(f"the {self.kind} stream is cut: the file ends at byte {self._packed.position}")

    def broken(self) -> Damage:
        """Return what to raise when the packed bytes make no sense."""
        return Damage(f"the {self.kind} stream is damaged before byte {self._packed.position}")

    def _is_stopped(self) -> bool:
        return self.stopped()  # which the reader sets later

    def _judge(self) -> None:
        if self._total > self._max_bytes:
            raise Damage(f"unpacks to more than {self._max_bytes} bytes (--max-bytes)")
        if self._total > UNPACK_FREE and self._total > UNPACK_RATIO * self._used():
            raise Damage(f"unpacks to more than {UNPACK_RATIO} times its size (a bomb?)")

    def _used(self) -> int:
        return self._packed.position


class GzipStream(UnpackedStream):
    """gzip (RFC 1952), of one member or many; bytes behind the last one are ignored, as gzip does."""

    kind = "gzip"

    def __init__(self, packed: ByteStream, max_bytes: int) -> None:
        super().__init__(packed, max_bytes)
        self._member: Any = zlib.decompressobj(wbits=31)  # the type has no public name
        self._waiting = b""  # packed bytes that were taken and not used
        self._step = PACKED_BYTES
        self._over = False

    def unpack(self) -> bytes:
        while not self._over:
            if self._member.eof and not self._next_member():
                self._over = True
                break
            self._waiting = self._waiting or self.take()
            if not self._waiting:
                raise self.cut()
            made = self._inflate(self._waiting[: self._step])
            if made:
                return made
        return b""

    def _inflate(self, piece: bytes) -> bytes:
        """Unpack a piece; of a damaged one its first half, until the byte is found, so that all before it is kept."""
        before = self._member.copy()
        try:
            made: bytes = self._member.decompress(piece, UNPACKED_BYTES)
        except zlib.error:
            if len(piece) == 1:
                raise self.broken() from None
            self._member, self._step = before, len(piece) // 2
            return b""
        rest = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        self._waiting = rest + self._waiting[len(piece) :]
        return made

    def _next_member(self) -> bool:
        while True:
            self._waiting = self._waiting.lstrip(b"\0")  # padding of tapes and blocks
            if len(self._waiting) >= len(GZIP):
                break
            more = self.take()
            if not more:
                return False
            self._waiting += more
        self._member = zlib.decompressobj(wbits=31)
        return self._waiting.startswith(GZIP)

    def _used(self) -> int:
        return self._packed.position - len(self._waiting)


class ZstdStream(UnpackedStream):
    """Zstandard frames (RFC 8878), by the standard library where it has them, else by the package zstandard."""

    kind = "zstd"

    def __init__(self, packed: ByteStream, max_bytes: int) -> None:
        super().__init__(packed, max_bytes)
        self._new, self._error = _zstd(packed.name)
        self._frame = self._new()
        self._fresh = True  # no byte of this frame was seen
        self._waiting = b""

    def unpack(self) -> bytes:
        while True:
            packed = self._waiting or self.take(ZSTD_PIECE)
            self._waiting = b""
            if not packed:
                if self._fresh:
                    return b""
                raise self.cut()
            if self._frame.eof:
                self._frame = self._new()
            self._fresh = False
            try:
                made: bytes = self._frame.decompress(packed)
            except self._error:
                raise self.broken() from None
            if self._frame.eof:
                self._waiting = self._frame.unused_data
                self._fresh = True
            if made:
                return made


def _zstd(name: str) -> tuple[Any, type[Exception]]:
    """Return what makes a decompressor for one frame, and what it raises. Raises SourceError."""
    if sys.version_info >= (3, 14):
        from compression import zstd

        options = {zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW.bit_length() - 1}
        return lambda: zstd.ZstdDecompressor(options=options), zstd.ZstdError
    try:
        import zstandard
    except ImportError:
        raise SourceError(f"{name}: zstd needs a package: pip install 'netwatch-telemetry[zstd]'") from None
    return lambda: zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW).decompressobj(), zstandard.ZstdError
