"""The compact tables: what the maker writes is what the reader finds, at every border, and damage is told."""

import random
from bisect import bisect_right
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from netwatch.data.make.compact import RANGE_BLOCK, disjoint, write_ranges, write_texts
from netwatch.model.errors import DataError
from netwatch.places.ranges import FamilyTables, RangeTable
from netwatch.places.texts import TextTable

LOW = (1 << 64) - 1


def found(table: RangeTable, numbers: list[int], bits: int) -> list[int]:
    if bits == 128:
        high = np.array([number >> 64 for number in numbers], np.uint64)
        return table.find(high, np.array([number & LOW for number in numbers], np.uint64)).tolist()
    return table.find(np.array(numbers, np.uint32 if bits == 32 else np.uint64)).tolist()


def judged(rows: list[tuple[int, int]], numbers: list[int]) -> list[int]:
    starts = [start for start, _ in rows]
    return [rows[bisect_right(starts, number) - 1][1] for number in numbers]


def borders(rows: list[tuple[int, int]], bits: int) -> list[int]:
    return [n for start, _ in rows for n in (start - 1, start, start + 1) if 0 <= n < 1 << bits]


@pytest.mark.parametrize("bits", [32, 64, 128])
def test_every_border_of_a_table_of_many_blocks(bits: int) -> None:
    random_ = random.Random(bits)
    starts = {random_.getrandbits(bits) for _ in range(3 * RANGE_BLOCK)}
    starts |= {start | random_.getrandbits(8) for start in list(starts)[:500]}  # several that begin inside one /64
    rows = [(start, at % 200) for at, start in enumerate([0, *sorted(starts - {0})])]
    table = RangeTable("t", write_ranges(rows, bits, 1))
    asked = borders(rows, bits)
    random_.shuffle(asked)
    for at in range(0, len(asked), 1000):  # blocks are unpacked as they are met
        part = asked[at : at + 1000]
        assert found(table, part, bits) == judged(rows, part)


def test_one_question_unpacks_one_block() -> None:
    rows = [(start << 8, start % 250) for start in range(4 * RANGE_BLOCK)]
    content = bytearray(write_ranges(rows, 32, 1))
    content[-5] ^= 0xFF  # the last block is damaged
    table = RangeTable("t.bin", bytes(content))
    assert found(table, [700 << 8], 32) == [200]
    with pytest.raises(DataError, match=r"t\.bin: block 3 of a range table has not 10240 bytes"):
        found(table, [0xFFFF_FFFF], 32)
    assert found(table, [700 << 8], 32) == [200]


def test_several_blocks_of_ranges_inside_one_64() -> None:
    rows = [(0, 0), *((1 << 64 | low, low % 250) for low in range(2 * RANGE_BLOCK)), (2 << 64, 7)]
    table = RangeTable("t", write_ranges(rows, 128, 1))
    asked = [1 << 64 | low for low in (0, 1, RANGE_BLOCK - 2, RANGE_BLOCK - 1, RANGE_BLOCK, 2 * RANGE_BLOCK, LOW)]
    for number in [*reversed(asked), 2 << 64]:
        assert found(table, [number], 128) == judged(rows, [number])


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9), st.integers(1, 3))))
def test_the_maker_gives_each_number_the_range_that_starts_last(spans: list[tuple[int, int, int]]) -> None:
    ranges = sorted(((first, first + more, value) for first, more, value in spans), key=lambda span: span[0])
    rows = disjoint(ranges, 0)
    assert all(before[0] < after[0] and before[1] != after[1] for before, after in pairwise(rows))
    for number in range(75):
        covering = [value for first, last, value in ranges if first <= number <= last]
        assert judged(rows, [number]) == [covering[-1] if covering else 0]


def test_the_maker_refuses_what_is_not_sorted() -> None:
    with pytest.raises(ValueError, match="not sorted at 3"):
        disjoint([(5, 9, 1), (3, 4, 2)], 0)


@given(
    st.dictionaries(
        st.integers(0, (1 << 32) - 1),
        st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=9),
        min_size=1,
    )
)
def test_texts_are_found_by_their_numbers(texts: dict[int, str]) -> None:
    table = TextTable("t", write_texts(texts))
    for number, text in texts.items():
        assert table.get(number) == text
        assert table.get(number + 1) == texts.get(number + 1)
        assert table.get(number - 1) == texts.get(number - 1)


def test_texts_of_many_blocks() -> None:
    texts = {number * 3: f"name {number}" for number in range(5000)}
    table = TextTable("t", write_texts(texts))
    assert [table.get(number) for number in range(15_000)] == [texts.get(number) for number in range(15_000)]


@given(st.data())
def test_b1_a_damaged_table_answers_or_raises_data_error(data: st.DataObject) -> None:
    ranges = write_ranges([(start * 7, start % 9) for start in range(3000)], 32, 1, b"words")
    texts = write_texts({number: str(number) for number in range(1200)})
    for content, ask in (
        (ranges, lambda raw: found(RangeTable("t", raw), [0, 9_000, 1 << 31], 32)),
        (texts, lambda raw: [TextTable("t", raw).get(number) for number in (0, 700, 1199)]),
    ):
        damaged = bytearray(content[: data.draw(st.integers(0, len(content)))])
        for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=3)):
            if at < len(damaged):
                damaged[at] ^= 1 << data.draw(st.integers(0, 7))
        try:
            ask(bytes(damaged))
        except DataError as error:
            event(str(error))


def test_a_missing_table_knows_nothing() -> None:
    tables = FamilyTables("x", {}.get)
    nothing = np.zeros(3, np.uint64)
    assert tables.find(4, nothing, nothing).tolist() == [0, 0, 0]
    assert tables.words(6) == b""
