"""F3: every resolution and offset, in exact integers."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.sources.clock import TIME_MAX, TIME_MIN, clock, nanosecond_column, nanoseconds

ticks = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**63, 2**64 - 1, 1_700_000_000_000_000]))
offsets = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-100, 100))


def by_definition(tick: int, resolution: int, offset: int) -> int:
    base, power = (2, resolution - 128) if resolution >= 128 else (10, resolution)
    exact = floor(Fraction(tick * 10**9, base**power)) + offset * 10**9
    return min(max(exact, TIME_MIN), TIME_MAX)


@given(ticks, st.integers(0, 255), offsets)
def test_f3_one_time_is_exact(tick: int, resolution: int, offset: int) -> None:
    assert nanoseconds(tick, clock(resolution, offset)) == by_definition(tick, resolution, offset)


@pytest.mark.parametrize("resolution", range(256))
def test_f3_every_resolution_at_the_ends(resolution: int) -> None:
    column = np.array([0, 1, 2**64 - 1], np.uint64)
    for offset in (0, 1, -(2**63), 2**63 - 1):
        expected = [by_definition(tick, resolution, offset) for tick in column.tolist()]
        assert nanosecond_column(column, clock(resolution, offset)).tolist() == expected


@given(st.lists(ticks, min_size=1, max_size=8), st.sampled_from([0, 6, 9, 10, 12, 127, 128, 158, 255]), offsets)
def test_f3_a_column_is_each_of_its_times(column: list[int], resolution: int, offset: int) -> None:
    found = nanosecond_column(np.array(column, np.uint64), clock(resolution, offset))
    assert found.dtype == np.int64
    assert found.tolist() == [by_definition(tick, resolution, offset) for tick in column]
