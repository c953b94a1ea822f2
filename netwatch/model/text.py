"""Strings from the wire: reversible text of bytes, names of DNS labels, and what a terminal may be given."""

from collections.abc import Iterable

from netwatch.model.limits import NAME_MAX

MARK = "\u2026"  # an ellipsis stands for what was cut away; one cell

# Printable by category and yet invisible or without a width: joiners, fillers, variation selectors, the blank braille.
_INVISIBLE = frozenset(
    [0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x2800, 0x3164, *range(0xFE00, 0xFE10), 0xFFA0]
)


def wire_text(raw: bytes) -> str:
    r"""Write bytes as text: valid UTF-8 stays, a backslash and every byte that is no UTF-8 become `\xNN`.

    Control characters stay. `wire_bytes` gives the bytes back, whatever they were (RELIABILITY P10).
    """
    if b"\\" in raw:
        raw = raw.replace(b"\\", b"\\x5c")
    return raw.decode("utf-8", "backslashreplace")


def wire_bytes(text: str) -> bytes:
    """Give back the bytes of a text that `wire_text` wrote. Raises ValueError for an escape that it never writes."""
    if "\\" not in text:
        return text.encode()
    first, *rest = text.split("\\")
    out = [first.encode()]
    for part in rest:
        if part[:1] != "x" or len(part) < 3:
            raise ValueError(f"no escape of a byte: \\{part[:3]}")
        out.append(bytes((int(part[1:3], 16),)))
        out.append(part[3:].encode())
    return b"".join(out)


def dns_text(labels: Iterable[bytes]) -> str:
    r"""Join the labels of a DNS name (RFC 1035 section 3.1), without the root: `log.tiktokv.com`, "" for the root.

    ASCII letters become lower case; a dot inside a label becomes `\x2e`; all else is as `wire_text` has it, so that
    `[wire_bytes(part) for part in text.split(".")]` gives the labels back, in lower case.
    """
    labels = list(labels)
    raw = b".".join(labels)
    if raw.count(b".") >= len(labels) or b"\\" in raw:
        raw = b".".join(label.replace(b"\\", b"\\x5c").replace(b".", b"\\x2e") for label in labels)
    return raw.lower().decode("utf-8", "backslashreplace")


def display(text: str, width: int | None = None) -> str:
    r"""Make text fit for a terminal, one line of at most `width` (and always at most 253) cells (RELIABILITY D1).

    What is not printable becomes visible: `\xNN` below U+0080, `\uNNNN` or `\UNNNNNNNN` above: controls, bidi and other
    format characters, surrogates, private and unassigned ones, line and paragraph separators, every space but U+0020,
    characters that show nothing, combining marks without a base or more than two in a row. Text that is not in
    normal form C keeps its non-ASCII characters as the bytes they were (`\xNN`). What is cut ends in an ellipsis.
    """
    limit = NAME_MAX if width is None else max(0, min(width, NAME_MAX))
    if text.isascii() and text.isprintable():
        return text if len(text) <= limit else text[: limit - 1] + MARK if limit else ""
    return _visible(text, limit)


def escaped(text: str) -> str:
    r"""Return text of any length with every control and invisible character as `\xNN` or `\uNNNN`, and nothing else.

    A wire text has no backslash of its own but in escapes, so the value can be had back.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _shows(char) else _escape(char) for char in text)


def _shows(char: str) -> bool:
    return char.isprintable() and ord(char) not in _INVISIBLE and not 0xE0100 <= ord(char) <= 0xE01EF


def _escape(char: str) -> str:
    number = ord(char)
    return f"\\x{number:02x}" if number < 0x80 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _visible(text: str, limit: int) -> str:
    if not text.isascii():
        from unicodedata import is_normalized

        # three code points for each cell is the most that can be shown; sorting more marks than that would cost
        text_shown = text[: 3 * limit + 1]
        if not is_normalized("NFC", text_shown):
            return _cut([(piece, len(piece)) for piece in map(_as_bytes, text_shown)], limit)
    pieces: list[tuple[str, int]] = []
    cells = marks = 0
    for char in text:
        piece, size, marks = _piece(char, marks if pieces else 2)
        pieces.append((piece, size))
        cells += size
        if cells > limit:
            break
    return _cut(pieces, limit)


def _piece(char: str, marks: int) -> tuple[str, int, int]:
    """Return what stands for one character, its cells, and how many combining marks now stand in a row."""
    if char.isascii():
        piece = char if char.isprintable() else _escape(char)
        return piece, len(piece), 0
    if _shows(char):
        from unicodedata import category, east_asian_width

        if category(char)[0] != "M":
            return char, 2 if east_asian_width(char) in "WF" else 1, 0
        if marks < 2:
            return char, 0, marks + 1
    piece = _escape(char)
    return piece, len(piece), 2  # a mark may not sit on an escape


def _as_bytes(char: str) -> str:
    if char.isascii() and char.isprintable():
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))


def _cut(pieces: list[tuple[str, int]], limit: int) -> str:
    """Join pieces of (text, cells); where they need more than `limit` cells, end in MARK."""
    cells = sum(size for _, size in pieces)
    if cells <= limit:
        return "".join(piece for piece, _ in pieces)
    if not limit:
        return ""
    while cells > limit - 1:
        cells -= pieces.pop()[1]
    return "".join(piece for piece, _ in pieces) + MARK
