"""Where a flow ends inside a batch: packets sorted by flow are cut into segments, one for each part of a flow.

The rules, in the order in which they are judged at each packet of a flow (DESIGN section 3.6):
- a gap to the packet before it above the idle limit (either way: clocks go backwards): the flow ended, `idle`,
- the flow is closed (FIN both ways, or RST) and this is a new SYN, or comes later than LINGER_NS: it ended, `end`,
- the flow is older than ACTIVE_NS: the record ends, `active`, and the flow goes on in a new one.
"""

from typing import Final, NamedTuple

import numpy as np

from netwatch.flows.record import NEVER
from netwatch.model.arrays import I64, U8, Bool
from netwatch.model.limits import ACTIVE_NS, IDLE_TCP_NS, IDLE_UDP_NS, LINGER_NS
from netwatch.model.records import ACTIVE, END, IDLE

FIN: Final = 1
SYN: Final = 2
RST: Final = 4
ACK: Final = 16
NOT_CUT: Final = 255
ROUNDING: Final = 4_096  # ns: more than what times lose as float64


class Sorted(NamedTuple):
    """Packets of a batch sorted by flow, in order of arrival within each; columns of length N.

    first: bool, the flow's first packet in this batch.   time: int64, ns.   flags: uint8, 0 unless TCP.
    side:  uint8, which end sent it.   tcp: bool.
    """

    first: Bool
    time: I64
    flags: U8
    side: U8
    tcp: Bool


class Before(NamedTuple):
    """State of each flow before the batch, one entry for each `first`; fresh ones have nothing before.

    fresh: bool.   opened, seen, closed: int64, ns.   fins: uint8, bit 0: FIN of side 0 was seen, bit 1: of side 1.
    """

    fresh: Bool
    opened: I64
    seen: I64
    closed: I64
    fins: U8


class Segments(NamedTuple):
    """The parts of flows that a batch holds.

    start:  int64[S], position of each one's first packet among the sorted.
    cut:    uint8[S], end reason of what came before this segment in its flow; NOT_CUT: it goes on with that.
    closed: int64[S], when the segment was closed, else NEVER.
    """

    start: I64
    cut: U8
    closed: I64


def idle_limit(tcp: Bool) -> I64:
    """Return the longest silence inside a flow, ns, for each packet or flow."""
    return np.where(tcp, IDLE_TCP_NS, IDLE_UDP_NS)


def cut_segments(packets: Sorted, before: Before) -> Segments:
    """Cut sorted packets into segments; see the module's rules."""
    begin = start = np.flatnonzero(packets.first)
    cut = np.full(len(packets.time), NOT_CUT, np.uint8)
    heads = packets.time[start]
    seen = np.where(before.fresh, heads, before.seen)
    begins = packets.first
    if int(packets.time.max()) - int(packets.time.min()) < min(IDLE_UDP_NS, IDLE_TCP_NS) - ROUNDING:
        cut[start[_gaps(heads, seen, packets.tcp[start])]] = IDLE  # no packet of the batch is late but the first ones
    else:
        previous = np.empty_like(packets.time)
        previous[1:] = packets.time[:-1]
        previous[start] = seen
        gap = _gaps(packets.time, previous, packets.tcp)
        cut[gap] = IDLE
        begins = packets.first | gap
        begin = np.flatnonzero(begins)
    closed, suspects = _judge(packets, before, begin, cut)
    if len(suspects):
        begins = begins.copy()
        for position, why in _scan(packets, before, begins, cut, suspects):
            cut[position] = why
            begins[position] = True
        begin = np.flatnonzero(begins)
        closed, _ = _judge(packets, before, begin, cut)
    reason: U8 = cut[begin]
    ended_closed = np.empty(len(begin), bool)  # a gap behind a closed segment ended it by its close
    ended_closed[1:] = closed[:-1] != NEVER
    first = packets.first[begin]
    ended_closed[first] = before.closed != NEVER
    reason[(reason == IDLE) & ended_closed] = END
    return Segments(begin, reason, closed)


def _gaps(time: I64, previous: I64, tcp: Bool) -> Bool:
    """Tell where more than the idle limit lies between two times, either way."""
    # the subtraction is done in float64 where int64 could wrap: clamped times lie 292 years apart
    gap: Bool = np.abs(time.astype(np.float64) - previous) > idle_limit(tcp)
    return gap


