"""The packets themselves as files: one, or one part after another by size and time (RELIABILITY E1, E3, E5)."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from netwatch.model.batch import PacketBatch
from netwatch.model.errors import SinkError
from netwatch.sinks.atomic import AtomicFile, reason
from netwatch.sinks.pcapng import Section, block_sizes
from netwatch.sinks.rotation import Parts, Rotation

Counts: TypeAlias = Mapping[str, tuple[int, int | None]]
"""By interface: frames that came, frames that were dropped, of the whole capture so far."""

ALWAYS: Final = Rotation()


class PacketFiles:
    """`capture.pcapng`; with a rotation `capture-20261125T023000Z.pcapng` and so on.

    A file has its name when it is whole, readable by its owner alone. packets: in files.   lost: those that a full
    disk did not take.   problem: why it does not, None: it does.
    """

    def __init__(self, path: Path, rotation: Rotation, snaplen: int, counts: Callable[[], Counts], now: int) -> None:
        """Make the first file. counts: is asked at the end of each.   now: ns since 1970 UTC. Raises SinkError."""
        self.packets = self.lost = 0
        self.problem: str | None = None
        self._path = path
        self._rotation = rotation
        self._snaplen = snaplen
        self._counts = counts
        self._parts = Parts(path)
        self._before: Counts = {}  # as they were when the file began
        self._packets = 0  # of the file
        self._file: AtomicFile | None = None
        self._begin(now)

    def write(self, batch: PacketBatch, now: int) -> None:
        """Write packets, as many to each file as its size allows, one at least."""
        while len(batch.time):
            self.tend(now)
            file = self._file or self._begin_again(now)
            if file is None:
                self.lost += len(batch.time)
                return
            count = self._fitting(batch)
            if not count:
                self._end(file, now)
                continue
            part = batch if count == len(batch.time) else _rows(batch, slice(count))
            self._append(file, part)
            batch = _rows(batch, slice(count, None))

    def tend(self, now: int) -> None:
        """End a file whose time is over, if there is a packet in it."""
        if self._file is not None and self._packets and self._rotation.due(self._size, self._begun, now):
            self._end(self._file, now)

    def close(self, now: int) -> None:
        """End the last file."""
        if self._file is not None:
            self._end(self._file, now)

    def _begin(self, now: int) -> None:
        path = self._path if self._rotation[:2] == ALWAYS[:2] else self._parts.free(now)
        file = AtomicFile(path)
        self._section = Section(self._snaplen)
        self._begun = now
        self._packets = 0
        head = self._section.head()
        try:
            file.write(head)
        except OSError as error:
            file.abort()
            raise SinkError(f"{path}: {reason(error)}") from error
        self._size = len(head)
        self._file = file

    def _begin_again(self, now: int) -> AtomicFile | None:
        try:
            self._begin(now)
        except SinkError as error:
            self.problem = str(error)
        return self._file

    def _fitting(self, batch: PacketBatch) -> int:
        if self._rotation.size is None:
            return len(batch.time)
        room = self._rotation.size - self._size
        return max(0 if self._packets else 1, int(np.searchsorted(np.cumsum(block_sizes(batch)), room, "right")))

    def _append(self, file: AtomicFile, batch: PacketBatch) -> None:
        """Write whole blocks, or none of them."""
        count, described = len(batch.time), self._section.interfaces
        data = self._section.packets(batch)
        try:
            file.write(data)
        except OSError as error:
            self.problem = f"{file.path}: {reason(error)}"
            self.lost += count
            file.cut(self._size)
            self._section.forget(described)
            return
        self.problem = None
        self._size += len(data)
        self._packets += count
        self.packets += count

    def _end(self, file: AtomicFile, now: int) -> None:
        """Give a file its last blocks and its name."""
        counts, self._file = self._counts(), None
        try:
            try:
                file.write(self._section.statistics(_since(self._before, counts), now))
            except OSError:  # the packets are worth more
                file.cut(self._size)
            file.sync()
            file.publish()
        except OSError as error:
            self.problem = f"{file.path}: {reason(error)}; its {self._packets} packets are not on disk"
            self.packets -= self._packets
            self.lost += self._packets
            with suppress(OSError):
                file.abort()
        self._before = counts
        self._parts.prune(self._rotation.keep)


def _since(before: Counts, counts: Counts) -> dict[str, tuple[int, int | None]]:
    """Return what was counted since."""
    grown: dict[str, tuple[int, int | None]] = {}
    for name, (received, dropped) in counts.items():
        first, lost = before.get(name, (0, 0))
        grown[name] = received - first, None if dropped is None else dropped - (lost or 0)
    return grown


def _rows(batch: PacketBatch, rows: slice) -> PacketBatch:
    """Return some of the packets, without a copy."""
    return batch._replace(
        offset=batch.offset[rows],
        caplen=batch.caplen[rows],
        wirelen=batch.wirelen[rows],
        time=batch.time[rows],
        interface=batch.interface[rows],
        number=batch.number[rows],
        direction=None if batch.direction is None else batch.direction[rows],
    )
