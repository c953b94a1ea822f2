"""Packets of a pcapng file on their way to a batch: runs of them as columns, single ones as tuples."""

from typing import NamedTuple

import numpy as np

from netwatch.model.arrays import I32, I64, U16, U32


class Columns(NamedTuple):
    """Packets that wait for their batch: as in Frames, with the link type of each (int32)."""

    offset: I64
    caplen: I32
    wirelen: U32
    time: I64
    interface: U16
    link_type: I32


class Rows:
    """Packets of the bytes now in the window, in order: runs as columns, single ones as tuples in that order."""

    def __init__(self) -> None:
        self.count = 0
        self.latest = 0  # the time of the last packet: what a simple packet, which has none, is given
        self._columns: list[Columns] = []
        self._singles: list[tuple[int, int, int, int, int, int]] = []

    def add(self, offset: int, caplen: int, wirelen: int, time: int, interface: int, link_type: int) -> None:
        """Take one packet."""
        self._singles.append((offset, caplen, max(caplen, wirelen), time, interface, link_type))
        self.latest = time
        self.count += 1

    def extend(self, columns: Columns) -> None:
        """Take a run of packets."""
        self._settle()
        self._columns.append(columns)
        self.latest = int(columns.time[-1])
        self.count += len(columns.offset)

    def take(self) -> Columns | None:
        """Return what was taken and forget it; None for nothing."""
        self._settle()
        pieces, self._columns, self.count = self._columns, [], 0
        if len(pieces) > 1:
            return Columns(*(np.concatenate(column) for column in zip(*pieces, strict=True)))
        return pieces[0] if pieces else None

    def _settle(self) -> None:
        if self._singles:
            offset, caplen, wirelen, time, interface, link_type = zip(*self._singles, strict=True)
            self._columns.append(
                Columns(
                    np.array(offset, np.int64),
                    np.array(caplen, np.int32),
                    np.array(wirelen, np.uint32),
                    np.array(time, np.int64),
                    np.array(interface, np.uint16),
                    np.array(link_type, np.int32),
                )
            )
            self._singles = []
