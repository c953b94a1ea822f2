"""What this machine's interfaces are: their kind, addresses and routes, asked for without privileges or packets."""

import ctypes
import ipaddress
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from netwatch.places.local import LOCAL
from netwatch.sources import interfaces

ROUTES: Final = Path("/proc/net/route")
ROUTES6: Final = Path("/proc/net/ipv6_route")
SPEED: Final = "/sys/class/net/{}/speed"
ROUTE_UP: Final = 0x1
ROUTE_GATEWAY: Final = 0x2
ROUTE_REJECT: Final = 0x200
ON_LINK_MIN: Final = {4: 8, 6: 48}  # shorter prefixes are a tunnel's way to take all traffic, no network of neighbours

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
    """One route: where to, through which interface, and whether straight to the neighbours."""

    network: str
    length: int
    interface: str
    metric: int
    on_link: bool


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
        ways = [route for route in routes if route.length == 0]
        if ways:
            return min(ways, key=lambda route: route.metric).interface
    return None


def local_networks() -> list[str]:
    """Return the networks on this side beside the private ranges, as `--local-net` takes them.

    The machine's own addresses, and the networks of its neighbours. An IPv4 network that holds the default route's
    interface, where it is public, belongs to a provider: of that one only the own address.
    """
    default = default_interface()
    found: set[Network] = set()
    for route in (*_routes4(), *_routes6()):
        network = ipaddress.ip_network((route.network, route.length))
        provider = network.version == 4 and route.interface == default
        if route.on_link and route.interface != "lo" and route.length >= ON_LINK_MIN[network.version] and not provider:
            found.add(network)
    for addresses in _addresses().values():
        found.update(ipaddress.ip_network(address.partition("/")[0]) for address in addresses)
    known = [ipaddress.ip_network(text) for text in LOCAL]
    extra = [one for one in found if not any(_within(one, other) for other in known)]
    return [str(one) for one in sorted(extra, key=lambda one: (one.version, int(one[0]), one.prefixlen))]


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
        if int(flags, 16) & ROUTE_UP and not int(flags, 16) & ROUTE_REJECT and name != "lo":
            address = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(to))
            yield Route(address, int(length, 16), name, int(metric, 16), not int(flags, 16) & ROUTE_GATEWAY)


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


def _addresses() -> Mapping[str, tuple[str, ...]]:
    """Ask the C library (getifaddrs(3)), which opens no socket but one to the kernel."""
    libc = ctypes.CDLL(None, use_errno=True)
    first = ctypes.POINTER(_Entry)()
    if libc.getifaddrs(ctypes.byref(first)) != 0:
        return {}
    found: dict[str, list[str]] = {}
    try:
        entry = first
        while bool(entry):
            one = entry.contents
            family = _family(one.address) if one.address else 0
            if family in _PLACES and one.mask:
                at, size = _PLACES[family]
                address = socket.inet_ntop(family, ctypes.string_at(one.address + at, size))
                length = int.from_bytes(ctypes.string_at(one.mask + at, size), "big").bit_count()
                found.setdefault(one.name.decode("utf-8", "surrogateescape"), []).append(f"{address}/{length}")
            entry = one.next
    finally:
        libc.freeifaddrs(first)
    return {name: tuple(addresses) for name, addresses in found.items()}


def _family(address: int) -> int:
    """Read the family of a socket address; where there is no AF_PACKET, its length stands before it."""
    if hasattr(socket, "AF_PACKET"):
        return ctypes.c_ushort.from_address(address).value
    return ctypes.c_ubyte.from_address(address + 1).value
