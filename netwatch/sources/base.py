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
    format:      "pcap" or "pcapng", also where that was compressed.
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

    def part(self, start: int, stop: int) -> "Frames":
        """Return the packets from `start` to `stop`, without a copy."""
        mine = slice(start, stop)
        return self._replace(
            offset=self.offset[mine],
            caplen=self.caplen[mine],
            wirelen=self.wirelen[mine],
            time=self.time[mine],
            interface=self.interface[mine],
        )


class Damage(Exception):  # noqa: N818 it ends a capture, not the program
    """The input cannot be read beyond this point; the text is a clause that names the place and the fact."""


class Source(ABC, Iterator[PacketBatch]):
    """One capture as an iterator of batches; the arrays of a batch hold until the next one is asked for."""

    def __init__(self, capture: CaptureInfo) -> None:
        self.capture = capture
        self._stopped = False
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

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> PacketBatch:
        if self._frames is None:
            self._frames = self.frames()
        capture = self.capture
        try:
            self._go_on()
            frames = next(self._frames)
        except StopIteration:
            raise
        except Damage as damage:
            self._end(str(damage))
            raise StopIteration from None
        except BaseException:  # KeyboardInterrupt while waiting: who catches it must not take this for the end
            self._end("reading was interrupted")
            raise
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
        )

    def _end(self, why: str) -> None:
        self._frames = iter(())
        self._stopped = False
        self.capture.complete = False
        self.capture.problem = f"{self.capture.name}: {why}; {_counted(self.capture.packets)}"

    def _go_on(self) -> None:
        if self._stopped:
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
