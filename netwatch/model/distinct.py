"""Equal rows of columns, and equal values, numbered."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwatch.model.arrays import I32, U64


def distinct(*words: U64) -> tuple[I32, I32]:
    """Number equal rows of 64-bit columns: (position of the first row of each kind, the kind of each row).

    A mixed word is sorted; where two unequal rows share one, all columns are sorted instead.
    """
    mixed = words[0].copy()
    for i, word in enumerate(words[1:]):
        mixed ^= (word + np.uint64(i + 1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed *= np.uint64(0xD6E8FEB86659FD93)
    first, code = _grouped(np.argsort(mixed, kind="stable"), (mixed,))
    if any((word != word[first][code]).any() for word in words):
        first, code = _grouped(np.lexsort(words), words)
    return first, code


def _grouped(order: NDArray[np.intp], words: Sequence[U64]) -> tuple[I32, I32]:
    """Number the runs of equal rows in a sorted order; np.unique would do, but imports numpy.ma (10 ms)."""
    new = np.zeros(len(order), bool)
    new[:1] = True
    for word in words:
        by_order = word[order]
        new[1:] |= by_order[1:] != by_order[:-1]
    code = np.empty(len(order), np.int32)
    code[order] = np.cumsum(new, dtype=np.int32) - 1
    return order[new].astype(np.int32), code


def used(codes: NDArray[np.integer[Any]]) -> list[int]:
    """Return the codes that occur, rising."""
    found: list[int] = np.flatnonzero(np.bincount(codes, minlength=1)).tolist()
    return found


class Coder(dict[Any, int]):
    """Numbers distinct values in the order in which they come: coder[value], list(coder)."""

    def __missing__(self, value: Any) -> int:
        code = self[value] = len(self)
        return code
