"""Frames that a bridge shows at several of its ports, and how each is counted once (RELIABILITY C5)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from netwatch.model.arrays import I64, U8, Bool
from netwatch.model.text import escaped
from netwatch.sources import interfaces


class Port(NamedTuple):
    """One of several captured ports of a bridge.

    mac: the bridge's address, with which the host itself sends.   first: where its frames to groups are counted.
    """

    mac: int
    first: bool


def find_ports(fd: int, names: Sequence[str]) -> tuple[dict[str, Port], list[str]]:
    """Find the ports of bridges among interfaces that are captured together.

    fd: any socket.   Returns those of which the bridge has more than one here, and warnings of what counts twice.
    """
    ports: dict[str, Port] = {}
    warnings: list[str] = []
    for bridge in interfaces.interfaces(fd):
        if bridge.driver != "bridge" or bridge.mac is None:
            continue
        members = {interfaces.name_of(fd, number) for number in interfaces.ports(fd, bridge.name)}
        here = [name for name in names if name in members]
        if bridge.name in names and here:
            listed = escaped(", ".join(here))
            warnings.append(
                f"{escaped(bridge.name)} is a bridge of {listed}: what both show counts twice; leave one out"
            )
        if len(here) > 1:
            mac = int.from_bytes(bridge.mac, "big")
            ports.update((name, Port(mac, name == here[0])) for name in here)
    return ports, warnings


def copies_of(port: Port, data: U8, offset: I64) -> Bool:
    """Tell which Ethernet frames, where they leave by this port, are counted at another port of its bridge.

    Those that the bridge forwards came in by another port; those of the host to a group leave by all of them.
    data, offset: as in PacketBatch.
    """
    sender: I64 = np.zeros(len(offset), np.int64)
    for at in range(6, 12):
        sender = sender << 8 | data[offset + at]
    group = data[offset] & 1 == 1
    copies: Bool = (sender != port.mac) | (group & (not port.first))
    return copies
