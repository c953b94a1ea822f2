"""Writes the two compact forms that netwatch reads: ranges of numbers -> value, and numbers -> text.

The layouts are described where they are read: netwatch/places/ranges.py and netwatch/places/texts.py.
"""

import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

RANGE_BLOCK = 2048
TEXT_BLOCK = 512

Value = TypeVar("Value")


def disjoint(ranges: Iterable[tuple[int, int, Value]], nothing: Value) -> list[tuple[int, Value]]:
    """Turn inclusive ranges, sorted by their first number, into (start, value) rows that cover every number from 0.

    Numbers in no range have the value `nothing`; where two ranges overlap, the one that starts later wins.
    Neighbours of the same value become one row. Raises ValueError where the ranges are not sorted.
    """
    rows: list[tuple[int, Value]] = [(0, nothing)]
    open_ranges: list[
        tuple[int, Value]
    ] = []  # (last, value) of ranges that reach beyond the present one, innermost last

    def put(start: int, value: Value) -> None:
        if rows[-1][0] == start:
            rows.pop()
        if not rows or rows[-1][1] != value:
            rows.append((start, value))

    def close(before: int | None) -> None:
        while open_ranges and (before is None or open_ranges[-1][0] < before):
            last, _ = open_ranges.pop()
            while open_ranges and open_ranges[-1][0] <= last:
                open_ranges.pop()
            if before is None or last + 1 < before:
                put(last + 1, open_ranges[-1][1] if open_ranges else nothing)

    first_before = 0
    for first, last, value in ranges:
        if first < first_before or last < first:
            raise ValueError(f"ranges are not sorted at {first}")
        close(first)
        put(first, value)
        open_ranges.append((last, value))
        first_before = first
    close(None)
    return rows


def _planes(column: NDArray[np.unsignedinteger]) -> bytes:
    """Lay a column out byte by byte of its numbers: all lowest bytes first; this compresses far better."""
    little = column.astype(column.dtype.newbyteorder("<"))
    return np.ascontiguousarray(little.view(np.uint8).reshape(len(column), -1).T).tobytes()


def write_ranges(rows: Sequence[tuple[int, int]], key_bits: int, value_bytes: int, words: bytes = b"") -> bytes:
    """Return the bytes of a range table.

    rows: (start, value), rising, the first start 0.   key_bits: 32, 64 or 128.   value_bytes: 1, 2 or 4.
    words: text that the values point into, kept as it is.
    """
    key_type = np.dtype("<u4") if key_bits == 32 else np.dtype("<u8")
    shift = 64 if key_bits == 128 else 0
    high = np.array([start >> shift for start, _ in rows], key_type)
    low = np.array([start & 0xFFFF_FFFF_FFFF_FFFF for start, _ in rows], "<u8") if shift else None
    values = np.array([value for _, value in rows], f"<u{value_bytes}")
    blocks = []
    for at in range(0, len(rows), RANGE_BLOCK):
        part = high[at : at + RANGE_BLOCK]
        body = _planes(np.diff(part, prepend=part[:1]))
        if low is not None:
            body += _planes(low[at : at + RANGE_BLOCK])
        blocks.append(zlib.compress(body + _planes(values[at : at + RANGE_BLOCK]), 9))
    ends = np.cumsum([len(block) for block in blocks]).astype("<u4")
    head = struct.pack(
        "<4sBBHIII", b"NWR1", key_bits // 8, value_bytes, RANGE_BLOCK, len(rows), len(blocks), len(words)
    )
    firsts = high[::RANGE_BLOCK].tobytes() + (b"" if low is None else low[::RANGE_BLOCK].tobytes())
    return b"".join([head, words, ends.tobytes(), firsts, *blocks])


def write_texts(texts: dict[int, str]) -> bytes:
    """Return the bytes of a text table: number (32 bits) -> text without line feeds."""
    numbers = np.array(sorted(texts), "<u4")
    blocks = []
    for at in range(0, len(numbers), TEXT_BLOCK):
        part = numbers[at : at + TEXT_BLOCK]
        names = "\n".join(texts[int(number)] for number in part)
        blocks.append(zlib.compress(_planes(np.diff(part, prepend=part[:1])) + names.encode(), 9))
    ends = np.cumsum([len(block) for block in blocks]).astype("<u4")
    head = struct.pack("<4sIII", b"NWT1", TEXT_BLOCK, len(numbers), len(blocks))
    return b"".join([head, ends.tobytes(), numbers[::TEXT_BLOCK].tobytes(), *blocks])
