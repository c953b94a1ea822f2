"""pcapng: sections, interfaces, every kind of packet block; F1, F3 and F7."""

import io
from struct import pack

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.captures import (
    Packet,
    block,
    enhanced,
    interface,
    obsolete,
    opened,
    option,
    read,
    section,
    simple,
    tsoffset,
    tsresol,
)

from netwatch.model.errors import SourceError
from netwatch.sources.pcapng import VECTOR

NOW = 1_700_000_000_000_000  # microseconds, the resolution that needs no option
RUNS = [1, VECTOR + 4]  # packets read one by one, and as a run
DAMAGED_AFTER = "; the packet before it was counted"


def problem(data: bytes) -> str:
    """Return why a capture ended, its first packet having been read."""
    reading = read(data)
    assert reading.frames == [b"good"]
    assert not reading.capture.complete
    assert reading.capture.problem is not None
    assert reading.capture.problem.endswith(DAMAGED_AFTER)
    return reading.capture.problem.removesuffix(DAMAGED_AFTER)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("count", RUNS)
def test_every_kind_of_packet_block(order: str, count: int) -> None:
    blocks = [obsolete(b"old", NOW, 0, order), simple(b"simple", None, order)]
    blocks += [enhanced(b"e" * n, NOW + n, 0, order, wirelen=100) for n in range(count)]
    reading = read(section(order) + interface(order, 113) + b"".join(blocks))
    expected = [Packet(1, NOW * 1_000, b"old", 3, "0", 113), Packet(2, NOW * 1_000, b"simple", 6, "0", 113)]
    expected += [Packet(3 + n, (NOW + n) * 1_000, b"e" * n, 100, "0", 113) for n in range(count)]
    assert reading.packets == expected
    assert reading.capture.complete
    assert reading.capture.format == "pcapng"


def test_a_simple_packet_is_cut_by_the_snapshot_length_and_by_its_block() -> None:
    head = section() + interface(snaplen=4)
    assert read(head + simple(b"12345678")).packets == [Packet(1, 0, b"1234", 8, "0")]
    assert read(section() + interface() + simple(b"1234", 1_500)).packets == [Packet(1, 0, b"1234", 1_500, "0")]


def test_f3_sections_of_both_byte_orders_number_their_interfaces_anew() -> None:
    data = b""
    for order, link_type in (("<", 1), (">", 101), ("<", 113)):
        data += section(order) + interface(order, 7) + interface(order, link_type)
        data += enhanced(order.encode(), NOW, 1, order) * (VECTOR + 1)
    reading = read(data)
    assert {packet[2:] for packet in reading.packets} == {
        (b"<", 1, "1", 1),
        (b">", 1, "1", 101),
        (b"<", 1, "1", 113),
    }
    assert reading.batches == [VECTOR + 1] * 3
    assert [packet.number for packet in reading.packets] == list(range(1, 3 * VECTOR + 4))


def test_f3_concatenated_sections_share_a_batch() -> None:
    part = section() + interface() + enhanced(b"x", NOW)
    assert read(part * 50).batches == [50]


def test_interfaces_of_one_link_type_share_a_batch_and_others_do_not() -> None:
    head = section() + interface() + interface() + interface(link_type=101)
    data = head + b"".join(enhanced(b"x", NOW, number) for number in [0, 1] * VECTOR + [2, 0])
    reading = read(data)
    assert reading.batches == [2 * VECTOR, 1, 1]
    assert [packet.interface for packet in reading.packets] == ["0", "1"] * VECTOR + ["2", "0"]
    assert [packet.link_type for packet in reading.packets[-3:]] == [1, 101, 1]


@pytest.mark.parametrize("count", RUNS)
def test_f3_each_interface_has_its_own_clock(count: int) -> None:
    head = section() + interface(options=tsresol(9)) + interface(options=tsresol(0x80 | 10) + tsoffset(-5))
    head += interface(options=tsoffset(3) + option(0, b"") + tsresol(0))
    blocks = [enhanced(b"", ticks, number) for number, ticks in enumerate((7, 1_024 * 9 + 512, 8))]
    times = read(head + b"".join(blocks) * count).times
    assert times == [7, 4_500_000_000, 3_000_008_000] * count


def test_f3_options_of_a_wrong_size_say_nothing() -> None:
    head = section() + interface(options=option(9, b"\x09\x09") + option(14, b"\x01"))
    assert read(head + enhanced(b"", 5)).times == [5_000]


