"""A cell and its number are the same thing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.limits import HOSTS
from netwatch.model.records import BLIND
from netwatch.sinks.cells import DEVICE_AT, Cell, joined, split

CELLS = st.builds(
    Cell,
    device=st.integers(0, HOSTS),
    label=st.integers(0, 2**23 - 1),
    country=st.integers(0, 52 * 52),
    kind=st.integers(0, 31),
    named=st.integers(0, 1),
    in_coverage=st.integers(0, 1),
    blind=st.integers(0, len(BLIND) - 1),
)


@given(st.lists(CELLS, min_size=1, max_size=5))
def test_cells_come_back_from_their_numbers(cells: list[Cell]) -> None:
    numbers = joined([np.array(column, np.int64) for column in zip(*cells, strict=True)]).tolist()
    assert min(numbers) >= 0
    assert [split(number) for number in numbers] == cells
    assert [number >> DEVICE_AT for number in numbers] == [cell.device for cell in cells]
