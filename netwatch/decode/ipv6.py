"""IPv6 and its extension headers (RFC 8200, big-endian)."""

from typing import Final

import numpy as np

from netwatch.decode.bytesview import Rows
from netwatch.decode.columns import Columns, Step, split
from netwatch.decode.layers import BY_PROTOCOL4, BY_PROTOCOL6, END, PORTED
from netwatch.model.arrays import I64
from netwatch.model.limits import IPV6_EXTENSIONS

HEADER: Final = 40
FRAGMENT: Final = 44
AUTHENTICATION: Final = 51
NO_NEXT: Final = 59
_LAYOUT: Final = np.dtype(
    {
        "names": ["length", "next", "src_hi", "src_lo", "dst_hi", "dst_lo"],
        "formats": [">u2", "u1", ">u8", ">u8", ">u8", ">u8"],
        "offsets": [4, 6, 8, 16, 24, 32],
        "itemsize": HEADER,
    }
)


def ipv6(c: Columns, rows: Rows) -> Step:
    """Decode the fixed IPv6 header of each row.

    Malformed: ip6_truncated, ip6_version. A payload length of 0 (offload, a jumbogram of RFC 2675) is what the frame
    holds; one that claims more than that is counted (ip6_payload_length_beyond) and otherwise believed.
    """
    rows = c.whole(rows, 1, "ip6_truncated")
    rows = c.require(rows, c.u8(rows) >> 4 == 6, "ip6_version")
    rows = c.whole(rows, HEADER, "ip6_truncated")
    if not rows.size:
        return []
    head = c.view.records(c.at[rows], _LAYOUT)
    room = c.wire[rows] - c.at[rows]
    total = head["length"].astype(np.int64) + HEADER
    c.count(total > room, "ip6_payload_length_beyond")
    total = np.where(total == HEADER, room, total)
    src = head["src_hi"].astype(np.uint64), head["src_lo"].astype(np.uint64)
    dst = head["dst_hi"].astype(np.uint64), head["dst_lo"].astype(np.uint64)
    c.address(rows, 6, src, dst, total)
    protocol = head["next"].astype(np.uint8)
    c.out.protocol[rows] = protocol
    c.skip(rows, HEADER)
    return split(rows, BY_PROTOCOL6[protocol])


def extension(c: Columns, rows: Rows) -> Step:
    """Step over one extension header of each row, of the kind that its column `protocol` tells.

    Also an authentication header behind IPv4 (RFC 4302). Malformed: ip6_extension_overrun. More than IPV6_EXTENSIONS
    of them are too deep (ip6_extensions_too_many).
    """
    many = c.extensions[rows] >= IPV6_EXTENSIONS
    if many.any():
        c.too_deep(rows[many], "ip6_extensions_too_many")
        rows = rows[~many]
    c.extensions[rows] += np.uint8(1)
    rows = c.whole(rows, 8, "ip6_extension_overrun")
    rows = c.whole(rows, _size(c, rows), "ip6_extension_overrun")
    if not rows.size:
        return []
    kind, size, following = c.out.protocol[rows], _size(c, rows), c.u8(rows).astype(np.uint8)
    flags, ident = c.u16(rows, 2), c.u32(rows, 4)
    # A mobility, HIP or shim6 message is the packet's own contents when nothing follows it.
    contents = (kind >= 135) & (following == NO_NEXT)
    c.out.protocol[rows] = np.where(contents, kind, following)
    c.skip(rows, size)
    kinds = np.where(c.out.family[rows] == 4, BY_PROTOCOL4[following], BY_PROTOCOL6[following])
    part = (kind == FRAGMENT) & (flags & 0xFFF9 != 0)
    if part.any():
        parts, flags = rows[part], flags[part]
        later = c.fragment(parts, ident[part].astype(np.uint32), flags & 0xFFF8, flags & 1 == 0)
        kinds[part] = np.where(later, END, kinds[part])
    in_first = c.out.fragment[rows]
    kinds[in_first] = PORTED[kinds[in_first]]
    return split(rows, kinds)


def _size(c: Columns, rows: Rows) -> I64:
    """Return the length of the extension header of each row in bytes, of which the first two were captured."""
    kind, length = c.out.protocol[rows], c.u8(rows, 1)
    return np.where(kind == FRAGMENT, 8, np.where(kind == AUTHENTICATION, (length + 2) * 4, (length + 1) * 8))
