"""What Linux tells of an interface through any socket at all: no privilege, no file, no new socket (netdevice(7))."""

import ctypes
import fcntl
import struct
from typing import Final, NamedTuple

NAME_MAX: Final = 15  # bytes, IFNAMSIZ - 1
SCAN: Final = 64  # unused indices after which there are no more interfaces: they are given in order
SIOCGIFNAME: Final = 0x8910
SIOCGIFFLAGS: Final = 0x8913
SIOCGIFHWADDR: Final = 0x8927
SIOCGIFINDEX: Final = 0x8933
SIOCETHTOOL: Final = 0x8946
SIOCDEVPRIVATE: Final = 0x89F0
GET_PORTS: Final = 7  # BRCTL_GET_PORT_LIST
PORTS_MAX: Final = 1_024  # of a bridge (BR_MAX_PORTS)
GET_DRIVER: Final = 3  # ETHTOOL_GDRVINFO
DRIVER_BYTES: Final = 196  # struct ethtool_drvinfo
IFF_UP: Final = 1
LOOPBACK: Final = 772  # ARPHRD_LOOPBACK

BRIDGES: Final = frozenset(("bridge", "openvswitch"))
# Interfaces that show the frames of others once more: of the ports, the parent or the members.
STACKED: Final = BRIDGES | {
    "802.1Q VLAN Support", "bonding", "team", "macvlan", "macvtap", "ipvlan", "ipvtap", "vrf", "ifb", "nlmon", "vxlan",
    "geneve", "batman-adv", "l2tpeth", "netdevsim", "dummy",
}  # fmt: skip
TUNNELS: Final = frozenset(("tun", "wireguard", "ppp", "ipip", "sit", "gre", "ip6tnl", "vti", "vti6", "xfrm", "ovpn"))


class Interface(NamedTuple):
    """One interface as the system has it now.

    number: its index, as the system counts.   hardware: its ARPHRD number.   mac: six bytes, None where it has none.
    driver: name of its driver or kind, "" where the system does not say.   bus: where the device sits, "" for none.
    """

    number: int
    name: str
    up: bool
    hardware: int
    mac: bytes | None
    driver: str
    bus: str


def interface(fd: int, index: int) -> Interface | None:
    """Ask for the interface with a number; None where there is none."""
    name = name_of(fd, index)
    flags = None if name is None else _ask(fd, SIOCGIFFLAGS, name)
    hardware = None if name is None else _ask(fd, SIOCGIFHWADDR, name)
    if name is None or flags is None or hardware is None:
        return None
    kind = struct.unpack_from("=H", hardware)[0]
    mac = hardware[2:8] if kind == 1 else None
    driver, bus = _driver(fd, name)
    return Interface(index, name, bool(struct.unpack_from("=H", flags)[0] & IFF_UP), kind, mac, driver, bus)


def interfaces(fd: int, beyond: int = 0) -> list[Interface]:
    """List the interfaces of which the number is above `beyond`, by number.

    A number far above all others, as a container's interface can have, ends the list before it.
    """
    found = []
    last = index = beyond
    while index < last + SCAN:
        index += 1
        one = interface(fd, index)
        if one is not None:
            found.append(one)
            last = index
    return found


def is_physical(one: Interface) -> bool:
    """Tell whether an interface carries frames of its own: network cards, virtual ones, tunnels.

    Not loopback, and not what only shows frames of others once more (STACKED): whoever counts both counts twice.
    """
    return one.hardware != LOOPBACK and one.driver not in STACKED


def name_of(fd: int, index: int) -> str | None:
    """Return the name of the interface with a number, None where there is none."""
    try:
        answer = fcntl.ioctl(fd, SIOCGIFNAME, struct.pack("=16si20x", b"", index))
    except OSError:
        return None
    return answer[:16].partition(b"\0")[0].decode("utf-8", "surrogateescape")


def index_of(fd: int, name: str) -> int | None:
    """Return the number of the interface with a name, None where there is none."""
    answer = _ask(fd, SIOCGIFINDEX, name)
    return None if answer is None else struct.unpack_from("=i", answer)[0]


def is_up(fd: int, name: str) -> bool:
    """Tell whether an interface is there and switched on."""
    flags = _ask(fd, SIOCGIFFLAGS, name)
    return flags is not None and bool(struct.unpack_from("=H", flags)[0] & IFF_UP)


def ports(fd: int, bridge: str) -> list[int]:
    """Return the numbers of a bridge's ports, none where it is no bridge."""
    found = (ctypes.c_int * PORTS_MAX)()
    question = (ctypes.c_ulong * 4)(GET_PORTS, ctypes.addressof(found), PORTS_MAX, 0)
    request = struct.pack("@16sP16x", bridge.encode("utf-8", "surrogateescape"), ctypes.addressof(question))
    try:
        fcntl.ioctl(fd, SIOCDEVPRIVATE, request)
    except OSError:
        return []
    return [number for number in found if number]


def _ask(fd: int, what: int, name: str) -> bytes | None:
    """Return what stands behind the name in the answer (struct ifreq)."""
    raw = name.encode("utf-8", "surrogateescape")
    if not 0 < len(raw) <= NAME_MAX:
        return None
    try:
        return fcntl.ioctl(fd, what, struct.pack("=16s24x", raw))[16:]
    except OSError:
        return None


def _driver(fd: int, name: str) -> tuple[str, str]:
    answer = ctypes.create_string_buffer(DRIVER_BYTES)
    struct.pack_into("=I", answer, 0, GET_DRIVER)
    request = struct.pack("@16sP16x", name.encode("utf-8", "surrogateescape"), ctypes.addressof(answer))
    try:
        fcntl.ioctl(fd, SIOCETHTOOL, request)
    except OSError:
        return "", ""
    driver, bus = (answer.raw[at : at + 32].partition(b"\0")[0].decode("ascii", "replace") for at in (4, 100))
    return driver, "" if bus == "N/A" else bus
