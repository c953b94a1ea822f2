"""Tables that map numbers to text, unpacked only where they are asked.

Layout, all little-endian (netwatch/data/make/compact.py writes it):

    "NWT1", u32 texts a block, u32 texts, u32 blocks
    ends         u32[blocks], where each block ends, from the first block's first byte
    first        u32[blocks], the first number of each block
    blocks       zlib each: differences of the numbers (u32, all lowest bytes first), then the texts in UTF-8,
                 with a line feed between them
"""

import struct
import zlib
from bisect import bisect_right
from typing import Final

import numpy as np

from netwatch.model.errors import DataError

HEAD: Final = struct.Struct("<4sIII")
MAGIC: Final = b"NWT1"
BLOCK_BYTES: Final = 1 << 20  # an unpacked block of the shipped tables is below 32 KiB


class TextTable:
    """Finds the text of a number.

    name: of the file, for messages.   content: the whole file.
    Raises DataError where the bytes are no such table.
    """

    def __init__(self, name: str, content: bytes) -> None:
        self._name = name
        try:
            magic, self._step, rows, blocks = HEAD.unpack_from(content)
            self._ends = np.frombuffer(content, "<u4", blocks, HEAD.size).tolist()
            self._first = np.frombuffer(content, "<u4", blocks, HEAD.size + 4 * blocks).tolist()
        except (ValueError, struct.error) as error:
            raise DataError(f"{name}: not a text table of netwatch: {error}") from error
        self._body = HEAD.size + 8 * blocks
        if (
            magic != MAGIC
            or not blocks
            or self._ends[-1] != len(content) - self._body
            or -(-rows // self._step) != blocks
        ):
            raise DataError(f"{name}: not a text table of netwatch: its blocks do not fill it")
        self._content, self._rows = content, rows
        self._unpacked: dict[int, dict[int, str]] = {}

    def get(self, number: int) -> str | None:
        """Return the text of a number, None where it has none. Raises DataError where a block cannot be unpacked."""
        block = bisect_right(self._first, number) - 1
        if block < 0:
            return None
        texts = self._unpacked.get(block)
        if texts is None:
            texts = self._unpacked[block] = self._unpack(block)
        return texts.get(number)

    def _unpack(self, block: int) -> dict[int, str]:
        count = min(self._step, self._rows - block * self._step)
        begin = self._body + (self._ends[block - 1] if block else 0)
        unpacker = zlib.decompressobj()
        try:
            body = unpacker.decompress(self._content[begin : self._body + self._ends[block]], BLOCK_BYTES)
            planes = np.frombuffer(body, np.uint8, 4 * count).reshape(4, count)
            texts = body[4 * count :].decode().split("\n")
        except (zlib.error, ValueError) as error:
            raise DataError(f"{self._name}: block {block} of a text table cannot be unpacked") from error
        if len(texts) != count or not unpacker.eof:
            raise DataError(f"{self._name}: block {block} of a text table has not {count} texts")
        steps = np.ascontiguousarray(planes.T).view("<u4").reshape(count)
        numbers = np.cumsum(steps, dtype=np.uint32) + np.uint32(self._first[block])
        return dict(zip(numbers.tolist(), texts, strict=True))
