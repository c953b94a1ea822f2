"""Hands the few payloads that can carry a name to the parsers, in packet order, and keeps what they told."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import numpy as np

from netwatch.attribution.decide import Sighting
from netwatch.attribution.lookups import Lookups
from netwatch.attribution.memory import DnsMemory
from netwatch.engine.devices import Devices, device_id, unnamed
from netwatch.engine.payloads import EVERYTHING, UNKNOWN, Block, Payload, Row
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
TOKEN, SIDE, START, STOP, TIME, NUMBER = map(
    Payload._fields.index, ("token", "side", "start", "stop", "time", "number")
)

Learnt: TypeAlias = tuple[int, str, DnsMessage, int, int, bool]
"""A DNS answer on its way to the memory: its packet in the block, device, message, time, number of the packet, and
whether the question was seen."""


Start: TypeAlias = tuple[int, ...]
"""The first packet of a flow: its place in the block, token, family, then high and low half of the address of the end
that may have asked for the other one's, of the other one's, then the link-layer address of the first, and the time."""


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

    def peek(self, token: int, _payload: int) -> Talked | None:
        """Return what a live flow told so far."""
        return self.talked.get(token)

    def look(
        self, packets: Packets, added: Added, data: U8, time: I64, number: I64, whole: Mapping[int, bytes],
        *, level: int = EVERYTHING,
    ) -> tuple[I64, U8]:  # fmt: skip
        """Inspect a block of packets; return (rows of the table, what the parsers want of them from now on).

        data, time, number: of the batch; whole: datagrams that became whole with a packet of the block.
        level: how much is read (payloads.py).
        """
        block = Block(packets, added, data, time, number, whole, level)
        watch: dict[int, int] = {}
        learnt: list[Learnt] = []
        extra: list[int] = []  # packets, not chosen beforehand, of flows that turned to WATCH_ALL inside this block
        for row in _in_order(block, extra):
            _, segment, before, asked, plain = row[:5]
            state = watch.get(segment, before)
            if state == WATCH_NONE or (state == WATCH_FIRST and not asked):
                continue
            if not (plain and state == WATCH_FIRST and self._plain(block, row, learnt)):
                self._hand_over(block, row, state, watch, learnt, extra)
        self._remember(block, learnt)
        for segment in np.flatnonzero(added.carries >= 0).tolist():  # a flow's parts stand in their order
            self._carry(int(added.carries[segment]), int(added.token[segment]))
        segments = np.fromiter(watch, np.int64, len(watch))
        states = np.fromiter(watch.values(), np.uint8, len(watch))
        rows = added.row[segments]
        return rows[rows >= 0], states[rows >= 0]

    def _plain(self, block: Block, row: Row, learnt: list[Learnt]) -> bool:
        """Take a message of DNS if it is of the usual shape, and so changes nothing of what is wanted of its flow.

        A network's DNS is two thirds of all that is read: nothing is made on the way that is not needed here.
        """
        message = self.inspector.usual_dns(bytes(block.bytes[row[START] : row[STOP]]))
        if message is None:
            return False
        told = self.talked[row[TOKEN]]
        told.protocol = "dns"
        if told.hint is None:
            told.hint = 1 - row[SIDE] if message.response else row[SIDE]
        self._message(row, "udp", message, learnt)
        return True

    def _hand_over(
        self, block: Block, row: Row, state: int, watch: dict[int, int], learnt: list[Learnt], extra: list[int]
    ) -> None:
        (
            at, segment, before, _, _, token, side, start, stop, family, src_hi, src_lo, _, _, _, _, src_port, dst_port,
            time, _, tcp, seq, isn, rank, cut,
        ) = row  # fmt: skip
        payload = block.whole[at] if at in block.whole else bytes(block.bytes[start:stop])
        if at in block.fragments:
            self._pieced.add(token)
        if tcp:
            first = None if isn == UNKNOWN else isn
            reading = self.inspector.segment(token, side, seq, first, payload, bool(cut), src_port, dst_port, time)
        else:
            source = address(family, src_hi, src_lo)
            reading = self.inspector.datagram(token, side, payload, bool(cut), src_port, dst_port, source, time)
        if reading is not None:
            turned = WATCH_NONE if reading.done else WATCH_ALL if reading.more else WATCH_FIRST
            if turned != state:
                watch[segment] = state = turned
            self._take(row, reading)
            for message in reading.messages:
                transport = DNS_TRANSPORTS.get(src_port) or DNS_TRANSPORTS.get(dst_port)
                self._message(row, transport or ("tcp" if tcp else "udp"), message, learnt)
        if state == WATCH_ALL and rank >= INSPECT_PACKETS - 1 and before != WATCH_ALL:
            following = block.following(at, segment)
            if following is not None:
                heapq.heappush(extra, following)

    def _take(self, row: Row, reading: Reading) -> None:
        protocol, kind, names, hello, from_client, _, named, undecryptable, _, _ = reading
        if protocol is not None or hello is not None or names:
            told = self.talked[row[TOKEN]]
            told.protocol = protocol or told.protocol
            told.hello = told.hello or hello
            told.undecryptable = (told.undecryptable or undecryptable) and told.hello is None
            if from_client is not None and told.hint is None:
                told.hint = row[SIDE] if from_client else 1 - row[SIDE]
            if names:
                time, number = row[TIME], row[NUMBER]
                seen = [Sighting(kind or "", name, time, number) for name in names]
                told.sightings = (*told.sightings, *seen)[:EVIDENCE]
        if named is not None:
            payload = Payload._make(row)
            sender = address(payload.family, payload.src_hi, payload.src_lo)
            self.hosts_evicted += self._devices.learn(named, payload.src_mac, sender)

    def _message(self, row: Row, transport: str, message: DnsMessage, learnt: list[Learnt]) -> None:
        (
            at, _, _, _, _, _, _, _, _, family, src_hi, source, dst_hi, target, src_mac, dst_mac, src_port, dst_port,
            time, number, _, _, _, _, _,
        ) = row  # fmt: skip
        if family != 4:
            source, target = address(6, src_hi, source), address(6, dst_hi, target)
        if not message.response:
            device = unnamed(src_mac, source)
            self._lookups.query(device, source, src_port, target, transport, message, time, number)
            return
        device = unnamed(dst_mac, target)
        asked = self._lookups.answer(device, target, dst_port, source, transport, message, time, number)
        if message.answers:
            learnt.append((at, device.device_id, message, time, number, asked))

    def _carry(self, before: int, after: int) -> None:
        told = self.talked.get(before)
        if told is not None:
            self.talked[after].take_over(told)

    def _remember(self, block: Block, learnt: list[Learnt]) -> None:
        """Bring answers and the beginnings of flows together in packet order."""
        self._mark(learnt)
        starts = list(self._starts(block))
        learn, recall = self._memory.learn, self._recall
        place, count = 0, len(starts)
        for at, device, message, time, number, asked in learnt:
            while place < count and starts[place][0] <= at:
                recall(starts[place])
                place += 1
            learn(device, message, time, number, asked)
        for start in starts[place:]:
            recall(start)

    def _mark(self, learnt: list[Learnt]) -> None:
        """Note that the memory may know the addresses of these answers."""
        addresses = [address for one in learnt for _, _, _, _, address, _ in one[2].answers if address is not None]
        if addresses:
            low = np.array([address & LOW for address in addresses], np.uint64)
            self._answered[low * BLOOM_FACTOR >> BLOOM_SHIFT] = True

    def _starts(self, block: Block) -> Iterable[Start]:
        """Return the flows that begin here and whose ends the memory may know, in packet order."""
        added, p = block.added, block.packets
        new = np.flatnonzero(added.fresh & (added.carries < 0))
        at = added.order[added.start[new]]
        src_mark, dst_mark = p.src_lo[at] * BLOOM_FACTOR >> BLOOM_SHIFT, p.dst_lo[at] * BLOOM_FACTOR >> BLOOM_SHIFT
        may = self._answered[src_mark] | self._answered[dst_mark]
        if not may.any():
            return ()
        at, new = at[may], new[may]
        family, src, dst = p.family[at], (p.src_hi[at], p.src_lo[at]), (p.dst_hi[at], p.dst_lo[at])
        # the local end asked; where both or none is local, the one that spoke first
        inward = self._local.contains(family, *dst) & ~self._local.contains(family, *src)
        near = [np.where(inward, d, s) for s, d in zip(src, dst, strict=True)]
        far = [np.where(inward, s, d) for s, d in zip(src, dst, strict=True)]
        mac = np.where(inward, p.dst_mac[at], p.src_mac[at])
        columns = (at, added.token[new], family, *near, *far, mac, block.time[at])
        order = np.argsort(at)  # no two flows begin with one packet
        return zip(*(column[order].tolist() for column in columns), strict=True)

    def _recall(self, start: Start) -> None:
        _, token, family, near_hi, near, far_hi, far, mac, time = start
        if family != 4:
            near, far = address(family, near_hi, near), address(family, far_hi, far)
        names = self._memory.names(device_id(mac, near), far, time)
        if names:
            self.talked[token].answers = names


def _in_order(block: Block, extra: list[int]) -> Iterator[Row]:
    """Yield what was chosen and what comes to `extra` meanwhile, in packet order."""
    for row in block.chosen():
        while extra and extra[0] < row[0]:
            yield block.row(heapq.heappop(extra))
        yield row
    while extra:
        yield block.row(heapq.heappop(extra))
