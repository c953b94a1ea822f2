"""The flow table: packets in, live flows kept, finished flows out; exact counters, nothing counted twice."""

from typing import NamedTuple

import numpy as np

from netwatch.flows.index import FlowIndex
from netwatch.flows.key import V6_BIT, Keys, flow_keys
from netwatch.flows.record import FRESH, NEVER, SYN_ACK_LOW, SYN_LOW, WATCH_NONE, Rows, clear, gather, join, scatter
from netwatch.flows.segments import ACK, FIN, NOT_CUT, SYN, Before, Segments, Sorted, cut_segments, idle_limit
from netwatch.model.arrays import I32, I64, U8, U16, U32, Bool
from netwatch.model.limits import LINGER_NS, RELEASE_PACKETS
from netwatch.model.packets import NO_MAC, TCP, UDP, Packets
from netwatch.model.records import ACTIVE, END, FORCED, IDLE, LACK


class Added(NamedTuple):
    """How a batch of N packets fell into S segments (parts of flows).

    segment: int32[N], the segment of each packet, in order of arrival.   side: uint8[N], which end sent it.
    rank:    int32[N], payload packets of its flow before it.
    token, number: int64[S].   row: int64[S], the row of a segment that lives on, -1 where it ended.
    fresh:   bool[S], the flow began in this batch.   carries: int64[S], token of the record that it continues, or -1.
    watch:   uint8[S], as it was before this batch.
    isn:     uint32[S, 2], isn_at: int64[S, 2]: first packet that may rely on it, N where it is not known.
    order, start: the packets sorted by segment, and where each segment starts in that order.
    """

    segment: I32
    side: U8
    rank: I32
    token: I64
    number: I64
    row: I64
    fresh: Bool
    carries: I64
    watch: U8
    isn: U32
    isn_at: I64
    order: I64
    start: I64


