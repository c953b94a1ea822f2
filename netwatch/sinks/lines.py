"""Columns to lines of text, in whatever style a format writes them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from netwatch.model.limits import STRING_MAX
from netwatch.sinks.columns import Coded, Column, Free, Listed, Number, Plain, Value

CELL_TEXTS: Final = 8_192  # kept from one batch to the next; 16 MB where each is as long as it may be

Cells: TypeAlias = tuple[tuple[str, ...], tuple[Value, ...]]
"""Neighbouring fields: their names and their values."""


class CellTexts(dict[Cells, str]):
    """Texts of neighbouring fields, written once for many batches; what is longer than STRING_MAX is not kept."""

    def __init__(self, write: Callable[[tuple[str, ...], tuple[Value, ...]], str]) -> None:
        super().__init__()
        self._write = write

    def __missing__(self, cells: Cells) -> str:
        text = self._write(*cells)
        if len(text) <= STRING_MAX:
            if len(self) >= CELL_TEXTS:
                self.clear()
            self[cells] = text
        return text


class Style(NamedTuple):
    """How a format writes one record.

    head, tail: what stands before and behind it.   null: the text of null.
    cells:      the text of neighbouring fields, from their names and values.
    slot:       what stands before and behind the value of one field, told whether that is text without an escape.
    free, listed: the texts of strings, and of lists that are given as JSON.
    """

    head: str
    tail: str
    null: str
    cells: Mapping[Cells, str]
    slot: Callable[[str, bool], tuple[str, str]]
    free: Callable[[Sequence[str | None]], Sequence[str]]
    listed: Callable[[Sequence[str]], Sequence[str]]


def lines(columns: Sequence[Column], count: int, style: Style) -> str:
    """Write `count` records. Whatever has few distinct values is written once for each; the rest is joining."""
    pieces: list[Iterable[str]] = []  # columns of texts that, joined, make a line
    same = style.head  # what stands in each line behind the last of them
    for column in columns:
        if isinstance(column, Coded):
            used = np.flatnonzero(np.bincount(column.codes, minlength=1)).tolist()
            fields, rows, cut = column.fields, column.rows, column.cut
            texts = {code: same + style.cells[fields, rows[code][cut]] for code in used}
            if len(texts) == 1:
                same = f"{texts.popitem()[1]},"
                continue
            pieces.append(map(texts.__getitem__, column.codes.tolist()))
            same = ","
        else:
            before, behind = style.slot(column.field, isinstance(column, Plain))
            pieces += [repeat(same + before, count), _texts(column, style)]
            same = f"{behind},"
    pieces.append(repeat(same[:-1] + style.tail, count))
    return "".join(map("".join, zip(*pieces, strict=True)))


def _texts(column: Number | Plain | Free | Listed, style: Style) -> Iterable[str]:
    match column:
        case Number(_, numbers, True):
            return [style.null if number is None else f"{number}" for number in numbers]
        case Number(_, numbers):
            return [f"{number}" for number in numbers]
        case Plain(_, texts):
            return texts
        case Free(_, words):
            return style.free(words)
        case Listed(_, lists):
            return style.listed(lists)
