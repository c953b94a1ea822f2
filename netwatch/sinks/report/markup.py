"""HTML in pieces: text of others goes in by one door, and never into an attribute (RELIABILITY D1, E7)."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final, NamedTuple, NewType

from netwatch.model import figures
from netwatch.model.text import MARK, display

Html = NewType("Html", str)
"""Text that is HTML already; a plain str has to pass `plain` or `wire` first."""

NOTHING: Final = Html("")
GAP: Final = "\u00a0"  # between a number and its unit: no line breaks there
SHORT: Final = 24  # cells
WORDS: Final = 80  # of a sentence


def plain(text: str) -> Html:
    """Return our own words, or a number, as HTML."""
    return Html(escape(text))


def wire(text: object, width: int | None = None) -> Html:
    """Return text of others, made visible and cut (`model.text.display`), its direction kept to itself."""
    return Html(f"<bdi>{escape(display(str(text), width))}</bdi>")


def short(text: object) -> Html:
    """Return a word of a list, such as a country or a role, as `wire` has it: longer ones are cut."""
    return wire(text, SHORT)


def sentence(text: object) -> Html:
    """Return a sentence in which names of others may stand: each word as `wire` has it, WORDS of them at most."""
    words = str(text).split(" ", WORDS)
    shown = " ".join(display(word) for word in words[:WORDS]) + (MARK if len(words) > WORDS else "")
    return Html(f"<bdi>{escape(shown)}</bdi>")


def code(text: object, width: int | None = None) -> Html:
    """Return a name or a path of others, in the type of such things."""
    return Html(f"<code>{wire(text, width)}</code>")


def joined(pieces: Iterable[Html], between: str = "") -> Html:
    """Put pieces one after the other, with our own text between them."""
    return Html(escape(between).join(pieces))


def link(anchor: str, text: str) -> Html:
    """Return a link to a place in the page, by a text of ours."""
    return Html(f'<a href="#{anchor}">{escape(text)}</a>')


def tag(name: str, *inside: Html, cls: str = "") -> Html:
    """Wrap pieces in an element; name and class are ours."""
    kind = f' class="{cls}"' if cls else ""
    return Html(f"<{name}{kind}>{''.join(inside)}</{name}>")


def more(count: int, what: str) -> Html:
    """Say how many rows are not shown, nothing where all are."""
    return tag("p", plain(f"and {count:,} more {what}"), cls="more") if count > 0 else NOTHING


def count(number: object) -> str:
    """Write a whole number with separators, `unknown` for null."""
    return f"{number:,}" if isinstance(number, int) else "unknown"


def size(octets: int) -> str:
    """Write bytes as `8.2 kB`, with no line break inside."""
    return figures.size(octets, GAP)


def share(part: float, whole: float) -> str:
    """Write a share in percent, "-" of nothing; what is not nothing never reads as 0."""
    if not whole:
        return "-"
    value = 100 * part / whole
    return f"<{GAP}0.1{GAP}%" if 0 < value < 0.1 else f"{value:.1f}{GAP}%"


def moment(time: object) -> str:
    """Write a time of the summary (RFC 3339) as `2025-11-24 19:51:02.114`."""
    return str(time)[:23].replace("T", " ") if time is not None else "-"


def duration(seconds: float) -> str:
    """Write a duration as `2 h 5 min`, `14.5 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 0.1 or not seconds else "< 0.1 s"
    hours, minutes = divmod(round(seconds / 60), 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"))
    return " ".join(f"{number:,} {unit}" for number, unit in parts if number)


class Column(NamedTuple):
    """A column of a table. number: its cells stand at the right.   wide: it has text that wants room."""

    head: str
    number: bool = False
    wide: bool = False


class Row(NamedTuple):
    """A row of a table; the first cell is what the row is of.   anchor: `e12`, where it can be linked to."""

    cells: Sequence[Html]
    anchor: str = ""


def table(caption: Html, columns: Sequence[Column], rows: Iterable[Row]) -> Html:
    """Return a table with its caption and scopes; each cell repeats its head, for screens where rows are stacked.

    The roles keep it a table for a screen reader where the style sheet stacks it.
    """
    heads = "".join(
        f'<th scope="col" role="columnheader"{_class(column)}>{escape(column.head)}</th>' for column in columns
    )
    body = "".join(_row(columns, row) for row in rows)
    return Html(
        f'<table role="table"><caption>{caption}</caption><thead role="rowgroup"><tr role="row">{heads}</tr></thead>'
        f'<tbody role="rowgroup">\n{body}</tbody></table>\n'
    )


def _class(column: Column) -> str:
    return ' class="n"' if column.number else ' class="w"' if column.wide else ""


def _row(columns: Sequence[Column], row: Row) -> str:
    first, *rest = row.cells
    cells = "".join(
        f'<td role="cell" data-h="{escape(column.head)}"{_class(column)}><div>{cell}</div></td>'
        for column, cell in zip(columns[1:], rest, strict=True)
    )
    anchor = f' id="{row.anchor}"' if row.anchor else ""
    return f'<tr role="row"{anchor}><th scope="row" role="rowheader">{first}</th>{cells}</tr>\n'
