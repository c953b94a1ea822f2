"""IPv4 (RFC 791 section 3.1, big-endian)."""

from typing import Final

import numpy as np

from netwatch.decode.bytesview import Rows
from netwatch.decode.columns import Columns, Step, split
from netwatch.decode.layers import BY_PROTOCOL4, END, PORTED

HEADER: Final = 20
_LAYOUT: Final = np.dtype(
    {
        "names": ["total", "ident", "fragment", "protocol", "src", "dst"],
        "formats": [">u2", ">u2", ">u2", "u1", ">u4", ">u4"],
        "offsets": [2, 4, 6, 9, 12, 16],
        "itemsize": HEADER,
    }
)


def ipv4(c: Columns, rows: Rows) -> Step:
    """Decode the IPv4 header of each row; options are stepped over.

    Malformed: ip4_truncated, ip4_version, ip4_header_length, ip4_total_length. A total length of 0 (offload) is what
    the frame holds; one that claims more than that is counted (ip4_total_length_beyond) and otherwise believed.
    """
    rows = c.whole(rows, 1, "ip4_truncated")
    rows = c.require(rows, c.u8(rows) >> 4 == 4, "ip4_version")
    rows = c.whole(rows, HEADER, "ip4_truncated")
    rows = c.require(rows, c.u8(rows) & 0x0F >= 5, "ip4_header_length")
    rows = c.whole(rows, (c.u8(rows) & 0x0F) * 4, "ip4_truncated")
    total, size = c.u16(rows, 2), (c.u8(rows) & 0x0F) * 4
    rows = c.require(rows, (total == 0) | (total >= size), "ip4_total_length")
    if not rows.size:
        return []
    head = c.view.records(c.at[rows], _LAYOUT)
    size = (c.u8(rows) & 0x0F) * 4
    room = c.wire[rows] - c.at[rows]
    total = head["total"].astype(np.int64)
    c.count(total > room, "ip4_total_length_beyond")
    total = np.where(total == 0, room, total)
    zero = np.zeros(len(rows), np.uint64)
    c.address(rows, 4, (zero, head["src"].astype(np.uint64)), (zero, head["dst"].astype(np.uint64)), total)
    protocol = head["protocol"].astype(np.uint8)
    c.out.protocol[rows] = protocol
    c.skip(rows, size)
    kinds = BY_PROTOCOL4[protocol]
    flags = head["fragment"].astype(np.int64)
    part = flags & 0x3FFF != 0
    if part.any():
        flags = flags[part]
        later = c.fragment(rows[part], head["ident"][part].astype(np.uint32), (flags & 0x1FFF) * 8, flags & 0x2000 == 0)
        kinds[part] = np.where(later, END, PORTED[kinds[part]])
    return split(rows, kinds)