def _judge(packets: Sorted, before: Before, start: I64, cut: U8) -> tuple[I64, I64]:
    """Return when each segment closes (NEVER), and which segments hold a packet that starts a new record.

    start: int64[S], where the segments begin.
    """
    count = len(start)
    opened = packets.time[start]
    closed_before = np.full(count, NEVER, np.int64)
    fins = np.zeros(count, np.uint8)
    old = packets.first[start]
    kept = ~before.fresh & (cut[start[old]] == NOT_CUT)
    kept_at = np.flatnonzero(old)[kept]
    opened[kept_at] = before.opened[kept]
    closed_before[kept_at] = before.closed[kept]
    fins[kept_at] = before.fins[kept]
    suspects = np.zeros(count, bool)
    if float(packets.time.max()) - float(opened.min()) > ACTIVE_NS:
        suspects = np.maximum.reduceat(packets.time, start).astype(np.float64) - opened > ACTIVE_NS

    ends = np.flatnonzero(packets.flags & np.uint8(FIN | RST))  # packets that may close
    already = closed_before != NEVER
    if not len(ends) and not already.any():
        return closed_before, start[suspects]
    owner = np.searchsorted(start, ends, "right") - 1
    fin, side = packets.flags[ends] & FIN != 0, packets.side[ends]
    closing = _first(ends, owner, packets.flags[ends] & RST != 0, count)
    both = start.copy()  # FIN of both sides, those of earlier batches included
    for who in (0, 1):
        seen = _first(ends, owner, fin & (side == who), count)
        np.maximum(both, np.where(fins >> who & 1, start, seen), out=both)
    np.minimum(closing, both, out=closing)
    closes = closing != NEVER
    closed = np.where(closes, packets.time[np.where(closes, closing, 0)], NEVER)
    closed[already] = closed_before[already]
    # packets behind the close: a new connection, or too late for this one
    shut = np.flatnonzero(closes | already)
    begin = np.where(already, start, closing + 1)[shut]
    size = np.append(start[1:], len(packets.time))[shut] - begin
    total = int(size.sum())
    if total:
        behind = np.repeat(begin - np.cumsum(size) + size, size) + np.arange(total)
        limit = np.repeat(closed[shut], size).astype(np.float64) + LINGER_NS
        new = ((packets.flags[behind] & (SYN | ACK)) == SYN) | (packets.time[behind] > limit)
        suspects[np.repeat(shut, size)[new]] = True
    return closed, start[suspects]


def _first(position: I64, owner: I64, holds: Bool, count: int) -> I64:
    """Return for each of `count` segments the first position where something holds, NEVER where it does nowhere.

    position, owner: int64, rising positions of packets, and the segment of each.
    """
    first = np.full(count, NEVER, np.int64)
    first[owner[holds][::-1]] = position[holds][::-1]  # the last write stays
    return first


def _scan(packets: Sorted, before: Before, begins: Bool, cut: U8, suspects: I64) -> list[tuple[int, int]]:
    """Walk the few segments that hold a cut, packet by packet; return (position, end reason of what it cuts off)."""
    start = np.flatnonzero(begins)
    end = np.append(start[1:], len(packets.time))
    stop = dict(zip(start.tolist(), end.tolist(), strict=True))
    rank = np.cumsum(packets.first) - 1
    cuts: list[tuple[int, int]] = []
    for at in suspects.tolist():
        time, flags, side = (c[at : stop[at]].tolist() for c in (packets.time, packets.flags, packets.side))
        opened, closed, fins = time[0], NEVER, 0
        flow = int(rank[at])
        if packets.first[at] and not before.fresh[flow] and cut[at] == NOT_CUT:
            opened, closed, fins = int(before.opened[flow]), int(before.closed[flow]), int(before.fins[flow])
        for i, (now, flag, who) in enumerate(zip(time, flags, side, strict=True)):
            if closed != NEVER and (flag & (SYN | ACK) == SYN or now > closed + LINGER_NS):
                cuts.append((at + i, END))
                opened, closed, fins = now, NEVER, 0
            elif closed == NEVER and now - opened > ACTIVE_NS:
                cuts.append((at + i, ACTIVE))
                opened, fins = now, 0
            if flag & FIN:
                fins |= 1 << who
            if closed == NEVER and (fins == 3 or flag & RST):
                closed = now
    return cuts
