"""Databases of the user's in MaxMind's format: the schemas that are in use, and values that are checked."""

import re
import struct
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, Protocol

import numpy as np

from netwatch.model.address import V6, address, address_text
from netwatch.model.arrays import U32, U64
from netwatch.model.limits import PLACES, STRING_MAX
from netwatch.model.reading import Address

COUNTRY: Final = re.compile(r"[A-Z]{2}", re.ASCII)
ASN: Final = re.compile(r"(?:AS)?([0-9]{1,10})", re.ASCII)
ASN_MAX: Final = 0xFFFF_FFFF  # RFC 6793
PROBES: Final = 4_096  # networks that are looked at to learn what a database holds
# Everything that maxminddb's readers, the C one and the slower one, let through for a damaged file.
READER_ERRORS: Final = (
    *(ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RuntimeError, SystemError),
    *(TypeError, ValueError, struct.error),
)


class Reader(Protocol):
    """What is used of `maxminddb.Reader`."""

    def get_with_prefix_len(self, ip_address: str) -> tuple[object, int]:
        """Return the record of an address and how many bits of it were looked at."""


def country_of(record: object) -> str | None:
    """Return the country of a record: `country.iso_code`, `country_code` or `country`, only as two capital letters."""
    if not isinstance(record, dict):
        return None
    country = record.get("country")
    nested = country.get("iso_code") if isinstance(country, dict) else None
    for value in (nested, record.get("country_code"), country):
        if isinstance(value, str) and COUNTRY.fullmatch(value):
            return value
    return None


def network_of(record: object) -> tuple[int, str | None]:
    """Return AS number and name of a record, 0 and None where unknown.

    Known are `autonomous_system_*` and `asn` (`15169`, `AS15169`) with a name.
    """
    if not isinstance(record, dict):
        return 0, None
    number = record.get("autonomous_system_number", record.get("asn"))
    if isinstance(number, str) and (found := ASN.fullmatch(number)):
        number = int(found[1])
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number <= ASN_MAX:
        return 0, None
    for key in ("autonomous_system_organization", "as_name", "name", "organization"):
        name = record.get(key)
        if isinstance(name, str) and name:
            return number, name[:STRING_MAX]
    return number, None


class MmdbDatabase:
    """Answers from one open database; a record that cannot be read is unknown.

    ip_version: 4 where it holds no IPv6.   damaged: called at the first record that cannot be read.
    """

    def __init__(self, reader: Reader, ip_version: int, damaged: Callable[[], None]) -> None:
        self._reader, self._ip_version = reader, ip_version
        self._damaged: Callable[[], None] | None = damaged
        self._names: dict[int, str | None] = {}

    def load(self) -> None:
        """Do nothing: the file is open."""

    def countries(self, family: int, hi: U64, lo: U64) -> list[str | None]:
        """Return two capital letters for each address of one family, None where unknown. hi, lo: uint64[N]."""
        return [country_of(record) for record in self._records(family, hi, lo)]

    def numbers(self, family: int, hi: U64, lo: U64) -> U32:
        """Return the AS number of each address of one family, 0 where unknown. hi, lo: uint64[N]."""
        found = [network_of(record) for record in self._records(family, hi, lo)]
        if len(self._names) > PLACES:
            self._names.clear()
        self._names.update(found)
        return np.array([number for number, _ in found], np.uint32)

    def name(self, number: int) -> str | None:
        """Return the name of an AS of the latest `numbers`."""
        return self._names.get(number)

    def _records(self, family: int, hi: U64, lo: U64) -> list[object]:
        if family == 6 and self._ip_version == 4:
            return [None] * len(hi)
        return [self._record(address(family, *halves)) for halves in zip(hi.tolist(), lo.tolist(), strict=True)]

    def _record(self, server: Address) -> object:
        try:
            return self._reader.get_with_prefix_len(address_text(server))[0]
        except READER_ERRORS:
            if self._damaged is not None:
                self._damaged()
                self._damaged = None
            return None


def kinds(reader: Reader, ip_version: int) -> set[str]:
    """Tell what a database holds: a set of `country`, `asn`; empty where no known schema is met.

    Raises one of READER_ERRORS for a damaged file.
    """
    found: set[str] = set()
    for record in islice(_records(reader, ip_version), 64):
        if country_of(record) is not None:
            found.add("country")
        if network_of(record)[0]:
            found.add("asn")
    return found


def _records(reader: Reader, ip_version: int) -> Iterator[object]:
    """Yield records in the order of their networks; no damaged tree makes this long, unlike iterating a reader."""
    bits, mark = (32, 0) if ip_version == 4 else (128, V6)
    at = 0
    for _ in range(PROBES):
        record, prefix = reader.get_with_prefix_len(address_text(mark | at))
        if record is not None:
            yield record
        at = (at | (1 << bits - prefix) - 1) + 1
        if at >> bits:
            return
