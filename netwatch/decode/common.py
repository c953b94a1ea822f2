"""The common path: Ethernet, up to two VLAN tags, IPv4 without options or IPv6 without extensions, TCP or UDP.

Each step is a handful of gathers over the whole batch. What is not as common as that is left to walk.py, which decodes
these frames to the same values.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from netwatch.decode.bytesview import BytesView, Rows, Structured
from netwatch.decode.layers import BY_UDP_PORT, ETHERTYPES, VLAN, table
from netwatch.model.arrays import I32, I64, U8, U16, U32, U64, Bool
from netwatch.model.packets import NO_VLAN, OK, TCP, UDP, Packets

_LINK: Final = np.dtype(
    {
        "names": ["dst", "src", "type0", "tag0", "type1", "tag1", "type2"],
        "formats": [">u8", ">u8", ">u2", ">u2", ">u2", ">u2", ">u2"],
        "offsets": [0, 6, 12, 14, 16, 18, 20],
        "itemsize": 24,
    }
)
_TRANSPORT: Final = {"src_port": (">u2", 0), "dst_port": (">u2", 2), "seq": (">u4", 4), "udp_length": (">u2", 4)}
_TRANSPORT.update({"offset": ("u1", 12), "flags": ("u1", 13)})


def _layout(size: int, **fields: tuple[str, int]) -> np.dtype[Any]:
    """Describe an IP header of `size` bytes with a transport header behind it."""
    fields |= {name: (form, at + size) for name, (form, at) in _TRANSPORT.items()}
    forms, places = zip(*fields.values(), strict=True)
    return np.dtype({"names": list(fields), "formats": forms, "offsets": places, "itemsize": size + 20})


_IPV4: Final = _layout(
    20,
    first=("u1", 0),
    total=(">u2", 2),
    fragment=(">u2", 6),
    protocol=("u1", 9),
    src=(">u4", 12),
    dst=(">u4", 16),
)
_IPV6: Final = _layout(
    40,
    first=("u1", 0),
    length=(">u2", 4),
    protocol=("u1", 6),
    src_hi=(">u8", 8),
    src_lo=(">u8", 16),
    dst_hi=(">u8", 24),
    dst_lo=(">u8", 32),
)
_TAGS: Final = table({number: 1 for number, kind in ETHERTYPES.items() if kind == VLAN}, 65_536).view(np.bool_)
_TUNNELS: Final = BY_UDP_PORT != 0
_NOT_FRAGMENTED: Final = np.array([0x3FFF], ">u2").view(np.uint16)[0]  # more follow, or an offset: as the wire has it


Addresses: TypeAlias = tuple[U64, U64, U64, U64]
"""Source and destination, each as two halves."""


class Network(NamedTuple):
    """What the headers of one IP version told; columns as in Packets.

    ok: bool, the row is common; else the rest of it means nothing.
    """

    ok: Bool
    src_hi: U64
    src_lo: U64
    dst_hi: U64
    dst_lo: U64
    protocol: U8
    src_port: U16
    dst_port: U16
    ip_bytes: I64
    tcp_flags: U8
    seq: U32
    payload: I64
    payload_len: I64
    cut: Bool


def ethernet(view: BytesView, offset: I64, caplen: I32, wirelen: U32) -> tuple[Packets, Bool]:
    """Decode common Ethernet frames; columns as in PacketBatch, at least one row.

    PAD bytes behind the last frame may be read. Returns the columns, and for which rows they hold.
    """
    link = view.records(offset, _LINK)
    types = link["type0"].astype(np.uint16)
    vlan = np.full(len(offset), NO_VLAN, np.int32)
    at = offset + 14
    tagged = _TAGS[types]
    if tagged.any():
        vlan[tagged] = link["tag0"][tagged] & 0x0FFF
        types = np.where(tagged, link["type1"], types)
        twice = tagged & _TAGS[types]
        types = np.where(twice, link["type2"], types)
        at += (tagged.astype(np.int64) + twice) * 4
    end, wire = offset + caplen, offset + np.maximum(wirelen, caplen)
    four, six = types == 0x0800, types == 0x86DD
    family = np.where(six, np.uint8(6), np.uint8(4))
    # The version of most rows is decoded for all of them: that is cheaper than picking rows out and putting them back.
    if np.count_nonzero(four) >= np.count_nonzero(six):
        network, mine, rows, read = _ipv4(view, at, end, wire), four, np.flatnonzero(six), _ipv6
    else:
        network, mine, rows, read = _ipv6(view, at, end, wire), six, np.flatnonzero(four), _ipv4
    ok = network.ok & mine
    if rows.size:
        other = read(view, at[rows], end[rows], wire[rows])
        fill(network, rows, other)
        ok[rows] = other.ok
    return _packets(network, family, vlan, link), ok


def fill(columns: Sequence[object], rows: Rows, parts: Sequence[object]) -> None:
    """Put the rows of one table in their places in another; what is no column stays."""
    for column, part in zip(columns, parts, strict=True):
        if isinstance(column, np.ndarray):
            column[rows] = part


def _ipv4(view: BytesView, at: I64, end: I64, wire: I64) -> Network:
    """Decode IPv4 headers (RFC 791) and what follows; at, end, wire as in Columns."""
    head = view.records(at, _IPV4)
    total = head["total"].astype(np.int64)
    plain = (head["first"] == 0x45) & (head["fragment"].view(np.uint16) & _NOT_FRAGMENTED == 0)
    src, dst = head["src"].astype(np.uint64), head["dst"].astype(np.uint64)
    return _transport(
        head, plain, 20, total, (np.zeros(len(at), np.uint64), src, np.zeros(len(at), np.uint64), dst), at, end, wire
    )


def _ipv6(view: BytesView, at: I64, end: I64, wire: I64) -> Network:
    """Decode IPv6 headers (RFC 8200) and what follows; at, end, wire as in Columns."""
    head = view.records(at, _IPV6)
    length = head["length"].astype(np.int64)
    plain = (head["first"] & 0xF0 == 0x60) & (length > 0)
    src_hi, src_lo, dst_hi, dst_lo = (head[name].astype(np.uint64) for name in ("src_hi", "src_lo", "dst_hi", "dst_lo"))
    return _transport(head, plain, 40, length + 40, (src_hi, src_lo, dst_hi, dst_lo), at, end, wire)


def _transport(
    head: Structured, plain: Bool, size: int, total: I64, addresses: Addresses, at: I64, end: I64, wire: I64
) -> Network:
    """Decode TCP and UDP headers (RFC 9293, RFC 768) behind IP headers of `size` bytes.

    A row is common where every header was captured and no length of it lies, and where UDP carries no tunnel.
    """
    protocol = head["protocol"].astype(np.uint8)
    src_port, dst_port = head["src_port"].astype(np.uint16), head["dst_port"].astype(np.uint16)
    tcp = protocol == TCP
    step = head["offset"] >> 2
    step &= 0x3C
    step[~tcp] = 8
    udp_ok = protocol == UDP
    udp_ok &= head["udp_length"] == total - size
    udp_ok &= ~(_TUNNELS.take(src_port) | _TUNNELS.take(dst_port))
    payload = at + size + step
    stop = at + total
    ok = plain & (tcp & (step >= 20) | udp_ok) & (payload <= end) & (payload <= stop) & (stop <= wire)
    return Network(
        ok=ok,
        src_hi=addresses[0],
        src_lo=addresses[1],
        dst_hi=addresses[2],
        dst_lo=addresses[3],
        protocol=protocol,
        src_port=src_port,
        dst_port=dst_port,
        ip_bytes=total,
        tcp_flags=head["flags"] * tcp,
        seq=head["seq"].astype(np.uint32) * tcp,
        payload=payload,
        payload_len=np.minimum(stop, end) - payload,
        cut=stop > end,
    )


def _packets(network: Network, family: U8, vlan: I32, link: Structured) -> Packets:
    count = len(family)
    high = np.uint64(16)
    false = np.zeros(count, np.bool_)
    return Packets(
        state=np.full(count, OK, np.uint8),
        in_flow=np.ones(count, np.bool_),
        family=family,
        src_hi=network.src_hi,
        src_lo=network.src_lo,
        dst_hi=network.dst_hi,
        dst_lo=network.dst_lo,
        protocol=network.protocol,
        ports=np.ones(count, np.bool_),
        src_port=network.src_port,
        dst_port=network.dst_port,
        ip_bytes=network.ip_bytes,
        tcp_flags=network.tcp_flags,
        seq=network.seq,
        payload=network.payload,
        payload_len=network.payload_len.astype(np.int32),
        cut=network.cut,
        vlan=vlan,
        tunnel=np.zeros(count, np.int32),
        src_mac=link["src"].astype(np.uint64) >> high,
        dst_mac=link["dst"].astype(np.uint64) >> high,
        fragment=false,
        fragment_id=np.zeros(count, np.uint32),
        fragment_at=np.zeros(count, np.int32),
        fragment_last=false.copy(),
        tunnels=(None,),
        anomalies={},
    )
