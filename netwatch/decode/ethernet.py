"""Layers between the link and IP: Ethernet, its tags, LLC, MPLS, PPPoE, PPP (big-endian)."""

from typing import Final

import numpy as np

from netwatch.decode.bytesview import Rows
from netwatch.decode.columns import Columns, Step, split
from netwatch.decode.layers import (
    BY_ETHERTYPE,
    END,
    ETHERNET,
    IPV4,
    IPV6,
    LLC,
    MPLS,
    PPP,
)
from netwatch.model.arrays import I64, U8, Bool
from netwatch.model.packets import NO_VLAN

HEADER: Final = 14
LENGTH_MAX: Final = 1500  # IEEE 802.3: up to here the field is a length
NSH_NEXT: Final = {1: IPV4, 2: IPV6, 3: ETHERNET, 5: MPLS}  # RFC 8300 section 2.2
PPP_NEXT: Final = {0x0021: IPV4, 0x0057: IPV6, 0x0281: MPLS, 0x0283: MPLS}  # IANA "PPP DLL Protocol Numbers"


def by_ethertype(rows: Rows, types: I64) -> Step:
    """Sort rows by their Ethernet type."""
    return split(rows, BY_ETHERTYPE[types])


def ethernet(c: Columns, rows: Rows) -> Step:
    """Decode the Ethernet header of each row (IEEE 802.3 clause 3). Malformed: eth_truncated."""
    rows = c.whole(rows, HEADER, "eth_truncated")
    if not rows.size:
        return []
    at = c.at[rows]
    c.link_addresses(rows, c.view.mac(at + 6), c.view.mac(at))
    types = c.u16(rows, 12)
    c.skip(rows, HEADER)
    length = types <= LENGTH_MAX
    if not length.any():
        return by_ethertype(rows, types)
    framed = rows[length]
    c.narrow(framed, types[length])
    return [(LLC, framed), *by_ethertype(rows[~length], types[~length])]


def llc(c: Columns, rows: Rows) -> Step:
    """Decode the LLC and SNAP headers of each row (IEEE 802.2): an Ethernet type, or IP at SAP 6 (RFC 948)."""
    rows = rows[c.at[rows] + 3 <= c.end[rows]]
    sap, control = c.u16(rows), c.u8(rows, 2)
    plain = rows[(sap == 0x0606) & (control == 3)]
    c.skip(plain, 3)
    snap = rows[(sap == 0xAAAA) & (control == 3)]
    snap = c.whole(snap, 8, "snap_truncated")
    organisation = c.u32(snap, 2) & 0xFFFFFF
    snap = snap[(organisation == 0) | (organisation == 0x0000F8)]
    types = c.u16(snap, 6)
    c.skip(snap, 8)
    return [(IPV4, plain), *by_ethertype(snap, types)]


def vlan(c: Columns, rows: Rows) -> Step:
    """Decode one tag of each row (IEEE 802.1Q clause 9). Malformed: vlan_truncated."""
    rows = c.whole(c.deeper(rows), 4, "vlan_truncated")
    if not rows.size:
        return []
    outermost = (c.out.vlan[rows] == NO_VLAN) & (c.out.family[rows] == 0)
    c.out.vlan[rows[outermost]] = c.u16(rows[outermost]) & 0x0FFF
    return _tagged(c, rows, 4)


def _tagged(c: Columns, rows: Rows, size: int) -> Step:
    """Step over a tag of `size` bytes that ends in an Ethernet type, or in a length with LLC behind it."""
    types = c.u16(rows, size - 2)
    c.skip(rows, size)
    length = types <= LENGTH_MAX
    return [(LLC, rows[length]), *by_ethertype(rows[~length], types[~length])]


def vntag(c: Columns, rows: Rows) -> Step:
    """Step over a VN-Tag of each row (proposal for IEEE 802.1Qbh). Malformed: vntag_truncated."""
    return _tagged(c, c.whole(c.deeper(rows), 6, "vntag_truncated"), 6)


def cisco_meta(c: Columns, rows: Rows) -> Step:
    """Step over the Cisco metadata of each row (version 1, length 1, options, group tag). Malformed: cmd_truncated.

    The Ethernet type stands behind it, or before it where GRE carries it.
    """
    rows = c.whole(c.deeper(rows), 8, "cmd_truncated")
    behind = c.u16(rows) == 0x0101
    before, types = rows[~behind], c.u16(rows[~behind])
    c.skip(before, 8)
    return _tagged(c, rows[behind], 8) + by_ethertype(before, types)


