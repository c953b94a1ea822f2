"""Networks in CIDR notation, as numbers."""

import re
from typing import Final, NamedTuple

from netwatch.model.address import V6, halves
from netwatch.model.errors import UsageError
from netwatch.model.reading import Address

GROUP: Final = re.compile(r"[0-9A-Fa-f]{1,4}", re.ASCII)
OCTET: Final = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)
LENGTH: Final = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)


class Network(NamedTuple):
    """A block of addresses: family 4 or 6, first and last as numbers of that family (bit 128 is not set)."""

    family: int
    first: int
    last: int

    def holds(self, address: Address) -> bool:
        """Tell whether an address lies in this block."""
        return (self.family == 6) == (address >= V6) and self.first <= address & (V6 - 1) <= self.last


def parse_address(text: str) -> Address | None:
    """Read an address as written in RFC 4291 section 2.2 or as four decimal numbers; None where it is none."""
    if ":" not in text:
        octets = text.split(".")
        if len(octets) != 4 or not all(OCTET.fullmatch(octet) and int(octet) < 256 for octet in octets):
            return None
        return int.from_bytes(bytes(map(int, octets)), "big")
    head, _, last = text.rpartition(":")
    if "." in last:
        embedded = parse_address(last)
        if embedded is None:
            return None
        text = f"{head}:{embedded >> 16:x}:{embedded & 0xFFFF:x}"
    left, gap, right = text.partition("::")
    before = left.split(":") if left else []
    after = right.split(":") if right else []
    missing = 8 - len(before) - len(after)
    if (missing < 1 if gap else missing != 0) or not all(GROUP.fullmatch(group) for group in (*before, *after)):
        return None
    value = 0
    for group in (*before, *["0"] * missing, *after):
        value = value << 16 | int(group, 16)
    return V6 | value


def parse_network(text: str) -> Network:
    """Read `10.0.0.0/8`, `fd00::/8` or a single address; bits behind the prefix are taken as 0.

    Raises UsageError, which says what is wrong with it.
    """
    written, slash, length = text.partition("/")
    address = parse_address(written)
    if address is None:
        raise UsageError(f"{text!r} is no network: write it as 192.168.0.0/16 or fd00::/8")
    family = halves(address)[0]
    bits = 32 if family == 4 else 128
    if slash and (not LENGTH.fullmatch(length) or int(length) > bits):
        raise UsageError(f"{text!r} is no network: behind the slash stands a number from 0 to {bits}")
    rest = (1 << bits - int(length or bits)) - 1
    first = address & ~(rest | V6)
    return Network(family, first, first | rest)
