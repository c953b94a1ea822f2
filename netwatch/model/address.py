"""IP addresses as numbers and as text (RFC 5952)."""

from functools import lru_cache
from typing import Final

from netwatch.model.reading import Address

V6: Final = 1 << 128


def address(family: int, hi: int, lo: int) -> Address:
    """Join the halves of a column row into one number that tells the families apart."""
    return lo if family == 4 else V6 | hi << 64 | lo


def from_bytes(raw: bytes) -> Address:
    """Read 4 or 16 bytes, big-endian."""
    value = int.from_bytes(raw, "big")
    return value if len(raw) == 4 else V6 | value


def halves(value: Address) -> tuple[int, int, int]:
    """Split into (family, hi, lo)."""
    if value < V6:
        return 4, 0, value
    return 6, value >> 64 & 0xFFFF_FFFF_FFFF_FFFF, value & 0xFFFF_FFFF_FFFF_FFFF


@lru_cache(maxsize=8_192)  # a flood of addresses costs 2 MB here
def address_text(value: Address) -> str:
    """Write an address as RFC 5952 does: `192.0.2.1`, `2001:db8::1`, `::ffff:192.0.2.1`."""
    if value < V6:
        return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"
    low = value & (V6 - 1)
    if low >> 32 == 0xFFFF:
        return "::ffff:" + address_text(low & 0xFFFF_FFFF)
    groups = [low >> shift & 0xFFFF for shift in range(112, -1, -16)]
    best_at, best_len, at = -1, 1, 0  # the first of the longest runs of two or more zero groups
    while at < 8:
        end = at
        while end < 8 and groups[end] == 0:
            end += 1
        if end - at > best_len:
            best_at, best_len = at, end - at
        at = end + 1
    if best_at < 0:
        return ":".join(f"{group:x}" for group in groups)
    head = ":".join(f"{group:x}" for group in groups[:best_at])
    tail = ":".join(f"{group:x}" for group in groups[best_at + best_len :])
    return f"{head}::{tail}"
