"""Public suffixes, which no signature may claim (https://publicsuffix.org, MPL-2.0; made by netwatch/data/make)."""

import zlib
from functools import cache
from pathlib import Path
from typing import Final

from netwatch.model.errors import DataError

FILE: Final = Path(__file__).parents[1] / "data" / "public-suffixes.bin"


class Rules:
    """What a section of the list, or all of it, names."""

    def __init__(self, rules: list[str]) -> None:
        self._names: Final = frozenset(rules)
        self._above: Final = frozenset(rule[2:] for rule in rules if rule.startswith("*."))

    def __contains__(self, name: str) -> bool:
        if name in self._names:
            return True
        return name.partition(".")[2] in self._above and f"!{name}" not in self._names


@cache
def _sections() -> tuple[Rules, Rules, Rules]:
    try:
        both = zlib.decompress(FILE.read_bytes()).decode("ascii").split("\n\n")
    except (OSError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{FILE}: cannot be read: {error}; install netwatch again") from error
    icann, private = (section.split("\n") for section in both)
    return Rules(icann), Rules(private), Rules(icann + private)


def is_public(name: str) -> bool:
    """Tell whether a registry sells names directly below this one (`co.uk`). Raises DataError."""
    return name in _sections()[0]


def is_shared(name: str) -> bool:
    """Tell whether a company hands out names directly below this one (`github.io`). Raises DataError."""
    return name in _sections()[1]


def every_suffix() -> Rules:
    """Return the rules of both, to be asked for many names. Raises DataError."""
    return _sections()[2]
