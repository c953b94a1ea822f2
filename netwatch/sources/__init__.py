"""Frames in: captures from files, pipes and standard input, as batches of packets."""

import sys
from collections.abc import Callable
from typing import BinaryIO, Final, TypeVar

from netwatch.model.errors import SourceError
from netwatch.model.limits import UNPACK_TOTAL
from netwatch.sources import pcap, pcapng
from netwatch.sources.base import CaptureInfo, Damage, Source
from netwatch.sources.compressed import GZIP, ZSTD, ZSTD_SKIPPABLE, GzipStream, UnpackedStream, ZstdStream
from netwatch.sources.merge import merge
from netwatch.sources.stream import ByteStream, FileStream, InputStream

__all__ = ["CaptureInfo", "Source", "merge", "open_capture"]

T = TypeVar("T")

MAGIC_BYTES: Final = 4
CONTAINERS: Final[dict[bytes, Callable[[ByteStream], Source]]] = {
    **dict.fromkeys(pcap.MAGICS, pcap.PcapSource),
    pcapng.MAGIC: pcapng.PcapngSource,
}
COMPRESSIONS: Final[dict[bytes, Callable[[ByteStream, int], UnpackedStream]]] = {
    GZIP: GzipStream,
    ZSTD: ZstdStream,
    ZSTD_SKIPPABLE: ZstdStream,
}


def open_capture(path: str, *, stdin: BinaryIO | None = None, max_bytes: int = UNPACK_TOTAL) -> Source:
    """Open one capture; what it is, is told by its first bytes.

    path: a file, a FIFO, or "-" for `stdin` (default: standard input); the last two are read as bytes arrive.
    max_bytes: a compressed capture is read up to this many unpacked bytes.
    Raises SourceError: missing, unreadable, empty or foreign. Waits for the first bytes of a FIFO.
    """
    stream: ByteStream = InputStream(stdin or sys.stdin.buffer) if path == "-" else FileStream(path)
    try:
        return _recognise(path, stream, max_bytes)
    except Damage as damage:
        stream.close()
        raise SourceError(f"{path}: {damage}; no packet was read") from None
    except BaseException:
        stream.close()
        raise


def _recognise(path: str, stream: ByteStream, max_bytes: int) -> Source:
    magic = stream.peek(MAGIC_BYTES)
    if not magic:
        raise SourceError(f"{path}: empty; give a pcap or pcapng capture")
    unpack = _by_magic(COMPRESSIONS, magic)
    if unpack is not None:
        stream = unpack(stream, max_bytes)
        magic = stream.peek(MAGIC_BYTES)
        if _by_magic(COMPRESSIONS, magic) is not None:
            raise SourceError(f"{path}: compressed twice; unpack it once and try again")
    container = _by_magic(CONTAINERS, magic)
    if container is None:
        raise SourceError(
            f"{path}: not a capture (first bytes {magic.hex(' ')}); give pcap or pcapng, also as .gz or .zst"
        )
    return container(stream)


def _by_magic(table: dict[bytes, T], magic: bytes) -> T | None:
    return next((value for key, value in table.items() if magic.startswith(key)), None)
