"""Packets inside UDP (big-endian). A payload that does not look like the tunnel of its port is none: no error."""

import numpy as np

from netwatch.decode.bytesview import Rows
from netwatch.decode.columns import Columns, Step, descend
from netwatch.decode.layers import (
    BY_ETHERTYPE,
    END,
    ETHERNET,
    IPV4,
    IPV6,
    MPLS,
    NSH,
    PPP,
    WLAN,
    WLAN_SWAPPED,
    table,
)
from netwatch.model.arrays import I64, Bool

_BY_GENEVE_TYPE = np.maximum(BY_ETHERTYPE, table({0x6558: ETHERNET}, 65_536))
_BY_GPE_NEXT = table({1: IPV4, 2: IPV6, 3: ETHERNET, 4: NSH, 5: MPLS}, 256)
_GTP_EXTENSIONS = 8
_WBID_WLAN = 1


def fits(c: Columns, rows: Rows, size: I64 | int) -> Bool:
    """Tell of which rows the next `size` bytes were captured."""
    return c.at[rows] + size <= c.end[rows]


def vxlan(c: Columns, rows: Rows) -> Step:
    """VXLAN (RFC 7348 section 5): a network identifier, then an Ethernet frame."""
    rows = rows[fits(c, rows, 8 + 14)]
    rows = c.enter(rows[c.u8(rows) & 0x08 != 0], "vxlan")
    c.skip(rows, 8)
    return [(ETHERNET, rows)]


def vxlan_gpe(c: Columns, rows: Rows) -> Step:
    """VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe section 3): as VXLAN, with a next protocol where P is set."""
    rows = rows[fits(c, rows, 8 + 14)]
    rows = rows[c.u8(rows) & 0x08 != 0]
    kinds = np.where(c.u8(rows) & 0x04, _BY_GPE_NEXT[c.u8(rows, 3)], np.uint8(ETHERNET))
    c.skip(rows, 8)
    return descend(c, rows, kinds, "vxlan")


def geneve(c: Columns, rows: Rows) -> Step:
    """Geneve (RFC 8926 section 3.4): options, then what an Ethernet type names."""
    rows = rows[fits(c, rows, 8)]
    rows = rows[c.u8(rows) >> 6 == 0]
    rows = rows[fits(c, rows, 8 + (c.u8(rows) & 0x3F) * 4)]
    kinds, size = _BY_GENEVE_TYPE[c.u16(rows, 2)], 8 + (c.u8(rows) & 0x3F) * 4
    c.skip(rows, size)
    return descend(c, rows, kinds, "geneve")


def gtpu(c: Columns, rows: Rows) -> Step:
    """GTP-U version 1 (3GPP TS 29.281 section 5.1): a G-PDU, of which the packet looks like IP."""
    rows = rows[fits(c, rows, 8)]
    rows = rows[(c.u8(rows) & 0xF0 == 0x30) & (c.u8(rows, 1) == 0xFF)]
    rows = rows[fits(c, rows, np.where(c.u8(rows) & 0x07, 12, 8))]
    size = np.where(c.u8(rows) & 0x07, 12, 8)
    following = np.where(c.u8(rows) & 0x04, c.u8(rows, size - 1), 0)
    for _ in range(_GTP_EXTENSIONS):
        more = following != 0
        if not more.any():
            break
        length = np.zeros(len(rows), np.int64)
        room = more & fits(c, rows, size + 4)
        length[room] = c.u8(rows[room], size[room]) * 4
        room &= (length > 0) & fits(c, rows, size + length)
        following[room] = c.u8(rows[room], (size + length - 1)[room])
        size = size + length
        keep = ~more | room
        rows, size, following = rows[keep], size[keep], following[keep]
    rows, size = rows[following == 0], size[following == 0]
    return _plausible_ip(c, rows, size, "gtpu")


def teredo(c: Columns, rows: Rows) -> Step:
    """Teredo (RFC 4380 section 5.1.1): authentication and origin before an IPv6 packet."""
    size = np.zeros(len(rows), np.int64)
    signed = fits(c, rows, 4)
    signed[signed] = c.u16(rows[signed]) == 1
    ids = rows[signed]
    size[signed] = 4 + c.u8(ids, 2) + c.u8(ids, 3) + 9
    origin = fits(c, rows, size + 8)
    origin[origin] = c.u16(rows[origin], size[origin]) == 0
    size[origin] += 8
    six = fits(c, rows, size + 40)
    six[six] = c.u8(rows[six], size[six]) >> 4 == 6
    return _plausible_ip(c, rows[six], size[six], "teredo")


def _plausible_ip(c: Columns, rows: Rows, size: I64, name: str) -> Step:
    """Enter IP packets, `size` bytes in, whose header holds what its first bits promise."""
    ok = fits(c, rows, size + 20)
    rows, size = rows[ok], size[ok]
    first, total = c.u8(rows, size), c.u16(rows, size + 2)
    four = (first >> 4 == 4) & (first & 0x0F >= 5) & ((total == 0) | (total >= 20))
    six = (first >> 4 == 6) & fits(c, rows, size + 40)
    c.skip(rows, size)
    return descend(c, rows, np.where(four, IPV4, np.where(six, IPV6, END)).astype(np.uint8), name)


def capwap(c: Columns, rows: Rows) -> Step:
    """CAPWAP data that is plain and whole (RFC 5415 section 4.3): an 802.11 or Ethernet frame.

    Some controllers send the two bytes of the frame control in the other order.
    """
    rows = rows[fits(c, rows, 8)]
    rows = rows[(c.u8(rows) == 0) & (c.u8(rows, 3) & 0x80 == 0)]
    size = (c.u8(rows, 1) >> 3) * 4
    ok = (size >= 8) & fits(c, rows, size + 14)
    rows, size = rows[ok], size[ok]
    head = c.u16(rows, 1)
    native, wireless = head & 1 == 1, head >> 1 & 0x1F == _WBID_WLAN
    control = c.u16(rows, size)
    swapped = (control & 0x000F == 0x0008) & (control & 0x0F00 != 0x0800)
    frame = np.where(wireless, np.where(swapped, WLAN_SWAPPED, WLAN), END)
    c.skip(rows, size)
    return descend(c, rows, np.where(native, frame, ETHERNET).astype(np.uint8), "capwap")


def l2tp(c: Columns, rows: Rows) -> Step:
    """L2TP version 2 data (RFC 2661 section 3.1): PPP behind a header with optional length, numbers and offset."""
    rows = rows[fits(c, rows, 6)]
    flags = c.u16(rows)
    rows = rows[(flags & 0x8000 == 0) & (flags & 0x000F == 2)]
    flags = c.u16(rows)
    size = 6 + np.where(flags & 0x4000, 2, 0) + np.where(flags & 0x0800, 4, 0)
    padded = flags & 0x0200 != 0
    ok = fits(c, rows, size + np.where(padded, 2, 0) + 2)
    rows, size, padded = rows[ok], size[ok], padded[ok]
    size[padded] += 2 + c.u16(rows[padded], size[padded])
    ok = fits(c, rows, size + 2)
    c.skip(rows[ok], size[ok])
    return [(PPP, c.enter(rows[ok], "l2tp"))]
