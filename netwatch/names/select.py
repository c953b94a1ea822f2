"""Which packets of a batch parsers should see, whatever their place in a flow."""

from typing import Final

import numpy as np

from netwatch.model.arrays import I32, U8, U16, U64, Bool
from netwatch.model.packets import TCP, UDP
from netwatch.names.initial import VERSIONS

ALWAYS: Final = 1
HELLO: Final = 2
TCP_PORTS: Final = (53, 5353)
UDP_PORTS: Final = (53, 67, 68, 546, 547, 5353, 5355)
INITIAL_MIN: Final = 1_000  # bytes; RFC 9000 section 14.1 asks for 1,200, Google's early versions for less

_ALWAYS_TCP, _ALWAYS_UDP = 1, 2
_BY_PROTOCOL: Final = np.zeros(256, np.uint8)
_BY_PROTOCOL[[TCP, UDP]] = _ALWAYS_TCP, _ALWAYS_UDP
_BY_PORT: Final = np.zeros(65_536, np.uint8)
_BY_PORT[list(TCP_PORTS)] |= _ALWAYS_TCP
_BY_PORT[list(UDP_PORTS)] |= _ALWAYS_UDP
_BY_FIRST: Final = np.zeros(256, np.uint8)  # what HELLO may begin with
_BY_FIRST[0x16] = _ALWAYS_TCP | _ALWAYS_UDP
_BY_FIRST[0xC0:] = _ALWAYS_UDP
_DNS: Final = 53
_ANOTHER: Final = np.zeros(65_536, np.bool_)  # ports of other protocols, and of mDNS and LLMNR
_ANOTHER[[port for port in UDP_PORTS if port != _DNS]] = True
_VERSIONS: Final = np.array(sorted(VERSIONS), np.uint64)


def perhaps(protocol: U8, src_port: U16, dst_port: U16, first: U8) -> Bool:
    """Mark the packets (bool[N]) that `wanted` may mark, few of all. first: uint8[N], of their payload."""
    marks: Bool = (_BY_PORT[src_port] | _BY_PORT[dst_port] | _BY_FIRST[first]) & _BY_PROTOCOL[protocol] != 0
    return marks


def wanted(protocol: U8, src_port: U16, dst_port: U16, head: U64, payload_len: I32) -> U8:
    """Mark the packets to hand over (uint8[N]): ALWAYS by port, HELLO by their first bytes, else 0.

    protocol: uint8[N], IP protocol.   src_port, dst_port: uint16[N].   payload_len: int32[N], bytes captured.
    head: uint64[N], the first eight bytes of the payload, big-endian, zeros behind its end.
    HELLO: a record of a TLS ClientHello, a DTLS handshake record of epoch 0, a QUIC long header of a version that
    is read, in a datagram of INITIAL_MIN bytes or more. Raises nothing.
    """
    tcp, udp = protocol == TCP, protocol == UDP
    out = ((_BY_PORT[src_port] | _BY_PORT[dst_port]) & _BY_PROTOCOL[protocol] != 0).astype(np.uint8)
    top = head >> np.uint64(40)
    tls = tcp & (top >= 0x160300) & (top <= 0x160304) & (head >> np.uint64(16) & np.uint64(0xFF) == 1)
    datagrams = np.flatnonzero(udp & (head >> np.uint64(60) != 0))
    first = head[datagrams]
    dtls = (first >> np.uint64(48) == 0x16FE) & (first >> np.uint64(40) & np.uint64(0xFF) >= 0xFC)
    dtls &= first >> np.uint64(24) & np.uint64(0xFFFF) == 0
    quic = (first >> np.uint64(62) == 3) & (payload_len[datagrams] >= INITIAL_MIN)
    version = first >> np.uint64(24) & np.uint64(0xFFFF_FFFF)
    quic &= _VERSIONS.take(np.searchsorted(_VERSIONS, version), mode="clip") == version  # np.isin imports numpy.ma
    out[tls] = HELLO
    out[datagrams[dtls | quic]] = HELLO
    return np.where(payload_len > 0, out, np.uint8(0))


def plain_dns(src_port: U16, dst_port: U16) -> Bool:
    """Mark datagrams (bool[N]) that are messages of DNS by their ports, uint16[N], and of no other protocol."""
    dns: Bool = (src_port == _DNS) | (dst_port == _DNS)
    return dns & ~(_ANOTHER[src_port] | _ANOTHER[dst_port])
