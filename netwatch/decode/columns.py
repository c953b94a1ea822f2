"""The working columns of the frames that are decoded layer by layer, and how a frame's way ends."""

from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from netwatch.decode.bytesview import BytesView, Rows
from netwatch.model.arrays import I32, I64, U8, U32, U64, Bool
from netwatch.model.limits import TUNNEL_DEPTH
from netwatch.model.packets import MALFORMED, NO_MAC, NO_VLAN, NON_IP, OK, TOO_DEEP, TRUNCATED, Packets


class Columns:
    """Columns of M frames under way, and the results so far (named as in Packets).

    at:         int64, where the next header starts, from data[0].
    end:        int64, where the captured bytes of the enclosing layer end: no byte at or behind it is read.
    wire:       int64, where that layer ends on the wire; beyond end where the snapshot length took bytes away.
    ip_end:     int64, where the innermost IP packet ends by its own header, believed or not.
    depth:      uint8, encapsulations so far.   extensions: uint8, extension headers of the innermost IP packet.
    stack:      int32, index into tunnels of the encapsulations so far.
    tentative:  bool, inside a UDP tunnel of which no inner IP header was whole: whatever is wrong, UDP it stays.
    """

    def __init__(self, view: BytesView, offset: I64, caplen: I32, wirelen: U32) -> None:
        count = len(offset)
        self.view = view
        self.at: I64 = offset.astype(np.int64)
        self.end: I64 = self.at + caplen
        self.wire: I64 = self.at + np.maximum(wirelen, caplen)
        self.ip_end: I64 = self.wire.copy()
        self.depth: U8 = np.zeros(count, np.uint8)
        self.extensions: U8 = np.zeros(count, np.uint8)
        self.stack: I32 = np.zeros(count, np.int32)
        self.tentative: Bool = np.zeros(count, np.bool_)
        self.tunnels: list[str | None] = [None]
        self._codes: dict[str, int] = {}
        self.anomalies: Counter[str] = Counter()
        self.out = Packets(
            state=np.full(count, NON_IP, np.uint8),
            in_flow=np.zeros(count, np.bool_),
            family=np.zeros(count, np.uint8),
            src_hi=np.zeros(count, np.uint64),
            src_lo=np.zeros(count, np.uint64),
            dst_hi=np.zeros(count, np.uint64),
            dst_lo=np.zeros(count, np.uint64),
            protocol=np.zeros(count, np.uint8),
            ports=np.zeros(count, np.bool_),
            src_port=np.zeros(count, np.uint16),
            dst_port=np.zeros(count, np.uint16),
            ip_bytes=np.zeros(count, np.int64),
            tcp_flags=np.zeros(count, np.uint8),
            seq=np.zeros(count, np.uint32),
            payload=np.zeros(count, np.int64),
            payload_len=np.zeros(count, np.int32),
            cut=np.zeros(count, np.bool_),
            vlan=np.full(count, NO_VLAN, np.int32),
            tunnel=np.zeros(count, np.int32),
            src_mac=np.full(count, NO_MAC, np.uint64),
            dst_mac=np.full(count, NO_MAC, np.uint64),
            fragment=np.zeros(count, np.bool_),
            fragment_id=np.zeros(count, np.uint32),
            fragment_at=np.zeros(count, np.int32),
            fragment_last=np.zeros(count, np.bool_),
            tunnels=(None,),
            anomalies=self.anomalies,
        )

    def u8(self, rows: Rows, skip: I64 | int = 0) -> I64:
        """Read a byte of the header of each row, `skip` bytes in. The rows must be whole up to there."""
        return self.view.u8(self.at[rows] + skip)

    def u16(self, rows: Rows, skip: I64 | int = 0) -> I64:
        """Read two bytes, big-endian, as u8 does."""
        return self.view.u16(self.at[rows] + skip)

    def u32(self, rows: Rows, skip: I64 | int = 0) -> I64:
        """Read four bytes, big-endian, as u8 does."""
        return self.view.u32(self.at[rows] + skip)

    def whole(self, rows: Rows, size: I64 | int, anomaly: str) -> Rows:
        """Return the rows of which the next `size` bytes were captured; the others end as `there` says."""
        there = self.there(rows, size, anomaly)
        return rows if there.all() else rows[there]

    def there(self, rows: Rows, size: I64 | int, anomaly: str) -> Bool:
        """Tell of which rows the next `size` bytes were captured.

        The others end here: truncated where the snapshot length took bytes away, else malformed by `anomaly`.
        """
        stop = self.at[rows] + size
        short = stop > self.end[rows]
        if short.any():
            bad = rows[short]
            snapped = stop[short] <= self.wire[bad]
            self.finish(bad[snapped], TRUNCATED)
            self.fail(bad[~snapped], anomaly)
        return ~short

    def require(self, rows: Rows, holds: Bool, anomaly: str) -> Rows:
        """Return the rows where a rule holds; the others are malformed."""
        if holds.all():
            return rows
        self.fail(rows[~holds], anomaly)
        return rows[holds]

    def fail(self, rows: Rows, anomaly: str) -> None:
        """End rows as malformed, and count it; a UDP payload that looked like a tunnel is none after all."""
        count = self.finish(rows, MALFORMED)
        if count:
            self.anomalies[anomaly] += count

    def finish(self, rows: Rows, state: int) -> int:
        """End rows in a state, except tentative ones. Returns how many."""
        rows = rows[~self.tentative[rows]]
        self.out.state[rows] = state
        return len(rows)

    def too_deep(self, rows: Rows, anomaly: str) -> None:
        """End rows as too deep."""
        if rows.size:
            self.out.state[rows] = TOO_DEEP
            self.anomalies[anomaly] += len(rows)

    def deeper(self, rows: Rows) -> Rows:
        """Count one more encapsulation; return the rows that may have it (RELIABILITY P6)."""
        full = self.depth[rows] >= TUNNEL_DEPTH
        if full.any():
            self.too_deep(rows[full & ~self.tentative[rows]], "encapsulation_too_deep")
            rows = rows[~full]
        self.depth[rows] += np.uint8(1)
        return rows

    def enter(self, rows: Rows, name: str) -> Rows:
        """Enter a tunnel: one more encapsulation, and its name joins the stack; ports of UDP are reason enough."""
        full = self.depth[rows] >= TUNNEL_DEPTH
        self.too_deep(rows[full], "encapsulation_too_deep")
        rows = rows[~full]
        self.depth[rows] += np.uint8(1)
        outer, which = np.unique(self.stack[rows], return_inverse=True)
        paths = [f"{self.tunnels[code]}/{name}" if code else name for code in outer.tolist()]
        codes = [self._codes.setdefault(path, len(self._codes) + 1) for path in paths]
        self.tunnels.extend(path for path, code in zip(paths, codes, strict=True) if code == len(self.tunnels))
        self.stack[rows] = np.array(codes, np.int32)[which]
        return rows

    def skip(self, rows: Rows, size: I64 | int) -> None:
        """Step over a header."""
        self.at[rows] += size

    def narrow(self, rows: Rows, size: I64) -> None:
        """The layer holds `size` bytes from where it is; what lies behind is padding."""
        self.wire[rows] = np.minimum(self.wire[rows], self.at[rows] + size)
        self.end[rows] = np.minimum(self.end[rows], self.wire[rows])

    def count(self, wrong: Bool, anomaly: str) -> None:
        """Count a rule that was broken without harm."""
        broken = int(np.count_nonzero(wrong))
        if broken:
            self.anomalies[anomaly] += broken

    def link_addresses(self, rows: Rows, src: U64, dst: U64 | int) -> None:
        """Note link-layer addresses of rows that have none yet: the outermost count."""
        out = self.out
        first = (out.src_mac[rows] == np.uint64(NO_MAC)) & (out.dst_mac[rows] == np.uint64(NO_MAC))
        first &= out.family[rows] == 0
        out.src_mac[rows[first]] = src[first]
        out.dst_mac[rows[first]] = dst if isinstance(dst, int) else dst[first]

    def address(self, rows: Rows, family: int, src: tuple[U64, U64], dst: tuple[U64, U64], size: I64) -> None:
        """Note a whole IP header: it is the innermost one so far, and what was read behind an outer one is void.

        src, dst: uint64 halves.   size: int64, length of the packet by its header. `at` still is where that starts.
        """
        out = self.out
        nested = rows[out.family[rows] != 0]
        if nested.size:
            for column in (
                *(out.ports, out.src_port, out.dst_port, out.tcp_flags, out.seq, out.payload, out.payload_len, out.cut),
                *(out.fragment, out.fragment_id, out.fragment_at, out.fragment_last, self.extensions, self.tentative),
            ):
                column[nested] = 0
        out.state[rows] = OK
        out.family[rows] = family
        out.src_hi[rows], out.src_lo[rows] = src
        out.dst_hi[rows], out.dst_lo[rows] = dst
        out.ip_bytes[rows] = size
        out.tunnel[rows] = self.stack[rows]
        self.ip_end[rows] = self.at[rows] + size
        self.narrow(rows, size)

    def fragment(self, rows: Rows, ident: U32, at: I64, last: Bool) -> Bool:
        """Note parts of a datagram; `at` of the row is where its bytes start.

        at: int64, where in the datagram they belong.   Returns which rows are no first part: they have no header.
        """
        out = self.out
        out.fragment[rows] = True
        out.fragment_id[rows] = ident
        out.fragment_at[rows] = at
        out.fragment_last[rows] = last
        later = at > 0
        self.payload(rows[later], self.ip_end[rows[later]])
        return later

    def payload(self, rows: Rows, stop: I64) -> None:
        """Note the bytes from `at` up to `stop`, or as many of them as were captured."""
        out, start, end = self.out, self.at[rows], self.end[rows]
        out.payload[rows] = np.minimum(start, end)
        out.payload_len[rows] = np.maximum(np.minimum(stop, end) - start, 0)
        out.cut[rows] = (stop > end) & (stop > start)


Step: TypeAlias = list[tuple[int, Rows]]
Layer: TypeAlias = Callable[[Columns, Rows], Step]


def split(rows: Rows, kinds: U8) -> Step:
    """Sort rows by the layer that comes next; kind 0 is the end of the way.

    kinds: uint8, layer of each row.   Returns each layer that is there, with its rows.
    """
    if not rows.size:
        return []
    present = np.flatnonzero(np.bincount(kinds)).tolist()
    if len(present) == 1:
        return [(present[0], rows)] if present[0] else []
    return [(kind, rows[kinds == kind]) for kind in present if kind]


def descend(c: Columns, rows: Rows, kinds: U8, name: str) -> Step:
    """Enter a tunnel with the rows that have something in it, and sort them by the layer that comes next."""
    inner = kinds != 0
    rows, kinds = rows[inner], kinds[inner]
    room = c.depth[rows] < TUNNEL_DEPTH
    c.enter(rows, name)
    return split(rows[room], kinds[room])
