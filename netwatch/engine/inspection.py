"""Hands the few payloads that can carry a name to the parsers, in packet order, and keeps what they told."""

import heapq
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from netwatch.attribution.decide import Sighting
from netwatch.attribution.lookups import Lookups
from netwatch.attribution.memory import DnsMemory
from netwatch.engine.devices import Devices, device_id
from netwatch.flows.record import WATCH_ALL, WATCH_FIRST, WATCH_NONE
from netwatch.flows.table import Added
from netwatch.model.address import address
from netwatch.model.arrays import I64, U8, U64, Bool
from netwatch.model.limits import EVIDENCE, INSPECT_PACKETS
from netwatch.model.packets import TCP, UDP, Packets
from netwatch.model.reading import DnsMessage, Hello, Reading
from netwatch.model.records import Device
from netwatch.names.inspector import Inspector
from netwatch.names.select import wanted
from netwatch.places.local import LocalNetworks

SYN = 2
BLOOM_BITS = 20
BLOOM_FACTOR = np.uint64(0x9E3779B97F4A7C15)
DNS_TRANSPORTS = {5353: "mdns", 5355: "llmnr"}


class Talked:
    """What the payloads of one flow told; kept until its record leaves."""

    __slots__ = ("cut", "hello", "hint", "protocol", "sightings")

    def __init__(self) -> None:
        self.sightings: list[Sighting] = []
        self.protocol: str | None = None
        self.hello: Hello | None = None
        self.hint: int | None = None  # side of the client, where a payload showed it
        self.cut = False  # a hello was not whole because of the snapshot length

    def copy(self) -> "Talked":
        """Return what a record that goes on in a new one hands over to it."""
        other = Talked()
        other.sightings = list(self.sightings)
        other.protocol, other.hello, other.hint, other.cut = self.protocol, self.hello, self.hint, self.cut
        return other


class Learnt(NamedTuple):
    """A DNS answer on its way to the memory; at: its packet in the block; asked: the question was seen."""

    at: int
    device: str
    message: DnsMessage
    asked: bool


