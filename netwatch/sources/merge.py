"""Several captures as one, by time."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from netwatch.model.arrays import I64, U16
from netwatch.model.batch import PacketBatch
from netwatch.model.limits import BATCH_BYTES, BATCH_PACKETS, PAD
from netwatch.sources.base import Source

BUFFERS: Final = 64 * 1024 * 1024  # of all captures together, however many there are
BUFFER_MIN: Final = 64 * 1024
RECORD: Final = 64  # bytes between two frames, at a guess


class Lane:
    """One capture and what of its current batch is not yet merged.

    key: int64[N], the latest time so far, so that a capture that goes backwards keeps its own order.
    at:  rows of the batch before this one are merged.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._latest: int | None = None
        self.batch: PacketBatch | None = None
        self.key: I64 = np.empty(0, np.int64)
        self.at = 0

    def pull(self) -> bool:
        """Have rows left, from the next batch where this one is used up; False at the end."""
        if self.at == len(self.key):
            self.batch, self.at = next(self._source, None), 0
            if self.batch is None:
                return False
            self.key = np.maximum.accumulate(self.batch.time)
            if self._latest is not None:
                np.maximum(self.key, self._latest, out=self.key)
            self._latest = int(self.key[-1])
        return True

    def take(self, count: int) -> PacketBatch:
        """Return the next rows, without a copy."""
        assert self.batch is not None  # noqa: S101 pull() said so
        mine = slice(self.at, self.at + count)
        self.at += count
        batch = self.batch
        return batch._replace(
            offset=batch.offset[mine],
            caplen=batch.caplen[mine],
            wirelen=batch.wirelen[mine],
            time=batch.time[mine],
            interface=batch.interface[mine],
            number=batch.number[mine],
        )

    @property
    def caplen(self) -> I64:
        """Captured lengths of the current batch."""
        assert self.batch is not None  # noqa: S101 pull() said so
        return self.batch.caplen.astype(np.int64)

    @property
    def link_type(self) -> int:
        """Link type of the current batch."""
        assert self.batch is not None  # noqa: S101 pull() said so
        return self.batch.link_type


class Joiner:
    """Puts rows of several batches into one: the bytes behind one another, the columns in the order asked for."""

    def __init__(self) -> None:
        self._buffer = np.zeros(PAD, np.uint8)
        self._names: dict[str | None, int] = {}

    def join(self, parts: Sequence[PacketBatch], order: I64) -> PacketBatch:
        """Return one batch; `order` gives for each row its place in all parts together."""
        spans = [(int(part.offset[0]), int(part.offset[-1]) + int(part.caplen[-1])) for part in parts]
        total = sum(stop - start for start, stop in spans)
        if len(self._buffer) < total + PAD:
            self._buffer = np.zeros(total + PAD, np.uint8)
        offsets, at = [], 0
        for part, (start, stop) in zip(parts, spans, strict=True):
            self._buffer[at : at + stop - start] = part.data[start:stop]
            offsets.append(part.offset + (at - start))
            at += stop - start
        data = self._buffer[: total + PAD].view()
        data.flags.writeable = False
        return PacketBatch(
            data,
            np.concatenate(offsets)[order],
            np.concatenate([part.caplen for part in parts])[order],
            np.concatenate([part.wirelen for part in parts])[order],
            np.concatenate([part.time for part in parts])[order],
            np.concatenate([self._interfaces(part) for part in parts])[order],
            np.concatenate([part.number for part in parts])[order],
            parts[0].link_type,
            tuple(self._names),
        )

    def _interfaces(self, part: PacketBatch) -> U16:
        known = [self._names.setdefault(name, len(self._names)) for name in part.interfaces]
        return np.array(known, np.uint16)[part.interface]


def merge(sources: Sequence[Source]) -> Iterator[PacketBatch]:
    """Yield the packets of all captures by time; at equal times the earlier argument goes first.

    A capture whose times go backwards keeps its own order. Holds one batch of each capture, and one of them together.
    """
    for source in sources:
        source.limit_buffer(max(BUFFERS // len(sources), BUFFER_MIN))
    joiner = Joiner()
    lanes = [Lane(source) for source in sources]
    while lanes := [lane for lane in lanes if lane.pull()]:
        # What comes before the last row of the batch that ends first is known: no later batch can go before it.
        first = min(range(len(lanes)), key=lambda index: int(lanes[index].key[-1]))
        time = lanes[first].key[-1]
        ready = []
        for index, lane in enumerate(lanes):
            count = int(np.searchsorted(lane.key, time, side="right" if index <= first else "left")) - lane.at
            if count:
                ready.append((lane, count))
        yield from _interleave(ready, joiner)


def _interleave(ready: Sequence[tuple[Lane, int]], joiner: Joiner) -> Iterator[PacketBatch]:
    """Yield so many rows of each lane, by key."""
    if len(ready) == 1:
        lane, count = ready[0]
        yield lane.take(count)
        return
    order = np.argsort(np.concatenate([lane.key[lane.at : lane.at + count] for lane, count in ready]), kind="stable")
    lane_of = np.repeat(np.arange(len(ready)), [count for _, count in ready])[order]
    caplen = np.concatenate([lane.caplen[lane.at : lane.at + count] for lane, count in ready])[order]
    link_type = np.array([lane.link_type for lane, _ in ready])[lane_of]
    volume = np.cumsum(caplen + RECORD) // (BATCH_BYTES // 2)
    changes = np.flatnonzero((np.diff(link_type) != 0) | (np.diff(volume) != 0)) + 1
    cuts = np.union1d(changes, np.arange(0, len(order), BATCH_PACKETS)).tolist()
    for start, stop in zip(cuts, [*cuts[1:], len(order)], strict=True):
        mine = lane_of[start:stop]
        counts = np.bincount(mine, minlength=len(ready)).tolist()
        parts = [lane.take(count) for (lane, _), count in zip(ready, counts, strict=True) if count]
        if len(parts) == 1:
            yield parts[0]
            continue
        # Rows of a lane are in order: the n-th row of a lane here is the n-th of its part.
        place = np.empty(stop - start, np.int64)
        place[np.argsort(mine, kind="stable")] = np.arange(stop - start)
        yield joiner.join(parts, place)
