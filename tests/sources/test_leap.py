"""The many walkers find what one walker finds, whatever the payloads look like and whatever was guessed."""

from functools import partial
from struct import pack, unpack_from

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.captures import (
    Record,
    enhanced,
    in_memory,
    interface,
    option,
    pcap,
    pcap_header,
    pcap_record,
    read,
    section,
)

from netwatch.sources import leap
from netwatch.sources.walk import WORD, Chain, walk

PCAP = Chain(16, 8, 16, WORD["<"])
BLOCKS = Chain(12, 4, 0, WORD["<"])
SECONDS = 1_700_000_000


def record(frame: bytes) -> bytes:
    return pcap_record(Record(SECONDS, 5, frame))


FAKE = record(b"")  # a payload may look like a record, or like many


@pytest.fixture
def leaps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return a list that gets (walkers, wrong guesses) of each time that walkers are used."""
    used: list[tuple[int, int]] = []
    follow = leap.follow

    def counting(raw: object, data: object, places: np.ndarray, end: int, chain: Chain) -> object:
        found = follow(raw, data, places, end, chain)  # type: ignore[arg-type]
        used.append((len(places), found[2]))
        return found

    monkeypatch.setattr(leap, "follow", counting)
    return used


def plain_frames(data: bytes) -> list[bytes]:
    """Read a pcap file as a beginner would."""
    at, frames = 24, []
    while at < len(data):
        (caplen,) = unpack_from("<I", data, at + 8)
        frames.append(data[at + 16 : at + 16 + caplen])
        at += 16 + caplen
    return frames


def check_follow(data: bytes, guesses: set[int], end: int, chain: Chain) -> None:
    raw, array = in_memory(data)
    places = np.array([0, *sorted(guess for guess in guesses if 0 < guess <= end - chain.header)], np.int64)
    expected, after = walk(raw, 0, end, len(data), chain)
    starts, landed, dropped = leap.follow(raw, array, places, end, chain)
    assert starts.tolist() == expected
    assert landed == after
    assert 0 <= dropped < len(places)


payloads = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.integers(0, 6).map(lambda count: FAKE * count),
        st.integers(0, 6).map(lambda count: pack("<IIII", SECONDS, 5, 7, 7) * count),
        st.just(pack("<IIII", SECONDS, 5, 2**32 - 1, 2**32 - 1)),
    ),
    min_size=1,
    max_size=60,
)


@given(payloads, st.sets(st.integers(1, 1_500), max_size=40), st.integers(0, 30))
@example([b""] * 60, set(range(16, 960, 16)), 0)  # every guess is right
@example([FAKE * 6] * 30, set(range(16, 1_500, 16)), 0)  # most are wrong
def test_any_guesses_give_the_chain(frames: list[bytes], guesses: set[int], cut: int) -> None:
    data = b"".join(record(frame) for frame in frames)
    check_follow(data, guesses, max(16, len(data) - cut), PCAP)


@given(payloads, st.sets(st.integers(1, 500).map(lambda n: 4 * n), max_size=40), st.integers(0, 30))
def test_any_guesses_give_the_chain_of_blocks(frames: list[bytes], guesses: set[int], cut: int) -> None:
    data = b"".join(enhanced(frame) for frame in frames)
    check_follow(data, guesses, len(data) - min(cut, 20), BLOCKS)


def test_right_guesses_are_not_dropped() -> None:
    data = record(b"12345678") * 5_000
    raw, array = in_memory(data)
    places = np.arange(0, len(data), 24 * 50)
    starts, after, dropped = leap.follow(raw, array, places, len(data), PCAP)
    assert (len(starts), after, dropped) == (5_000, len(data), 0)


def test_lengths_of_nothing_end_the_walk() -> None:
    data = enhanced(b"x") * 100 + bytes(4_000)
    raw, array = in_memory(data)
    starts, _, _ = leap.follow(raw, array, np.arange(0, len(data) - 12, 36), len(data), BLOCKS)
    assert starts[:101].tolist() == list(range(0, 36 * 101, 36))
    assert (starts[101:] == 3_600).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_capture_full_of_fake_records(leaps: list[tuple[int, int]], seed: int) -> None:
    draw = np.random.default_rng(seed)
    kinds = [FAKE * 3, b"x" * 30, pack("<IIII", SECONDS, 1, 9, 9) * 2 + b"123456789", b"", bytes(100), FAKE * 40]
    data = pcap_header() + b"".join(record(kinds[kind]) for kind in draw.integers(0, len(kinds), 30_000).tolist())
    reading = read(data, buffer=1_000_000)
    assert reading.frames == plain_frames(data)
    assert leaps
    assert sum(wrong for _, wrong in leaps) > 0


def test_small_packets_of_one_day_are_walked_by_many(leaps: list[tuple[int, int]]) -> None:
    made = [Record(SECONDS + n // 10, n % 10, bytes([n % 251]) * (n % 70)) for n in range(40_000)]
    reading = read(pcap(made), buffer=400_000)
    assert reading.frames == [one.frame for one in made]
    assert reading.times == [one.seconds * 10**9 + one.fraction * 1_000 for one in made]
    assert len(leaps) >= 4
    assert all(wrong < walkers / 10 for walkers, wrong in leaps)


def test_times_of_many_years_give_up_guessing(leaps: list[tuple[int, int]]) -> None:
    made = [Record(n * 2_654_435_761 % 2**32, 1, b"frame") for n in range(60_000)]
    assert read(pcap(made), buffer=200_000).frames == [b"frame"] * 60_000
    assert leaps == []


def test_blocks_are_walked_by_many_to_the_next_section(leaps: list[tuple[int, int]]) -> None:
    part = b"".join(enhanced(pack("<I", n) * (n % 9), n) for n in range(20_000))
    other = b"".join(enhanced(pack(">I", n) * (n % 9), n, order=">") for n in range(20_000))
    data = section() + interface() + part + section(">") + interface(">") + other
    reading = read(data, buffer=600_000)
    assert reading.times == [n * 1_000 for n in range(20_000)] * 2
    assert reading.frames[:20_000] == [pack("<I", n) * (n % 9) for n in range(20_000)]
    assert reading.frames[20_000:] == [pack(">I", n) * (n % 9) for n in range(20_000)]
    assert len(leaps) >= 2


def test_a_section_soon_after_the_start_of_a_walk_by_many(leaps: list[tuple[int, int]]) -> None:
    first = section() + interface() + enhanced(b"") * 65_540  # the walk after the first 65,536 blocks is by many
    second = section(">", option(1, b"\xff" * 65_504, ">"))
    assert second[4:8] == b"\0\1\0\0"  # 256 in the order of the first section, which leads into the comment
    data = first + second + interface(">") + enhanced(b"x", order=">") * 9_000
    reading = read(data)
    assert leaps
    assert reading.frames == [b""] * 65_540 + [b"x"] * 9_000
    assert reading.capture.complete


def test_a_lie_under_many_walkers_is_found_in_its_place(leaps: list[tuple[int, int]]) -> None:
    good = record(b"frame") * 30_000
    lie = pcap_record(Record(SECONDS, 5, b""))[:8] + pack("<II", 300_000, 300_000)
    data = pcap_header() + good + lie + record(b"frame") * 30_000
    reading = read(data)
    assert len(reading.packets) == 30_000
    assert f"record 30001 at byte {24 + len(good)} claims 300000 bytes" in str(reading.capture.problem)
    reading = read(data, buffer=500_000)
    assert len(reading.packets) == 30_000
    assert leaps


def test_the_limit_is_kept() -> None:
    data = record(b"") * 20_000 + record(b"123456789012345678901234") * 20_000
    raw, array = in_memory(data)
    walker = leap.Leaper(PCAP, lambda _raw, at, _stop: at + -at % 16, partial(walk, chain=PCAP))
    starts, after = walker.starts(raw, array, 0, len(data), 10_000)
    assert (len(starts), after) == (10_000, 160_000)
    starts, after = walker.starts(raw, array, after, len(data), 9_000)
    assert (len(starts), after) == (9_000, 304_000)
