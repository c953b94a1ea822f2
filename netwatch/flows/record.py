"""One flow while it lives: a row of a structured array, so that a look-up touches neighbouring bytes."""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.void]
"""Records of dtype FLOW."""

NEVER: Final = np.iinfo(np.int64).max  # no time: not closed
FRESH: Final = -1  # no token: the row was just taken and has no packet yet

# watch: which payload packets the parsers of names want to see
WATCH_FIRST, WATCH_ALL, WATCH_NONE = range(3)

# syn: who sent which
SYN_LOW, SYN_HIGH, SYN_ACK_LOW, SYN_ACK_HIGH = 1, 2, 4, 8

FLOW: Final = np.dtype(
    [
        ("word0", np.uint64),  # flows/key.py
        ("word1", np.uint64),
        ("wide", np.uint64, 3),
        ("token", np.int64),  # position of the first packet in the whole input, from 0: unique for a flow
        ("number", np.int64),  # its number in its capture, from 1
        ("opened", np.int64),  # its time, ns
        ("start", np.int64),  # earliest time
        ("end", np.int64),  # latest time
        ("seen", np.int64),  # time of the packet that arrived last
        ("closed", np.int64),  # when FIN both ways or RST was seen, else NEVER
        ("mac", np.uint64, 2),  # link-layer address of the lower and the upper end, or NO_MAC
        ("bytes", np.int64, 2),  # by side: 0 sent by the lower end
        ("wire", np.int64, 2),
        ("packets", np.uint32, 2),
        ("isn", np.uint32, 2),  # sequence number of the stream's first byte, by side
        ("isn_known", np.uint8, 2),
        ("flags", np.uint8, 2),  # OR of the TCP flags, by side
        ("syn", np.uint8),
        ("first_side", np.uint8),
        ("watch", np.uint8),
        ("looked", np.uint8),  # payload packets seen, saturating
        ("payload", np.uint8),  # 1: some payload was seen, 2: and the snapshot length cut some
        ("reason", np.uint8),  # end reason, set when the flow ends
        ("tunnel", np.uint16),
        ("interface", np.uint16),
    ],
    align=True,
)

_KEY_BYTES: Final = FLOW.fields["token"][1] if FLOW.fields else 0  # the words of the key come first
_WHOLE: Final = np.dtype((np.void, FLOW.itemsize))  # NumPy copies a structured record field by field, a void at once


def gather(rows: Rows, at: NDArray[Any]) -> Rows:
    """Return rows[at] (indices or a mask) as a copy."""
    whole = rows.view(_WHOLE)
    taken: Rows = (whole[at] if at.dtype == np.bool_ else whole.take(at)).view(FLOW)
    return taken


def clear(rows: Rows, at: NDArray[Any]) -> None:
    """Set all but the key of rows[at] to zero."""
    rows.view(np.uint8).reshape(len(rows), FLOW.itemsize)[at, _KEY_BYTES:] = 0


def join(parts: Sequence[Rows]) -> Rows:
    """Return records one behind the other."""
    joined: Rows = np.concatenate([part.view(_WHOLE) for part in parts] or [np.zeros(0, _WHOLE)]).view(FLOW)
    return joined


def scatter(rows: Rows, at: NDArray[Any] | slice, values: Rows) -> None:
    """Do rows[at] = values."""
    rows.view(_WHOLE)[at] = values.view(_WHOLE)
