"""The layers by number, and the registered numbers that name them."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from netwatch.model.arrays import U8

(
    END,
    ETHERNET,
    RAW,
    NULL,
    LOOP,
    SLL,
    SLL2,
    PPP,
    PPP_HDLC,
    PPPOE,
    CHDLC,
    WLAN,
    RADIOTAP,
    PRISM,
    AVS,
    PKTAP,
    PPI,
    NFLOG,
    LLC,
    VLAN,
    MPLS,
    PBB,
    VNTAG,
    FABRICPATH,
    CISCO_META,
    NSH,
    IPV4,
    IPV6,
    EXTENSION,
    TCP,
    UDP,
    SCTP,
    IPV4_IN_IP,
    IPV6_IN_IP,
    GRE_IN_IP,
    ETHERIP,
    MPLS_IN_IP,
    VXLAN,
    VXLAN_GPE,
    GENEVE,
    GTPU,
    TEREDO,
    CAPWAP,
    L2TP,
    MPLS_IN_UDP,
    GRE_IN_UDP,
    ERSPAN2,
    ERSPAN3,
    WCCP,
    WLAN_SWAPPED,
    WLAN_PADDED,
) = range(51)

ETHERTYPES: Final[Mapping[int, int]] = {
    0x0800: IPV4,
    0x86DD: IPV6,
    0x8100: VLAN,
    0x88A8: VLAN,
    0x9100: VLAN,
    0x9200: VLAN,
    0x8847: MPLS,
    0x8848: MPLS,
    0x8864: PPPOE,
    0x88E7: PBB,
    0x8903: FABRICPATH,
    0x8909: CISCO_META,
    0x8926: VNTAG,
    0x894F: NSH,
    0x880B: PPP,
}

PROTOCOLS: Final[Mapping[int, int]] = {
    4: IPV4_IN_IP,
    6: TCP,
    17: UDP,
    41: IPV6_IN_IP,
    47: GRE_IN_IP,
    51: EXTENSION,
    97: ETHERIP,
    132: SCTP,
    137: MPLS_IN_IP,
}

# Hop-by-hop, routing, fragment, destination options, mobility, HIP, shim6 (IANA "IPv6 Extension Header Types").
EXTENSIONS: Final[Mapping[int, int]] = dict.fromkeys((0, 43, 44, 60, 135, 139, 140), EXTENSION)

UDP_TUNNELS: Final[Mapping[int, int]] = {
    1701: L2TP,
    2152: GTPU,
    3544: TEREDO,
    4754: GRE_IN_UDP,
    4789: VXLAN,
    4790: VXLAN_GPE,
    5247: CAPWAP,
    6081: GENEVE,
    6635: MPLS_IN_UDP,
    8472: VXLAN,
}


def table(entries: Mapping[int, int], size: int) -> U8:
    """Write a mapping as an array that is indexed by whole columns; END where nothing stands."""
    out = np.zeros(size, np.uint8)
    for number, kind in entries.items():
        out[number] = kind
    return out


BY_ETHERTYPE: Final = table(ETHERTYPES, 65_536)
BY_PROTOCOL4: Final = table(PROTOCOLS, 256)
BY_PROTOCOL6: Final = table({**PROTOCOLS, **EXTENSIONS}, 256)
BY_UDP_PORT: Final = table(UDP_TUNNELS, 65_536)
# What may be read in the first fragment of a datagram: a tunnel's inner packet would not be whole.
PORTED: Final = table({TCP: TCP, UDP: UDP, SCTP: SCTP, EXTENSION: EXTENSION}, 256)
