"""HPACK header compression, the reading half (RFC 7541)."""

from collections.abc import Iterator
from typing import Final

from netwatch.model.errors import ParseError
from netwatch.names.cursor import Cursor

# Appendix A, entries 1 to 61; what follows "=" is the value.
_STATIC: Final = (
    ":authority|:method=GET|:method=POST|:path=/|:path=/index.html|:scheme=http|:scheme=https|:status=200|:status=204|"
    ":status=206|:status=304|:status=400|:status=404|:status=500|accept-charset|accept-encoding=gzip, deflate|"
    "accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|authorization|cache-control|"
    "content-disposition|content-encoding|content-language|content-length|content-location|content-range|content-type|"
    "cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|if-unmodified-since|"
    "last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|"
    "server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate"
)
# Appendix B: the code is canonical (codes of one length count up in the order of symbols), so lengths tell it all.
_LENGTHS: Final = (
    "13,23,28,28,28,28,28,28,28,24,30,28,28,30,28,28,28,28,28,28,28,28,30,28,28,28,28,28,28,28,28,28,6,10,10,12,13,6,8,"
    "11,10,10,8,11,8,6,6,6,5,5,5,6,6,6,6,6,6,6,7,8,15,6,12,10,13,6,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,8,7,8,"
    "13,19,13,14,6,15,5,6,5,6,5,6,6,6,5,7,7,6,6,6,5,6,7,6,5,5,6,7,7,7,7,7,15,11,14,13,28,20,22,20,20,22,22,22,23,22,23,"
    "23,23,23,23,24,23,24,24,22,23,24,23,23,23,23,21,22,23,22,23,23,24,22,21,20,22,22,23,23,21,23,22,22,24,21,22,23,23,"
    "21,21,22,21,23,22,23,23,20,22,22,22,23,22,22,23,26,26,20,19,22,23,22,25,26,26,26,27,27,26,24,25,19,21,26,27,27,26,"
    "27,24,21,21,26,26,28,27,27,27,20,24,20,21,22,21,21,23,22,22,25,25,24,24,26,23,26,27,26,26,27,27,27,27,27,28,27,27,"
    "27,27,27,26,30"
)
_EOS: Final = 256
TABLE_SIZE: Final = 4_096  # RFC 9113 section 6.5.2: the initial SETTINGS_HEADER_TABLE_SIZE

Field = tuple[bytes, bytes]


def _static() -> list[Field]:
    pairs = (entry.partition("=") for entry in _STATIC.split("|"))
    return [(name.encode(), value.encode()) for name, _, value in pairs]


def _codes() -> dict[int, int]:
    """Return symbols by code; a code has a 1 before its first bit, so that length and bits are one number."""
    lengths = [int(length) for length in _LENGTHS.split(",")]
    codes: dict[int, int] = {}
    code = last = 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths)):
        code <<= length - last
        codes[1 << length | code] = symbol
        code, last = code + 1, length
    return codes


_FIELDS: Final = _static()
_SYMBOLS: Final = _codes()
_SHORTEST, _LONGEST = 5, 30
_SHORT: Final = {  # eight bits -> the symbol that they begin with, and the length of its code
    code << 8 - length & 0xFF | rest: (symbol, length)
    for code, symbol in _SYMBOLS.items()
    if (length := code.bit_length() - 1) <= 8
    for rest in range(1 << 8 - length)
}


class HeaderTable:
    """The dynamic table of one direction (RFC 7541 section 2.3.2)."""

    __slots__ = ("_entries", "_limit", "_size")

    def __init__(self) -> None:
        self._entries: list[Field] = []
        self._limit = TABLE_SIZE
        self._size = 0

    def fields(self, block: Cursor) -> Iterator[Field]:
        """Decode a header block, field by field (RFC 7541 section 6).

        Raises ParseError: truncated, step_budget_spent, hpack_index, hpack_integer, hpack_table_size, hpack_huffman.
        """
        while block.left:
            block.step()
            first = block.peek()
            if first & 0xE0 == 0x20:
                self._resize(_integer(block, 5))
                continue
            if first & 0x80:
                field = self._field(_integer(block, 7), block.at)
            else:
                indexed = first & 0xC0 == 0x40
                index = _integer(block, 6 if indexed else 4)
                name = self._field(index, block.at)[0] if index else _string(block)
                field = name, _string(block)
                if indexed:
                    self._add(field)
            yield field

    def _field(self, index: int, at: int) -> Field:
        if 1 <= index <= len(_FIELDS):
            return _FIELDS[index - 1]
        if len(_FIELDS) < index <= len(_FIELDS) + len(self._entries):
            return self._entries[-(index - len(_FIELDS))]
        raise ParseError("hpack_index", at)

    def _resize(self, limit: int) -> None:
        if limit > TABLE_SIZE:
            raise ParseError("hpack_table_size")
        self._limit = limit
        self._shrink(limit)

    def _add(self, field: Field) -> None:
        size = len(field[0]) + len(field[1]) + 32
        self._shrink(self._limit - size)
        if size <= self._limit:
            self._entries.append(field)
            self._size += size

    def _shrink(self, limit: int) -> None:
        gone = 0
        while self._size > max(limit, 0) and gone < len(self._entries):
            name, value = self._entries[gone]
            self._size -= len(name) + len(value) + 32
            gone += 1
        del self._entries[:gone]


def _integer(block: Cursor, prefix: int) -> int:
    """Read an integer (RFC 7541 section 5.1), at most four bytes behind its prefix."""
    top = (1 << prefix) - 1
    value = block.uint(1) & top
    if value < top:
        return value
    for shift in (0, 7, 14, 21):
        part = block.uint(1)
        value += (part & 0x7F) << shift
        if not part & 0x80:
            return value
    raise ParseError("hpack_integer", block.at)


def _string(block: Cursor) -> bytes:
    """Read a string literal (RFC 7541 section 5.2); each byte of a Huffman code is a step."""
    huffman = block.peek() & 0x80
    raw = block.take(_integer(block, 7))
    if not huffman:
        return raw
    block.step(len(raw))
    return _huffman(raw)


def _huffman(raw: bytes) -> bytes:
    """Decode a Huffman string. Raises ParseError: hpack_huffman."""
    out = bytearray()
    bits = count = 0  # bits that were not decoded yet
    for byte in raw:
        bits, count = bits << 8 | byte, count + 8
        while count >= _SHORTEST:
            symbol, length = _first_symbol(bits, count)
            if length == 0:
                break
            if symbol == _EOS:
                raise ParseError("hpack_huffman")
            out.append(symbol)
            count -= length
            bits &= (1 << count) - 1
    if count > 7 or bits + 1 != 1 << count:  # the padding: at most seven ones
        raise ParseError("hpack_huffman")
    return bytes(out)


def _first_symbol(bits: int, count: int) -> tuple[int, int]:
    """Return the symbol that the first bits are the code of, and its length; length 0: more bits are needed."""
    if count >= 8 and (short := _SHORT.get(bits >> count - 8)) is not None:
        return short
    for length in range(_SHORTEST, min(count, _LONGEST) + 1):
        symbol = _SYMBOLS.get(1 << length | bits >> count - length)
        if symbol is not None:
            return symbol, length
    return 0, 0
