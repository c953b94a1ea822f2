"""CSV (RFC 4180): header row, empty cell for null, lines end in CR LF, no cell that a spreadsheet would run."""

from collections.abc import Sequence
from pathlib import Path

from netwatch.model.records import FLOW_FIELDS, LOOKUP_FIELDS, FlowBatch, Lookup
from netwatch.model.text import escaped
from netwatch.sinks.base import Growth, RowFormat, Sink
from netwatch.sinks.columns import Value, flow_columns, lookup_columns
from netwatch.sinks.lines import CellTexts, Style, lines
from netwatch.sinks.recording import Recording

# E6: a formula's first characters, ASCII, full-width and small forms; the apostrophe itself, so that a reader who
# drops a leading apostrophe has the value again, whatever it was
_FORMULA = frozenset("=+-@\t\r\n\0'\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b")
_QUOTED = frozenset('",\r\n')


def cell(value: Value) -> str:
    """Return the text of one cell; a string that starts like a formula gets an apostrophe in front (RELIABILITY E6).

    Control and invisible characters are escaped: a terminal that shows the file is not to be driven by it.
    """
    if isinstance(value, str):
        return _quoted("'" + escaped(value) if value[:1] in _FORMULA else escaped(value))
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _quoted(text: str) -> str:
    if _QUOTED.isdisjoint(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def _cells(_fields: tuple[str, ...], row: tuple[Value, ...]) -> str:
    return ",".join(map(cell, row))


def _slot(_field: str, _text: bool) -> tuple[str, str]:
    return "", ""


def _free(values: Sequence[str | None]) -> Sequence[str]:
    return list(map(cell, values))


def _listed(values: Sequence[str]) -> Sequence[str]:
    return ["[]" if value == "[]" else _quoted(value) for value in values]


_STYLE = Style(head="", tail="\r\n", null="", cells=CellTexts(_cells), slot=_slot, free=_free, listed=_listed)


def flow_lines(batch: FlowBatch) -> bytes:
    """Return one line for each flow, UTF-8."""
    return lines(flow_columns(batch), len(batch), _STYLE).encode("utf-8", "backslashreplace") if len(batch) else b""


def lookup_lines(lookups: Sequence[Lookup]) -> bytes:
    """Return one line for each lookup, UTF-8."""
    return lines(lookup_columns(lookups), len(lookups), _STYLE).encode("utf-8", "backslashreplace") if lookups else b""


CSV = RowFormat(
    name="csv",
    flow_head=",".join(FLOW_FIELDS).encode() + b"\r\n",
    lookup_head=",".join(LOOKUP_FIELDS).encode() + b"\r\n",
    flows=flow_lines,
    lookups=lookup_lines,
)


def open_csv(path: Path, _grow: Growth) -> Sink:
    """Open the files of a recording; they are written whole, also where JSONL would grow."""
    return Recording(path, CSV)
