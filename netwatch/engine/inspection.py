"""Hands the few payloads that can carry a name to the parsers, in packet order, and keeps what they told."""

import heapq
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from netwatch.attribution.decide import Sighting
from netwatch.attribution.lookups import Lookups
from netwatch.attribution.memory import DnsMemory
from netwatch.engine.devices import Devices, device_id, unnamed
from netwatch.flows.record import WATCH_ALL, WATCH_FIRST, WATCH_NONE
from netwatch.flows.table import Added
from netwatch.model.address import address
from netwatch.model.arrays import I64, U8, U64, Bool
from netwatch.model.limits import EVIDENCE, INSPECT_PACKETS
from netwatch.model.packets import TCP, UDP, Packets
from netwatch.model.reading import DnsMessage, Hello, Reading
from netwatch.names.inspector import Inspector
from netwatch.names.select import wanted
from netwatch.places.local import LocalNetworks

SYN = 2
BLOOM_BITS = 20
BLOOM_SHIFT = np.uint64(64 - BLOOM_BITS)
BLOOM_FACTOR = np.uint64(0x9E3779B97F4A7C15)
LOW = (1 << 64) - 1
DNS_TRANSPORTS = {5353: "mdns", 5355: "llmnr"}


class Talked:
    """What the payloads of one flow told; kept until its record leaves."""

    __slots__ = ("answers", "hello", "hint", "protocol", "sightings", "undecryptable")

    def __init__(self) -> None:
        self.sightings: tuple[Sighting, ...] = ()  # names in payloads
        self.answers: tuple[Sighting, ...] = ()  # what the server's address was called when the flow began
        self.protocol: str | None = None
        self.hello: Hello | None = None
        self.hint: int | None = None  # side of the client, where a payload showed it
        self.undecryptable = False  # a QUIC Initial that could not be opened

    def is_plain(self) -> bool:
        """Whether nothing but the protocol is known."""
        return not self.sightings and not self.answers and self.hello is None and not self.undecryptable

    def take_over(self, before: "Talked") -> None:
        """Begin with what was told in the record before, which goes on in this one."""
        self.sightings = (before.sightings + self.sightings)[:EVIDENCE]
        self.answers = before.answers
        self.protocol = self.protocol or before.protocol
        self.hello = before.hello or self.hello
        self.hint = self.hint if before.hint is None else before.hint
        self.undecryptable = (before.undecryptable or self.undecryptable) and self.hello is None


Learnt: TypeAlias = tuple[int, str, DnsMessage, int, int, bool]
"""A DNS answer on its way to the memory: its packet in the block, device, message, time, number of the packet, and
whether the question was seen."""


