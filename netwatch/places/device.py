"""Link-layer address -> vendor of the device."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from netwatch.model.limits import HOSTS
from netwatch.places.ranges import RangeTable
from netwatch.places.texts import TextTable

GROUP: Final = 1 << 40  # the lowest bit of the first octet: multicast and broadcast (IEEE 802-2014 section 8.2.2)
LOCALLY_ADMINISTERED: Final = 1 << 41


def is_random(mac: int) -> bool:
    """Tell whether a device chose its own address: the locally administered bit, as phones set it to stay unknown."""
    return 0 <= mac < 1 << 48 and mac & (GROUP | LOCALLY_ADMINISTERED) == LOCALLY_ADMINISTERED


class Vendors:
    """Finds the holder of the 24, 28 or 36-bit block of an address; the longest block decides.

    read:      gives the bytes of a shipped file, None where it is missing; raises DataError for a damaged one.
    database:  what stands in the summary: name, use, date, licence; None without the table.
    """

    def __init__(self, read: Callable[[str], bytes | None], database: Mapping[str, str | None] | None = None) -> None:
        self.database = None if database is None else dict(database)
        self._read = read
        self._tables: tuple[RangeTable, TextTable] | None = None
        self._loaded = False
        self._known: dict[int, str | None] = {}

    def load(self) -> None:
        """Read the tables now, for a process that is about to lose its right to open files. Raises DataError."""
        if not self._loaded:
            blocks, names = self._read("vendor.bin"), self._read("vendor-names.bin")
            if blocks is not None and names is not None:
                self._tables = RangeTable("vendor.bin", blocks), TextTable("vendor-names.bin", names)
            self._loaded = True

    def vendor(self, mac: int) -> str | None:
        """Return the vendor of a link-layer address (48 bits, first octet highest).

        None for group addresses, addresses that devices chose themselves, blocks without a public holder, NO_MAC.
        Raises DataError for a damaged table.
        """
        if not 0 <= mac < 1 << 48 or mac & (GROUP | LOCALLY_ADMINISTERED):
            return None
        if mac not in self._known:
            if len(self._known) >= HOSTS:
                self._known.clear()
            self._known[mac] = self._find(mac)
        return self._known[mac]

    def _find(self, mac: int) -> str | None:
        self.load()
        if self._tables is None:
            return None
        blocks, names = self._tables
        return names.get(int(blocks.find(np.array([mac], np.uint64))[0]))
