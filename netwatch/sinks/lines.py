"""Columns to lines of text, in whatever style a format writes them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from netwatch.sinks.columns import Coded, Column, Free, Listed, Plain, Value


class Style(NamedTuple):
    """How a format writes one record.

    head, tail: what stands before and behind it.   null: the text of null.
    cells:      the text of neighbouring fields, from their names and values.
    slot:       the place of one field, with `%s` for its value, told whether that is text without an escape.
    free, listed: the texts of strings, and of lists that are given as JSON.
    """

    head: str
    tail: str
    null: str
    cells: Callable[[tuple[str, ...], tuple[Value, ...]], str]
    slot: Callable[[str, bool], str]
    free: Callable[[Sequence[str | None]], Sequence[str]]
    listed: Callable[[Sequence[str]], Sequence[str]]


def lines(columns: Sequence[Column], style: Style) -> str:
    """Write all records. Whatever has few distinct values is written once for each; a line is one `%`."""
    slots: list[str] = []
    values: list[Sequence[object]] = []
    for column in columns:
        match column:
            case Coded(fields, codes, rows):
                used = np.flatnonzero(np.bincount(codes, minlength=1)).tolist()
                if len(used) == 1:
                    slots.append(style.cells(fields, rows[used[0]]).replace("%", "%%"))
                    continue
                texts = {code: style.cells(fields, rows[code]) for code in used}
                slots.append("%s")
                values.append([texts[code] for code in codes.tolist()])
            case Plain(field, plain, text, nulls):
                slots.append(style.slot(field, text))
                values.append([style.null if value is None else value for value in plain] if nulls else plain)
            case Free(field, free):
                slots.append(style.slot(field, False))
                values.append(style.free(free))
            case Listed(field, texts_of_lists):
                slots.append(style.slot(field, False))
                values.append(style.listed(texts_of_lists))
    line = f"{style.head}{','.join(slots)}{style.tail}"
    return "".join([line % row for row in zip(*values, strict=True)])
