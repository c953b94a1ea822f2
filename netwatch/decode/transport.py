"""TCP, UDP and SCTP: ports, flags, and where the payload lies (RFC 9293, RFC 768, RFC 9260; big-endian)."""

from typing import Final

import numpy as np

from netwatch.decode.bytesview import Rows
from netwatch.decode.columns import Columns, Step, split
from netwatch.decode.layers import BY_UDP_PORT
from netwatch.model.packets import TRUNCATED

TCP_HEADER: Final = 20
UDP_HEADER: Final = 8
SCTP_HEADER: Final = 12
_TCP: Final = np.dtype(
    {
        "names": ["seq", "offset", "flags"],
        "formats": [">u4", "u1", "u1"],
        "offsets": [4, 12, 13],
        "itemsize": TCP_HEADER,
    }
)


def tcp(c: Columns, rows: Rows) -> Step:
    """Decode the TCP header of each row; options are stepped over, captured or not.

    Malformed: tcp_truncated, tcp_data_offset. A header that goes on in the next fragment gives its ports alone.
    """
    rows = _fixed(c, rows, TCP_HEADER, "tcp_truncated")
    size = (c.u8(rows, 12) >> 4) * 4
    rows = c.require(rows, size >= TCP_HEADER, "tcp_data_offset")
    size = (c.u8(rows, 12) >> 4) * 4
    beyond = c.at[rows] + size > c.wire[rows]
    if beyond.any():
        part = c.out.fragment[rows]
        _first_tiny(c, rows[beyond & part])
        c.fail(rows[beyond & ~part], "tcp_data_offset")
        rows, size = rows[~beyond], size[~beyond]
    if rows.size:
        _ports(c, rows)
        head = c.view.records(c.at[rows], _TCP)
        c.out.seq[rows] = head["seq"]
        c.out.tcp_flags[rows] = head["flags"]
        c.skip(rows, size)
        c.payload(rows, c.ip_end[rows])
    return []


def udp(c: Columns, rows: Rows) -> Step:
    """Decode the UDP header of each row; the payload may be that of a tunnel.

    Malformed: udp_truncated, udp_length (1 to 7). A length of 0 (offload, jumbogram) is what the IP packet holds, as is
    one beyond that, which is counted (udp_length_beyond).
    """
    rows = _fixed(c, rows, UDP_HEADER, "udp_truncated")
    length = c.u16(rows, 4)
    rows = c.require(rows, (length == 0) | (length >= UDP_HEADER), "udp_length")
    if not rows.size:
        return []
    _ports(c, rows)
    length = c.u16(rows, 4)
    room = c.ip_end[rows] - c.at[rows]
    part = c.out.fragment[rows]
    c.count((length > room) & ~part, "udp_length_beyond")
    stop = c.at[rows] + np.where((length == 0) | (length > room), room, length)
    c.skip(rows, UDP_HEADER)
    c.payload(rows, stop)
    kinds = BY_UDP_PORT[c.out.dst_port[rows]]
    kinds = np.where(kinds != 0, kinds, BY_UDP_PORT[c.out.src_port[rows]])
    kinds[part | (c.out.payload_len[rows] == 0)] = 0
    inner = kinds != 0
    if not inner.any():
        return []
    rows, kinds = rows[inner], kinds[inner]
    c.narrow(rows, stop[inner] - c.at[rows])
    c.tentative[rows] = True
    return split(rows, kinds)


def sctp(c: Columns, rows: Rows) -> Step:
    """Read the ports of the SCTP common header of each row. Malformed: sctp_truncated."""
    rows = _fixed(c, rows, SCTP_HEADER, "sctp_truncated")
    _ports(c, rows)
    return []


def _ports(c: Columns, rows: Rows) -> None:
    out = c.out
    out.ports[rows] = True
    out.src_port[rows] = c.u16(rows)
    out.dst_port[rows] = c.u16(rows, 2)


def _first_tiny(c: Columns, rows: Rows) -> None:
    """Read the ports of headers that go on in the next fragment (RFC 1858 section 3)."""
    if rows.size:
        _ports(c, rows)
        c.anomalies["frag_first_tiny"] += len(rows)


def _fixed(c: Columns, rows: Rows, size: int, anomaly: str) -> Rows:
    """Return the rows whose fixed header was captured; of the others the ports are read where those were.

    Truncated: the snapshot length took some of it away, malformed by `anomaly`: it was never there.
    """
    at = c.at[rows]
    short = at + size > c.end[rows]
    if not short.any():
        return rows
    bad, has_ports = rows[short], at[short] + 4 <= c.end[rows[short]]
    snapped = at[short] + size <= c.wire[bad]
    part = c.out.fragment[bad] & ~snapped & has_ports
    cut = bad[snapped]
    c.out.state[cut] = TRUNCATED
    c.out.cut[cut] = c.ip_end[cut] > c.at[cut] + size
    _ports(c, bad[snapped & has_ports])
    _first_tiny(c, bad[part])
    c.fail(bad[~snapped & ~part], anomaly)
    return rows[~short]
