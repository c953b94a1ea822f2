"""Which addresses are on this side: private, link-local, multicast and those that the user names."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from netwatch.model.address import halves
from netwatch.model.arrays import U8, U64, Bool
from netwatch.model.reading import Address
from netwatch.places.cidr import Network, parse_network

LOCAL: Final = (
    "0.0.0.0/8",  # this host, RFC 1122 section 3.2.1.3
    "10.0.0.0/8",  # private, RFC 1918
    "100.64.0.0/10",  # carrier-grade NAT, RFC 6598
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local, RFC 3927
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/4",  # multicast, RFC 5771
    "255.255.255.255/32",  # broadcast
    "::/127",  # unspecified and loopback, RFC 4291
    "fc00::/7",  # unique local, RFC 4193
    "fe80::/10",  # link-local
    "fec0::/10",  # site-local: withdrawn by RFC 3879, still met
    "ff00::/8",  # multicast
)
"""Networks whose hosts are devices here, never servers elsewhere."""

UNROUTED: Final = (
    "192.0.0.0/24",  # protocol assignments, RFC 6890
    "192.0.2.0/24",  # documentation, RFC 5737
    "198.18.0.0/15",  # benchmarks, RFC 2544
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",  # reserved, RFC 1112
    "::ffff:0:0/96",  # IPv4-mapped: never on a wire
    "64:ff9b:1::/48",  # local-use NAT64, RFC 8215
    "100::/64",  # discard, RFC 6666
    "2001::/32",  # Teredo, RFC 4380: the place of a relay says nothing
    "2001:db8::/32",  # documentation, RFC 3849
    "2002::/16",  # 6to4, RFC 3056: likewise
    "3fff::/20",  # documentation, RFC 9637
)
"""Networks that are nobody's place on the Internet, though not local either (IANA special-purpose registries)."""


class NetworkSet:
    """A set of networks that answers for whole columns."""

    def __init__(self, networks: Iterable[Network]) -> None:
        v4: list[tuple[int, int]] = []
        self._v6: list[tuple[np.uint64, np.uint64, np.uint64, np.uint64]] = []
        self._networks = tuple(networks)
        for family, first, last in self._networks:
            if family == 4:
                v4.append((first, last))
            else:
                mask = ~(first ^ last)
                parts = (mask >> 64, first >> 64, mask, first)
                self._v6.append(tuple(np.uint64(part & 0xFFFF_FFFF_FFFF_FFFF) for part in parts))  # type: ignore[arg-type]
        edges: list[int] = []
        for first, last in sorted(v4):
            if edges and first <= edges[-1]:
                edges[-1] = max(edges[-1], last + 1)
            else:
                edges += [first, last + 1]
        self._edges = np.array(edges, np.uint64)

    def contains(self, family: U8, hi: U64, lo: U64) -> Bool:
        """Tell for each row whether its address is in the set.

        family: uint8[N], 4 or 6.   hi, lo: uint64[N], the halves of the address.
        """
        inside: Bool = np.searchsorted(self._edges, lo, "right") % 2 == 1  # between a first and a last edge
        is_v6 = family == 6
        if is_v6.any():
            v6_hi, v6_lo = hi[is_v6], lo[is_v6]
            within = np.zeros(len(v6_hi), np.bool_)
            for mask_hi, first_hi, mask_lo, first_lo in self._v6:
                within |= (v6_hi & mask_hi == first_hi) & (v6_lo & mask_lo == first_lo)
            inside[is_v6] = within
        return inside

    def contains_one(self, address: Address) -> bool:
        """Tell whether one address is in the set."""
        return any(network.holds(address) for network in self._networks)


class LocalNetworks(NetworkSet):
    """The addresses of this side: LOCAL and what the user adds (`--local-net`).

    Raises UsageError for text that is no network.
    """

    def __init__(self, extra: Sequence[str] = ()) -> None:
        super().__init__(parse_network(text) for text in (*LOCAL, *extra))


def columns(addresses: Sequence[Address]) -> tuple[U8, U64, U64]:
    """Return (family, hi, lo) of addresses: uint8[N] and uint64[N] twice."""
    split = [halves(address) for address in addresses]
    family, hi, lo = zip(*split, strict=True) if split else ((), (), ())
    return np.array(family, np.uint8), np.array(hi, np.uint64), np.array(lo, np.uint64)