class Inspection:
    """The parsers, the DNS memory and the open lookups of one engine."""

    def __init__(self, devices: Devices, lookups: Lookups, memory: DnsMemory, local: LocalNetworks) -> None:
        self.inspector = Inspector()
        self.talked: dict[int, Talked] = {}
        self._devices = devices
        self._lookups = lookups
        self._memory = memory
        self._local = local
        self._answered = np.zeros(1 << BLOOM_BITS, bool)  # may hold: the memory knows this address
        self.hosts_evicted = 0

    def forget(self, token: int) -> Talked | None:
        """Drop the state of a flow that ended; return what was told."""
        self.inspector.forget(token)
        return self.talked.pop(token, None)

    def look(
        self, packets: Packets, added: Added, data: U8, time: I64, number: I64, whole: Mapping[int, bytes]
    ) -> tuple[I64, U8]:
        """Inspect a block of packets; return (rows of the table, what the parsers want of them from now on).

        data, time, number: of the batch; whole: datagrams that became whole with a packet of the block.
        """
        for segment in np.flatnonzero(added.carries >= 0).tolist():
            before = self.talked.get(int(added.carries[segment]))
            if before is not None:
                self.talked[int(added.token[segment])] = before.copy()
        block = _Block(packets, added, data, time, number, whole)
        watch: dict[int, int] = {}
        learnt: list[Learnt] = []
        for row in block.candidates(watch):
            self._hand_over(block, row, watch, learnt)
        self._remember(block, learnt)
        segments = np.fromiter(watch, np.int64, len(watch))
        states = np.fromiter(watch.values(), np.uint8, len(watch))
        rows = added.row[segments]
        return rows[rows >= 0], states[rows >= 0]

    def _hand_over(self, block: "_Block", row: "Payload", watch: dict[int, int], learnt: list[Learnt]) -> None:
        payload = block.payload(row)
        ports = row.src_port, row.dst_port
        if row.tcp:
            first = row.isn if row.isn_known else None
            reading = self.inspector.segment(row.token, row.side, row.seq, first, payload, row.cut, *ports, row.time)
        else:
            source = address(row.family, row.src_hi, row.src_lo)
            reading = self.inspector.datagram(row.token, row.side, payload, row.cut, *ports, source, row.time)
        if reading is None:
            return
        state = WATCH_NONE if reading.done else WATCH_ALL if reading.more else WATCH_FIRST
        if state != watch.get(row.segment, row.watch):
            watch[row.segment] = state
        self._take(block, row, reading)
        for message in reading.messages:
            self._message(block, row, message, learnt)

    def _take(self, block: "_Block", row: "Payload", reading: Reading) -> None:
        if reading.protocol is not None or reading.hello is not None or reading.names:
            told = self.talked.get(row.token)
            if told is None:
                told = self.talked[row.token] = Talked()
            told.protocol = reading.protocol or told.protocol
            told.hello = told.hello or reading.hello
            if reading.from_client is not None and told.hint is None:
                told.hint = row.side if reading.from_client else 1 - row.side
            for name in reading.names:
                if len(told.sightings) < EVIDENCE:
                    told.sightings.append(Sighting(reading.kind or "", name, row.time, row.number))
        if reading.device is not None:
            sender = address(row.family, row.src_hi, row.src_lo)
            self.hosts_evicted += self._devices.learn(reading.device, int(block.packets.src_mac[row.at]), sender)

    def _message(self, block: "_Block", row: "Payload", message: DnsMessage, learnt: list[Learnt]) -> None:
        packets, at = block.packets, row.at
        source = address(row.family, row.src_hi, row.src_lo)
        target = address(row.family, int(packets.dst_hi[at]), int(packets.dst_lo[at]))
        src_port, dst_port, now, number = row.src_port, row.dst_port, row.time, row.number
        transport = DNS_TRANSPORTS.get(src_port) or DNS_TRANSPORTS.get(dst_port) or ("tcp" if row.tcp else "udp")
        if not message.response:
            device = Device(device_id(int(packets.src_mac[at]), source), None, None)
            self._lookups.query(device, source, src_port, target, transport, message, now, number)
            return
        identifier = device_id(int(packets.dst_mac[at]), target)
        device = Device(identifier, None, None)
        asked = self._lookups.answer(device, target, dst_port, source, transport, message, now, number)
        learnt.append(Learnt(at, identifier, message, asked))

    def _remember(self, block: "_Block", learnt: list[Learnt]) -> None:
        """Bring answers and the beginnings of flows together in packet order."""
        for one in learnt:
            for answer in one.message.answers:
                if answer.address is not None:
                    self._answered[_bloom(answer.address)] = True
        starts = self._starts(block)
        events = heapq.merge(((one.at, -1) for one in learnt), starts) if learnt else iter(starts)
        answers = iter(learnt)
        for at, segment in events:
            if segment < 0:
                one = next(answers)
                now, number = int(block.time[at]), int(block.number[at])
                self._memory.learn(one.device, one.message, now, number, one.asked)
            else:
                self._recall(block, at, segment)

    def _starts(self, block: "_Block") -> list[tuple[int, int]]:
        """Return (packet, segment) of the flows that begin here and whose ends the memory may know, in packet order."""
        added, packets = block.added, block.packets
        new = np.flatnonzero(added.fresh & (added.carries < 0))
        at = added.order[added.start[new]]
        lo, dst = packets.src_lo[at], packets.dst_lo[at]
        shift = np.uint64(64 - BLOOM_BITS)
        may = self._answered[lo * BLOOM_FACTOR >> shift] | self._answered[dst * BLOOM_FACTOR >> shift]
        return sorted(zip(at[may].tolist(), new[may].tolist(), strict=True))

    def _recall(self, block: "_Block", at: int, segment: int) -> None:
        packets, token = block.packets, int(block.added.token[segment])
        family = int(packets.family[at])
        source = address(family, int(packets.src_hi[at]), int(packets.src_lo[at]))
        target = address(family, int(packets.dst_hi[at]), int(packets.dst_lo[at]))
        # the local end asked; where both or none is local, the one that spoke first
        inward = self._local.contains_one(target) and not self._local.contains_one(source)
        device = device_id(int((packets.dst_mac if inward else packets.src_mac)[at]), target if inward else source)
        names = self._memory.names(device, source if inward else target, int(block.time[at]))
        if names:
            told = self.talked.get(token)
            if told is None:
                told = self.talked[token] = Talked()
            told.sightings.extend(names[: max(0, EVIDENCE - len(told.sightings))])


class Payload(NamedTuple):
    """One payload on its way to the parsers; the columns of Packets and Added as plain numbers.

    at: its packet in the block.   isn_known: the sender's SYN was seen before it.   watch: as before the block.
    """

    at: int
    segment: int
    token: int
    watch: int
    side: int
    tcp: bool
    seq: int
    isn: int
    isn_known: bool
    start: int
    length: int
    cut: bool
    family: int
    src_hi: int
    src_lo: int
    src_port: int
    dst_port: int
    time: int
    number: int