def test_f3_an_option_beyond_its_block_is_damage() -> None:
    data = section() + interface() + enhanced(b"good") + interface(options=pack("<HH", 1, 9) + b"12345678")
    assert "claims 9 bytes and has room for 8" in problem(data)


def test_f3_blocks_of_other_kinds_are_skipped() -> None:
    skipped = [block(kind, b"\xff" * 8) for kind in (4, 5, 9, 10, 0xBAD, 0x4000_0BAD, 0x8000_0001)]
    skipped.append(block(0xBAD, b""))  # too short for its enterprise number, which nobody reads
    data = section() + interface() + b"".join(enhanced(b"x", NOW) + other for other in skipped)
    assert read(data).frames == [b"x"] * len(skipped)


def test_f3_more_interfaces_than_are_kept_apart() -> None:
    reading = read(section() + interface() * 10_000 + enhanced(b"x", NOW, 9_999))
    assert reading.packets == [Packet(1, NOW * 1_000, b"x", 1, "9999")]
    assert "is one too many (limit 65535)" in problem(
        section() + interface() + enhanced(b"good") + interface() * 65_535 + enhanced(b"bad")
    )
    different = b"".join(interface(options=tsoffset(number)) for number in range(1, 4_097))
    assert "limit of 4096 different ones" in problem(section() + interface() + enhanced(b"good") + different)


def test_f3_a_bomb_of_options_is_read_once() -> None:
    bomb = option(1, b"") * 500_000
    data = section(options=bomb) + interface(options=bomb) + enhanced(b"x", NOW, options=bomb)
    assert read(data).frames == [b"x"]


def test_f7_names_comments_and_secrets_are_nowhere() -> None:
    secret = b"do-not-read-me"
    options = b"".join(option(code, secret) for code in (1, 2, 3, 4, 12))
    data = section(options=options) + interface(options=options)
    data += block(4, pack("<HH", 1, 18) + b"\x7f\0\0\1" + secret) + block(10, pack("<II", 0x544C_534B, 14) + secret)
    data += enhanced(b"frame", NOW, options=options)
    source = opened(data)
    (batch,) = source
    assert batch.interfaces == ("0",)
    assert secret.decode() not in repr((source.capture, batch.interfaces))
    assert read(data).frames == [b"frame"]


@pytest.mark.parametrize("count", RUNS)
@pytest.mark.parametrize(
    ("body", "why"),
    [
        (pack("<IIIII", 1, 0, 0, 0, 0), "is of interface 1, which was not described"),
        (pack("<IIIII", 2**32 - 1, 0, 0, 0, 0), "is of interface 4294967295"),
        (pack("<IIIII", 0, 0, 0, 5, 5) + bytes(4), "claims 5 bytes and has room for 4"),
        (pack("<IIIII", 0, 0, 0, 2**32 - 1, 5) + bytes(4), "claims 4294967295 bytes (limit 262144)"),
        (pack("<IIIII", 0, 0, 0, 262_145, 5) + bytes(262_148), "claims 262145 bytes (limit 262144)"),
        (pack("<IIII", 0, 0, 0, 0), "has 28 bytes, its kind needs 32"),
    ],
)
def test_f1_a_packet_block_that_lies_ends_the_capture(body: bytes, why: str, count: int) -> None:
    good = enhanced(b"good", NOW) * count
    head = section() + interface() + good
    reading = read(head + block(6, body) + good)
    assert reading.frames == [b"good"] * count
    assert reading.capture.problem is not None
    assert why in reading.capture.problem
    assert f"block at byte {len(head)}" in reading.capture.problem


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (pack("<III", 6, 0, 0), "claims 0 bytes"),
        (pack("<III", 6, 8, 8), "claims 8 bytes"),
        (pack("<III", 6, 45, 45) + bytes(64), "does not end with the length 45"),
        (pack("<III", 6, 45, 45), "claims 45 bytes"),
        (pack("<III", 9, 2**32 - 16, 0), "claims 4294967280 bytes (limit 16777216)"),
        (pack("<IIII", 9, 16, 0, 20), "does not end with the length 16"),
        (block(1, b"1234"), "has 16 bytes, its kind needs 20"),
        (block(3, b""), "has 12 bytes, its kind needs 16"),
        (block(0x0A0D_0D0A, bytes(20)), "has no byte-order magic"),
        (block(0x0A0D_0D0A, pack("<IHHq", 0x1A2B_3C4D, 2, 0, -1)), "of version 2"),
        (block(0x0A0D_0D0A, pack("<I", 0x1A2B_3C4D)), "of version"),
        (pack("<II", 6, 100), "is cut"),
        (b"\n", "is cut"),
        (section()[:-1], "is cut"),
    ],
)
def test_f1_a_block_that_cannot_be_one_ends_the_capture(bad: bytes, why: str) -> None:
    assert why in problem(section() + interface() + enhanced(b"good") + bad)


