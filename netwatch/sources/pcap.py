"""Classic pcap files (draft-ietf-opsawg-pcap), and the variants that libpcap reads too (its sf-pcap.c)."""

from collections.abc import Iterator
from functools import partial
from mmap import mmap
from struct import Struct
from typing import Final, NamedTuple

import numpy as np

from netwatch.model.arrays import I64, U8
from netwatch.model.errors import SourceError
from netwatch.model.limits import BATCH_PACKETS, CAPLEN_MAX, PAD
from netwatch.sources.base import CaptureInfo, Damage, Frames, Source
from netwatch.sources.leap import TRIES, Leaper
from netwatch.sources.stream import WINDOW, ByteStream, Window
from netwatch.sources.walk import WORD, Chain, headers, walk

FILE_HEADER: Final = 24
RECORD_HEADER: Final = 16
PATCHED_HEADER: Final = 24  # Kuznetzov's: interface, protocol and packet type follow the usual 16 bytes
MICROSECONDS: Final = 0xA1B2_C3D4
NANOSECONDS: Final = 0xA1B2_3C4D
PATCHED: Final = 0xA1B2_CD34
MAGICS: Final = tuple(
    magic.to_bytes(4, order) for magic in (MICROSECONDS, NANOSECONDS, PATCHED) for order in ("little", "big")
)
LENGTHS: Final = {"<": Struct("<II"), ">": Struct(">II")}
IN_ORDER, SWAPPED, EITHER = range(3)  # how the two lengths of a record stand


class Layout(NamedTuple):
    """What the file header says of the records.

    order: "<" or ">".   unit: ns of one tick of the fraction.   lengths: IN_ORDER, SWAPPED or EITHER.
    """

    order: str
    header: int
    unit: int
    lengths: int
    link_type: int


class PcapSource(Source):
    """The packets of a classic pcap file."""

    def __init__(self, stream: ByteStream) -> None:
        """Read the file header. Raises SourceError."""
        super().__init__(CaptureInfo(stream.name, "pcap"))
        self._stream = stream
        stream.stopped = self._is_stopped
        self._capacity = WINDOW
        self._layout = layout = read_layout(stream.name, stream.peek(FILE_HEADER))
        chain = Chain(layout.header, 12 if layout.lengths == SWAPPED else 8, layout.header, WORD[layout.order])
        self._leaper = Leaper(chain, self._guess, partial(walk, chain=chain))
        self._words = Struct(layout.order + "IIII")
        self._high = b""  # the high half of the seconds of the first record in the window
        self._high_at = 2 if layout.order == "<" else 0

    @property
    def size(self) -> int | None:
        return self._stream.size

    @property
    def position(self) -> int | None:
        return self._stream.position

    def limit_buffer(self, size: int) -> None:
        self._capacity = min(self._capacity, size)

    def close(self) -> None:
        self._stream.close()

    def frames(self) -> Iterator[Frames]:
        window = Window(self._stream, self._capacity)
        window.fill(FILE_HEADER)
        window.at += FILE_HEADER
        while self._refill(window):
            starts, after = self._starts(window)
            frames = self._columns(window.data, starts)
            long = np.flatnonzero(frames.caplen > CAPLEN_MAX)
            whole = int(long[0]) if len(long) else len(starts)
            if whole:
                yield frames if whole == len(starts) else frames.part(0, whole)
            if whole < len(starts):
                raise self._too_long(window.place(int(starts[whole])), int(frames.caplen[whole]))
            window.at = after

    def _starts(self, window: Window) -> tuple[I64, int]:
        """Return the starts of the whole records in the window, at most BATCH_PACKETS, and where they end."""
        if self._layout.lengths == EITHER:
            listed, after = walk_either(window.raw, window.at, window.end, BATCH_PACKETS, LENGTHS[self._layout.order])
            if after > window.end:
                after = listed.pop()
            return np.fromiter(listed, np.int64, len(listed)), after
        self._high = bytes(window.raw[window.at + self._high_at : window.at + self._high_at + 2])
        return self._leaper.starts(window.raw, window.data, window.at, window.end)

    def _guess(self, raw: mmap, at: int, stop: int) -> int:
        """Return the first place that looks like a record of about the time of the first one in the window, or -1."""
        layout, high, high_at = self._layout, self._high, self._high_at
        read = self._words.unpack_from
        second = 10**9 // layout.unit
        last = len(raw) - PAD - layout.header
        for _ in range(TRIES):
            at = raw.find(high, at + high_at, stop + high_at) - high_at
            if at < 0:
                break
            _, fraction, caplen, wirelen = read(raw, at)
            after = at + layout.header + caplen
            if fraction < second and caplen <= wirelen and after <= last:
                seconds, fraction = raw[after + high_at : after + high_at + 2], read(raw, after)[1]
                if seconds == high and fraction < second:
                    return at
            at += 1
        return -1

    def _refill(self, window: Window) -> bool:
        """Have one whole record in the window; False at the end of the file. Raises Damage."""
        layout = self._layout
        if not window.fill(layout.header):
            if window.at == window.end:
                return False
            raise self._cut(window)
        caplen = captured(window.raw, window.at, layout)
        if caplen > CAPLEN_MAX:
            raise self._too_long(window.place(window.at), caplen)
        if not window.fill(layout.header + caplen):
            raise self._cut(window)
        return True

    def _cut(self, window: Window) -> Damage:
        number, start, end = self.capture.packets + 1, window.place(window.at), window.place(window.end)
        return Damage(f"record {number} at byte {start} is cut: the file ends at byte {end}")

    def _too_long(self, place: int, caplen: int) -> Damage:
        number = self.capture.packets + 1
        return Damage(f"record {number} at byte {place} claims {caplen} bytes (limit {CAPLEN_MAX})")

    def _columns(self, data: U8, starts: I64) -> Frames:
        layout = self._layout
        words = headers(data, starts, 4, layout.order)
        caplen, wirelen = words[:, 2], words[:, 3]
        if layout.lengths == SWAPPED:
            caplen, wirelen = wirelen, caplen
        elif layout.lengths == EITHER:
            caplen = np.minimum(caplen, wirelen)
            wirelen = words[:, 2:].max(axis=1)
        time = words[:, 0].astype(np.int64)
        time *= 10**9
        time += words[:, 1] * np.int64(layout.unit)
        return Frames(
            data,
            starts + layout.header,
            caplen.astype(np.int32),
            np.maximum(caplen, wirelen),
            time,
            np.zeros(len(starts), np.uint16),
            layout.link_type,
            (None,),
        )