class Inspection:
    """The parsers, the DNS memory and the open lookups of one engine."""

    def __init__(self, devices: Devices, lookups: Lookups, memory: DnsMemory, local: LocalNetworks) -> None:
        self.inspector = Inspector()
        self.talked: dict[int, Talked] = {}
        self._pieced: set[int] = set()  # flows whose payload came in fragments
        self._devices = devices
        self._lookups = lookups
        self._memory = memory
        self._local = local
        self._answered = np.zeros(1 << BLOOM_BITS, bool)  # may hold: the memory knows this address
        self.hosts_evicted = 0

    def forget(self, token: int, payload: int) -> Talked | None:
        """Drop the state of a flow that ended; return what was told. payload: 0 where its packets were empty."""
        if payload or token in self._pieced:
            self.inspector.forget(token)
            self._pieced.discard(token)
        return self.talked.pop(token, None)

    def look(
        self, packets: Packets, added: Added, data: U8, time: I64, number: I64, whole: Mapping[int, bytes]
    ) -> tuple[I64, U8]:
        """Inspect a block of packets; return (rows of the table, what the parsers want of them from now on).

        data, time, number: of the batch; whole: datagrams that became whole with a packet of the block.
        """
        block = _Block(packets, added, data, time, number, whole)
        watch: dict[int, int] = {}
        learnt: list[Learnt] = []
        extra: list[int] = []  # packets, not chosen beforehand, of flows that turned to WATCH_ALL inside this block
        for row in block.chosen():
            while extra and extra[0] < row.at:
                self._hand_over(block, block.row(heapq.heappop(extra)), watch, learnt, extra)
            self._hand_over(block, row, watch, learnt, extra)
        while extra:
            self._hand_over(block, block.row(heapq.heappop(extra)), watch, learnt, extra)
        self._remember(block, learnt)
        for segment in np.flatnonzero(added.carries >= 0).tolist():  # a flow's parts stand in their order
            self._carry(int(added.carries[segment]), int(added.token[segment]))
        segments = np.fromiter(watch, np.int64, len(watch))
        states = np.fromiter(watch.values(), np.uint8, len(watch))
        rows = added.row[segments]
        return rows[rows >= 0], states[rows >= 0]

    def _hand_over(
        self, block: "_Block", row: "Payload", watch: dict[int, int], learnt: list[Learnt], extra: list[int]
    ) -> None:
        state = watch.get(row.segment, row.watch)
        if state == WATCH_NONE or (state == WATCH_FIRST and row.rank >= INSPECT_PACKETS and not row.wanted):
            return
        payload = block.payload(row)
        if row.at in block.fragments:
            self._pieced.add(row.token)
        if row.tcp:
            reading = self.inspector.segment(
                row.token, row.side, row.seq, row.isn if row.isn_known else None, payload, row.cut,
                row.src_port, row.dst_port, row.time,
            )  # fmt: skip
        else:
            source = address(row.family, row.src_hi, row.src_lo)
            reading = self.inspector.datagram(
                row.token, row.side, payload, row.cut, row.src_port, row.dst_port, source, row.time
            )
        if reading is not None:
            turned = WATCH_NONE if reading.done else WATCH_ALL if reading.more else WATCH_FIRST
            if turned != state:
                watch[row.segment] = state = turned
            self._learn_from(row, reading, learnt)
        if state == WATCH_ALL and row.rank >= INSPECT_PACKETS - 1 and row.watch != WATCH_ALL:
            following = block.following(row)
            if following is not None:
                heapq.heappush(extra, following)

    def _learn_from(self, row: "Payload", reading: Reading, learnt: list[Learnt]) -> None:
        self._take(row, reading)
        for message in reading.messages:
            self._message(row, message, learnt)

    def _take(self, row: "Payload", reading: Reading) -> None:
        if reading.protocol is not None or reading.hello is not None or reading.names:
            told = self.talked.get(row.token)
            if told is None:
                told = self.talked[row.token] = Talked()
            told.protocol = reading.protocol or told.protocol
            told.hello = told.hello or reading.hello
            told.undecryptable = (told.undecryptable or reading.undecryptable) and told.hello is None
            if reading.from_client is not None and told.hint is None:
                told.hint = row.side if reading.from_client else 1 - row.side
            if reading.names:
                kind = reading.kind or ""
                seen = tuple(Sighting(kind, name, row.time, row.number) for name in reading.names)
                told.sightings = (told.sightings + seen)[:EVIDENCE]
        if reading.device is not None:
            sender = address(row.family, row.src_hi, row.src_lo)
            self.hosts_evicted += self._devices.learn(reading.device, row.src_mac, sender)

    def _message(self, row: "Payload", message: DnsMessage, learnt: list[Learnt]) -> None:
        if row.family == 4:
            source, target = row.src_lo, row.dst_lo
        else:
            source, target = address(6, row.src_hi, row.src_lo), address(6, row.dst_hi, row.dst_lo)
        src_port, dst_port, time, number = row.src_port, row.dst_port, row.time, row.number
        transport = DNS_TRANSPORTS.get(src_port) or DNS_TRANSPORTS.get(dst_port) or ("tcp" if row.tcp else "udp")
        if not message.response:
            device = unnamed(row.src_mac, source)
            self._lookups.query(device, source, src_port, target, transport, message, time, number)
            return
        device = unnamed(row.dst_mac, target)
        asked = self._lookups.answer(device, target, dst_port, source, transport, message, time, number)
        if message.answers:
            learnt.append((row.at, device.device_id, message, time, number, asked))

    def _carry(self, before: int, after: int) -> None:
        told = self.talked.get(before)
        if told is not None:
            self.talked.setdefault(after, Talked()).take_over(told)

    def _remember(self, block: "_Block", learnt: list[Learnt]) -> None:
        """Bring answers and the beginnings of flows together in packet order."""
        self._mark(learnt)
        told = iter(learnt)
        following = next(told, None)
        for start in self._starts(block):
            while following is not None and following[0] < start.at:
                self._learn(following)
                following = next(told, None)
            self._recall(start)
        while following is not None:
            self._learn(following)
            following = next(told, None)

    def _mark(self, learnt: list[Learnt]) -> None:
        """Note that the memory may know the addresses of these answers."""
        low = [answer.address & LOW for one in learnt for answer in one[2].answers if answer.address is not None]
        if low:
            self._answered[np.array(low, np.uint64) * BLOOM_FACTOR >> BLOOM_SHIFT] = True

    def _learn(self, answer: Learnt) -> None:
        _, device, message, now, number, asked = answer
        self._memory.learn(device, message, now, number, asked)

    def _starts(self, block: "_Block") -> "list[Start]":
        """Return the flows that begin here and whose ends the memory may know, in packet order."""
        added, p = block.added, block.packets
        new = np.flatnonzero(added.fresh & (added.carries < 0))
        at = added.order[added.start[new]]
        src_mark, dst_mark = p.src_lo[at] * BLOOM_FACTOR >> BLOOM_SHIFT, p.dst_lo[at] * BLOOM_FACTOR >> BLOOM_SHIFT
        may = self._answered[src_mark] | self._answered[dst_mark]
        if not may.any():
            return []
        at, new = at[may], new[may]
        family, src, dst = p.family[at], (p.src_hi[at], p.src_lo[at]), (p.dst_hi[at], p.dst_lo[at])
        # the local end asked; where both or none is local, the one that spoke first
        inward = self._local.contains(family, *dst) & ~self._local.contains(family, *src)
        near = [np.where(inward, d, s) for s, d in zip(src, dst, strict=True)]
        far = [np.where(inward, s, d) for s, d in zip(src, dst, strict=True)]
        mac = np.where(inward, p.dst_mac[at], p.src_mac[at])
        columns = (at, added.token[new], family, *near, *far, mac, block.time[at])
        order = np.argsort(at)  # no two flows begin with one packet
        return list(map(Start._make, zip(*(column[order].tolist() for column in columns), strict=True)))

    def _recall(self, start: "Start") -> None:
        _, token, family, near_hi, near, far_hi, far, mac, time = start
        if family != 4:
            near, far = address(family, near_hi, near), address(family, far_hi, far)
        names = self._memory.names(device_id(mac, near), far, time)
        if names:
            told = self.talked.get(token)
            if told is None:
                told = self.talked[token] = Talked()
            told.answers = names


