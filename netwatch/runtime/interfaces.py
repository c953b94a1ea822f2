"""What this machine's interfaces are: their kind, addresses and routes, asked for without privileges or packets."""

import ctypes
import ipaddress
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from netwatch.model.errors import SourceError
from netwatch.model.text import escaped
from netwatch.places.local import LOCAL
from netwatch.sources import interfaces
from netwatch.sources.live import ANY_PHYSICAL

ROUTES: Final = Path("/proc/net/route")
ROUTES6: Final = Path("/proc/net/ipv6_route")
SPEED: Final = "/sys/class/net/{}/speed"
ROUTE_UP: Final = 0x1
ROUTE_GATEWAY: Final = 0x2
ROUTE_REJECT: Final = 0x200
IFF_UP, IFF_POINTOPOINT = 0x1, 0x10
ON_LINK_MIN: Final = {4: 8, 6: 48}  # shorter prefixes are a tunnel's way to take all traffic, no network of neighbours
WIDE: Final = 8  # routes of fewer bits (0.0.0.0/0, 128.0.0.0/1, 2000::/3) lead to the Internet
HOST6: Final = 128

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class InterfaceInfo(NamedTuple):
    """One interface.

    kind: physical, virtual, bridge, vpn or loopback; None where the system does not say, as for what follows.
    addresses: with the length of their network (`192.168.1.5/24`).   link_type: LINKTYPE number of its frames.
    speed: Mbit/s.   default: the default route leaves here.   captured: one of "any-physical".
    """

    name: str
    number: int
    kind: str | None
    up: bool | None
    mac: str | None
    addresses: tuple[str, ...]
    link_type: int | None
    speed: int | None
    default: bool
    captured: bool


class Route(NamedTuple):
    """One route: where to, through which interface, and whether straight to the neighbours.

    refused: what goes there is thrown away, as the rest of a prefix that a provider delegated.
    """

    network: str
    length: int
    interface: str
    metric: int
    on_link: bool
    refused: bool = False


def list_interfaces() -> list[InterfaceInfo]:
    """List the interfaces by their number."""
    addresses = _addresses()
    default = default_interface()
    if not hasattr(socket, "AF_PACKET"):
        return [
            InterfaceInfo(name, number, None, None, None, addresses.get(name, ()), None, None, False, False)
            for number, name in socket.if_nameindex()
        ]
    from netwatch.sources.rings import LINK_TYPES

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as any_socket:
        found = interfaces.interfaces(any_socket.fileno())
    return [
        InterfaceInfo(
            one.name,
            one.number,
            kind_of(one),
            one.up,
            one.mac.hex(":") if one.mac else None,
            addresses.get(one.name, ()),
            int(LINK_TYPES[one.hardware]),
            _speed(one.name),
            one.name == default,
            interfaces.is_physical(one),
        )
        for one in found
    ]


def kind_of(one: interfaces.Interface) -> str:
    """Name what an interface is, by its driver."""
    if one.hardware == interfaces.LOOPBACK:
        return "loopback"
    if one.driver in interfaces.BRIDGES:
        return "bridge"
    if one.driver in interfaces.TUNNELS and one.bus != "tap":
        return "vpn"
    if one.bus and one.driver not in interfaces.STACKED | interfaces.TUNNELS:
        return "physical"
    return "virtual"


def default_interface() -> str | None:
    """Return the interface that the default route leaves by (IPv4 before IPv6), None without one."""
    for routes in (_routes4(), _routes6()):
        ways = [route for route in routes if route.length == 0 and not route.refused]
        if ways:
            return min(ways, key=lambda route: route.metric).interface
    return None


def refuse_missing(names: Sequence[str]) -> None:
    """Raise SourceError, which names those that there are, for the name of an interface that there is not.

    Where there is no AF_PACKET, scapy has names of its own, and says itself which it does not know.
    """
    if not hasattr(socket, "AF_PACKET"):
        return
    there = [name for _, name in socket.if_nameindex()]
    for name in names:
        if name not in (ANY_PHYSICAL, *there):
            raise SourceError(f"{escaped(name)}: no such interface; there are {escaped(', '.join(there))}")


