"""Link types: which are read, their names, and the headers that stand before IP or before another link's frame."""

from typing import Final

import numpy as np

from netwatch.decode.bytesview import Rows
from netwatch.decode.columns import Columns, Step, split
from netwatch.decode.ethernet import by_ethertype, kinds_of_nibble
from netwatch.decode.layers import (
    AVS,
    CHDLC,
    ETHERNET,
    IPV4,
    IPV6,
    LLC,
    LOOP,
    NFLOG,
    NULL,
    PKTAP,
    PPI,
    PPP,
    PPP_HDLC,
    PPPOE,
    PRISM,
    RADIOTAP,
    RAW,
    SLL,
    SLL2,
    WLAN,
    table,
)
from netwatch.model.arrays import I64
from netwatch.model.packets import NO_MAC

LINK_TYPES: Final[dict[int, int]] = {
    0: NULL,
    1: ETHERNET,
    9: PPP,
    12: RAW,
    14: RAW,
    50: PPP_HDLC,
    51: PPPOE,
    101: RAW,
    104: CHDLC,
    105: WLAN,
    108: LOOP,
    113: SLL,
    119: PRISM,
    127: RADIOTAP,
    149: PKTAP,
    163: AVS,
    192: PPI,
    228: IPV4,
    229: IPV6,
    239: NFLOG,
    258: PKTAP,
    276: SLL2,
}
"""LINKTYPE number -> first layer (layers.py)."""

_NAMES: Final[dict[int, str]] = {
    0: "NULL",
    1: "ETHERNET",
    6: "IEEE802_5",
    7: "ARCNET_BSD",
    8: "SLIP",
    9: "PPP",
    10: "FDDI",
    12: "RAW",
    14: "RAW",
    50: "PPP_HDLC",
    51: "PPP_ETHER",
    100: "ATM_RFC1483",
    101: "RAW",
    104: "C_HDLC",
    105: "IEEE802_11",
    107: "FRELAY",
    108: "LOOP",
    113: "LINUX_SLL",
    114: "LTALK",
    117: "PFLOG",
    119: "IEEE802_11_PRISM",
    122: "IP_OVER_FC",
    123: "SUNATM",
    127: "IEEE802_11_RADIOTAP",
    129: "ARCNET_LINUX",
    138: "APPLE_IP_OVER_IEEE1394",
    143: "DOCSIS",
    **{147 + number: f"USER{number}" for number in range(16)},
    163: "IEEE802_11_AVS",
    165: "BACNET_MS_TP",
    166: "PPP_PPPD",
    187: "BLUETOOTH_HCI_H4",
    189: "USB_LINUX",
    192: "PPI",
    195: "IEEE802_15_4_WITHFCS",
    197: "ERF",
    201: "BLUETOOTH_HCI_H4_WITH_PHDR",
    204: "PPP_WITH_DIR",
    209: "I2C_LINUX",
    220: "USB_LINUX_MMAPPED",
    227: "CAN_SOCKETCAN",
    228: "IPV4",
    229: "IPV6",
    230: "IEEE802_15_4_NOFCS",
    231: "DBUS",
    239: "NFLOG",
    242: "IPOIB",
    247: "INFINIBAND",
    248: "SCTP",
    249: "USBPCAP",
    251: "BLUETOOTH_LE_LL",
    252: "WIRESHARK_UPPER_PDU",
    253: "NETLINK",
    256: "BLUETOOTH_LE_LL_WITH_PHDR",
    258: "PKTAP",
    266: "USB_DARWIN",
    272: "NORDIC_BLE",
    276: "LINUX_SLL2",
    279: "VSOCK",
    283: "IEEE802_15_4_TAP",
    284: "DSA_TAG_DSA",
    285: "DSA_TAG_EDSA",
}

_FAMILIES6: Final = (10, 24, 28, 30)  # AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, macOS
_WRAPPED: Final = table({number: kind for number, kind in LINK_TYPES.items() if kind not in (PKTAP, PPI)}, 65_536)
_PKTAP_HEADER: Final = 108
_NFLOG_PAYLOAD: Final = 9
_NFLOG_STEPS: Final = 64


def reads(link_type: int) -> bool:
    """Tell whether frames of a link type are decoded; those of others are all `non_ip`."""
    return link_type in LINK_TYPES


def link_name(link_type: int) -> str:
    """Name a link type for a message: `ETHERNET`, or the number as text where it has no well-known name."""
    return _NAMES.get(link_type, str(link_type))


def raw(c: Columns, rows: Rows) -> Step:
    """An IP packet without a link header; nothing, or another first nibble, is no IP."""
    rows = rows[c.at[rows] < c.end[rows]]
    return split(rows, kinds_of_nibble(c.u8(rows)))


def null(c: Columns, rows: Rows) -> Step:
    """BSD loopback: the address family in the byte order of the host that captured. Malformed: null_truncated."""
    rows = c.whole(rows, 4, "null_truncated")
    little, big = c.view.u32_little(c.at[rows]), c.u32(rows)
    return _family(c, rows, np.minimum(little, big))