def captured(raw: mmap, at: int, layout: Layout) -> int:
    """Return the captured length of the record at `at`, whose header is there."""
    first, second = LENGTHS[layout.order].unpack_from(raw, at + 8)
    return int((first, second, min(first, second))[layout.lengths])


def walk_either(raw: mmap, at: int, end: int, limit: int, lengths: Struct) -> tuple[list[int], int]:
    """Do what walk() does for records of version 2.3: the smaller of the two lengths is the captured one."""
    starts: list[int] = []
    while at <= end - RECORD_HEADER and len(starts) < limit:
        starts.append(at)
        at += RECORD_HEADER + min(lengths.unpack_from(raw, at + 8))
    return starts, at


def read_layout(name: str, head: bytes) -> Layout:
    """Read the 24 bytes of a file header. Raises SourceError."""
    order = "<" if head[:4] in MAGICS[::2] else ">"
    if len(head) < FILE_HEADER:
        raise SourceError(
            f"{name}: cut inside the pcap file header ({len(head)} of {FILE_HEADER} bytes); capture again"
        )
    magic, major, minor, _, _, _, link_type = Struct(f"{order}IHHIIII").unpack(head)
    if (major, minor) == (543, 0):  # DG/UX tcpdump
        lengths = SWAPPED
    elif major == 2 and minor <= 4:
        lengths = SWAPPED if minor < 3 else EITHER if minor == 3 else IN_ORDER
    else:
        raise SourceError(
            f"{name}: pcap version {major}.{minor} is not known (2.4 is usual); convert it to pcapng first"
        )
    return Layout(
        order,
        PATCHED_HEADER if magic == PATCHED else RECORD_HEADER,
        1 if magic == NANOSECONDS else 1_000,
        lengths,
        link_type & 0xFFFF,  # the upper bits tell of a frame check sequence
    )
