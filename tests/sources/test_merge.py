"""Captures merged by time: the same order as one packet at a time would give."""

import heapq
import io
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.captures import Packet, Record, enhanced, interface, packets_of, pcap, read, section

from netwatch.sources import Source, merge, open_capture

BUFFER = 200  # bytes: every batch is short


class Short:
    """Opens captures in memory with short batches."""

    def __init__(self, *captures: bytes) -> None:
        self.sources: list[Source] = []
        for data in captures:
            source = open_capture("-", stdin=io.BytesIO(data))
            source.limit_buffer(BUFFER)
            self.sources.append(source)

    def merged(self) -> list[Packet]:
        return [packet for batch in packets_of(merge(self.sources)) for packet in batch]


def one_by_one(*captures: bytes) -> list[Packet]:
    """Merge by comparing the heads; a time that goes backwards counts as the latest before it."""

    def keyed(index: int, packets: list[Packet]) -> Iterator[tuple[int, int, int, Packet]]:
        latest = -(2**63)
        for packet in packets:
            latest = max(latest, packet.time)
            yield latest, index, packet.number, packet

    lanes = [keyed(index, read(data).packets) for index, data in enumerate(captures)]
    return [packet for _, _, _, packet in heapq.merge(*lanes)]


def capture(seconds: list[int], mark: bytes, link_type: int = 1) -> bytes:
    return pcap([Record(second, 0, mark * (n % 7)) for n, second in enumerate(seconds)], link_type=link_type)


def test_equal_times_keep_the_order_of_the_arguments() -> None:
    found = Short(capture([5] * 20, b"a"), capture([5] * 20, b"b")).merged()
    assert [packet.frame[:1] for packet in found if packet.frame] == [b"a"] * 17 + [b"b"] * 17


def test_captures_that_follow_each_other_are_not_copied() -> None:
    first, second = capture(list(range(9)), b"a"), capture(list(range(9, 20)), b"b")
    sources = [open_capture("-", stdin=io.BytesIO(data)) for data in (second, first)]
    found = [(batch.data.ctypes.data, packets) for batch, packets in zip(merge(sources), [0, 1], strict=True)]
    assert found[0][0] != found[1][0]
    assert Short(second, first).merged() == read(first).packets + read(second).packets


def test_numbers_are_those_of_each_capture() -> None:
    found = Short(capture([1, 3, 5], b"a"), capture([2, 4, 6], b"b")).merged()
    assert [packet.number for packet in found] == [1, 1, 2, 2, 3, 3]


def test_a_batch_has_one_link_type() -> None:
    found = Short(capture([1, 3, 5], b"a", 1), capture([2, 4, 6], b"b", 101)).merged()
    assert [packet.link_type for packet in found] == [1, 101] * 3


def test_interfaces_keep_their_names() -> None:
    head = section() + interface() + interface()
    numbered = head + b"".join(enhanced(b"x", n * 1_000_000, n % 2) for n in range(0, 40, 2))
    numbered += b"".join(enhanced(b"y", n * 1_000_000, 1) for n in range(41, 60, 2))
    plain = capture(list(range(1, 60, 2)), b"p")
    found = Short(numbered, plain).merged()
    assert found == one_by_one(numbered, plain)
    assert {packet.interface for packet in found} == {None, "0", "1"}


def test_nothing_and_one() -> None:
    assert list(merge([])) == []
    assert Short(capture([], b"")).merged() == []
    assert Short(capture([3, 1, 2], b"a")).merged() == read(capture([3, 1, 2], b"a")).packets


def test_a_damaged_capture_leaves_the_others_whole() -> None:
    cut = capture(list(range(10)), b"a")[:-3]
    whole = capture(list(range(20)), b"b")
    sources = Short(cut, whole).sources
    assert sum(len(batch.offset) for batch in merge(sources)) == 29
    assert [source.capture.complete for source in sources] == [False, True]


def test_large_merges_stay_within_the_limits_of_a_batch() -> None:
    captures = [capture(list(range(index, 100_000, 2)), b"%d" % index) for index in range(2)]
    sources = [open_capture("-", stdin=io.BytesIO(data)) for data in captures]
    batches = list(packets_of(merge(sources)))  # which checks the limit
    assert [packet.time for batch in batches for packet in batch] == [n * 10**9 for n in range(100_000)]
    assert len(batches) < 10


seconds = st.lists(st.integers(0, 12), max_size=25)


@given(st.lists(st.tuples(seconds, st.sampled_from([1, 1, 1, 101])), min_size=1, max_size=4), st.booleans())
def test_f5_any_captures_are_merged_as_one_by_one(made: list[tuple[list[int], int]], in_order: bool) -> None:
    captures = [
        capture(sorted(times) if in_order else times, b"abcd"[index : index + 1], link_type)
        for index, (times, link_type) in enumerate(made)
    ]
    assert Short(*captures).merged() == one_by_one(*captures)


@pytest.mark.parametrize("count", [1, 7, 300])
def test_buffers_shrink_with_the_number_of_captures(count: int) -> None:
    data = capture([1, 2], b"a")
    sources = [open_capture("-", stdin=io.BytesIO(data)) for _ in range(count)]
    assert sum(len(batch.offset) for batch in merge(sources)) == 2 * count
