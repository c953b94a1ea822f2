"""Tables that map every number to a value by sorted range starts, unpacked only where they are asked.

Layout, all little-endian (netwatch/data/make/compact.py writes it):

    "NWR1", u8 key bytes (4, 8, 16), u8 value bytes (1, 2, 4), u16 rows a block, u32 rows, u32 blocks, u32 words
    words        bytes that values may point into
    ends         u32[blocks], where each block ends, from the first block's first byte
    first        u32[blocks] or u64[blocks], the first start of each block; for 16 key bytes its upper half,
                 then u64[blocks], its lower half
    blocks       zlib each: differences of the starts (16 key bytes: of the upper halves, then the lower halves
                 as they are), then the values; each column with all lowest bytes of its numbers first
"""

import struct
import zlib
from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from netwatch.model.arrays import I64, U32, U64
from netwatch.model.errors import DataError

HEAD: Final = struct.Struct("<4sBBHIII")
MAGIC: Final = b"NWR1"

Column: TypeAlias = NDArray[np.unsignedinteger]


class RangeTable:
    """Finds the value of numbers; each row holds from its start to the next row's.

    name: of the file, for messages.   content: the whole file; kept, for its blocks are unpacked on demand.
    Raises DataError where the bytes are no such table.
    """

    def __init__(self, name: str, content: bytes) -> None:
        self._name = name
        try:
            magic, key_bytes, value_bytes, self._step, rows, blocks, words = HEAD.unpack_from(content)
            self.words = content[HEAD.size : HEAD.size + words]
            at = HEAD.size + words
            self._ends = np.frombuffer(content, "<u4", blocks, at).tolist()
            at += 4 * blocks
            self._type = np.dtype("<u4") if key_bytes == 4 else np.dtype("<u8")
            self._first: Column = np.frombuffer(content, self._type, blocks, at)
            at += self._type.itemsize * blocks
            self._first_low: U64 | None = None
            if key_bytes == 16:
                self._first_low = np.frombuffer(content, "<u8", blocks, at)
                at += 8 * blocks
        except (ValueError, struct.error) as error:
            raise DataError(f"{name}: not a range table of netwatch: {error}") from error
        if magic != MAGIC or not blocks or -(-rows // self._step) != blocks or self._ends[-1] != len(content) - at:
            raise DataError(f"{name}: not a range table of netwatch: its blocks do not fill it")
        self._content, self._body, self._rows = content, at, rows
        self._loaded = np.zeros(blocks, np.bool_)
        # Blocks that are not unpacked yet are never looked at: their part of the columns takes no memory.
        self._start: Column = np.zeros(rows, self._type)
        self._low: U64 | None = None if self._first_low is None else np.zeros(rows, "<u8")
        self._value: Column = np.zeros(rows, f"<u{value_bytes}")

    def find(self, numbers: U32 | U64, low: U64 | None = None) -> Column:
        """Return the value of each number.

        numbers: uint32[N] for 4 key bytes, else uint64[N]; for 16 key bytes the upper halves, low the lower ones.
        Raises DataError where a block cannot be unpacked.
        """
        block = np.searchsorted(self._first, numbers, "right") - 1  # the first one starts at 0
        if self._first_low is not None and low is not None:
            _correct(block, np.zeros(len(block), np.int64), self._first, self._first_low, numbers, low)
        for missing in set(block[~self._loaded[block]].tolist()):  # np.unique would import numpy.ma: 10 ms
            self._unpack(missing)
        row = _inside(self._start, numbers, block, self._step)
        if self._low is not None and low is not None:
            _correct(row, block * self._step, self._start, self._low, numbers, low)
        return self._value[row]

    def _unpack(self, block: int) -> None:
        row = block * self._step
        count = min(self._step, self._rows - row)
        begin = self._body + (self._ends[block - 1] if block else 0)
        value_type = self._value.dtype
        low_bytes = 0 if self._low is None else 8
        size = count * (self._type.itemsize + low_bytes + value_type.itemsize)
        unpacker = zlib.decompressobj()
        try:
            body = unpacker.decompress(self._content[begin : self._body + self._ends[block]], size + 1)
        except zlib.error as error:
            raise DataError(f"{self._name}: block {block} of a range table cannot be unpacked") from error
        if len(body) != size or not unpacker.eof:
            raise DataError(f"{self._name}: block {block} of a range table has not {size} bytes")
        step = _joined(body, 0, count, self._type)
        self._start[row : row + count] = np.cumsum(step, dtype=self._type) + self._first[block]
        at = count * self._type.itemsize
        if self._low is not None:
            self._low[row : row + count] = _joined(body, at, count, np.dtype("<u8"))
            at += 8 * count
        self._value[row : row + count] = _joined(body, at, count, value_type)
        self._loaded[block] = True


class FamilyTables:
    """The tables `<stem>-v4.bin` (4 key bytes) and `<stem>-v6.bin` (16), each read when it is first asked.

    read: gives the bytes of a shipped file, None where it is missing; raises DataError for a damaged one.
    """

    def __init__(self, stem: str, read: Callable[[str], bytes | None]) -> None:
        self._stem, self._read = stem, read
        self._tables: dict[int, RangeTable | None] = {}

    def load(self) -> None:
        """Read both tables now. Raises DataError for a damaged one."""
        self._table(4)
        self._table(6)

    def find(self, family: int, hi: U64, lo: U64) -> Column:
        """Return the value of each address of one family; zeros where the table is missing. hi, lo: uint64[N]."""
        table = self._table(family)
        if table is None:
            return np.zeros(len(hi), np.uint8)
        return table.find(lo.astype(np.uint32)) if family == 4 else table.find(hi, lo)

    def words(self, family: int) -> bytes:
        """Return the text that the values point into, empty where the table is missing."""
        table = self._table(family)
        return b"" if table is None else table.words

    def _table(self, family: int) -> RangeTable | None:
        if family not in self._tables:
            name = f"{self._stem}-v{family}.bin"
            content = self._read(name)
            self._tables[family] = None if content is None else RangeTable(name, content)
        return self._tables[family]


def _joined(body: bytes, at: int, count: int, kind: np.dtype[np.unsignedinteger]) -> Column:
    """Read a column whose numbers were laid out byte by byte, lowest first."""
    planes = np.frombuffer(body, np.uint8, count * kind.itemsize, at).reshape(kind.itemsize, count)
    return np.ascontiguousarray(planes.T).view(kind).reshape(count)


def _inside(start: Column, numbers: U32 | U64, block: I64, step: int) -> I64:
    """Return the last row of each number's block whose start is not above it: a binary search of all at once."""
    row = block * step
    last = np.minimum(row + step, len(start)) - 1
    width = 1 << (step - 1).bit_length() >> 1
    while width:
        further = row + width
        holds = start[np.minimum(further, last)] <= numbers
        row = np.where(holds & (further <= last), further, row)
        width >>= 1
    return row


def _correct(row: I64, begin: I64, start: Column, start_low: U64, numbers: U64 | U32, low: U64) -> None:
    """Let the lower halves decide where a row's upper half is the number's: few ranges begin inside a /64.

    begin: where the rows that count begin; the one there is not above the number, halves together.
    """
    for at in np.flatnonzero((start[row] == numbers) & (start_low[row] > low)).tolist():
        some = slice(int(begin[at]), int(row[at]) + 1)
        first = some.start + int(np.searchsorted(start[some], numbers[at], "left"))
        row[at] = first + int(np.searchsorted(start_low[first : some.stop], low[at], "right")) - 1
