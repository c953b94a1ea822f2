"""What every source of frames has in common: one capture, read in batches, with its state kept up to date."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, NamedTuple, Self

import numpy as np

from netwatch.model.arrays import I32, I64, U8, U16, U32
from netwatch.model.batch import PacketBatch

STOPPED: Final = "reading was stopped before the end"


@dataclass(slots=True)
class CaptureInfo:
    """What is known of one capture so far; kept up to date while it is read.

    name:        base name, "-" for standard input.
    format:      "pcap" or "pcapng", also where that was compressed; "live".
    packets:     packets handed over.
    first, last: the earliest and the latest time of them (ns), None without any.
    complete:    False as soon as a part of the input is known to be missing from the packets.
    problem:     one sentence that says why, with the place; None while complete.
    """

    name: str
    format: str
    packets: int = 0
    first: int | None = None
    last: int | None = None
    complete: bool = True
    problem: str | None = None


class Frames(NamedTuple):
    """Columns of a batch as a reader finds them; see PacketBatch, which adds the numbers."""

    data: U8
    offset: I64
    caplen: I32
    wirelen: U32
    time: I64
    interface: U16
    link_type: int
    interfaces: tuple[str | None, ...]
    direction: U8 | None = None

    def part(self, start: int, stop: int) -> "Frames":
        """Return the packets from `start` to `stop`, without a copy."""
        mine = slice(start, stop)
        return self._replace(
            offset=self.offset[mine],
            caplen=self.caplen[mine],
            wirelen=self.wirelen[mine],
            time=self.time[mine],
            interface=self.interface[mine],
            direction=None if self.direction is None else self.direction[mine],
        )


def hand_over(frames: Frames, capture: CaptureInfo) -> PacketBatch:
    """Number the packets of a batch that is not empty, and count them."""
    count = len(frames.offset)
    first, last = int(frames.time.min()), int(frames.time.max())
    capture.first = first if capture.first is None else min(first, capture.first)
    capture.last = last if capture.last is None else max(last, capture.last)
    number = np.arange(capture.packets + 1, capture.packets + count + 1, dtype=np.int64)
    capture.packets += count
    return PacketBatch(
        frames.data,
        frames.offset,
        frames.caplen,
        frames.wirelen,
        frames.time,
        frames.interface,
        number,
        frames.link_type,
        frames.interfaces,
        frames.direction,
    )


class Damage(Exception):  # noqa: N818 it ends a capture, not the program
    """The input cannot be read beyond this point; the text is a clause that names the place and the fact."""


class Deadline:
    """When a run ends by the times of its packets: `seconds` after the first one of its first capture."""

    def __init__(self, seconds: int) -> None:
        self._length = seconds * 10**9
        self._until: int | None = None

    def within(self, time: I64) -> int:
        """Return how many packets of these, in order of arrival, come before the end."""
        if self._until is None:
            self._until = int(time[0]) + self._length
        late = np.flatnonzero(time > self._until)
        return int(late[0]) if len(late) else len(time)


class Source(ABC, Iterator[PacketBatch]):
    """One capture as an iterator of batches; the arrays of a batch hold until the next one is asked for."""

    def __init__(self, capture: CaptureInfo) -> None:
        self.capture = capture
        self.deadline: Deadline | None = None
        self._stopped = False
        self._left = False
        self._frames: Iterator[Frames] | None = None

    @property
    @abstractmethod
    def size(self) -> int | None:
        """Bytes of the input, None where that is not known."""

    @property
    @abstractmethod
    def position(self) -> int | None:
        """Bytes taken from the input so far (of a compressed one: before unpacking), None where not known."""

    @abstractmethod
    def frames(self) -> Iterator[Frames]:
        """Yield non-empty batches. Raises Damage where the input cannot be read on."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the input; may be called twice."""

    def limit_buffer(self, size: int) -> None:
        """Hold at most `size` bytes of frames, one frame aside; counts before the first batch only."""

    def stop(self) -> None:
        """End the iteration at the next chance, within a second also while nothing arrives.

        May be called from a signal handler or another thread. The capture is then incomplete.
        """
        self._stopped = True

    def leave(self) -> None:
        """End the iteration as `stop` does, where all that was asked for was read: the capture counts as complete."""
        self._left = True

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> PacketBatch:
        if self._frames is None:
            self._frames = self.frames()
        capture = self.capture
        try:
            self._go_on()
            frames = self._due(next(self._frames))
        except StopIteration:
            raise
        except Damage as damage:
            if self._left:  # all that was asked for was read
                self._frames = iter(())
            else:
                self._end(str(damage))
            raise StopIteration from None
        except BaseException:  # KeyboardInterrupt while waiting: who catches it must not take this for the end
            self._end("reading was interrupted")
            raise
        return hand_over(frames, capture)

    def _due(self, frames: Frames) -> Frames:
        """Return what of a batch comes before the deadline. Raises Damage where nothing does."""
        if self.deadline is None:
            return frames
        count = self.deadline.within(frames.time)
        if count == len(frames.time):
            return frames
        self._left = True
        if not count:
            raise Damage(STOPPED)
        return frames.part(0, count)

    def _end(self, why: str) -> None:
        self._frames = iter(())
        self._stopped = False
        self.capture.complete = False
        self.capture.problem = f"{self.capture.name}: {why}; {_counted(self.capture.packets)}"

    def _is_stopped(self) -> bool:
        return self._stopped or self._left

    def _go_on(self) -> None:
        if self._is_stopped():
            raise Damage(STOPPED)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _counted(packets: int) -> str:
    if packets == 0:
        return "no packet before it"
    return "the packet before it was counted" if packets == 1 else f"the {packets} packets before it were counted"
