"""Equal rows get one number, and each number the first of its rows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.distinct import distinct

WORDS = st.one_of(st.integers(0, 2), st.just(2**64 - 1))


@given(st.lists(st.tuples(WORDS, WORDS, WORDS)))
def test_rows_share_a_number_where_all_their_words_are_equal(rows: list[tuple[int, int, int]]) -> None:
    words = np.array(rows, np.uint64).reshape(-1, 3)
    first, code = distinct(*words.T)
    assert len(first) == len(set(rows))
    assert [rows[first[number]] for number in code.tolist()] == rows
    assert [rows.index(rows[at]) for at in first.tolist()] == first.tolist()


def test_unequal_rows_whose_mixed_words_are_equal_are_told_apart() -> None:
    """The second word's mixing is undone by the first: both rows have the mixed word 0."""
    mixing = 0x9E3779B97F4A7C15
    rows = [((word + 1) * mixing % 2**64, word) for word in (5, 6, 5)]
    first, code = distinct(*np.array(rows, np.uint64).T)
    assert code[0] == code[2] != code[1]
    assert sorted(first.tolist()) == [0, 1]


def test_one_column_and_no_row() -> None:
    first, code = distinct(np.array([7, 3, 7], np.uint64))
    assert [[7, 3, 7][first[number]] for number in code.tolist()] == [7, 3, 7]
    assert [part.tolist() for part in distinct(np.zeros(0, np.uint64))] == [[], []]
