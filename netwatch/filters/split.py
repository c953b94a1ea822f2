"""Splits an expression into what packets alone decide, and the rest, which needs labels.

Names, and with them labels, come from other packets than those that are asked for: of `app:tiktok and port 443` the
lookups went to port 53. So whoever drops packets by the packet part keeps NAMING beside it, and filters the records
afterwards by the whole expression. Without NAMING a capture has its packets, and fewer names.
"""

from typing import Final

from netwatch.filters.expression import And, Expression, Labelled, Not, Or
from netwatch.filters.parse import parse

# what tells names: DNS, mDNS, LLMNR (RFC 1035, 6762, 4795), DHCP and DHCPv6 (RFC 2131, 8415)
NAMING_TEXT: Final = "(port 53 or port 5353 or (udp and (portrange 67-68 or portrange 546-547 or port 5355)))"
NAMING: Final[Expression] = parse(NAMING_TEXT)


def split(expression: Expression) -> tuple[Expression | None, Expression | None]:
    """Return (packet part, rest); None: what always holds.

    Both together hold exactly where the expression does. The packet part has no label and is implied by the whole: a
    packet for which it does not hold belongs to no flow and no lookup that matches. rest is None where no label is
    asked for; else it may repeat packet terms, where `or` and `not` tie them to labels.
    """
    packet: list[Expression] = []
    rest: list[Expression] = []
    for part in _joined(expression):
        if not _labelled(part):
            packet.append(part)
            continue
        rest.append(part)
        implied = _bound(part, upper=True)
        if not isinstance(implied, bool):
            packet.append(implied)
    return _all(packet), _all(rest)


def _joined(expression: Expression) -> list[Expression]:
    """Return what an expression demands all of, as many parts as possible, in their order."""
    found: list[Expression] = []
    stack = [expression]
    while stack:
        one = stack.pop()
        if isinstance(one, And):
            stack += reversed(one.parts)
        else:
            found.append(one)
    return found


def _all(parts: list[Expression]) -> Expression | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    return And(tuple(parts))


def _labelled(expression: Expression) -> bool:
    match expression:
        case And(parts) | Or(parts):
            return any(_labelled(part) for part in parts)
        case Not(part):
            return _labelled(part)
        case _:
            return isinstance(expression, Labelled)


def _bound(expression: Expression, *, upper: bool) -> Expression | bool:
    """Return an expression without labels that is implied by this one (upper), or implies it."""
    match expression:
        case Labelled():
            return upper
        case Not(part):
            inner = _bound(part, upper=not upper)
            return not inner if isinstance(inner, bool) else Not(inner)
        case And(parts) | Or(parts):
            deciding = isinstance(expression, Or)  # the constant that decides the whole
            kept: list[Expression] = []
            for part in parts:
                bound = _bound(part, upper=upper)
                if not isinstance(bound, bool):
                    kept.append(bound)
                elif bound is deciding:
                    return deciding
            if not kept:
                return not deciding
            return kept[0] if len(kept) == 1 else type(expression)(tuple(kept))
        case _:
            return expression
