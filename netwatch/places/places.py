"""Address -> estimated country, registration country, network and whether it is anycast."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from netwatch.model.arrays import U64, Bool
from netwatch.model.limits import PLACES
from netwatch.model.reading import Address
from netwatch.model.records import Place
from netwatch.places.anycast import ANYCAST_ASNS, ANYCAST_NETWORKS
from netwatch.places.cidr import parse_network
from netwatch.places.local import LOCAL, UNROUTED, NetworkSet, columns
from netwatch.places.tables import CountrySource, NetworkSource

NOWHERE: Final = Place()
NAT64: Final = 0x0064_FF9B_0000_0000  # upper half of 64:ff9b::/96 (RFC 6052): the lower 32 bits are the server's IPv4


class Places:
    """Describes where servers seem to be.

    country, registration, network: who knows; tables are read when the first address needs them.
    databases: what stands in the summary: name, use, date, licence.
    notices:   lines for the user, about what is missing or damaged; may grow while addresses are described.
    """

    def __init__(
        self,
        country: CountrySource,
        registration: CountrySource,
        network: NetworkSource,
        databases: Sequence[Mapping[str, str | None]] = (),
        notices: Sequence[str] = (),
    ) -> None:
        self.databases = [dict(entry) for entry in databases]
        self.notices = notices
        self._country, self._registration, self._network = country, registration, network
        self._nowhere = NetworkSet(map(parse_network, (*LOCAL, *UNROUTED)))
        self._anycast = NetworkSet(map(parse_network, ANYCAST_NETWORKS))
        self._anycast_asns = np.array(sorted(ANYCAST_ASNS), np.uint32)
        self._known: dict[Address, Place] = {}
        self._made: dict[tuple[str | None, str | None, int, bool], Place] = {}

    def load(self) -> None:
        """Read every table now, for a process that is about to lose its right to open files. Raises DataError."""
        self._country.load()
        self._registration.load()
        self._network.load()

    def describe(self, addresses: Sequence[Address]) -> list[Place]:
        """Return the place of each address; equal places are one object.

        Local, reserved and multicast addresses have a place without any value. Raises DataError for a damaged table.
        """
        known = self._known
        try:
            return [known[address] for address in addresses]
        except KeyError:
            fresh = [address for address in dict.fromkeys(addresses) if address not in known]
        if len(known) + len(fresh) > PLACES:
            known.clear()
            self._made.clear()
            fresh = list(dict.fromkeys(addresses))
        known.update(zip(fresh, self._look_up(fresh), strict=True))
        return [known[address] for address in addresses]

    def _look_up(self, addresses: list[Address]) -> list[Place]:
        family, hi, lo = columns(addresses)
        translated = (family == 6) & (hi == NAT64) & (lo >> np.uint64(32) == 0)
        family[translated], hi[translated] = 4, 0
        outside = ~self._nowhere.contains(family, hi, lo)
        places = [NOWHERE] * len(addresses)
        for version in (4, 6):
            rows = np.flatnonzero(outside & (family == version))
            if len(rows):
                found = self._of_family(version, hi[rows], lo[rows])
                for row, place in zip(rows.tolist(), found, strict=True):
                    places[row] = place
        return places

    def _of_family(self, family: int, hi: U64, lo: U64) -> list[Place]:
        country = self._country.countries(family, hi, lo)
        registration = self._registration.countries(family, hi, lo)
        numbers = self._network.numbers(family, hi, lo)
        at = np.searchsorted(self._anycast_asns[:-1], numbers)
        anycast: Bool = self._anycast_asns[at] == numbers
        anycast |= self._anycast.contains(np.full(len(hi), family, np.uint8), hi, lo)
        made, places = self._made, []
        for where, registered, number, everywhere in zip(
            country, registration, numbers.tolist(), anycast.tolist(), strict=True
        ):
            key = (None if everywhere else where, registered, number, everywhere)
            place = made.get(key)
            if place is None:
                place = made[key] = self._make(*key)
            places.append(place)
        return places

    def _make(self, country: str | None, registration: str | None, number: int, anycast: bool) -> Place:
        """Make a place; where no AS number is known, nobody can say that an address is not anycast."""
        if not number:
            return Place(country, registration, None, None, anycast or None)
        return Place(country, registration, number, self._network.name(number), anycast)
