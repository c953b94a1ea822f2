"""What decode hands over: the columns of a batch."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from netwatch.model.arrays import I32, I64, U8, U16, U32, U64, Bool

# States of the ledger: each frame ends in exactly one.
OK: Final = 0
NON_IP: Final = 1
MALFORMED: Final = 2
TRUNCATED: Final = 3
TOO_DEEP: Final = 4
STATES: Final = ("ok", "non_ip", "malformed", "truncated", "too_deep")

NO_MAC: Final = 0xFFFF_FFFF_FFFF_FFFF
NO_VLAN: Final = -1

TCP: Final = 6
UDP: Final = 17
ICMP: Final = 1
ICMP6: Final = 58
SCTP: Final = 132


class Packets(NamedTuple):
    """Columns of N frames. Every row is meaningful in state, in_flow; the others only where in_flow is true.

    state:      uint8, one of STATES.
    in_flow:    bool, counted to a flow: ok, too_deep, and malformed or truncated with a whole innermost IP header.
    family:     uint8, 4 or 6: version of the innermost IP header that is whole.
    src_hi, src_lo, dst_hi, dst_lo: uint64, addresses in two halves; IPv4 has hi 0 and the address in lo.
    protocol:   uint8, IP protocol behind the extension headers of the innermost packet.
    ports:      bool, src_port and dst_port (uint16) were read (TCP, UDP, SCTP).
    ip_bytes:   int64, length of the innermost IP packet by its header; where that says 0, what the frame holds.
    tcp_flags:  uint8, the low eight flags (RFC 9293 section 3.1); 0 unless TCP with ports.
    seq:        uint32, TCP sequence number, host order; 0 unless TCP with ports.
    payload:    int64, where the bytes behind the TCP, UDP header start, from data[0].
    payload_len: int32, captured bytes of it, by the IP length, so without link padding; 0 where there is none.
    cut:        bool, the snapshot length took away some of the payload.
    vlan:       int32, outermost VLAN identifier, NO_VLAN without a tag.
    tunnel:     int32, index into tunnels.
    src_mac, dst_mac: uint64, outermost link-layer addresses, NO_MAC where the link has none.
    fragment:   bool, part of a fragmented datagram of the innermost packet (not an atomic fragment).
    fragment_id: uint32, identification; fragment_at: int32, offset in bytes; fragment_last: bool, no more follow.
    tunnels:    stacks of encapsulation as text, outermost first (`gre/ipip`), None for none; index 0 is None.
    anomalies:  how often each rule of model/anomalies.py was broken in these frames.
    """

    state: U8
    in_flow: Bool
    family: U8
    src_hi: U64
    src_lo: U64
    dst_hi: U64
    dst_lo: U64
    protocol: U8
    ports: Bool
    src_port: U16
    dst_port: U16
    ip_bytes: I64
    tcp_flags: U8
    seq: U32
    payload: I64
    payload_len: I32
    cut: Bool
    vlan: I32
    tunnel: I32
    src_mac: U64
    dst_mac: U64
    fragment: Bool
    fragment_id: U32
    fragment_at: I32
    fragment_last: Bool
    tunnels: tuple[str | None, ...]
    anomalies: Mapping[str, int]

    def take(self, rows: slice | I64) -> "Packets":
        """Return these rows of every column; a slice copies nothing."""
        if isinstance(rows, slice):
            return Packets._make([c[rows] if isinstance(c, np.ndarray) else c for c in self])
        return Packets._make([c.take(rows) if isinstance(c, np.ndarray) else c for c in self])
