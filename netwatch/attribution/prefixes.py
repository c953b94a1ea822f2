"""Prefixes as text into disjoint ranges that a bisection finds; the longest prefix wins."""

from collections.abc import Iterable, Sequence

from netwatch.model.address import V6
from netwatch.model.reading import Address


def parse_address(text: str) -> Address | None:
    """Read an IPv4 (four decimal parts) or IPv6 (RFC 4291 section 2.2) address, None for anything else."""
    if ":" not in text:
        return _v4(text)
    head, gap, tail = text.partition("::")
    if "::" in tail or (gap and (head.endswith(":") or tail.startswith(":"))):
        return None
    left, right = _groups(head), _groups(tail)
    if left is None or right is None or (gap and "." in head):
        return None
    missing = 8 - len(left) - len(right)
    if missing < 0 or (missing == 0) == bool(gap) or (missing and not gap):
        return None
    value = V6
    for place, group in enumerate([*left, *[0] * missing, *right]):
        value |= group << 112 - 16 * place
    return value


def parse_prefix(text: str) -> tuple[Address, Address] | None:
    """Read `address/length` into the first address and the one behind the last; None where host bits are set."""
    base, slash, length = text.partition("/")
    first = parse_address(base)
    if first is None or not slash or not (length.isascii() and length.isdecimal()) or len(length) > 3:
        return None
    bits = 128 if first >= V6 else 32
    if int(length) > bits:
        return None
    size = 1 << bits - int(length)
    return None if first & size - 1 else (first, first + size)


def flatten(prefixes: Iterable[tuple[Address, Address, int]]) -> tuple[list[Address], list[int]]:
    """Turn nested ranges (first, behind the last, value) into starts and the value from each start on, -1 for none.

    Prefixes are nested or apart, never across each other. Of equal ones the first given wins.
    """
    starts: list[Address] = []
    values: list[int] = []

    def mark(at: Address, value: int) -> None:
        if starts and starts[-1] == at:
            values[-1] = value
        else:
            starts.append(at)
            values.append(value)

    open_: list[tuple[Address, int]] = []  # (behind the last, value), the innermost last
    ordered = sorted(enumerate(prefixes), key=lambda item: (item[1][0], -item[1][1], -item[0]))
    for _, (first, behind, value) in ordered:
        while open_ and open_[-1][0] <= first:
            end, _ = open_.pop()
            mark(end, open_[-1][1] if open_ else -1)
        mark(first, value)
        open_.append((behind, value))
    while open_:
        end, _ = open_.pop()
        mark(end, open_[-1][1] if open_ else -1)
    return starts, values


def _v4(text: str) -> Address | None:
    parts = text.split(".")
    if len(parts) != 4 or not all(part.isascii() and part.isdecimal() and len(part) <= 3 for part in parts):
        return None
    if any(int(part) > 255 or (len(part) > 1 and part[0] == "0") for part in parts):
        return None
    return int(parts[0]) << 24 | int(parts[1]) << 16 | int(parts[2]) << 8 | int(parts[3])


def _groups(text: str) -> Sequence[int] | None:
    if not text:
        return ()
    out: list[int] = []
    parts = text.split(":")
    for place, part in enumerate(parts):
        if "." in part and place == len(parts) - 1:
            low = _v4(part)
            if low is None:
                return None
            out += (low >> 16, low & 0xFFFF)
        elif 1 <= len(part) <= 4 and all(char in "0123456789abcdefABCDEF" for char in part):
            out.append(int(part, 16))
        else:
            return None
    return out