def test_f1_a_packet_before_any_interface() -> None:
    reading = read(section() + enhanced(b"x"))
    assert reading.packets == []
    assert reading.capture.problem == (
        "-: packet block at byte 28 is of interface 0, which was not described; no packet before it"
    )


def test_f2_cut_at_every_byte() -> None:
    head = section() + interface()
    one = enhanced(b"abcde", NOW)
    data = head + one * 40
    for size in range(len(section()), len(data) + 1):
        reading = read(data[:size], buffer=4_096)
        beyond = max(size - len(head), 0)
        assert reading.capture.packets == len(reading.packets) == beyond // len(one)
        assert reading.capture.complete is (size == len(section()) or (size >= len(head) and beyond % len(one) == 0))


def test_f2_a_cut_or_foreign_first_section_is_an_error() -> None:
    for size in range(4, 28):
        with pytest.raises(SourceError, match="cut inside its section header"):
            opened(section()[:size])
    with pytest.raises(SourceError, match="no byte-order magic"):
        opened(section()[:8] + bytes(40))


def test_a_large_block_is_skipped_through_a_small_buffer() -> None:
    data = section() + interface() + enhanced(b"a") + block(0xBAD, bytes(3_000_000)) + enhanced(b"b")
    assert read(data, buffer=1_000).frames == [b"a", b"b"]


def test_a_capture_of_another_writer_is_read() -> None:
    out = io.BytesIO()
    writer = dpkt.pcapng.Writer(out, linktype=101)
    for index in range(3):
        writer.writepkt(b"frame", ts=1_700_000_000.5 + index)
    reading = read(out.getvalue())
    assert reading.packets == [
        Packet(1 + index, 1_700_000_000_500_000_000 + index * 10**9, b"frame", 5, "0", 101) for index in range(3)
    ]


orders = st.sampled_from("<>")
frames = st.binary(max_size=20)


@st.composite
def pieces(draw: st.DrawFn, order: str) -> bytes:
    """Return a block, for a section with two interfaces."""
    kind = draw(st.integers(0, 9))
    frame = draw(frames)
    number = draw(st.integers(0, 1))
    if kind == 0:
        return obsolete(frame, draw(st.integers(0, 2**64 - 1)), number, order)
    if kind == 1:
        return simple(frame, None, order)
    if kind == 2:
        return block(draw(st.sampled_from([4, 5, 0xBAD])), frame, order)
    if kind == 3:
        return interface(order, draw(st.sampled_from([1, 101])))
    return enhanced(frame, draw(st.integers(0, 2**64 - 1)), number, order) * draw(st.integers(1, 20))


@st.composite
def captures(draw: st.DrawFn) -> bytes:
    data = b""
    for _ in range(draw(st.integers(1, 3))):
        order = draw(orders)
        data += section(order) + interface(order, 1, 10) + interface(order, 113, options=tsresol(9, order))
        data += b"".join(draw(st.lists(pieces(order), max_size=12)))
    return data


@given(captures(), st.integers(1, 600), st.integers(0, 60), st.integers(0, 255))
def test_the_size_of_the_buffer_changes_nothing(data: bytes, buffer: int, cut: int, noise: int) -> None:
    damaged = bytearray(data[: max(28, len(data) - cut)])
    if noise % 2:
        damaged[28 + (len(damaged) - 28) * noise // 256 : 29 + (len(damaged) - 28) * noise // 256] = bytes([noise])
    whole, small = read(bytes(damaged)), read(bytes(damaged), buffer)
    assert small.packets == whole.packets
    assert small.capture == whole.capture
    if noise % 2 == 0 and cut == 0:
        assert whole.capture.complete
