"""A filter expression on records: a mask over flows, a test of lookups."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from netwatch.filters.expression import (
    And,
    Expression,
    Hosts,
    Labelled,
    Leaf,
    Not,
    Or,
    Ports,
    Protocol,
    Version,
    Vlan,
    name_test,
    word_test,
)
from netwatch.filters.masks import combined, within
from netwatch.model.address import V6, halves
from netwatch.model.arrays import Bool
from netwatch.model.distinct import used
from netwatch.model.packets import TCP, UDP
from netwatch.model.records import Device, FlowBatch, Label, Lookup

Entry = TypeVar("Entry")

# where a lookup goes, by its transport: IP protocol and port (RFC 1035, 6762, 4795)
_ASKED_AT: Final = {"udp": (UDP, 53), "tcp": (TCP, 53), "mdns": (UDP, 5353), "llmnr": (UDP, 5355)}


def flow_mask(expression: Expression, batch: FlowBatch) -> Bool:
    """Return bool[N]: the flows that an expression lets through.

    host, net and port hold when one of the two ends has it. What is null holds for no term, so `not` of it does.
    """
    return combined(expression, len(batch), lambda leaf: _flow_leaf(leaf, batch))


def _flow_leaf(leaf: Leaf, batch: FlowBatch) -> Bool:
    mask: Bool
    match leaf:
        case Hosts(first, last):
            mask = within(batch.client_hi, batch.client_lo, first, last)
            mask |= within(batch.server_hi, batch.server_lo, first, last)
            mask &= batch.family == halves(first)[0]
        case Ports(first, last):
            client, server = batch.client_port, batch.server_port
            mask = (client >= first) & (client <= last) | (server >= first) & (server <= last)
        case Protocol(number):
            mask = batch.transport == number
        case Version(family):
            mask = batch.family == family
        case Vlan(None):
            mask = batch.vlan >= 0
        case Vlan(number):
            mask = batch.vlan == number
        case Labelled("device", value):
            mask = _by_value(batch.device, batch.devices, lambda device: _device_test(value, device))
        case Labelled(key, value):
            mask = _by_value(batch.label, batch.labels, lambda label: _label_test(key, value, label, label.name))
    return mask


def _by_value(codes: NDArray[np.integer[Any]], values: Sequence[Entry], test: Callable[[Entry], bool]) -> Bool:
    """Test each distinct value that is in use once."""
    truth = np.zeros(max(len(values), 1), np.bool_)
    for code in used(codes):
        truth[code] = test(values[code])
    mask: Bool = truth[codes]
    return mask


def _device_test(value: str, device: Device) -> bool:
    return word_test(value, device.device_id, device.device_name)


def _label_test(key: str, value: str, label: Label | Lookup, name: str | None) -> bool:
    match key:
        case "app":
            return word_test(value, label.app_id, label.app)
        case "owner":
            return word_test(value, label.owner_id, label.owner)
        case "control":
            return word_test(value, label.control_country)
        case "role":
            return word_test(value, label.role)
        case "kind":
            return word_test(value, label.app_kind)
        case _:
            return name_test(value, name)


def lookup_test(expression: Expression) -> Callable[[Lookup], bool]:
    """Return a test of one lookup.

    host, net: the client's or the resolver's address.   port: where the question went: 53, 5353 for mDNS, 5355 for
    LLMNR (a lookup does not keep the client's port).   proto: udp, also for mDNS and LLMNR, or tcp.   ip, ip6: the
    client's family.   vlan: never, a lookup does not keep it.   name: the name asked for.   device and the other
    labels: those of the lookup.
    """

    def test(lookup: Lookup) -> bool:
        return _lookup_holds(expression, lookup)

    return test


def _lookup_holds(expression: Expression, lookup: Lookup) -> bool:
    match expression:
        case And(parts):
            return all(_lookup_holds(part, lookup) for part in parts)
        case Or(parts):
            return any(_lookup_holds(part, lookup) for part in parts)
        case Not(part):
            return not _lookup_holds(part, lookup)
        case _:
            return _lookup_leaf(expression, lookup)


def _lookup_leaf(leaf: Leaf, lookup: Lookup) -> bool:
    protocol, port = _ASKED_AT.get(lookup.transport, (-1, -1))
    match leaf:
        case Hosts(first, last):
            return first <= lookup.client <= last or first <= lookup.resolver <= last
        case Ports(first, last):
            return first <= port <= last
        case Protocol(number):
            return number == protocol
        case Version(family):
            return (lookup.client >= V6) == (family == 6)
        case Vlan():
            return False
        case Labelled("device", value):
            return _device_test(value, lookup.device)
        case Labelled(key, value):
            return _label_test(key, value, lookup, lookup.query)
