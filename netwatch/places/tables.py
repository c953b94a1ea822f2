"""Address -> country, address -> AS number and name, from the shipped tables."""

from collections.abc import Callable
from typing import Final, Protocol

import numpy as np

from netwatch.model.arrays import U32, U64
from netwatch.places.ranges import FamilyTables
from netwatch.places.texts import TextTable

NAMES: Final = "asn-names.bin"


class CountrySource(Protocol):
    """Who knows countries: the shipped tables or a database of the user's."""

    def countries(self, family: int, hi: U64, lo: U64) -> list[str | None]:
        """Return two capital letters for each address of one family, None where unknown. hi, lo: uint64[N]."""

    def load(self) -> None:
        """Read what is read on demand now."""


class CountryTables:
    """The tables `<stem>-v4.bin`, `<stem>-v6.bin`; values point into their list of codes, 0 is none."""

    def __init__(self, stem: str, read: Callable[[str], bytes | None]) -> None:
        self._tables = FamilyTables(stem, read)
        self._codes: dict[int, list[str | None]] = {}

    def load(self) -> None:
        """Read both tables now. Raises DataError for a damaged one."""
        self._tables.load()

    def countries(self, family: int, hi: U64, lo: U64) -> list[str | None]:
        """Return two capital letters for each address of one family, None where unknown. Raises DataError."""
        values = self._tables.find(family, hi, lo)
        if family not in self._codes:
            letters = self._tables.words(family).decode("ascii")
            self._codes[family] = [None, *(letters[at : at + 2] for at in range(0, len(letters), 2))]
        codes = self._codes[family]
        return [codes[value] for value in values.tolist()]


class NetworkSource(Protocol):
    """Who knows networks: the shipped tables or a database of the user's."""

    def numbers(self, family: int, hi: U64, lo: U64) -> U32:
        """Return the AS number of each address of one family, 0 where unknown. hi, lo: uint64[N]."""

    def name(self, number: int) -> str | None:
        """Return the name of an AS that `numbers` has returned."""

    def load(self) -> None:
        """Read what is read on demand now."""


class NetworkTables:
    """The tables `asn-v4.bin`, `asn-v6.bin`, `asn-names.bin`."""

    def __init__(self, read: Callable[[str], bytes | None]) -> None:
        self._read = read
        self._tables = FamilyTables("asn", read)
        self._names: TextTable | None = None
        self._names_read = False

    def load(self) -> None:
        """Read the tables now. Raises DataError for a damaged one."""
        self._tables.load()
        self.name(0)

    def numbers(self, family: int, hi: U64, lo: U64) -> U32:
        """Return the AS number of each address of one family, 0 where unknown. Raises DataError."""
        return self._tables.find(family, hi, lo).astype(np.uint32, copy=False)

    def name(self, number: int) -> str | None:
        """Return the name of an AS, None where it has none. Raises DataError."""
        if not self._names_read:
            content = self._read(NAMES)
            self._names = None if content is None else TextTable(NAMES, content)
            self._names_read = True
        return None if self._names is None else self._names.get(number)
