"""What a filter expression means, as a small tree."""

from dataclasses import dataclass
from typing import Final, TypeAlias

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


@dataclass(frozen=True, slots=True)
class And:
    """All hold."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One holds at least."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """It does not hold."""

    part: "Expression"


@dataclass(frozen=True, slots=True)
class Hosts:
    """One end has an address from first to last, both of one family."""

    first: Address
    last: Address


@dataclass(frozen=True, slots=True)
class Ports:
    """One end has a port from first to last."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Protocol:
    """The IP protocol behind the extension headers."""

    number: int


@dataclass(frozen=True, slots=True)
class Version:
    """The version of the innermost IP header, 4 or 6."""

    family: int


@dataclass(frozen=True, slots=True)
class Vlan:
    """The outermost VLAN; None: any."""

    number: int | None


@dataclass(frozen=True, slots=True)
class Labelled:
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
