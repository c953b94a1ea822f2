"""Packets as the blocks of a pcapng section (draft-ietf-opsawg-pcapng), little-endian, times in nanoseconds."""

import struct
from collections.abc import Mapping
from typing import Final

import numpy as np

from netwatch import __version__
from netwatch.model.arrays import I64
from netwatch.model.batch import PacketBatch

SECTION, INTERFACE, STATISTICS, ENHANCED = 0x0A0D_0D0A, 1, 5, 6
BYTE_ORDER: Final = 0x1A2B_3C4D
UNKNOWN_LENGTH: Final = 0xFFFF_FFFF_FFFF_FFFF  # of a section
END_OF_OPTIONS: Final = b"\0\0\0\0"
USER_APPLICATION, IF_NAME, IF_RESOLUTION, RECEIVED, DROPPED = 4, 2, 9, 4, 5
NANOSECONDS: Final = b"\x09"
FRAME_AT: Final = 28  # where the frame starts in an enhanced packet block
BLOCK_EXTRA: Final = 32  # bytes of such a block beside the frame and its padding
NAME_BYTES: Final = 1_024  # of an option


def block_sizes(batch: PacketBatch) -> I64:
    """Return how many bytes the block of each packet takes, int64[N]."""
    sizes: I64 = ((batch.caplen.astype(np.int64) + 3) & ~3) + BLOCK_EXTRA
    return sizes


class Section:
    """Writes one section; its interfaces are described where they are first seen, by name and link type."""

    def __init__(self, snaplen: int) -> None:
        self._snaplen = snaplen
        self._ids: dict[tuple[str | None, int], int] = {}

    @property
    def interfaces(self) -> int:
        """How many interfaces were described."""
        return len(self._ids)

    def forget(self, interfaces: int) -> None:
        """Describe all interfaces but so many again: what was to say it is not in the file."""
        self._ids = {key: number for key, number in self._ids.items() if number < interfaces}

    @staticmethod
    def head() -> bytes:
        """Return the block that a section starts with."""
        body = struct.pack("<IHHQ", BYTE_ORDER, 1, 0, UNKNOWN_LENGTH)
        return _block(SECTION, body + _option(USER_APPLICATION, f"netwatch {__version__}".encode()) + END_OF_OPTIONS)

    def packets(self, batch: PacketBatch) -> bytes:
        """Return the blocks of all packets, N > 0, behind those of interfaces that are new.

        A time before 1970 is written as 1970: the format has none.
        """
        described: list[bytes] = []
        ids = np.zeros(len(batch.interfaces), np.uint32)
        for code in np.flatnonzero(np.bincount(batch.interface)).tolist():
            ids[code] = self._id(batch.interfaces[code], batch.link_type, described)
        sizes = block_sizes(batch)
        ends = np.cumsum(sizes)
        starts = ends - sizes
        out = np.zeros(int(ends[-1]), np.uint8)
        words = out.view("<u4")
        at = starts >> 2
        time = np.maximum(batch.time, 0)
        columns = (
            *(ENHANCED, sizes, ids[batch.interface], time >> 32, time & 0xFFFF_FFFF),
            *(batch.caplen, batch.wirelen),
        )
        for place, column in enumerate(columns):
            words[at + place] = column
        words[(ends >> 2) - 1] = sizes
        _copy(out.data, starts + FRAME_AT, batch)
        return b"".join((*described, out.data))

    def statistics(self, counts: Mapping[str, tuple[int, int | None]], time: int) -> bytes:
        """Return the blocks that end a section. counts: by name, frames that came and, where known, dropped ones."""
        blocks: dict[str, bytes] = {}
        for (name, _), number in self._ids.items():
            if name is None or name not in counts or name in blocks:
                continue
            received, dropped = counts[name]
            options = _option(RECEIVED, struct.pack("<Q", received))
            if dropped is not None:
                options += _option(DROPPED, struct.pack("<Q", dropped))
            body = struct.pack("<III", number, time >> 32, time & 0xFFFF_FFFF)
            blocks[name] = _block(STATISTICS, body + options + END_OF_OPTIONS)
        return b"".join(blocks.values())

    def _id(self, name: str | None, link_type: int, described: list[bytes]) -> int:
        """Return the number of an interface; its block goes to `described` where it is new."""
        known = self._ids.get((name, link_type))
        if known is not None:
            return known
        options = b"" if name is None else _option(IF_NAME, name.encode("utf-8", "replace")[:NAME_BYTES])
        options += _option(IF_RESOLUTION, NANOSECONDS) + END_OF_OPTIONS
        described.append(_block(INTERFACE, struct.pack("<HHI", link_type, 0, self._snaplen) + options))
        number = self._ids[name, link_type] = len(self._ids)
        return number


def _copy(out: memoryview, to: I64, batch: PacketBatch) -> None:
    """Copy each frame to its place."""
    data = batch.data.data
    lengths = batch.caplen.astype(np.int64)
    columns = (to, to + lengths, batch.offset, batch.offset + lengths)
    for start, stop, first, last in zip(*(column.tolist() for column in columns), strict=True):
        out[start:stop] = data[first:last]


def _block(kind: int, body: bytes) -> bytes:
    """Frame a body, which is a multiple of 4 bytes long."""
    size = len(body) + 12
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)
