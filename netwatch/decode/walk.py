"""Peels frames layer by layer, whole columns at a time: every frame that the common path does not take."""

from typing import Final

import numpy as np

from netwatch.decode import ethernet, ipv4, ipv6, layers, link, transport, tunnels, udptunnels, wireless
from netwatch.decode.bytesview import BytesView, Rows
from netwatch.decode.columns import Columns, Layer
from netwatch.model.arrays import I32, I64, U32
from netwatch.model.packets import Packets

LAYERS: Final[dict[int, Layer]] = {
    layers.ETHERNET: ethernet.ethernet,
    layers.RAW: link.raw,
    layers.NULL: link.null,
    layers.LOOP: link.loop,
    layers.SLL: link.sll,
    layers.SLL2: link.sll2,
    layers.PPP: ethernet.ppp,
    layers.PPP_HDLC: link.ppp_hdlc,
    layers.PPPOE: ethernet.pppoe,
    layers.CHDLC: link.chdlc,
    layers.WLAN: wireless.wlan,
    layers.WLAN_SWAPPED: wireless.wlan_swapped,
    layers.WLAN_PADDED: wireless.wlan_padded,
    layers.RADIOTAP: wireless.radiotap,
    layers.PRISM: wireless.prism,
    layers.AVS: wireless.avs,
    layers.PKTAP: link.pktap,
    layers.PPI: link.ppi,
    layers.NFLOG: link.nflog,
    layers.LLC: ethernet.llc,
    layers.VLAN: ethernet.vlan,
    layers.MPLS: ethernet.mpls,
    layers.PBB: ethernet.pbb,
    layers.VNTAG: ethernet.vntag,
    layers.FABRICPATH: ethernet.fabricpath,
    layers.CISCO_META: ethernet.cisco_meta,
    layers.NSH: ethernet.nsh,
    layers.IPV4: ipv4.ipv4,
    layers.IPV6: ipv6.ipv6,
    layers.EXTENSION: ipv6.extension,
    layers.TCP: transport.tcp,
    layers.UDP: transport.udp,
    layers.SCTP: transport.sctp,
    layers.IPV4_IN_IP: tunnels.ipv4_in_ip,
    layers.IPV6_IN_IP: tunnels.ipv6_in_ip,
    layers.GRE_IN_IP: tunnels.gre,
    layers.ETHERIP: tunnels.etherip,
    layers.MPLS_IN_IP: tunnels.mpls_in_ip,
    layers.ERSPAN2: tunnels.erspan2,
    layers.ERSPAN3: tunnels.erspan3,
    layers.WCCP: tunnels.wccp,
    layers.VXLAN: udptunnels.vxlan,
    layers.VXLAN_GPE: udptunnels.vxlan_gpe,
    layers.GENEVE: udptunnels.geneve,
    layers.GTPU: udptunnels.gtpu,
    layers.TEREDO: udptunnels.teredo,
    layers.CAPWAP: udptunnels.capwap,
    layers.L2TP: udptunnels.l2tp,
    layers.MPLS_IN_UDP: tunnels.mpls_in_ip,
    layers.GRE_IN_UDP: tunnels.gre,
}


def walk(view: BytesView, offset: I64, caplen: I32, wirelen: U32, first: int) -> Packets:
    """Decode frames that all start with layer `first`; columns as in PacketBatch.

    Each round takes every row one layer further. It ends, since each way round a circle of layers counts as an
    encapsulation or an extension header, and of those there may be TUNNEL_DEPTH and IPV6_EXTENSIONS.
    """
    c = Columns(view, offset, caplen, wirelen)
    todo: dict[int, list[Rows]] = {first: [np.arange(len(offset))]} if first and len(offset) else {}
    while todo:
        following: dict[int, list[Rows]] = {}
        for kind, parts in todo.items():
            rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
            for next_kind, next_rows in LAYERS[kind](c, rows):
                if next_rows.size:
                    following.setdefault(next_kind, []).append(next_rows)
        todo = following
    return c.out._replace(in_flow=c.out.family != 0, tunnels=tuple(c.tunnels), anomalies=dict(c.anomalies))
