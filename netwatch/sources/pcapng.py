"""pcapng files (draft-ietf-opsawg-pcapng): sections, interfaces and packets; nothing else in them is read (F7)."""

from array import array
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from mmap import mmap
from struct import Struct
from typing import Final, NamedTuple

import numpy as np

from netwatch.model.arrays import I64, U32, U64
from netwatch.model.errors import SourceError
from netwatch.model.limits import BATCH_PACKETS, BLOCK_MAX, CAPLEN_MAX, PAD, PCAPNG_INTERFACES, PCAPNG_NUMBERS
from netwatch.sources.base import CaptureInfo, Damage, Frames, Source
from netwatch.sources.clock import Clock, clock, nanosecond_column, nanoseconds
from netwatch.sources.leap import TRIES, Leaper
from netwatch.sources.rows import Columns, Rows
from netwatch.sources.stream import WINDOW, ByteStream, Window
from netwatch.sources.walk import WORD, Chain, headers

MAGIC: Final = b"\x0a\x0d\x0d\x0a"
SECTION: Final = 0x0A0D_0D0A  # reads the same in both byte orders
INTERFACE, PACKET, SIMPLE, ENHANCED = 1, 2, 3, 6
READ: Final = (INTERFACE, PACKET, SIMPLE, ENHANCED)
BYTE_ORDERS: Final = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
BLOCK_MIN: Final = 12  # type, length, length again
SECTION_MIN: Final = 28
INTERFACE_MIN: Final = 20
PACKET_MIN: Final = 32
PACKET_AT: Final = 28  # where the frame starts in an enhanced and in an (obsolete) packet block
SIMPLE_MIN: Final = 16
SIMPLE_AT: Final = 12
END_OF_OPTIONS, TSRESOL, TSOFFSET = 0, 9, 14
VECTOR: Final = 16  # shorter runs of packets cost less one by one


class Words(NamedTuple):
    """The readers of one byte order: type and length, enhanced and obsolete packet, interface, option, seconds."""

    block: Struct
    enhanced: Struct
    packet: Struct
    interface: Struct
    option: Struct
    seconds: Struct


WORDS: Final = {
    order: Words(*(Struct(order + fields) for fields in ("II", "IIIII", "HHIIII", "HHI", "HH", "q"))) for order in "<>"
}


class Section:
    """What a section has told so far; its interfaces are numbered from 0, whatever an earlier section said.

    order: "<" or ">".   link_types, clock_ids: of each interface.   clocks: the different ones.
    """

    def __init__(self, order: str = "<") -> None:
        self.order = order
        self.words = WORDS[order]
        self.link_types = array("i")
        self.clock_ids = array("H")
        self.clocks: list[Clock] = []
        self.snaplen = 0  # of interface 0: only simple packets need one
        self._ids: dict[Clock, int] = {}
        self._packet = self.words.block.pack(ENHANCED, 0)[:4]
        plain = partial(walk_blocks, read=self.words.block.unpack_from)
        self.leaper = Leaper(Chain(BLOCK_MIN, 4, 0, WORD[order]), self._guess, plain)

    def _guess(self, raw: mmap, at: int, stop: int) -> int:
        """Return the first place that looks like an enhanced packet block with another block behind it, or -1."""
        read = self.words.block.unpack_from
        last = len(raw) - PAD - BLOCK_MIN
        for _ in range(TRIES):
            at = raw.find(self._packet, at, stop)
            if at < 0:
                break
            length = read(raw, at)[1]
            after = at + length
            if length >= PACKET_MIN and length % 4 == 0 and after <= last and read(raw, after - 4)[0] == length:
                return at
            at += 1
        return -1

    def add(self, link_type: int, snaplen: int, of: Clock) -> None:
        """Take the next interface; the caller has seen to the caps."""
        if not self.link_types:
            self.snaplen = snaplen
        if of not in self._ids:
            self._ids[of] = len(self.clocks)
            self.clocks.append(of)
        self.link_types.append(link_type)
        self.clock_ids.append(self._ids[of])

    def knows(self, of: Clock) -> bool:
        """Return whether an interface has this clock already."""
        return of in self._ids


