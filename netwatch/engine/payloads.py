"""The payloads of a block of packets: which of them the parsers must see, as plain numbers and bytes."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from netwatch.flows.record import WATCH_ALL, WATCH_NONE
from netwatch.flows.segments import SYN
from netwatch.flows.table import Added
from netwatch.model.arrays import I64, U8, U64, Bool
from netwatch.model.limits import INSPECT_PACKETS
from netwatch.model.packets import TCP, UDP, Packets
from netwatch.names.select import wanted


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


class Block:
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