def pbb(c: Columns, rows: Rows) -> Step:
    """Step over the service tag of each row (IEEE 802.1ah): an Ethernet frame follows. Malformed: pbb_truncated."""
    rows = c.whole(c.deeper(rows), 4, "pbb_truncated")
    c.skip(rows, 4)
    return [(ETHERNET, rows)]


def fabricpath(c: Columns, rows: Rows) -> Step:
    """Step over the FabricPath tag of each row: a whole Ethernet frame follows. Malformed: fabricpath_truncated."""
    rows = c.whole(c.deeper(rows), 2, "fabricpath_truncated")
    c.skip(rows, 2)
    return [(ETHERNET, rows)]


def nsh(c: Columns, rows: Rows) -> Step:
    """Step over the service header of each row (RFC 8300). Malformed: nsh_truncated, nsh_length."""
    rows = c.whole(c.deeper(rows), 8, "nsh_truncated")
    rows = c.require(rows, c.u8(rows, 1) & 0x3F >= 2, "nsh_length")
    rows = c.whole(rows, (c.u8(rows, 1) & 0x3F) * 4, "nsh_truncated")
    following, size = c.u8(rows, 3), (c.u8(rows, 1) & 0x3F) * 4
    c.skip(rows, size)
    return [(kind, rows[following == number]) for number, kind in NSH_NEXT.items()]


def mpls(c: Columns, rows: Rows) -> Step:
    """Step over one label of each row (RFC 3032). Malformed: mpls_truncated, mpls_no_bottom.

    Behind the bottom of the stack the first four bits tell IPv4 from IPv6; 0 is the control word of a pseudowire (RFC
    4385), and a frame with a known type is taken for one without.
    """
    rows = c.deeper(rows)
    rows = c.require(rows, c.at[rows] != c.wire[rows], "mpls_no_bottom")
    rows = c.whole(rows, 4, "mpls_truncated")
    bottom = c.u8(rows, 2) & 1 == 1
    c.skip(rows, 4)
    more, rows = rows[~bottom], rows[bottom]
    rows = rows[c.at[rows] < c.end[rows]]
    nibble = c.u8(rows) >> 4
    four, six = nibble == 4, nibble == 6
    wire = rows[~four & ~six]
    control = wire[(c.u8(wire) >> 4 == 0) & _is_ethernet(c, wire, 4)]
    plain = wire[_is_ethernet(c, wire, 0)]
    plain = plain[~np.isin(plain, control)]
    c.skip(control, 4)
    return [(MPLS, more), (IPV4, rows[four]), (IPV6, rows[six]), (ETHERNET, np.concatenate((control, plain)))]


def _is_ethernet(c: Columns, rows: Rows, skip: int) -> Bool:
    """Tell which rows have an Ethernet header of a known type, `skip` bytes in."""
    out: Bool = c.at[rows] + skip + HEADER <= c.end[rows]
    out[out] = BY_ETHERTYPE[c.u16(rows[out], skip + 12)] != END
    return out


def pppoe(c: Columns, rows: Rows) -> Step:
    """Decode the PPPoE session header of each row (RFC 2516). Malformed: pppoe_truncated, pppoe_version.

    A length beyond the frame is counted (pppoe_length) and otherwise believed.
    """
    rows = c.whole(c.deeper(rows), 6, "pppoe_truncated")
    rows = c.require(rows, c.u8(rows) == 0x11, "pppoe_version")
    rows = rows[c.u8(rows, 1) == 0]
    length = c.u16(rows, 4)
    c.skip(rows, 6)
    c.count(length > c.wire[rows] - c.at[rows], "pppoe_length")
    c.narrow(rows, length)
    return [(PPP, rows)]


def ppp(c: Columns, rows: Rows) -> Step:
    """Decode the PPP header of each row (RFC 1661, RFC 1662): address, control and protocol may be compressed.

    Malformed: ppp_truncated.
    """
    rows = c.whole(rows, 2, "ppp_truncated")
    framed = c.u16(rows) == 0xFF03
    c.skip(rows[framed], 2)
    rows = c.whole(rows, 1, "ppp_truncated")
    short = c.u8(rows) & 1 == 1
    wide = c.whole(rows[~short], 2, "ppp_truncated")
    narrow = rows[short]
    protocols = np.concatenate((c.u8(narrow), c.u16(wide)))
    c.skip(narrow, 1)
    c.skip(wide, 2)
    rows = np.concatenate((narrow, wide))
    return [(kind, rows[protocols == number]) for number, kind in PPP_NEXT.items()]


def kinds_of_nibble(first: I64) -> U8:
    """Tell IPv4 from IPv6 by the first byte of a packet."""
    return np.where(first >> 4 == 4, IPV4, np.where(first >> 4 == 6, IPV6, END)).astype(np.uint8)
