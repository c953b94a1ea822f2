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
    src_port = packets.src_port.astype(np.uint64)
    dst_port = packets.dst_port.astype(np.uint64)
    is_v6 = packets.family == 6
    any_v6 = bool(is_v6.any())
    swap = (src > dst) | ((src == dst) & (src_port > dst_port))
    if any_v6:
        same = packets.src_hi == packets.dst_hi
        swap = np.where(same, swap, packets.src_hi > packets.dst_hi)
    low, high = np.where(swap, dst, src), np.where(swap, src, dst)
    low_port, high_port = np.where(swap, dst_port, src_port), np.where(swap, src_port, dst_port)
    word1 = low_port << np.uint64(48)
    word1 |= high_port << np.uint64(32)
    word1 |= packets.protocol.astype(np.uint64) << np.uint64(24)
    word1 |= packets.ports.astype(np.uint64) << np.uint64(23)
    word1 |= (packets.vlan + 1).astype(np.uint64)
    wide: U64 | None = None
    word0 = low << np.uint64(32) | high
    if any_v6:
        word1 |= is_v6.astype(np.uint64) << np.uint64(22)
        word0 = np.where(is_v6, low, word0)
        wide = np.zeros((len(low), 3), np.uint64)
        wide[:, 0] = np.where(is_v6, high, 0)
        wide[:, 1] = np.where(swap, packets.dst_hi, packets.src_hi)
        wide[:, 2] = np.where(swap, packets.src_hi, packets.dst_hi)
    return Keys(word0, word1, wide, swap.view(np.uint8))