class Start(NamedTuple):
    """The first packet of a flow: near is the end that may have asked for the far one's address."""

    at: int
    token: int
    family: int
    near_hi: int
    near_lo: int
    far_hi: int
    far_lo: int
    mac: int
    time: int


class Payload(NamedTuple):
    """One payload on its way to the parsers; the columns of Packets and Added as plain numbers.

    at: its packet in the block.   watch: of its flow, before the block.   isn_known: the sender's SYN was seen before
    it.   rank: payload packets of its flow before it.   wanted: by itself, at any point of a flow.
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
    rank: int
    wanted: bool
    start: int
    length: int
    cut: bool
    family: int
    src_hi: int
    src_lo: int
    dst_hi: int
    dst_lo: int
    src_mac: int
    dst_mac: int
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
        # a first fragment is read alone only where it can never become whole
        lost = packets.fragment & (packets.fragment_at == 0) & packets.cut
        some = (packets.payload_len > 0) & (~packets.fragment | lost)
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
        self._wanted: Bool = np.zeros(len(some), bool)  # by itself, at any point of a flow
        self._wanted[at[want != 0]] = True
        self._wanted[list(whole)] = True
        asked = (watch[at] == WATCH_ALL) | (added.rank[at] < INSPECT_PACKETS)
        self._chosen: Bool = self._wanted.copy()
        self._chosen[at[asked]] = True
        self.fragments = set(np.flatnonzero(self._chosen & packets.fragment).tolist())
        self._later: dict[int, Iterator[int]] = {}

    def payload(self, row: Payload) -> bytes:
        """Return the payload of a packet, or the datagram that became whole with it."""
        if row.at in self._whole:
            return self._whole[row.at]
        return bytes(self._bytes[row.start : row.start + row.length])

    def chosen(self) -> Iterator[Payload]:
        """Yield what the parsers must see, in packet order."""
        return self._rows(np.flatnonzero(self._chosen))

    def row(self, at: int) -> Payload:
        """Return the payload of one packet."""
        return next(self._rows(np.array([at])))

    def following(self, row: Payload) -> int | None:
        """Return the next payload packet of a segment that was not chosen beforehand."""
        if row.segment not in self._later:
            start = int(self.added.start[row.segment])
            last = row.segment + 1 == len(self.added.start)
            order = self.added.order[start : None if last else int(self.added.start[row.segment + 1])]
            rest = order[(order > row.at) & self._some[order] & ~self._chosen[order]]
            self._later[row.segment] = iter(rest.tolist())
        return next((at for at in self._later[row.segment] if at > row.at), None)

    def _rows(self, at: I64) -> Iterator[Payload]:
        p, added = self.packets, self.added
        segment, side = added.segment[at], added.side[at]
        syn = (p.tcp_flags[at] & SYN) != 0
        columns = (
            at, segment, added.token[segment], added.watch[segment], side, p.protocol[at] == TCP,
            p.seq[at] + syn.astype(np.uint32), added.isn[segment, side], added.isn_at[segment, side] <= at,
            added.rank[at], self._wanted[at], p.payload[at], p.payload_len[at], p.cut[at], p.family[at],
            p.src_hi[at], p.src_lo[at], p.dst_hi[at], p.dst_lo[at], p.src_mac[at], p.dst_mac[at],
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
