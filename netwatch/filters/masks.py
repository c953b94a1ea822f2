"""What every mask of a filter expression has in common, over whatever columns."""

from collections.abc import Callable

import numpy as np

from netwatch.filters.expression import And, Expression, Leaf, Not, Or
from netwatch.model.address import halves
from netwatch.model.arrays import U64, Bool
from netwatch.model.reading import Address


def combined(expression: Expression, count: int, leaf: Callable[[Leaf], Bool]) -> Bool:
    """Return bool[count]: the masks of the terms, as leaf() gives them, joined by and, or, not."""
    mask: Bool
    match expression:
        case And(parts):
            mask = np.ones(count, np.bool_)
            for part in parts:
                mask &= combined(part, count, leaf)
        case Or(parts):
            mask = np.zeros(count, np.bool_)
            for part in parts:
                mask |= combined(part, count, leaf)
        case Not(part):
            mask = ~combined(part, count, leaf)
        case _:
            mask = leaf(expression)
    return mask


def within(hi: U64, lo: U64, first: Address, last: Address) -> Bool:
    """Return bool[N]: the addresses, in two halves, from first to last; the family is not looked at."""
    _, first_hi, first_lo = halves(first)
    _, last_hi, last_lo = halves(last)
    low_hi, low_lo, high_hi, high_lo = (np.uint64(half) for half in (first_hi, first_lo, last_hi, last_lo))
    inside: Bool = ((hi > low_hi) | (hi == low_hi) & (lo >= low_lo)) & (
        (hi < high_hi) | (hi == high_hi) & (lo <= high_lo)
    )
    return inside
