"""Who is who on the local side: device identifiers, the names that devices gave themselves, vendors."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from netwatch.model.address import address, address_text
from netwatch.model.arrays import I32, U8, U64, Bool
from netwatch.model.distinct import distinct
from netwatch.model.limits import HOSTS
from netwatch.model.packets import NO_MAC
from netwatch.model.reading import Address, DeviceName
from netwatch.model.records import Device

MULTICAST_BIT = 1 << 40


def names_a_device(mac: int) -> bool:
    """Whether a link-layer address can be one device's: known, not zero (loopback), not a group."""
    return mac not in (NO_MAC, 0) and not mac & MULTICAST_BIT


@lru_cache(maxsize=HOSTS)
def device_id(mac: int, where: Address) -> str:
    """Return `mac:aa:bb:..` where a link-layer address is known, else `ip:..`."""
    if names_a_device(mac):
        return "mac:" + mac.to_bytes(6, "big").hex(":")
    return "ip:" + address_text(where)


@lru_cache(maxsize=HOSTS)
def unnamed(mac: int, where: Address) -> Device:
    """Return a device of which no more than its identifier is wanted yet."""
    return Device(device_id(mac, where), None, None)


class Devices:
    """Names by device, learnt from DHCP and mDNS; the last one told wins."""

    def __init__(self, vendor: Callable[[int], str | None]) -> None:
        self._vendor = vendor
        self._names: dict[str, str] = {}

    def learn(self, told: DeviceName, sender_mac: int, sender: Address) -> int:
        """Remember a name; return how many older ones were pushed out for it (0 or 1)."""
        mac = sender_mac if told.mac is None else told.mac
        ids = {device_id(mac, told.address if told.address is not None else sender)}
        if told.address is not None:
            ids.add(device_id(NO_MAC, told.address))  # captures without link-layer addresses know it by this
        evicted = 0
        for one in ids:
            self._names.pop(one, None)
            self._names[one] = told.name
            if len(self._names) > HOSTS:
                del self._names[next(iter(self._names))]
                evicted = 1
        return evicted

    def device(self, identifier: str) -> Device:
        """Describe a device by its identifier."""
        vendor = self._vendor(int(identifier[4:].replace(":", ""), 16)) if identifier.startswith("mac:") else None
        return Device(identifier, self._names.get(identifier), vendor)

    def code(self, mac: U64, family: U8, hi: U64, lo: U64) -> tuple[I32, Sequence[Device]]:
        """Number the devices of N flows: (int32[N] indices, the distinct devices).

        mac: uint64[N] of the device's side; family, hi, lo: its address.
        """
        known: Bool = (mac != NO_MAC) & (mac != 0) & (mac & np.uint64(MULTICAST_BIT) == 0)
        word = np.where(known, mac, lo)
        high = np.where(known, np.uint64(0), hi)
        kind = np.where(known, 0, family).astype(np.uint64)
        first, code = distinct(word, high, kind)
        devices = [
            self.device(device_id(int(mac[i]) if known[i] else NO_MAC, address(int(family[i]), int(hi[i]), int(lo[i]))))
            for i in first.tolist()
        ]
        return code, devices
