"""What is remembered of fragmented datagrams from one packet to the next."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from netwatch.decode.bytesview import Rows
from netwatch.model.arrays import I64, U8, Bool
from netwatch.model.limits import FRAGMENT_AGE_NS, FRAGMENT_BYTES, FRAGMENTS
from netwatch.model.packets import UDP, Packets

DATAGRAM_MAX: Final = 65_535  # RFC 791 section 3.1: what the length field of a whole datagram can say
UDP_HEADER: Final = 8

Key: TypeAlias = tuple[int, ...]
"""family, addresses, protocol (0 for IPv6: RFC 8200 section 4.5 leaves it out), identification."""


class First(NamedTuple):
    """What the first fragment of a datagram told the later ones."""

    time: int
    protocol: int
    src_port: int
    dst_port: int


class Part(NamedTuple):
    """A fragment of the batch at hand: how many bytes it has, and where they belong in its datagram."""

    row: int
    key: Key
    time: int
    at: int
    length: int
    last: bool
    cut: bool


@dataclass(slots=True)
class Datagram:
    """The payload of a UDP datagram that is not whole yet.

    have: bool, which of the bytes came.   total: its length, -1 before the last fragment.   dead: it broke a rule.
    """

    time: int
    first: bool = False
    dead: bool = False
    total: int = -1
    count: int = 0
    bytes: U8 = field(default_factory=lambda: np.zeros(0, np.uint8))
    have: Bool = field(default_factory=lambda: np.zeros(0, np.bool_))

    @property
    def size(self) -> int:
        """Bytes of memory that the payload takes."""
        return 2 * self.bytes.size

    def add(self, at: int, piece: U8) -> bool:
        """Put a piece in its place; False where it differs from bytes that came before."""
        end = at + piece.size
        if end > self.bytes.size:
            room = np.zeros(max(end, min(2 * self.bytes.size, DATAGRAM_MAX)) - self.bytes.size, np.uint8)
            self.bytes = np.concatenate((self.bytes, room))
            self.have = np.concatenate((self.have, room.astype(np.bool_)))
        there = self.have[at:end]
        if there.any() and not np.array_equal(self.bytes[at:end][there], piece[there]):
            return False
        self.count += int(np.count_nonzero(~there))
        self.bytes[at:end] = piece
        self.have[at:end] = True
        return True

    def clear(self) -> None:
        """Forget the bytes; what still comes of this datagram is not wanted."""
        self.dead, self.total = True, -1
        self.bytes, self.have = np.zeros(0, np.uint8), np.zeros(0, np.bool_)


class Fragments:
    """Gives later fragments the ports of their first one, and joins UDP payloads that came in parts.

    A later fragment that comes before its first stays without ports: rows are not held back. Entries live for
    FRAGMENT_AGE_NS of packet time; at most FRAGMENTS of them, then the oldest goes. The result does not depend on where
    batches end.

    anomalies: how often each rule of model/anomalies.py was broken.
    """

    def __init__(self) -> None:
        self.anomalies: Counter[str] = Counter()
        self._firsts: dict[Key, First] = {}
        self._datagrams: dict[Key, Datagram] = {}
        self._bytes = 0
        self._parts: list[Part] = []

    def apply(self, packets: Packets, time: I64) -> Packets:
        """Return the packets of a batch, with the ports of later fragments whose first one is known.

        time: int64, when each packet came, ns.   The payload of a later fragment is none: payload_len is 0.
        """
        self._parts = []
        if not packets.fragment.any():
            return packets
        rows = np.flatnonzero(packets.fragment)
        protocol, ports = packets.protocol.copy(), packets.ports.copy()
        src_port, dst_port = packets.src_port.copy(), packets.dst_port.copy()
        parts = self._read(packets, rows, time)
        for part in parts:
            row = part.row
            if part.at == 0 and ports[row]:
                told = First(part.time, int(protocol[row]), int(src_port[row]), int(dst_port[row]))
                self._remember(part.key, told)
            elif part.at:
                first = self._firsts.get(part.key)
                if first is not None and abs(part.time - first.time) <= FRAGMENT_AGE_NS:
                    ports[row], protocol[row] = True, first.protocol
                    src_port[row], dst_port[row] = first.src_port, first.dst_port
        udp = (packets.protocol[rows] == UDP) & (packets.ports[rows] | (packets.fragment_at[rows] > 0))
        self._parts = [part for part, wanted in zip(parts, udp.tolist(), strict=True) if wanted]
        payload_len = packets.payload_len.copy()
        payload_len[rows[packets.fragment_at[rows] > 0]] = 0
        return packets._replace(
            protocol=protocol, ports=ports, src_port=src_port, dst_port=dst_port, payload_len=payload_len
        )

    def datagrams(self, packets: Packets, data: U8) -> list[tuple[int, bytes]]:
        """Return the UDP payloads that became whole in the batch last given to apply, each with its row.

        packets: what apply returned.   data: the buffer of that batch. Fragments may have come in any order. A payload
        of which two fragments say different bytes is dropped (RFC 5722).
        """
        out = []
        for part in self._parts:
            start = int(packets.payload[part.row])
            whole = self._join(part, data[start : start + part.length])
            if whole is not None:
                out.append((part.row, whole))
        self._parts = []
        return out

    def _read(self, packets: Packets, rows: Rows, time: I64) -> list[Part]:
        columns = [
            packets.family[rows].astype(np.int64),
            *(column[rows] for column in (packets.src_hi, packets.src_lo, packets.dst_hi, packets.dst_lo)),
            np.where(packets.family[rows] == 4, packets.protocol[rows], 0),
            packets.fragment_id[rows],
        ]
        keys = zip(*(column.tolist() for column in columns), strict=True)
        places = (packets.fragment_at, packets.payload_len, packets.fragment_last, packets.cut)
        rest = zip(*(column[rows].tolist() for column in places), strict=True)
        times = time[rows].tolist()
        return [
            Part(row, key, when, *place) for row, key, when, place in zip(rows.tolist(), keys, times, rest, strict=True)
        ]

    def _remember(self, key: Key, first: First) -> None:
        self._firsts.pop(key, None)
        if len(self._firsts) >= FRAGMENTS:
            del self._firsts[next(iter(self._firsts))]
            self.anomalies["frag_evicted"] += 1
        self._firsts[key] = first

    def _join(self, part: Part, piece: U8) -> bytes | None:
        datagram = self._datagrams.get(part.key)
        if datagram is not None and abs(part.time - datagram.time) > FRAGMENT_AGE_NS:
            self._forget(part.key)
            datagram = None
        if datagram is None:
            datagram = self._datagrams[part.key] = Datagram(part.time)
            self._make_room()
        if datagram.dead:
            return None
        before = datagram.size
        problem = self._add(datagram, part, piece)
        if problem:
            self.anomalies[problem] += 1
        if problem or part.cut:
            datagram.clear()
        self._bytes += datagram.size - before
        if datagram.first and datagram.count == datagram.total:
            whole = datagram.bytes[: datagram.total].tobytes()
            self._forget(part.key)
            return whole
        self._make_room()
        return None

    @staticmethod
    def _add(datagram: Datagram, part: Part, piece: U8) -> str:
        """Add a part to its datagram; return the rule that it breaks, or nothing."""
        at = max(part.at - UDP_HEADER, 0)
        end = at + part.length
        if end > DATAGRAM_MAX - UDP_HEADER:
            return "frag_too_long"
        if part.last and (datagram.total not in (-1, end) or datagram.have[end:].any()):
            return "frag_overlap"
        if part.last:
            datagram.total = end
        datagram.first |= part.at == 0
        beyond = -1 < datagram.total < end
        return "frag_overlap" if beyond or not datagram.add(at, piece) else ""

    def _forget(self, key: Key) -> None:
        self._bytes -= self._datagrams.pop(key).size

    def _make_room(self) -> None:
        while len(self._datagrams) > FRAGMENTS or self._bytes > FRAGMENT_BYTES:
            self._forget(next(iter(self._datagrams)))
            self.anomalies["frag_datagram_evicted"] += 1
