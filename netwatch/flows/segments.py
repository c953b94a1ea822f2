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
    start = np.flatnonzero(packets.first)
    previous = np.empty_like(packets.time)
    previous[1:] = packets.time[:-1]
    previous[start] = np.where(before.fresh, packets.time[start], before.seen)
    cut = np.full(len(packets.time), NOT_CUT, np.uint8)
    # the subtraction is done in float64 where int64 could wrap: clamped times lie 292 years apart
    gap = np.abs(packets.time.astype(np.float64) - previous) > idle_limit(packets.tcp)
    cut[gap] = IDLE
    begins = packets.first | gap
    closed, suspects = _judge(packets, before, begins, cut)
    if len(suspects):
        for position, why in _scan(packets, before, begins, cut, suspects):
            cut[position] = why
            begins[position] = True
        closed, _ = _judge(packets, before, begins, cut)
    begin = np.flatnonzero(begins)
    reason: U8 = cut[begin]
    ended_closed = np.empty(len(begin), bool)  # a gap behind a closed segment ended it by its close
    ended_closed[1:] = closed[:-1] != NEVER
    first = packets.first[begin]
    ended_closed[first] = before.closed != NEVER
    reason[(reason == IDLE) & ended_closed] = END
    return Segments(begin, reason, closed)


def _judge(packets: Sorted, before: Before, begins: Bool, cut: U8) -> tuple[I64, I64]:
    """Return when each segment closes (NEVER), and which segments hold a packet that starts a new record."""
    start = np.flatnonzero(begins)
    count = len(start)
    length = np.diff(start, append=len(packets.time))
    opened = packets.time[start].copy()
    closed_before = np.full(count, NEVER, np.int64)
    fins = np.zeros(count, np.uint8)
    old = packets.first[start]
    kept = ~before.fresh & (cut[start[old]] == NOT_CUT)
    kept_at = np.flatnonzero(old)[kept]
    opened[kept_at] = before.opened[kept]
    closed_before[kept_at] = before.closed[kept]
    fins[kept_at] = before.fins[kept]
    suspects = np.maximum.reduceat(packets.time, start).astype(np.float64) - opened > ACTIVE_NS

    closed = closed_before.copy()
    flags = np.bitwise_or.reduceat(packets.flags, start)
    some = ((flags & (FIN | RST)) != 0) | (closed_before != NEVER)
    if some.any():
        at = np.flatnonzero(np.repeat(some, length))  # packets of segments that close
        segment = np.flatnonzero(some)
        size = length[some]
        head = np.cumsum(size) - size
        flag, side, time = packets.flags[at], packets.side[at], packets.time[at]
        fin = (flag & FIN) != 0
        done = _so_far(fin & (side == 0), head, size, (fins[segment] & 1) != 0)
        done &= _so_far(fin & (side == 1), head, size, (fins[segment] & 2) != 0)
        done |= _so_far((flag & RST) != 0, head, size, closed_before[segment] != NEVER)
        index = np.arange(len(at))
        closing = np.minimum.reduceat(np.where(done, index, len(at)), head)
        closes = closing < head + size
        when = time[np.where(closes, closing, 0)]
        already = closed_before[segment] != NEVER
        closed[segment] = np.where(already, closed_before[segment], np.where(closes, when, NEVER))
        since = np.repeat(np.where(already, head - 1, np.where(closes, closing, len(at))), size)
        behind = index > since
        if behind.any():
            limit = np.repeat(closed[segment], size)[behind].astype(np.float64) + LINGER_NS
            new = ((flag[behind] & (SYN | ACK)) == SYN) | (time[behind] > limit)
            owner = np.repeat(segment, size)[behind]
            suspects[owner[new]] = True
    return closed, start[suspects]


def _so_far(event: Bool, head: I64, size: I64, initial: Bool) -> Bool:
    """Whether an event has happened up to and with each packet of its segment."""
    total: I64 = np.cumsum(event)
    base: I64 = total[head] - event[head]
    happened: Bool = (total > np.repeat(base, size)) | np.repeat(initial, size)
    return happened


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
