"""What a filter expression means, as a small tree."""

from typing import Final, NamedTuple, TypeAlias

from netwatch.model.reading import Address

KEYS: Final = {
    "app": "app id or name",
    "owner": "owner id or name",
    "control": "two letters of the country that controls the owner",
    "device": "device id or name",
    "name": "a name and what is below it, or words with *",
    "role": "what an endpoint is for",
    "kind": "app, sdk, platform or infra",
}


class And(NamedTuple):
    """All hold."""

    parts: tuple["Expression", ...]


class Or(NamedTuple):
    """One holds at least."""

    parts: tuple["Expression", ...]


class Not(NamedTuple):
    """It does not hold."""

    part: "Expression"


class Hosts(NamedTuple):
    """One end has an address from first to last, both of one family."""

    first: Address
    last: Address


class Ports(NamedTuple):
    """One end has a port from first to last."""

    first: int
    last: int


class Protocol(NamedTuple):
    """The IP protocol behind the extension headers."""

    number: int


class Version(NamedTuple):
    """The version of the innermost IP header, 4 or 6."""

    family: int


class Vlan(NamedTuple):
    """The outermost VLAN; None: any."""

    number: int | None


class Labelled(NamedTuple):
    """A label has a value; key of KEYS, value in lower case."""

    key: str
    value: str


Leaf: TypeAlias = Hosts | Ports | Protocol | Version | Vlan | Labelled
Expression: TypeAlias = And | Or | Not | Leaf


def ids(expression: Expression) -> dict[str, set[str]]:
    """Return what is asked for by label, {key: values in lower case}, for who wants to know whether it exists."""
    found: dict[str, set[str]] = {}
    stack = [expression]
    while stack:
        match stack.pop():
            case And(parts) | Or(parts):
                stack += parts
            case Not(part):
                stack.append(part)
            case Labelled(key, value):
                found.setdefault(key, set()).add(value)
            case _:
                pass
    return found


def name_test(value: str, name: str | None) -> bool:
    """Tell whether a name is `value` or below it; with `*` in value, whether it has those words in that order.

    A `*` stands for any characters, dots too. Takes time linear in the name for each word.
    """
    if name is None:
        return False
    name = name.lower().rstrip(".")
    if "*" not in value:
        return name == value or name.endswith("." + value)
    first, *middle, last = value.split("*")
    if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for word in middle:
        at = name.find(word, at, end)
        if at < 0:
            return False
        at += len(word)
    return True


def word_test(value: str, *words: str | None) -> bool:
    """Tell whether one of the words is `value`, whatever the case."""
    return any(word is not None and word.lower() == value for word in words)
