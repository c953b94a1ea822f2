"""The day of a time stamp, as the dates of the catalogue are written."""

from functools import lru_cache
from typing import Final

DAY_NS: Final = 86_400 * 10**9
_EPOCH: Final = 719_163  # ordinal of 1970-01-01
_LAST: Final = 3_652_059  # ordinal of 9999-12-31


def day_of(time_ns: int) -> str:
    """Return the UTC day of a time in ns since the epoch, `2025-11-24`; times out of the calendar end at its ends."""
    return _day(time_ns // DAY_NS)


@lru_cache(maxsize=1_024)
def _day(days: int) -> str:
    from datetime import date

    return date.fromordinal(min(max(days + _EPOCH, 1), _LAST)).isoformat()