class PcapngSource(Source):
    """The packets of a pcapng file."""

    def __init__(self, stream: ByteStream) -> None:
        """Look at the first section header. Raises SourceError."""
        super().__init__(CaptureInfo(stream.name, "pcapng"))
        self._stream = stream
        stream.stopped = self._is_stopped
        self._capacity = WINDOW
        head = stream.peek(SECTION_MIN)
        if len(head) < SECTION_MIN:
            raise SourceError(f"{stream.name}: cut inside its section header ({len(head)} bytes); capture again")
        if head[8:12] not in BYTE_ORDERS:
            raise SourceError(
                f"{stream.name}: starts like pcapng, but has no byte-order magic at byte 8; not a capture"
            )
        self._section = Section(BYTE_ORDERS[head[8:12]])
        self._names: tuple[str | None, ...] = ()

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
        rows = Rows()
        while self._refill(window):
            damage: Damage | None = None
            try:
                while rows.count < BATCH_PACKETS and self._whole(window):
                    self._advance(window, rows)
            except Damage as found:
                damage = found
            columns = rows.take()
            if columns is not None:
                yield from self._batches(window, columns)
            if damage is not None:
                raise damage

    def _batches(self, window: Window, columns: Columns) -> Iterator[Frames]:
        """Cut the packets where the link type changes."""
        offset, caplen, wirelen, time, interface, link_type = columns
        known = max(len(self._section.link_types), int(interface.max()) + 1)
        self._names += tuple(str(number) for number in range(len(self._names), known))
        frames = Frames(window.data, offset, caplen, wirelen, time, interface, 0, self._names)
        cuts = [0, *(np.flatnonzero(np.diff(link_type)) + 1).tolist(), len(link_type)]
        for start, stop in pairwise(cuts):
            yield frames.part(start, stop)._replace(link_type=int(link_type[start]))

    def _refill(self, window: Window) -> bool:
        """Have one whole block in the window; False at the end of the file. Raises Damage."""
        if not window.fill(BLOCK_MIN):
            if window.at == window.end:
                return False
            raise self._cut(window)
        if not window.fill(self._length(window)):
            raise self._cut(window)
        return True

    def _whole(self, window: Window) -> bool:
        left = window.end - window.at
        return left >= BLOCK_MIN and left >= self._length(window)

    def _length(self, window: Window) -> int:
        """Return the length of the block in front, 12 bytes of which are there. Raises Damage."""
        raw, at = window.raw, window.at
        words = self._section.words
        if raw[at : at + 4] == MAGIC:
            order = BYTE_ORDERS.get(raw[at + 8 : at + 12])
            if order is None:
                raise Damage(f"section at byte {window.place(at)} has no byte-order magic")
            words = WORDS[order]
        length = int(words.block.unpack_from(raw, at)[1])
        if length < BLOCK_MIN or length % 4:
            raise Damage(f"block at byte {window.place(at)} claims {length} bytes, which no block has")
        if length > BLOCK_MAX:
            raise Damage(f"block at byte {window.place(at)} claims {length} bytes (limit {BLOCK_MAX})")
        return length

    def _cut(self, window: Window) -> Damage:
        return Damage(
            f"block at byte {window.place(window.at)} is cut: the file ends at byte {window.place(window.end)}"
        )

    def _advance(self, window: Window, rows: Rows) -> None:
        """Read whole blocks of the window, the first of which is there. Raises Damage."""
        if window.raw[window.at : window.at + 4] == MAGIC:
            self._open_section(window)
            return
        leaper = self._section.leaper
        starts, after = leaper.starts(window.raw, window.data, window.at, window.end, BATCH_PACKETS - rows.count)
        if len(starts) < VECTOR:
            window.at = self._few(window, starts.tolist(), after, rows)
            return
        words = headers(window.data, starts, 2, self._section.order)
        ends = np.flatnonzero((words[:, 0] == SECTION) | (words[:, 1] < BLOCK_MIN))
        if len(ends):  # the walkers went on through these
            after = int(starts[ends[0]])
            starts, words = starts[: ends[0]], words[: ends[0]]
        self._blocks(window, starts, words, rows)
        window.at = after

    def _open_section(self, window: Window) -> None:
        raw, at = window.raw, window.at
        length = self._length(window)
        order = BYTE_ORDERS[raw[at + 8 : at + 12]]
        major = int(WORDS[order].option.unpack_from(raw, at + 12)[0])
        if length < SECTION_MIN or major != 1:
            raise Damage(
                f"section at byte {window.place(at)} is of version {major} and {length} bytes, which is not known"
            )
        self._section = Section(order)
        window.at += length

    def _blocks(self, window: Window, starts: I64, words: U32, rows: Rows) -> None:
        section = self._section
        kinds, lengths = words[:, 0], words[:, 1]
        trailers = headers(window.data, starts + lengths - 4, 1, section.order)[:, 0]
        lies = np.flatnonzero((trailers != lengths) | (lengths & 3 != 0))
        sound = int(lies[0]) if len(lies) else len(starts)
        mine: slice | I64 = slice(sound)
        if (kinds[mine] != ENHANCED).any():
            mine = np.flatnonzero(np.isin(kinds[mine], READ))
        read, kinds = starts[mine], kinds[mine]
        done = 0
        for index in np.flatnonzero(kinds != ENHANCED).tolist():
            self._packets(window, read[done:index], rows)
            self._single(window, int(read[index]), rows)
            done = index + 1
        self._packets(window, read[done:], rows)
        if sound < len(starts):
            raise self._lie(window, int(starts[sound]), int(lengths[sound]))

    def _few(self, window: Window, starts: list[int], after: int, rows: Rows) -> int:
        """Do what _blocks() does, one by one: captures may have many short sections. Raises Damage.

        Returns where the walk ends: at `after`, or at a section or at what cannot be a block before it.
        """
        read = self._section.words.block.unpack_from
        for start in starts:
            kind, length = read(window.raw, start)
            if kind == SECTION or length < BLOCK_MIN:
                return start
            if length % 4 or read(window.raw, start + length - 8)[1] != length:
                raise self._lie(window, start, length)
            if kind in READ:
                self._single(window, start, rows)
        return after

    def _lie(self, window: Window, start: int, length: int) -> Damage:
        return Damage(f"block at byte {window.place(start)} does not end with the length {length} that it starts with")

    def _packets(self, window: Window, starts: I64, rows: Rows) -> None:
        """Read a run of enhanced packet blocks. Raises Damage."""
        if len(starts) < VECTOR:
            for start in starts.tolist():
                self._single(window, start, rows)
            return
        section = self._section
        words = headers(window.data, starts, 7, section.order)
        length, interface, caplen = words[:, 1].astype(np.int64), words[:, 2], words[:, 5]
        bad = (interface >= len(section.link_types)) | (caplen > np.minimum(length - PACKET_MIN, CAPLEN_MAX))
        wrong = np.flatnonzero(bad)
        if len(wrong):
            first = int(wrong[0])
            self._packets(window, starts[:first], rows)
            self._single(window, int(starts[first]), rows)  # raises, and says what is wrong
        ticks = words[:, 3].astype(np.uint64) << np.uint64(32) | words[:, 4]
        rows.extend(
            Columns(
                starts + PACKET_AT,
                caplen.astype(np.int32),
                np.maximum(caplen, words[:, 6]),
                self._times(ticks, interface),
                interface.astype(np.uint16),
                np.frombuffer(section.link_types, np.int32)[interface],
            )
        )

    def _times(self, ticks: U64, interface: U32) -> I64:
        clocks = self._section.clocks
        if len(clocks) == 1:
            return nanosecond_column(ticks, clocks[0])
        ids = np.frombuffer(self._section.clock_ids, np.uint16)[interface]
        time = np.empty(len(ticks), np.int64)
        for number in np.unique(ids).tolist():
            mine = ids == number
            time[mine] = nanosecond_column(ticks[mine], clocks[number])
        return time

    def _single(self, window: Window, at: int, rows: Rows) -> None:
        """Read one block that is not part of a run. Raises Damage."""
        section, raw = self._section, window.raw
        kind, length = section.words.block.unpack_from(raw, at)
        if kind == INTERFACE:
            self._interface(window, at, length)
            return
        if kind == SIMPLE:
            self._simple(window, at, length, rows)
            return
        self._need(window, at, length, PACKET_MIN)
        if kind == ENHANCED:
            interface, high, low, caplen, wirelen = section.words.enhanced.unpack_from(raw, at + 8)
        else:
            interface, _, high, low, caplen, wirelen = section.words.packet.unpack_from(raw, at + 8)
        self._check(window, at, interface, caplen, length - PACKET_MIN)
        time = nanoseconds(high << 32 | low, section.clocks[section.clock_ids[interface]])
        rows.add(at + PACKET_AT, caplen, wirelen, time, interface, section.link_types[interface])

    def _simple(self, window: Window, at: int, length: int, rows: Rows) -> None:
        section = self._section
        self._need(window, at, length, SIMPLE_MIN)
        wirelen = int(section.words.block.unpack_from(window.raw, at + 4)[1])
        caplen = min(wirelen, section.snaplen or wirelen, length - SIMPLE_MIN)
        self._check(window, at, 0, caplen, length - SIMPLE_MIN)
        rows.add(at + SIMPLE_AT, caplen, wirelen, rows.latest, 0, section.link_types[0])

    def _need(self, window: Window, at: int, length: int, least: int) -> None:
        if length < least:
            raise Damage(f"block at byte {window.place(at)} has {length} bytes, its kind needs {least}")

    def _check(self, window: Window, at: int, interface: int, caplen: int, room: int) -> None:
        place = window.place(at)
        if interface >= len(self._section.link_types):
            raise Damage(f"packet block at byte {place} is of interface {interface}, which was not described")
        if caplen > CAPLEN_MAX:
            raise Damage(f"packet block at byte {place} claims {caplen} bytes (limit {CAPLEN_MAX})")
        if caplen > room:
            raise Damage(f"packet block at byte {place} claims {caplen} bytes and has room for {room}")

    def _interface(self, window: Window, at: int, length: int) -> None:
        """Take an interface description (section 4.2): its link type, snapshot length, and clock; never its names."""
        section = self._section
        self._need(window, at, length, INTERFACE_MIN)
        link_type, _, snaplen = section.words.interface.unpack_from(window.raw, at + 8)
        of = self._clock(window, at + 16, at + length - 4)
        if len(section.link_types) >= PCAPNG_NUMBERS:
            raise Damage(f"interface description at byte {window.place(at)} is one too many (limit {PCAPNG_NUMBERS})")
        if len(section.clocks) >= PCAPNG_INTERFACES and not section.knows(of):
            raise Damage(
                f"interface description at byte {window.place(at)}: limit of {PCAPNG_INTERFACES} different ones"
            )
        section.add(link_type, snaplen, of)

    def _clock(self, window: Window, at: int, end: int) -> Clock:
        """Read the options that tell the clock, between two places of the window. Raises Damage."""
        words, raw = self._section.words, window.raw
        resolution, offset = 6, 0
        while end - at >= 4:
            code, size = words.option.unpack_from(raw, at)
            at += 4
            if code == END_OF_OPTIONS:
                break
            if size > end - at:
                place = window.place(at - 4)
                raise Damage(f"option at byte {place} claims {size} bytes and has room for {end - at}")
            if code == TSRESOL and size == 1:
                resolution = raw[at]
            elif code == TSOFFSET and size == 8:
                (offset,) = words.seconds.unpack_from(raw, at)
            at += size + (-size & 3)
        return clock(resolution, offset)


def walk_blocks(
    raw: mmap, at: int, end: int, limit: int, read: Callable[[mmap, int], tuple[int, int]]
) -> tuple[list[int], int]:
    """Do what walk() does for blocks, to the next section or to what cannot be a block at most."""
    starts: list[int] = []
    push = starts.append
    last = end - BLOCK_MIN
    for _ in range(limit):
        if at > last:
            break
        kind, length = read(raw, at)
        if kind == SECTION or length < BLOCK_MIN:
            break
        push(at)
        at += length
    return starts, at
