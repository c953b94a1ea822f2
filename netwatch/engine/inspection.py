"""Hands the few payloads that can carry a name to the parsers, in packet order, and keeps what they told."""

import heapq
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from netwatch.attribution.decide import Sighting
from netwatch.attribution.lookups import Lookups
from netwatch.attribution.memory import DnsMemory
from netwatch.engine.devices import Devices, device_id, unnamed
from netwatch.engine.payloads import Block, Payload
from netwatch.engine.talked import Talked
from netwatch.flows.record import WATCH_ALL, WATCH_FIRST, WATCH_NONE
from netwatch.flows.table import Added
from netwatch.model.address import address
from netwatch.model.arrays import I64, U8
from netwatch.model.limits import EVIDENCE, INSPECT_PACKETS
from netwatch.model.packets import Packets
from netwatch.model.reading import DnsMessage, Reading
from netwatch.names.inspector import Inspector
from netwatch.places.local import LocalNetworks

BLOOM_BITS = 20
BLOOM_SHIFT = np.uint64(64 - BLOOM_BITS)
BLOOM_FACTOR = np.uint64(0x9E3779B97F4A7C15)
LOW = (1 << 64) - 1
DNS_TRANSPORTS = {5353: "mdns", 5355: "llmnr"}


Learnt: TypeAlias = tuple[int, str, DnsMessage, int, int, bool]
"""A DNS answer on its way to the memory: its packet in the block, device, message, time, number of the packet, and
whether the question was seen."""


class Inspection:
    """The parsers, the DNS memory and the open lookups of one engine."""

    def __init__(self, devices: Devices, lookups: Lookups, memory: DnsMemory, local: LocalNetworks) -> None:
        self.inspector = Inspector()
        self.talked: defaultdict[int, Talked] = defaultdict(Talked)
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
        block = Block(packets, added, data, time, number, whole)
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
        self, block: Block, row: Payload, watch: dict[int, int], learnt: list[Learnt], extra: list[int]
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

    def _learn_from(self, row: Payload, reading: Reading, learnt: list[Learnt]) -> None:
        self._take(row, reading)
        for message in reading.messages:
            self._message(row, message, learnt)

    def _take(self, row: Payload, reading: Reading) -> None:
        if reading.protocol is not None or reading.hello is not None or reading.names:
            told = self.talked[row.token]
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

    def _message(self, row: Payload, message: DnsMessage, learnt: list[Learnt]) -> None:
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
            self.talked[after].take_over(told)

    def _remember(self, block: Block, learnt: list[Learnt]) -> None:
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

    def _starts(self, block: Block) -> "list[Start]":
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
            self.talked[token].answers = names


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
