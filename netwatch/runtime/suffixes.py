"""Public suffixes, which no signature may claim (https://publicsuffix.org, MPL-2.0; made by netwatch/data/make)."""

import zlib
from functools import cache
from pathlib import Path
from typing import Final

from netwatch.model.errors import DataError

FILE: Final = Path(__file__).parents[1] / "data" / "public-suffixes.bin"


@cache
def _rules() -> tuple[frozenset[str], frozenset[str]]:
    try:
        sections = zlib.decompress(FILE.read_bytes()).decode("ascii").split("\n\n")
    except (OSError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{FILE}: cannot be read: {error}; install netwatch again") from error
    icann, private = (frozenset(section.split("\n")) for section in sections)
    return icann, private


def is_public(name: str) -> bool:
    """Tell whether a registry sells names directly below this one (`co.uk`). Raises DataError."""
    return _holds(_rules()[0], name)


def is_shared(name: str) -> bool:
    """Tell whether a company hands out names directly below this one (`github.io`). Raises DataError."""
    return _holds(_rules()[1], name)


def _holds(rules: frozenset[str], name: str) -> bool:
    parent = name.partition(".")[2]
    return name in rules or (f"*.{parent}" in rules and f"!{name}" not in rules)
