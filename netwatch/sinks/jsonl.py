"""JSON Lines: one object a line, ASCII, no spaces (DESIGN section 4)."""

from collections.abc import Sequence
from pathlib import Path

from netwatch.model.records import FlowBatch, Lookup
from netwatch.sinks.base import RowFormat, Sink
from netwatch.sinks.columns import Value, flow_columns, lookup_columns
from netwatch.sinks.encode import Words, json_value
from netwatch.sinks.lines import CellTexts, Style, lines
from netwatch.sinks.recording import Recording


def _cells(fields: tuple[str, ...], row: tuple[Value, ...]) -> str:
    return ",".join(f'"{field}":{json_value(value)}' for field, value in zip(fields, row, strict=True))


def _slot(field: str, text: bool) -> tuple[str, str]:
    return (f'"{field}":"', '"') if text else (f'"{field}":', "")


def _free(values: Sequence[str | None]) -> Sequence[str]:
    words = Words()
    return [words[value] for value in values]


def _listed(values: Sequence[str]) -> Sequence[str]:
    return values


_STYLE = Style(head="{", tail="}\n", null="null", cells=CellTexts(_cells), slot=_slot, free=_free, listed=_listed)


def flow_lines(batch: FlowBatch) -> bytes:
    """Return one line for each flow."""
    return lines(flow_columns(batch), len(batch), _STYLE).encode("ascii") if len(batch) else b""


def lookup_lines(lookups: Sequence[Lookup]) -> bytes:
    """Return one line for each lookup."""
    return lines(lookup_columns(lookups), len(lookups), _STYLE).encode("ascii") if lookups else b""


JSONL = RowFormat(
    name="jsonl",
    flow_head=b"",
    lookup_head=b"",
    flows=flow_lines,
    lookups=lookup_lines,
    flow_start=b'{"flow_id":"',
    lookup_start=b'{"time":"',
)


def open_jsonl(path: Path, grow: bool) -> Sink:
    """Open the files of a recording; with `grow` they are continued, whole lines at a time."""
    return Recording(path, JSONL, grow=grow)
