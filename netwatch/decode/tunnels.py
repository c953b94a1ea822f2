"""Packets inside IP: IP in IP, GRE, EtherIP, MPLS (big-endian).

The stack of encapsulations names only what an IP packet carries: VLAN tags, MPLS labels, PPPoE and the like between the
link and the outermost IP header are no tunnels.
"""

from typing import Final

import numpy as np

from netwatch.decode.bytesview import Rows
from netwatch.decode.columns import Columns, Step, descend, split
from netwatch.decode.ethernet import kinds_of_nibble
from netwatch.decode.layers import (
    BY_ETHERTYPE,
    END,
    ERSPAN2,
    ERSPAN3,
    ETHERNET,
    IPV4,
    IPV6,
    MPLS,
    WCCP,
    WLAN,
    table,
)
from netwatch.model.arrays import I64

_CHECKSUM, _ROUTING, _KEY, _SEQUENCE, _ACK = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080
_PPP_TYPE: Final = 0x880B
_ERSPAN: Final = 0x88BE

# Behind GRE also: bridged frames, mirrored frames, redirected packets, 802.11 frames of Aruba access points.
_BY_GRE_TYPE: Final = np.maximum(
    BY_ETHERTYPE,
    table(
        {0x6558: ETHERNET, _ERSPAN: ERSPAN2, 0x22EB: ERSPAN3, 0x883E: WCCP, 0x9000: WLAN}
        | dict.fromkeys(range(0x8200, 0x8400, 16), WLAN),
        65_536,
    ),
)


def ipv4_in_ip(c: Columns, rows: Rows) -> Step:
    """Enter the IPv4 packet that an IP packet holds (RFC 2003, RFC 2473)."""
    four = c.out.family[rows] == 4
    return [(IPV4, c.enter(rows[four], "ipip")), (IPV4, c.enter(rows[~four], "4in6"))]


def ipv6_in_ip(c: Columns, rows: Rows) -> Step:
    """Enter the IPv6 packet that an IP packet holds (RFC 4213, RFC 2473)."""
    four = c.out.family[rows] == 4
    return [(IPV6, c.enter(rows[four], "6in4")), (IPV6, c.enter(rows[~four], "6in6"))]


def mpls_in_ip(c: Columns, rows: Rows) -> Step:
    """Enter the label stack that an IP packet holds (RFC 4023; in UDP: RFC 7510)."""
    return [(MPLS, c.enter(rows, "mpls"))]


def etherip(c: Columns, rows: Rows) -> Step:
    """Step over the EtherIP header of each row (RFC 3378). Malformed: etherip_truncated, etherip_version."""
    rows = c.whole(rows, 2, "etherip_truncated")
    rows = c.enter(c.require(rows, c.u8(rows) >> 4 == 3, "etherip_version"), "etherip")
    c.skip(rows, 2)
    return [(ETHERNET, rows)]


def gre(c: Columns, rows: Rows) -> Step:
    """Decode the GRE header of each row (RFC 2784, RFC 2890; version 1 is PPTP's, RFC 2637; in UDP: RFC 8086).

    Malformed: gre_truncated. A source route (RFC 1701), another version or a type that is not read end the way.
    """
    rows = c.whole(rows, 4, "gre_truncated")
    flags = c.u16(rows)
    rows = rows[(flags & _ROUTING == 0) & (flags & 7 <= 1)]
    rows = c.whole(rows, _gre_size(c, rows), "gre_truncated")
    flags, types, size = c.u16(rows), c.u16(rows, 2), _gre_size(c, rows)
    kinds = _BY_GRE_TYPE[types]
    mirrored = (types == _ERSPAN) | (kinds == ERSPAN3)
    kinds[(types == _ERSPAN) & (flags & _SEQUENCE == 0)] = ETHERNET  # ERSPAN type I has no header
    pptp = flags & 7 == 1
    kinds[pptp & ((types != _PPP_TYPE) | (flags & _SEQUENCE == 0))] = END  # without a number: only an acknowledgement
    c.skip(rows, size)
    steps: Step = []
    for name, chosen in (("pptp", pptp), ("erspan", mirrored & ~pptp), ("gre", ~mirrored & ~pptp)):
        steps += descend(c, rows[chosen], kinds[chosen], name)
    return steps


def _gre_size(c: Columns, rows: Rows) -> I64:
    """Return the length of the GRE header of each row, of which four bytes were captured."""
    flags = c.u16(rows)
    pptp = flags & 7 == 1
    first = np.where((flags & _CHECKSUM != 0) & ~pptp, 4, 0) + np.where((flags & _KEY != 0) | pptp, 4, 0)
    return 4 + first + np.where(flags & _SEQUENCE, 4, 0) + np.where((flags & _ACK != 0) & pptp, 4, 0)


def erspan2(c: Columns, rows: Rows) -> Step:
    """Step over the ERSPAN type II header of each row. Malformed: erspan_truncated.

    Source: draft-foschiano-erspan-03 section 4.2.
    """
    rows = c.whole(rows, 8, "erspan_truncated")
    c.skip(rows, 8)
    return [(ETHERNET, rows)]


def erspan3(c: Columns, rows: Rows) -> Step:
    """Step over the ERSPAN type III header of each row. Malformed: erspan_truncated.

    Source: draft-foschiano-erspan-03 section 4.3: frame type 0 is Ethernet, 2 IP; O tells of 8 bytes more.
    """
    rows = c.whole(rows, 12, "erspan_truncated")
    word = c.u16(rows, 10)
    size = np.where(word & 1, 20, 12)
    frame = word >> 10 & 0x1F
    there = c.there(rows, size, "erspan_truncated")
    c.skip(rows, size)
    packets = rows[there & (frame == 2)]
    packets = c.whole(packets, 1, "erspan_truncated")
    return [(ETHERNET, rows[there & (frame == 0)]), *split(packets, kinds_of_nibble(c.u8(packets)))]


def wccp(c: Columns, rows: Rows) -> Step:
    """Step over the redirect header that version 2 puts before the packet of each row. Malformed: wccp_truncated."""
    rows = c.whole(rows, 4, "wccp_truncated")
    c.skip(rows[c.u8(rows) >> 4 != 4], 4)
    return [(IPV4, rows)]