def loop(c: Columns, rows: Rows) -> Step:
    """OpenBSD loopback: the address family, big-endian. Malformed: null_truncated."""
    rows = c.whole(rows, 4, "null_truncated")
    return _family(c, rows, c.u32(rows))


def _family(c: Columns, rows: Rows, family: I64) -> Step:
    c.skip(rows, 4)
    return [(IPV4, rows[family == 2]), (IPV6, rows[np.isin(family, _FAMILIES6)])]


def sll(c: Columns, rows: Rows) -> Step:
    """Linux cooked capture: packet type, ARPHRD, address, protocol. Malformed: sll_truncated."""
    rows = c.whole(rows, 16, "sll_truncated")
    return _cooked(c, rows, length=c.u16(rows, 4), address=6, protocol=14, size=16)


def sll2(c: Columns, rows: Rows) -> Step:
    """Linux cooked capture, version 2. Malformed: sll_truncated."""
    rows = c.whole(rows, 20, "sll_truncated")
    return _cooked(c, rows, length=c.u8(rows, 11), address=12, protocol=0, size=20)


def _cooked(c: Columns, rows: Rows, *, length: I64, address: int, protocol: int, size: int) -> Step:
    """Read a cooked header; only the sender's address stands there."""
    known = length == 6
    c.link_addresses(rows[known], c.view.mac(c.at[rows[known]] + address), NO_MAC)
    types = c.u16(rows, protocol)
    c.skip(rows, size)
    return [(LLC, rows[types == 4]), *by_ethertype(rows, types)]


def ppp_hdlc(c: Columns, rows: Rows) -> Step:
    """PPP in HDLC-like framing (RFC 1662), or Cisco's where the first byte says so. Malformed: ppp_truncated."""
    rows = c.whole(rows, 2, "ppp_truncated")
    cisco = np.isin(c.u8(rows), (0x0F, 0x8F))
    return [(CHDLC, rows[cisco]), (PPP, rows[~cisco])]


def chdlc(c: Columns, rows: Rows) -> Step:
    """Cisco HDLC (RFC 1547 section 4.3.1): address, control, Ethernet type. Malformed: chdlc_truncated."""
    rows = c.whole(rows, 4, "chdlc_truncated")
    types = c.u16(rows, 2)
    c.skip(rows, 4)
    return by_ethertype(rows, types)


def pktap(c: Columns, rows: Rows) -> Step:
    """Apple's header: its length, 1 for a packet, the link type behind it; little-endian. Malformed: pktap_length.

    The older number is also that of other private formats: there, what does not look like the header is no IP.
    """
    rows = rows[c.at[rows] + 12 <= c.end[rows]]
    size = c.view.u32_little(c.at[rows])
    ours = (size >= _PKTAP_HEADER) & (size < 1024) & (c.view.u32_little(c.at[rows] + 4) == 1)
    return _wrapped(c, rows[ours], size[ours], c.view.u32_little(c.at[rows[ours]] + 8), "pktap_length")


def ppi(c: Columns, rows: Rows) -> Step:
    """Per-packet information: version, flags, length, link type; little-endian. Malformed: ppi_length."""
    rows = c.whole(rows, 8, "ppi_length")
    size = c.view.u16_little(c.at[rows] + 2)
    valid = (size >= 8) & (c.u8(rows) == 0)
    rows = c.require(rows, valid, "ppi_length")
    return _wrapped(c, rows, size[valid], c.view.u32_little(c.at[rows] + 4), "ppi_length")


def _wrapped(c: Columns, rows: Rows, size: I64, links: I64, anomaly: str) -> Step:
    """Step over a header of `size` bytes to a frame of another link type."""
    there = c.there(rows, size, anomaly)
    rows = rows[there]
    c.skip(rows, size[there])
    links = np.minimum(links[there], 65_535)
    return split(rows, _WRAPPED[links])


def nflog(c: Columns, rows: Rows) -> Step:
    """Netfilter's log: family, then attributes of which one is the packet. Malformed: nflog_length.

    Lengths and types stand in the byte order of the host that captured: taken as little-endian.
    """
    rows = c.whole(rows, 4, "nflog_length")
    rows = rows[c.u8(rows, 1) == 0]
    c.skip(rows, 4)
    out: Step = []
    for _ in range(_NFLOG_STEPS):
        rows = rows[c.at[rows] + 4 <= c.end[rows]]
        if not rows.size:
            break
        length = c.view.u16_little(c.at[rows])
        valid = length >= 4
        rows, length = c.require(rows, valid, "nflog_length"), length[valid]
        packet = c.view.u16_little(c.at[rows] + 2) & 0x7FFF == _NFLOG_PAYLOAD
        found = rows[packet]
        c.skip(found, 4)
        c.narrow(found, length[packet] - 4)
        out += raw(c, found)
        rows = rows[~packet]
        c.skip(rows, length[~packet] + 3 & ~3)
    return out