def local_networks() -> list[str]:
    """Return the networks on this side beside the private ranges, as `--local-net` takes them.

    An uplink is an interface that a route to the Internet (WIDE) leaves by, of either family. On this side are
    - every address of this machine;
    - the on-link networks of interfaces that are no uplink: a router's LAN;
    - behind a tunnel (point to point) only the network of its own address: its routes lead to servers as well;
    - a prefix that the provider delegated (its rest is refused) and that holds an address of such a LAN: what routers
      further in have of it;
    - the on-link IPv6 networks of an uplink, unless a LAN has one of its own: on a laptop they are its neighbours, and
      its next privacy address is one of them; on a router they are the provider's.
    A public IPv4 network of an uplink is not: strangers live there. Networks behind gateways are not, nor are
    networks wider than ON_LINK_MIN says.
    """
    routes = [route for route in (*_routes4(), *_routes6()) if route.interface != "lo" or route.refused]
    uplinks = {one.interface for one in routes if one.length < WIDE and not one.refused and not _is_known(_net(one))}
    own = [one for addresses in _owned().values() for one in addresses]
    found: set[Network] = {ipaddress.ip_network(one.interface.ip) for one in own}
    found.update(one.interface.network for one in own if one.up and one.tunnel and one.name not in uplinks)
    tunnels = {one.name for one in own if one.tunnel}
    neighbours = [one for one in routes if one.on_link and not one.refused and one.interface not in tunnels]
    inner = {_net(one) for one in neighbours if one.interface not in uplinks}
    outer = {_net(one) for one in neighbours if one.interface in uplinks and ":" in one.network}
    lan = [one for one in inner if one.version == 6 and one.prefixlen < HOST6 and not _is_known(one)]
    found |= inner
    if not any(one not in outer for one in lan):
        found |= outer
    at_home = [one.interface.ip for one in own if one.name not in uplinks and not one.tunnel and one.up]
    delegated = [_net(one) for one in routes if one.refused and ":" in one.network]
    found.update(one for one in delegated if any(address in one for address in at_home))
    wanted = [one for one in found if one.prefixlen >= ON_LINK_MIN[one.version] and not _is_known(one)]
    four = ipaddress.collapse_addresses(one for one in wanted if isinstance(one, ipaddress.IPv4Network))
    six = ipaddress.collapse_addresses(one for one in wanted if isinstance(one, ipaddress.IPv6Network))
    return [*map(str, four), *map(str, six)]


def _net(route: Route) -> Network:
    return ipaddress.ip_network((route.network, route.length))


def _is_known(network: Network) -> bool:
    """Tell whether a network is local without being named."""
    return any(_within(network, ipaddress.ip_network(text)) for text in LOCAL)


def _within(one: Network, other: Network) -> bool:
    return one.version == other.version and one[0] in other and one.prefixlen >= other.prefixlen


def _routes4() -> Iterator[Route]:
    for line in _lines(ROUTES)[1:]:
        name, to, _, flags, _, _, metric, mask = line.split()[:8]
        if int(flags, 16) & ROUTE_UP and not int(flags, 16) & ROUTE_REJECT:
            address = socket.inet_ntop(socket.AF_INET, int(to, 16).to_bytes(4, sys.byteorder))
            length = int(mask, 16).bit_count()
            yield Route(address, length, name, int(metric), not int(flags, 16) & ROUTE_GATEWAY)


def _routes6() -> Iterator[Route]:
    for line in _lines(ROUTES6):
        to, length, _, _, _, metric, _, _, flags, name = line.split()[:10]
        refused = bool(int(flags, 16) & ROUTE_REJECT)  # such a route is never up
        if refused or (int(flags, 16) & ROUTE_UP and name != "lo"):
            address = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(to))
            on_link = not int(flags, 16) & ROUTE_GATEWAY
            yield Route(address, int(length, 16), name, int(metric, 16), on_link, refused)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("ascii", "replace").splitlines()
    except OSError:
        return []


def _speed(name: str) -> int | None:
    try:
        speed = int(Path(SPEED.format(name)).read_text("ascii"))
    except (OSError, ValueError):
        return None
    return speed if speed > 0 else None


class _Entry(ctypes.Structure):
    """struct ifaddrs, the same in every libc."""


_Entry._fields_ = [
    ("next", ctypes.POINTER(_Entry)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.c_void_p),
    ("mask", ctypes.c_void_p),
    ("other", ctypes.c_void_p),
    ("data", ctypes.c_void_p),
]
_PLACES: Final[Mapping[int, tuple[int, int]]] = {
    socket.AF_INET: (4, 4),
    socket.AF_INET6: (8, 16),
}  # where in a socket address, and of how many bytes


class _Owned(NamedTuple):
    """An address of this machine. tunnel: its interface leads to one other end."""

    name: str
    interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface
    up: bool
    tunnel: bool


def _addresses() -> Mapping[str, tuple[str, ...]]:
    return {name: tuple(str(one.interface) for one in found) for name, found in _owned().items()}


def _owned() -> Mapping[str, list[_Owned]]:
    """Ask the C library (getifaddrs(3)), which opens no socket but one to the kernel."""
    libc = ctypes.CDLL(None, use_errno=True)
    first = ctypes.POINTER(_Entry)()
    if libc.getifaddrs(ctypes.byref(first)) != 0:
        return {}
    found: dict[str, list[_Owned]] = {}
    try:
        entry = first
        while bool(entry):
            one = entry.contents
            family = _family(one.address) if one.address else 0
            if family in _PLACES and one.mask:
                at, size = _PLACES[family]
                address = ipaddress.ip_address(ctypes.string_at(one.address + at, size))
                length = int.from_bytes(ctypes.string_at(one.mask + at, size), "big").bit_count()
                name = one.name.decode("utf-8", "surrogateescape")
                up, tunnel = bool(one.flags & IFF_UP), bool(one.flags & IFF_POINTOPOINT)
                interface = ipaddress.ip_interface((address, length))
                found.setdefault(name, []).append(_Owned(name, interface, up, tunnel))
            entry = one.next
    finally:
        libc.freeifaddrs(first)
    return found


def _family(address: int) -> int:
    """Read the family of a socket address; where there is no AF_PACKET, its length stands before it."""
    if hasattr(socket, "AF_PACKET"):
        return ctypes.c_ushort.from_address(address).value
    return ctypes.c_ubyte.from_address(address + 1).value