class FlowTable:
    """Live flows, at most max_flows of them, and the finished ones until they are taken.

    Packets are added in blocks that never span a multiple of `block` (the caller cuts them), and `make_room` is called
    at those points alone: what is evicted depends on the input, not on the batches.
    """

    def __init__(self, max_flows: int, multipliers: tuple[int, int, int, int, int, int]) -> None:
        self._index = FlowIndex(multipliers)
        self._max_flows = max_flows
        self.block = min(RELEASE_PACKETS // 2, max(1, max_flows // 8))
        self._ended: list[Rows] = []
        self._local: I32 = np.zeros(0, np.int32)
        self.created = 0

    @property
    def live(self) -> int:
        """Flows in the table."""
        return self._index.live

    @property
    def ended(self) -> bool:
        """Whether flows have ended that were not taken yet."""
        return bool(self._ended)

    def add(self, packets: Packets, time: I64, wirelen: U32, number: I64, interface: U16, token: I64) -> Added:
        """Count packets that are all in_flow, in order of arrival; at most 65,536.

        token: int64[N], position of each packet in the whole input; the other columns are those of PacketBatch.
        """
        keys = flow_keys(packets)
        order, first, row = self._sort(keys)
        tcp = packets.protocol == TCP
        flags = packets.tcp_flags.take(order)
        by_flow = Sorted(first, time.take(order), flags, keys.side.take(order), tcp.take(order))
        state = gather(self._index.rows, row)
        fins = ((state["flags"][:, 0] & FIN) | (state["flags"][:, 1] & FIN) << 1).astype(np.uint8)
        before = Before(state["token"] == FRESH, state["opened"], state["seen"], state["closed"], fins)
        cuts = cut_segments(by_flow, before)
        part, kept, carries = self._merge(packets, by_flow, state, cuts, order, wirelen, number, interface, token)
        isn_at = self._isn(part, packets, by_flow, order, cuts.start, kept)
        payload = ((packets.payload_len > 0) & ~packets.fragment).take(order)
        segment_sorted = np.repeat(np.arange(len(cuts.start)), np.append(cuts.start[1:], len(order)) - cuts.start)
        rank_sorted = self._rank(part, payload, packets.cut.take(order), cuts.start, segment_sorted)
        segment = np.empty(len(order), np.int32)
        segment[order] = segment_sorted
        rank = np.empty(len(order), np.int32)
        rank[order] = rank_sorted
        watch = part["watch"].copy()
        head = first[cuts.start]
        live_row = self._settle(part, cuts, row[np.cumsum(head) - 1], head, state)
        return Added(
            segment, keys.side, rank, part["token"], part["number"], live_row, ~kept, carries, watch,
            part["isn"], isn_at, order, cuts.start,
        )  # fmt: skip

    def watch(self, rows: I64, watch: U8) -> None:
        """Set which payload packets the parsers want of live rows."""
        self._index.rows["watch"][rows] = watch

    def sweep(self, now: int) -> None:
        """End the flows that are silent for too long at `now` (ns): any later packet would begin a new one."""
        rows, state = self._index.live_rows(), self._index.rows
        tcp = (state["word1"][rows] >> np.uint64(24) & np.uint64(255)) == TCP
        closed_at = state["closed"][rows]
        closed = closed_at != NEVER
        since = np.where(closed, closed_at, state["seen"][rows]).astype(np.float64)
        over = since + np.where(closed, LINGER_NS, idle_limit(tcp)) < now
        self._end(rows[over], np.where(closed[over], END, IDLE))

    def make_room(self) -> None:
        """Evict what is needed for `block` new flows: those never answered first, then the longest silent."""
        need = self._index.live + self.block - max(self._max_flows, self.block)
        if need <= 0:
            return
        rows = self._index.live_rows()
        state = self._index.rows
        answered = (state["packets"][rows] > 0).all(axis=1)
        quiet = rows[~answered]
        if len(quiet) > need:
            chosen = quiet[_oldest(state["seen"][quiet], state["token"][quiet], need)]
        else:
            busy = rows[answered]
            more = need - len(quiet)
            chosen = np.concatenate((quiet, busy[_oldest(state["seen"][busy], state["token"][busy], more)]))
        self._end(chosen, np.full(len(chosen), LACK))

    def finish(self) -> None:
        """End every flow: the input is over."""
        rows = self._index.live_rows()
        closed = self._index.rows["closed"][rows] != NEVER
        self._end(rows, np.where(closed, END, FORCED))
        self._index.clear()

    def take(self) -> Rows:
        """Hand over the flows that ended since the last call (dtype FLOW, field reason set)."""
        ended = self._ended[0] if len(self._ended) == 1 else join(self._ended)
        self._ended = []
        return ended

    def peek(self) -> Rows:
        """Return the live flows as they stand, as if the input had ended."""
        rows = self._index.live_rows()
        live = gather(self._index.rows, rows)
        live["reason"] = np.where(live["closed"] != NEVER, END, FORCED)
        return live

    def _end(self, rows: I64, reason: I64) -> None:
        if len(rows):
            ended = gather(self._index.rows, rows)
            ended["reason"] = reason
            self._ended.append(ended)
            self._index.remove(rows)

    def _sort(self, keys: Keys) -> tuple[I64, Bool, I64]:
        """Sort packets by flow, stable; return (order, which sorted packet is its flow's first, row of each flow).

        A 16-bit hash of the keys is sorted by counting, so that keys are looked up once for each run of equal ones.
        Where two flows share a hash their runs may alternate: then 16-bit numbers of their rows are sorted.
        """
        order = np.argsort((self._index.mixed(*keys[:3]) >> np.uint64(48)).astype(np.uint16), kind="stable")
        first = _run_starts(keys, order)
        lead = order[first]
        row = self._index.find_or_add(
            keys.word0[lead], keys.word1[lead], None if keys.wide is None else keys.wide[lead]
        )
        if len(self._local) < len(self._index.rows):
            self._local = np.zeros(len(self._index.rows), np.int32)
        run = np.arange(len(row), dtype=np.int32)
        self._local[row] = run
        local = self._local[row]
        if (local != run).any():
            flow = local.astype(np.uint16)[np.cumsum(first) - 1]
            again = np.argsort(flow, kind="stable")
            order, flow = order[again], flow[again]
            np.not_equal(flow[1:], flow[:-1], out=first[1:])
            row = row[flow[first]]
        return order, first, row

    def _merge(
        self, packets: Packets, by_flow: Sorted, state: Rows, cuts: Segments, order: I64,
        wirelen: U32, number: I64, interface: U16, token: I64,
    ) -> tuple[Rows, Bool, I64]:  # fmt: skip
        """Sum each segment, on top of the row that it continues; return (segments, continues, token it carries on)."""
        start = cuts.start
        head = by_flow.first[start]
        part = gather(state, np.cumsum(head) - 1)
        kept = head & (cuts.cut == NOT_CUT) & (part["token"] != FRESH)
        carries = np.full(len(start), -1, np.int64)
        new = np.flatnonzero(~kept)
        lead = order[start[new]]
        first_side = by_flow.side[start[new]]
        clear(part, new)
        part["token"][new] = token[lead]
        part["number"][new] = number[lead]
        for field in ("opened", "start", "end"):
            part[field][new] = by_flow.time[start[new]]
        part["mac"][new, first_side] = packets.src_mac[lead]
        part["mac"][new, 1 - first_side] = packets.dst_mac[lead]
        part["first_side"][new] = first_side
        part["tunnel"][new] = packets.tunnel[lead]
        part["interface"][new] = interface[lead]
        inspected = (packets.protocol[lead] == TCP) | (packets.protocol[lead] == UDP)
        part["watch"][new] = np.where(inspected & packets.ports[lead], 0, WATCH_NONE)
        active = cuts.cut == ACTIVE
        if active.any():
            previous = np.roll(part["token"], 1)
            previous[head] = state["token"]
            carries[active] = previous[active]
        self.created += len(new)

        high = by_flow.side.astype(np.int64)
        length = np.append(start[1:], len(order)) - start
        sent_high = np.add.reduceat(high, start)
        part["packets"][:, 1] += sent_high.astype(np.uint32)
        part["packets"][:, 0] += (length - sent_high).astype(np.uint32)
        for field, column in (("bytes", packets.ip_bytes), ("wire", wirelen)):
            amount = column.take(order).astype(np.int64, copy=False)
            total, upper = np.add.reduceat(amount, start), np.add.reduceat(amount * high, start)
            part[field][:, 1] += upper
            part[field][:, 0] += total - upper
        part["start"] = np.minimum(part["start"], np.minimum.reduceat(by_flow.time, start))
        part["end"] = np.maximum(part["end"], np.maximum.reduceat(by_flow.time, start))
        part["seen"] = by_flow.time[start + length - 1]
        part["closed"] = cuts.closed
        upper_flags = by_flow.flags * by_flow.side
        part["flags"][:, 1] |= np.bitwise_or.reduceat(upper_flags, start)
        part["flags"][:, 0] |= np.bitwise_or.reduceat(by_flow.flags * (1 - by_flow.side), start)
        self._fill_macs(part, packets, by_flow, order, start)
        return part, kept, carries

    @staticmethod
    def _fill_macs(part: Rows, packets: Packets, by_flow: Sorted, order: I64, start: I64) -> None:
        """A link that shows only the sender's address (SLL) tells the other one when that end answers."""
        lack = (part["mac"] == NO_MAC).any(axis=1)
        if not lack.any() or (packets.src_mac == NO_MAC).all():
            return
        n = len(order)
        index = np.arange(n)
        for side in (0, 1):
            at = np.minimum.reduceat(np.where(by_flow.side == side, index, n), start)
            fill = (part["mac"][:, side] == NO_MAC) & (at < n)
            part["mac"][fill, side] = packets.src_mac[order[at[fill]]]

    @staticmethod
    def _isn(part: Rows, packets: Packets, by_flow: Sorted, order: I64, start: I64, kept: Bool) -> I64:
        """Note where streams begin; return from which packet on each is known, int64[S, 2]."""
        n = len(order)
        known_at = np.where(part["isn_known"] != 0, 0, n).astype(np.int64)
        known_at[~kept] = n
        at = np.flatnonzero(by_flow.flags & SYN)
        if len(at):
            segment = np.searchsorted(start, at, side="right") - 1
            side = by_flow.side[at]
            fresh = known_at[segment, side] == n
            at, segment, side = at[fresh][::-1], segment[fresh][::-1], side[fresh][::-1]  # the earliest write stays
            part["isn"][segment, side] = packets.seq[order[at]] + np.uint32(1)
            part["isn_known"][segment, side] = 1
            known_at[segment, side] = order[at]
            acks = (by_flow.flags[at] & ACK) != 0
            bit = np.where(acks, SYN_ACK_LOW, SYN_LOW).astype(np.uint8) << side
            np.bitwise_or.at(part["syn"], segment, bit)
        return known_at

    @staticmethod
    def _rank(part: Rows, payload: Bool, cut: Bool, start: I64, segment: I64) -> I64:
        """Count payload packets: before each packet of the batch, and in the segments' state."""
        total = np.cumsum(payload)
        base = (total[start] - payload[start]) - part["looked"]
        rank = total - payload - base[segment]
        inside = np.add.reduceat(payload.astype(np.int64), start)
        part["looked"] = np.minimum(part["looked"] + inside, 255)
        part["payload"] |= (inside > 0).astype(np.uint8)
        part["payload"] |= np.maximum.reduceat(cut, start).astype(np.uint8) << 1
        return rank

    def _settle(self, part: Rows, cuts: Segments, row: I64, head: Bool, state: Rows) -> I64:
        """Write living segments back and put the ended ones aside; return each segment's row, -1 where it ended."""
        last = np.empty(len(head), bool)
        last[-1:] = True
        last[:-1] = head[1:]
        over = head & (cuts.cut != NOT_CUT)  # what stood in the row before this batch ended with the first packet
        if over.any():
            ended = gather(state, over[head])
            ended["reason"] = cuts.cut[over]
            self._ended.append(ended)
        if not last.all():
            ended = gather(part, ~last)
            ended["reason"] = cuts.cut[np.flatnonzero(~last) + 1]
            self._ended.append(ended)
        scatter(self._index.rows, row[last], gather(part, last))
        return np.where(last, row, -1)


def _run_starts(keys: Keys, order: I64) -> Bool:
    """Tell which sorted packets have another key than the one before."""
    first = np.empty(len(order), bool)
    first[:1] = True
    word0, word1 = keys.word0.take(order), keys.word1.take(order)
    np.not_equal(word0[1:], word0[:-1], out=first[1:])
    first[1:] |= word1[1:] != word1[:-1]
    if keys.wide is not None:
        at = np.flatnonzero(word1 & np.uint64(V6_BIT))
        differs = keys.wide[order[at]] != keys.wide[order[at - 1]]
        first[at] |= differs[:, 0] | differs[:, 1] | differs[:, 2]
    return first


def _oldest(seen: I64, token: I64, count: int) -> I64:
    """Return the positions of the `count` entries seen longest ago; of equal times, those that began first."""
    if count >= len(seen):
        return np.arange(len(seen))
    border = np.partition(seen, count - 1)[count - 1] if count else np.int64(0)
    older = np.flatnonzero(seen < border)
    if not count:
        return older[:0]
    tied = np.flatnonzero(seen == border)
    tied = tied[np.argsort(token[tied], kind="stable")]
    return np.concatenate((older, tied[: count - len(older)]))
