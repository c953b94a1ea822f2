"""Lines of at most so many cells on a terminal."""

from unicodedata import category, east_asian_width


def wrapped(text: str, width: int, first: str, rest: str) -> list[str]:
    """Break a text at spaces; a word that is wider than a line is broken where the line ends.

    first, rest: what the first line and the others begin with, in cells of the width.
    """
    lines: list[str] = []
    line, used = first, cells(first)
    empty = True
    for word in text.split(" "):
        size = cells(word)
        if not empty and used + 1 + size > width:
            lines.append(line)
            line, used, empty = rest, cells(rest), True
        if not empty:
            line, used = f"{line} ", used + 1
        left = word
        while used + size > width and (at := _fitting(left, width - used)):
            lines.append(line + left[:at])
            left = left[at:]
            size = cells(left)
            line, used = rest, cells(rest)
        line, used, empty = line + left, used + size, False
    return [*lines, line]


def cells(text: str) -> int:
    """Return how many cells a text takes on a terminal; it holds no control characters."""
    return len(text) if text.isascii() else sum(map(_cell, text))


def _cell(char: str) -> int:
    return 0 if category(char)[0] == "M" else 2 if east_asian_width(char) in "WF" else 1


def _fitting(word: str, room: int) -> int:
    """Return how many characters of a word fit into a room of cells."""
    for at, char in enumerate(word):
        room -= _cell(char)
        if room < 0:
            return at
    return len(word)
