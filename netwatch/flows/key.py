"""The key of a flow: innermost five-tuple, either direction, and outermost VLAN, in 64-bit words."""

from typing import NamedTuple

import numpy as np

from netwatch.model.arrays import U8, U64
from netwatch.model.packets import Packets

PORTS_BIT = 1 << 23
V6_BIT = 1 << 22


class Keys(NamedTuple):
    """The key words of N packets; ends are ordered (address, port), so both directions share one key.

    word0: uint64[N], IPv4: lower end's address << 32 | upper end's; IPv6: low half of the lower end's address.
    word1: uint64[N], lower port << 48 | upper port << 32 | protocol << 24 | ports known << 23 | IPv6 << 22 | vlan + 1.
    wide:  uint64[N, 3], IPv6: low half of the upper end, high halves of lower and upper end; zeros for IPv4.
           None when no packet is IPv6.
    side:  uint8[N], 0 when the lower end sent the packet, else 1.
    """

    word0: U64
    word1: U64
    wide: U64 | None
    side: U8


def flow_keys(packets: Packets) -> Keys:
    """Build the keys of packets that are all in_flow."""
    src, dst = packets.src_lo, packets.dst_lo
    ports = packets.src_port.astype(np.uint64) << np.uint64(16) | packets.dst_port
    turned = packets.dst_port.astype(np.uint64) << np.uint64(16) | packets.src_port
    is_v6 = packets.family == 6
    any_v6 = bool(is_v6.any())
    swap = src > dst
    swap |= (src == dst) & (ports > turned)
    if any_v6:
        same = packets.src_hi == packets.dst_hi
        swap &= same
        swap |= packets.src_hi > packets.dst_hi
    # All bits of what differs, where the ends are to be swapped: a fraction of what np.where costs.
    mask = np.negative(swap.astype(np.uint64))
    differs = (src ^ dst) & mask
    low, high = src ^ differs, dst ^ differs
    kind = packets.protocol.astype(np.uint32) << np.uint32(24)
    kind |= packets.ports.astype(np.uint32) << np.uint32(23)
    kind |= (packets.vlan + 1).view(np.uint32)
    word1 = ports ^ ((ports ^ turned) & mask)
    word1 <<= np.uint64(32)
    wide: U64 | None = None
    word0 = low << np.uint64(32) | high
    if any_v6:
        kind |= is_v6.astype(np.uint32) << np.uint32(22)
        word0 = np.where(is_v6, low, word0)
        wide = np.empty((len(low), 3), np.uint64)
        differs = (packets.src_hi ^ packets.dst_hi) & mask
        np.multiply(high, is_v6, out=wide[:, 0])
        np.bitwise_xor(packets.src_hi, differs, out=wide[:, 1])
        np.bitwise_xor(packets.dst_hi, differs, out=wide[:, 2])
    word1 |= kind
    return Keys(word0, word1, wide, swap.view(np.uint8))
