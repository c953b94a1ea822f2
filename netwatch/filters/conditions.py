"""An expression as conditions on the fields of one kind of packet: `not` is gone, what is not known there is kept."""

from collections.abc import Iterable
from enum import Enum
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

from netwatch.filters.expression import And, Expression, Hosts, Labelled, Not, Or, Ports, Protocol, Version, Vlan
from netwatch.model.address import V6

NONE: Final = 0xFFFF_FFFF  # a port or VLAN that is not there

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""Values from first to last: sorted, with gaps between them."""


class Field(Enum):
    """What a condition reads; numbers of 32 bits, but for the addresses of IPv6."""

    PROTOCOL = 0
    VLAN = 1
    SOURCE_PORT = 2
    DESTINATION_PORT = 3
    SOURCE = 4
    DESTINATION = 5


class Kind(NamedTuple):
    """A kind of packets.

    family: 4 or 6.   ports, protocol: they are known, if only to be none; else any term of them may hold.
    """

    family: int
    ports: bool = True
    protocol: bool = True


class Within(NamedTuple):
    """A field has one of the values; bits: of the field."""

    field: Field
    ranges: Ranges
    bits: int


class AllOf(NamedTuple):
    """All hold."""

    parts: "tuple[Condition, ...]"


class AnyOf(NamedTuple):
    """One holds at least."""

    parts: "tuple[Condition, ...]"


Condition: TypeAlias = bool | Within | AllOf | AnyOf


def conditions(expression: Expression, kind: Kind, *, negated: bool = False) -> Condition:
    """Return what must hold for a packet of a kind, so that the expression may.

    Raises ValueError for a label.
    """
    match expression:
        case Not(part):
            return conditions(part, kind, negated=not negated)
        case And(parts) | Or(parts):
            inner = [conditions(part, kind, negated=negated) for part in parts]
            return _join(inner, AnyOf if isinstance(expression, Or) is not negated else AllOf)
        case Version(family):
            return (family == kind.family) is not negated
        case Protocol(number):
            return not kind.protocol or _ends(((number, number),), 32, negated, Field.PROTOCOL)
        case Ports(first, last):
            return not kind.ports or _ends(((first, last),), 32, negated, Field.SOURCE_PORT, Field.DESTINATION_PORT)
        case Vlan(number):
            tags = ((0, 4095),) if number is None else ((number, number),)
            return _ends(tags, 32, negated, Field.VLAN)
        case Hosts(first, last):
            if (first >= V6) != (kind.family == 6):
                return negated
            bits = 128 if kind.family == 6 else 32
            ranges = ((first & (1 << bits) - 1, last & (1 << bits) - 1),)
            return _ends(ranges, bits, negated, Field.SOURCE, Field.DESTINATION)
        case Labelled():
            raise ValueError("a label is not known of a packet")


def uses_vlan(expression: Expression) -> bool:
    """Tell whether an expression asks for a VLAN."""
    match expression:
        case And(parts) | Or(parts):
            return any(uses_vlan(part) for part in parts)
        case Not(part):
            return uses_vlan(part)
        case _:
            return isinstance(expression, Vlan)


def _ends(ranges: Ranges, bits: int, negated: bool, *fields: Field) -> Condition:
    """Return that one of the fields is within ranges; negated: that none is."""
    if negated:
        ranges = _others(ranges, bits)
    return _join([Within(field, ranges, bits) for field in fields], AllOf if negated else AnyOf)


def _join(parts: Iterable[Condition], join: type[AllOf | AnyOf]) -> Condition:
    """Join conditions; those of one field become one."""
    deciding = join is AnyOf  # the constant that decides the whole
    others: list[Condition] = []
    fields: dict[Field, list[Within]] = {}
    for part in parts:
        for one in part.parts if isinstance(part, join) else (part,):
            if isinstance(one, Within):
                fields.setdefault(one.field, []).append(one)
            elif one is deciding:
                return deciding
            elif not isinstance(one, bool):
                others.append(one)
    merged: list[Condition] = []
    for field, same in fields.items():
        bits = same[0].bits
        if join is AnyOf:
            ranges = _union([pair for one in same for pair in one.ranges])
        else:
            ranges = _others(_union([pair for one in same for pair in _others(one.ranges, bits)]), bits)
        whole = ranges == ((0, (1 << bits) - 1),)
        if ranges and not whole:
            merged.append(Within(field, ranges, bits))
        elif whole is deciding:
            return deciding
    merged += others
    if len(merged) < 2:
        return merged[0] if merged else not deciding
    return join(tuple(merged))


def _union(ranges: list[tuple[int, int]]) -> Ranges:
    out: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if out and first <= out[-1][1] + 1:
            out[-1] = out[-1][0], max(out[-1][1], last)
        else:
            out.append((first, last))
    return tuple(out)


def _others(ranges: Ranges, bits: int) -> Ranges:
    """Return the values that are not within ranges."""
    edges = [(-1, -1), *ranges, (1 << bits, 1 << bits)]
    gaps = [(left[1] + 1, right[0] - 1) for left, right in pairwise(edges)]
    return tuple((first, last) for first, last in gaps if first <= last)
