"""Bytes over time in a fixed number of bins, whose width doubles as the span grows."""

from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from netwatch.model.arrays import I64

F64: TypeAlias = NDArray[np.float64]

BINS: Final = 120
SERIES: Final = 64  # M3: rows of their own; further ones are added up in one
UNIT_NS: Final = 15_625_000  # the narrowest bin, 1/64 s: doubling it gives whole seconds
OTHER: Final = "other"  # the row of the series beyond the cap


class Bins(NamedTuple):
    """What the timeline holds.

    first: ns, where the first bin begins.   width: ns.   rows: series -> float64[2, n], bytes out and in of n bins.
    """

    first: int
    width: int
    rows: dict[str | None, F64]


class Timeline:
    """Sums by series (a control country, None for unknown). A flow's bytes are spread evenly over its life."""

    def __init__(self) -> None:
        self._series: dict[str | None, int] = {None: 0}
        self._sums: F64 = np.zeros((2, SERIES + 1, BINS))  # the last row: series beyond the cap
        self._width = UNIT_NS
        self._base = 0  # absolute number of the first bin
        self._first: int | None = None
        self._last = 0

    def series(self, name: str | None) -> int:
        """Return the row of a series, the common last one beyond SERIES of them."""
        row = self._series.get(name)
        if row is None:
            if len(self._series) == SERIES:
                return SERIES
            row = self._series[name] = len(self._series)
        return row

    def add(self, start: I64, end: I64, series: I64, out: I64, back: I64) -> None:
        """Add N flows.

        start, end: ns.   series: as `series` gives it.   out, back: bytes.
        """
        if not len(start):
            return
        self._make_room(int(start.min()), int(max(end.max(), start.max())))
        at = np.clip(start / self._width - self._base, 0, BINS - 1e-6)
        to = np.clip(np.maximum(end, start) / self._width - self._base, at, BINS - 1e-6)
        here, there = at.astype(np.int64), to.astype(np.int64)
        within = here == there
        length = np.where(within, 1.0, to - at)
        first = np.where(within, 1.0, (here + 1 - at) / length)
        last = np.where(within, 0.0, (to - there) / length)
        between = np.where(within, 0.0, 1.0 / length)
        row = series * (BINS + 1)  # one bin more than is kept: where a step ends
        for way, octets in enumerate((out.astype(np.float64), back.astype(np.float64))):
            steps = self._grid(row + here + 1, octets * between) - self._grid(row + there, octets * between)
            ends = self._grid(row + here, octets * first) + self._grid(row + there, octets * last)
            self._sums[way] += (np.cumsum(steps, axis=1) + ends)[:, :BINS]

    def bins(self) -> Bins | None:
        """Return what was added, rows by bytes out, falling; None where nothing was. Series beyond the cap: OTHER."""
        if self._first is None:
            return None
        count = self._last // self._width - self._base + 1
        names = [*self._series, *[None] * (SERIES - len(self._series)), OTHER]
        rows = [(names[row], np.maximum(np.rint(self._sums[:, row, :count]), 0)) for row in range(SERIES + 1)]
        rows = [(name, sums) for name, sums in rows if sums.any()]
        rows.sort(key=lambda item: (-item[1][0].sum(), -item[1][1].sum(), item[0] is None, item[0] or ""))
        return Bins(self._base * self._width, self._width, dict(rows))

    @staticmethod
    def _grid(at: I64, weights: F64) -> F64:
        sums = np.bincount(at, weights, (SERIES + 1) * (BINS + 1)).astype(np.float64, copy=False)
        return sums.reshape(SERIES + 1, BINS + 1)

    def _make_room(self, first: int, last: int) -> None:
        """Widen the bins until all times fit, then move what is there to its new place."""
        if self._first is None:
            self._first, self._last = first, last
            self._base = first // self._width
        self._first, self._last = min(self._first, first), max(self._last, last)
        while self._last // self._width - self._first // self._width >= BINS:
            self._double()
        shift = self._base - self._first // self._width
        if shift:
            self._sums = np.roll(self._sums, shift, axis=2)  # what wraps around is empty: all times fit
            self._base -= shift

    def _double(self) -> None:
        odd = self._base & 1
        wide = np.zeros((2, SERIES + 1, BINS + 2))
        wide[:, :, odd : odd + BINS] = self._sums
        self._sums = np.zeros_like(self._sums)
        self._sums[:, :, : BINS // 2 + 1] = wide.reshape(2, SERIES + 1, -1, 2).sum(axis=3)
        self._base >>= 1
        self._width *= 2
