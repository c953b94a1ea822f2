"""The payloads of a block of packets: which of them the parsers must see, as plain numbers and bytes."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from netwatch.flows.record import WATCH_ALL, WATCH_NONE
from netwatch.flows.segments import SYN
from netwatch.flows.table import Added
from netwatch.model.arrays import I32, I64, U8, U64, Bool
from netwatch.model.limits import INSPECT_PACKETS
from netwatch.model.packets import TCP, UDP, Packets
from netwatch.names.select import perhaps, plain_dns, wanted

Row: TypeAlias = tuple[int, ...]
"""The fields of a Payload: of most packets only the first five are asked for."""


class Payload(NamedTuple):
    """One payload on its way to the parsers; the columns of Packets and Added as plain numbers.

    at: its packet in the block.   watch: of its flow, before the block.   asked: to be seen while nothing else is known
    of its flow.   plain: a message of DNS by its ports (names/select.py).   isn: the number behind the sender's SYN,
    UNKNOWN where that was not seen before it.   rank: payload packets of its flow before it.   stop: behind its end.
    """

    at: int
    segment: int
    watch: int
    asked: bool
    plain: bool
    token: int
    side: int
    start: int
    stop: int
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
    tcp: bool
    seq: int
    isn: int
    rank: int
    cut: bool


UNKNOWN: Final = -1
EVERYTHING, BY_THEMSELVES, SAMPLED, COUNTED = range(4)
"""How much is read for names, less with each: the first packets of each flow; only hellos and DNS, whose packets show
what they are; these of one flow in SAMPLE; nothing."""
SAMPLE: Final = 8


class Block:
    """The packets under inspection, and which of them the parsers must see."""

    def __init__(
        self, packets: Packets, added: Added, data: U8, time: I64, number: I64, whole: Mapping[int, bytes],
        level: int = EVERYTHING,
    ) -> None:  # fmt: skip
        self.packets, self.added, self.time, self.number = packets, added, time, number
        self.whole = whole
        self.bytes = data.data
        some = (packets.payload_len > 0) & packets.ports & ((packets.protocol == TCP) | (packets.protocol == UDP))
        some &= (added.watch != WATCH_NONE)[added.segment]
        if level == SAMPLED:
            some &= (added.token % SAMPLE == 0)[added.segment]
        fragments = packets.fragment.any()
        if fragments:  # a first one is read alone only where it can never become whole
            some &= ~packets.fragment | ((packets.fragment_at == 0) & packets.cut)
        self._some: Bool = some
        at = np.flatnonzero(some)
        self._wanted: Bool = np.zeros(len(some), bool)  # by itself, at any point of a flow
        self._wanted[self._by_themselves(at, data)] = True
        self._wanted[list(whole)] = True
        asked = (added.watch == WATCH_ALL)[added.segment[at]]
        if level == EVERYTHING:
            asked |= added.rank[at] < INSPECT_PACKETS
        self._chosen: Bool = self._wanted.copy()
        self._chosen[at[asked]] = True
        self.fragments = set(np.flatnonzero(self._chosen & packets.fragment).tolist()) if fragments else frozenset()
        self._later: dict[int, Iterator[int]] = {}

    def _by_themselves(self, at: I64, data: U8) -> I64:
        """Return those of some packets that the parsers must see at any point of a flow."""
        p = self.packets
        at = at[perhaps(p.protocol[at], p.src_port[at], p.dst_port[at], data[p.payload[at]])]
        length = p.payload_len[at]
        head = _first_bytes(data, p.payload[at], length)
        found: I64 = at[wanted(p.protocol[at], p.src_port[at], p.dst_port[at], head, length) != 0]
        return found

    def chosen(self) -> Iterator[Row]:
        """Yield what the parsers must see, in packet order."""
        return self._rows(np.flatnonzero(self._chosen))

    def row(self, at: int) -> Row:
        """Return the payload of one packet."""
        return next(self._rows(np.array([at])))

    def following(self, at: int, segment: int) -> int | None:
        """Return the payload packet of a segment behind one that is the next which was not chosen beforehand."""
        if segment not in self._later:
            start = int(self.added.start[segment])
            last = segment + 1 == len(self.added.start)
            order = self.added.order[start : None if last else int(self.added.start[segment + 1])]
            rest = order[(order > at) & self._some[order] & ~self._chosen[order]]
            self._later[segment] = iter(rest.tolist())
        return next((later for later in self._later[segment] if later > at), None)

    def _rows(self, at: I64) -> Iterator[Row]:
        p, added = self.packets, self.added
        segment, side = added.segment[at], added.side[at]
        tcp, src_port, dst_port = p.protocol[at] == TCP, p.src_port[at], p.dst_port[at]
        asked = self._wanted[at] | (added.rank[at] < INSPECT_PACKETS)
        plain = ~tcp & ~p.fragment[at] & plain_dns(src_port, dst_port)
        start = p.payload[at].astype(np.int64)
        syn = (p.tcp_flags[at] & SYN) != 0
        isn = np.where(added.isn_at[segment, side] <= at, added.isn[segment, side].astype(np.int64), UNKNOWN)
        columns = (
            at, segment, added.watch[segment], asked, plain, added.token[segment], side, start,
            start + p.payload_len[at], p.family[at], p.src_hi[at], p.src_lo[at], p.dst_hi[at], p.dst_lo[at],
            p.src_mac[at], p.dst_mac[at], src_port, dst_port, self.time[at], self.number[at], tcp,
            p.seq[at] + syn.astype(np.uint32), isn, added.rank[at], p.cut[at],
        )  # fmt: skip
        return zip(*(column.tolist() for column in columns), strict=True)


def _first_bytes(data: U8, at: I64, length: I32) -> U64:
    """Return the first eight payload bytes, big-endian, zeros behind a shorter payload."""
    view = np.ndarray((len(data) - 7,), ">u8", data, strides=(1,))
    head = view[at].astype(np.uint64)
    short = np.flatnonzero(length < 8)
    if len(short):
        missing = (8 - length[short]).astype(np.uint64) * np.uint64(8)
        head[short] = head[short] >> missing << missing
    return head
