"""Joins the two ways through a batch: the common path for most frames, layer by layer for the others."""

import numpy as np

from netwatch.decode import common
from netwatch.decode.bytesview import BytesView
from netwatch.decode.layers import END, ETHERNET
from netwatch.decode.link import LINK_TYPES
from netwatch.decode.walk import walk
from netwatch.model.batch import PacketBatch
from netwatch.model.packets import Packets


def decode(batch: PacketBatch) -> Packets:
    """Decode every frame of a batch; stateless, and the same whatever the batch boundaries.

    Frames of a link type that is not read (link.reads) are all NON_IP. `tunnel` names the encapsulations that an IP
    packet carries; VLAN tags, MPLS labels and PPPoE before the outermost IP header are no tunnels. A later fragment
    has the bytes of the fragment as payload and no ports until Fragments.apply. TOO_DEEP is counted to the deepest
    address pair that was read, and to no flow (in_flow False) where the limit came before any IP header. Of a TCP, UDP
    or SCTP header that the snapshot length cut, the ports are read where they were captured (state TRUNCATED).

    batch.data must have PAD readable bytes behind the last frame. Raises nothing.
    """
    view = BytesView(batch.data)
    first = LINK_TYPES.get(batch.link_type, END)
    if first != ETHERNET or not len(batch.offset):
        return walk(view, batch.offset, batch.caplen, batch.wirelen, first)
    packets, ok = common.ethernet(view, batch.offset, batch.caplen, batch.wirelen)
    rows = np.flatnonzero(~ok)
    if not rows.size:
        return packets
    rest = walk(view, batch.offset[rows], batch.caplen[rows], batch.wirelen[rows], first)
    common.fill(packets, rows, rest)
    return packets._replace(tunnels=rest.tunnels, anomalies=rest.anomalies)
