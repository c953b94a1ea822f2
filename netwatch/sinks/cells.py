"""The finest sums of a summary, each known by one number."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from numpy.typing import NDArray

from netwatch.model.arrays import I64


class Cell(NamedTuple):
    """What a sum is of.

    device, label, country, kind: indices into the summary's tables, of the device, of what it keeps of a label, of the
    server's country, of the kind of the best evidence (0: none).   named: 1 where that kind is of the flow's name.
    in_coverage: 0 or 1.   blind: index into BLIND.
    """

    device: int
    label: int
    country: int
    kind: int
    named: int
    in_coverage: int
    blind: int


# bits of each field, 63 in all, the last field lowest: HOSTS and one more devices, two letters in either case; far more
# labels than a catalogue has, and kinds than there are
_BITS: Final = Cell(device=17, label=23, country=12, kind=5, named=1, in_coverage=1, blind=4)
DEVICE_AT: Final = sum(_BITS[1:])


def joined(fields: Sequence[NDArray[Any]]) -> I64:
    """Put columns, in the order of Cell, into one number for each row."""
    keys: Any = 0
    for bits, column in zip(_BITS, fields, strict=True):
        keys = keys << bits | column
    numbers: I64 = keys
    return numbers


def split(key: int) -> Cell:
    """Take one number apart."""
    parts = []
    for bits in reversed(_BITS):
        parts.append(key & ((1 << bits) - 1))
        key >>= bits
    return Cell(*reversed(parts))
