"""Time stamps of any resolution as integer nanoseconds."""

from typing import Final, NamedTuple

import numpy as np

from netwatch.model.arrays import I64, U64

TIME_MIN: Final = -(2**63)
TIME_MAX: Final = 2**63 - 1


class Clock(NamedTuple):
    """Time stamps in ticks of numerator / denominator nanoseconds since `offset` (ns since 1970 UTC)."""

    numerator: int
    denominator: int
    offset: int


def clock(resolution: int, offset: int) -> Clock:
    """Return the clock of the options if_tsresol and if_tsoffset (draft-ietf-opsawg-pcapng section 4.2).

    resolution: 0..127, a tick is 10**-resolution seconds; 128..255, it is 2**-(resolution - 128) seconds.
    offset: seconds, signed.
    """
    if resolution & 0x80:
        return Clock(10**9, 1 << (resolution & 0x7F), offset * 10**9)
    if resolution <= 9:
        return Clock(10 ** (9 - resolution), 1, offset * 10**9)
    return Clock(1, 10 ** (resolution - 9), offset * 10**9)


def nanoseconds(ticks: int, of: Clock) -> int:
    """Return the time, rounded down, at the nearest end of int64 where it lies beyond."""
    return min(max(ticks * of.numerator // of.denominator + of.offset, TIME_MIN), TIME_MAX)


def nanosecond_column(ticks: U64, of: Clock) -> I64:
    """Do the same for uint64[N], N > 0, as int64[N]."""
    low, high = int(ticks.min()) * of.numerator, int(ticks.max()) * of.numerator
    if of.denominator == 1 and high <= TIME_MAX and of.offset + low >= TIME_MIN and of.offset + high <= TIME_MAX:
        time = (ticks * np.uint64(of.numerator)).view(np.int64)
        time += of.offset if of.offset >= TIME_MIN else 0
        return time
    return np.array([nanoseconds(tick, of) for tick in ticks.tolist()], np.int64)