class _Block:
    """The packets under inspection, and which of them the parsers must see."""

    def __init__(
        self, packets: Packets, added: Added, data: U8, time: I64, number: I64, whole: Mapping[int, bytes]
    ) -> None:
        self.packets, self.added, self.time, self.number = packets, added, time, number
        self._whole = whole
        self._bytes = data.data
        some = (packets.payload_len > 0) & ~packets.fragment
        some &= packets.ports & ((packets.protocol == TCP) | (packets.protocol == UDP))
        watch = added.watch[added.segment]
        some &= watch != WATCH_NONE
        self._some: Bool = some
        at = np.flatnonzero(some)
        want = wanted(
            packets.protocol[at],
            packets.src_port[at],
            packets.dst_port[at],
            _first_bytes(data, packets.payload[at], packets.payload_len[at].astype(np.int64)),
            packets.payload_len[at],
        )
        take = (want != 0) | (watch[at] == WATCH_ALL) | (added.rank[at] < INSPECT_PACKETS)
        chosen = np.zeros(len(some), bool)
        chosen[at[take]] = True
        chosen[list(whole)] = True
        self._chosen: Bool = chosen

    def payload(self, row: Payload) -> bytes:
        """Return the payload of a packet, or the datagram that became whole with it."""
        if row.at in self._whole:
            return self._whole[row.at]
        return bytes(self._bytes[row.start : row.start + row.length])

    def candidates(self, watch: dict[int, int]) -> Iterator[Payload]:
        """Yield payloads in packet order; what `watch` says of a segment meanwhile is followed."""
        extra: list[int] = []  # packets of flows that turned to WATCH_ALL inside this block
        later: dict[int, Iterator[int]] = {}
        for row in self._rows(np.flatnonzero(self._chosen)):
            while extra and extra[0] < row.at:
                yield from self._one(self._row(heapq.heappop(extra)), watch, extra, later)
            yield from self._one(row, watch, extra, later)
        while extra:
            yield from self._one(self._row(heapq.heappop(extra)), watch, extra, later)

    def _one(
        self, row: Payload, watch: dict[int, int], extra: list[int], later: dict[int, Iterator[int]]
    ) -> Iterator[Payload]:
        if watch.get(row.segment) == WATCH_NONE:
            return
        yield row
        if watch.get(row.segment) == WATCH_ALL and self.added.rank[row.at] >= INSPECT_PACKETS - 1:
            if row.segment not in later:
                later[row.segment] = self._unchosen(row.segment, row.at)
            following = next((at for at in later[row.segment] if at > row.at), None)
            if following is not None:
                heapq.heappush(extra, following)

    def _unchosen(self, segment: int, at: int) -> Iterator[int]:
        """Iterate over the later payload packets of a segment that were not chosen beforehand."""
        start = int(self.added.start[segment])
        end = int(self.added.start[segment + 1]) if segment + 1 < len(self.added.start) else len(self.added.order)
        order = self.added.order[start:end]
        rest = order[(order > at) & self._some[order] & ~self._chosen[order]]
        return iter(rest.tolist())

    def _row(self, at: int) -> Payload:
        return next(self._rows(np.array([at])))

    def _rows(self, at: I64) -> Iterator[Payload]:
        p, added = self.packets, self.added
        segment, side = added.segment[at], added.side[at]
        syn = (p.tcp_flags[at] & SYN) != 0
        columns = (
            at, segment, added.token[segment], added.watch[segment], side, p.protocol[at] == TCP,
            p.seq[at] + syn.astype(np.uint32), added.isn[segment, side], added.isn_at[segment, side] <= at,
            p.payload[at], p.payload_len[at], p.cut[at], p.family[at], p.src_hi[at], p.src_lo[at],
            p.src_port[at], p.dst_port[at], self.time[at], self.number[at],
        )  # fmt: skip
        return map(Payload._make, zip(*(column.tolist() for column in columns), strict=True))


def _first_bytes(data: U8, at: I64, length: I64) -> U64:
    """Return the first eight payload bytes, big-endian, zeros behind a shorter payload."""
    view = np.ndarray((len(data) - 7,), ">u8", data, strides=(1,))
    head = view[at].astype(np.uint64)
    missing = np.maximum(8 - length, 0).astype(np.uint64) * np.uint64(8)
    short = missing > 0
    head[short] = head[short] >> missing[short] << missing[short]
    return head


def _bloom(where: int) -> int:
    return (where & 0xFFFF_FFFF_FFFF_FFFF) * int(BLOOM_FACTOR) % (1 << 64) >> (64 - BLOOM_BITS)
