"""The packet part of a filter expression as a mask over decoded packets."""

from netwatch.filters.expression import Expression, Hosts, Labelled, Leaf, Ports, Protocol, Version, Vlan
from netwatch.filters.masks import combined, within
from netwatch.model.address import halves
from netwatch.model.arrays import Bool
from netwatch.model.packets import Packets


def packet_mask(expression: Expression | None, packets: Packets) -> Bool:
    """Return bool[N]: the packets that an expression of packet terms lets through; None lets all through.

    A packet that is counted to no flow (in_flow) matches nothing. For every other one the answer is that of its flow,
    if packets went through Fragments.apply. host, net and port hold when one of the two ends has it. What is not there
    holds for no term, so `not` of it does. Raises ValueError for a label.
    """
    mask: Bool = packets.in_flow.copy()
    if expression is not None:
        mask &= combined(expression, len(packets.state), lambda leaf: _leaf(leaf, packets))
    return mask


def _leaf(leaf: Leaf, packets: Packets) -> Bool:
    mask: Bool
    match leaf:
        case Hosts(first, last):
            mask = within(packets.src_hi, packets.src_lo, first, last)
            mask |= within(packets.dst_hi, packets.dst_lo, first, last)
            mask &= packets.family == halves(first)[0]
        case Ports(first, last):
            source, destination = packets.src_port, packets.dst_port
            mask = (source >= first) & (source <= last) | (destination >= first) & (destination <= last)
            mask &= packets.ports
        case Protocol(number):
            mask = packets.protocol == number
        case Version(family):
            mask = packets.family == family
        case Vlan(None):
            mask = packets.vlan >= 0
        case Vlan(number):
            mask = packets.vlan == number
        case Labelled():
            raise ValueError("a label is not known of a packet")
    return mask
