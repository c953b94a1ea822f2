import random
from collections import Counter
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.errors import ParseError
from netwatch.model.limits import HELD_SEGMENTS, HELLO_MAX
from netwatch.names.reassembly import Assembler, Stream

TEXT = bytes(range(256))


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=25))
def test_p7_pieces_of_one_text_in_any_order_give_a_prefix_of_it(cuts: list[tuple[int, int]]) -> None:
    pieces = Assembler(Counter())
    have = set()
    for at, size in cuts:
        pieces.add(at, TEXT[at : at + size])
        have |= set(range(at, at + size))
        whole = next(place for place in range(100) if place not in have)
        assert pieces.data == TEXT[:whole]
    assert not pieces.anomalies


@given(st.lists(st.tuples(st.integers(0, 30), st.binary(min_size=1, max_size=12)), max_size=20))
def test_p7_of_bytes_that_differ_the_first_ones_win(writes: list[tuple[int, bytes]]) -> None:
    pieces = Assembler(Counter())
    first: dict[int, int] = {}
    clash = False
    for at, data in writes:
        pieces.add(at, data)
        for place, byte in enumerate(data, at):
            clash |= first.setdefault(place, byte) != byte
    size = next(place for place in range(60) if place not in first)
    assert list(pieces.data) == [first[place] for place in range(size)]
    assert bool(pieces.anomalies["reassembly_overlap"]) == clash


def test_p7_so_many_runs_are_held_and_no_more() -> None:
    pieces = Assembler(Counter())
    for number in range(HELD_SEGMENTS):
        pieces.add(2 + 2 * number, b"x")
    with pytest.raises(ParseError, match="reassembly_held_full"):
        pieces.add(1_000, b"x")
    pieces.add(3, b"y")  # joins two runs: one place is free again
    pieces.add(1_000, b"x")


def test_p7_the_bytes_of_one_stream_are_bounded() -> None:
    pieces = Assembler(Counter())
    with pytest.raises(ParseError, match="reassembly_too_far"):
        pieces.add(HELLO_MAX, b"x")
    pieces.add(0, bytes(HELLO_MAX + 1_000))  # a super-segment is cut, not refused
    assert len(pieces.data) == HELLO_MAX
    with pytest.raises(ParseError, match="reassembly_too_long"):
        pieces.add(pieces.end, b"x")
    pieces.drop(10)
    assert (pieces.start, len(pieces.data)) == (10, HELLO_MAX - 10)


def test_p7_one_byte_each_in_any_order_that_keeps_few_runs_costs_no_more_than_the_bytes() -> None:
    pieces = Assembler(Counter())
    for at in reversed(range(200)):
        pieces.add(at, TEXT[at : at + 1])
        assert len(pieces.held) <= 1
    assert pieces.data == TEXT[:200]


@pytest.mark.parametrize("first", [0, 5, 0xFFFF_FFF0, 0xFFFF_FFFF, 0x7FFF_FFFF])
def test_sequence_numbers_wrap(first: int) -> None:
    order = list(range(0, 100, 10))
    random.Random(first).shuffle(order)
    stream = Stream(Counter(), first)
    for at in order:
        stream.add((first + at) & 0xFFFF_FFFF, TEXT[at : at + 10])
    assert stream.pieces.data == TEXT[:100]


def test_a_stream_that_was_joined_late_takes_the_earlier_parts_in_every_order() -> None:
    parts = {0: TEXT[:7], 7: TEXT[7:30], 30: TEXT[30:64]}
    for order in permutations(parts):
        stream = Stream(Counter(), (order[0] - 3) & 0xFFFF_FFFF)
        stream.add((order[0] - 3) & 0xFFFF_FFFF, parts[order[0]])
        for at in order[1:]:
            seq = (at - 3) & 0xFFFF_FFFF
            if stream.before(seq):
                stream = stream.restarted(seq, keep_data=True)
            stream.add(seq, parts[at])
        assert stream.pieces.data == TEXT[:64]


def test_a_restart_without_the_data_keeps_what_waited_behind_the_gap() -> None:
    stream = Stream(Counter(), 100)
    stream.add(100, b"?")
    stream.add(110, b"behind")
    fresh = stream.restarted(100, keep_data=False)
    fresh.add(100, b"0123456789")
    assert fresh.pieces.data == b"0123456789behind"
