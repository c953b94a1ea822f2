"""The quick reader of DNS messages says what the general one says of the same bytes, or nothing."""

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from support.corpora import CORPORA, needs_corpora
from support.drive import packets
from support.hellos import dns_message, dns_name, pointer, record, u16

from netwatch.names import dnsusual as room
from netwatch.names.cursor import Cursor
from netwatch.names.dns import OPCODE_MASK, parse_message
from netwatch.names.dnsusual import Body, Usual

WWW = dns_name(b"www", b"Example", b"org")
AT = pointer(12)
V4, V6 = bytes([203, 0, 113, 7]), bytes.fromhex("20010db8000000000000000000000007")
OPT = b"\0" + u16(41, 1_232) + b"\x01\0\0\0" + u16(0)  # an extended rcode, no options
CDN = b"\x03cdn" + pointer(16)


def general(message: bytes) -> Body:
    """What the general reader says, with nothing remembered; it must find nothing broken."""
    kept = dict(room.remembered)
    room.remembered.clear()
    cursor = Cursor.over(message)
    read = parse_message(cursor)[0]
    room.remembered.update(kept)
    assert not cursor.budget.broken
    assert not message[2] & OPCODE_MASK
    return read[1:]


@pytest.mark.parametrize(
    "message",
    [
        dns_message([(WWW, 1)]),
        dns_message([(b"\0", 2)]),
        dns_message([(WWW, 65)], [OPT], flags=0x0100),
        dns_message([(WWW, 1)], [record(AT, 1, V4), record(AT, 28, V6)], flags=0x8180),
        dns_message([(WWW, 1)], [record(AT, 5, CDN), record(pointer(45), 1, V4), OPT], flags=0x8183),
        dns_message([(WWW, 1)], [record(AT, 5, dns_name(b"a", b"b")), record(AT, 5, AT), OPT], flags=0x8180),
        dns_message([(WWW, 1)], [OPT, record(AT, 1, V4)], flags=0x8180) + b"behind the end",
    ],
)
def test_usual_messages_are_read_as_the_general_reader_reads_them(message: bytes) -> None:
    reader = Usual()
    room.remembered.clear()
    for _ in range(2):  # names that are new, names that are remembered
        read = reader.read(message)
        assert read is not None
        assert read == general(message)
        assert [type(answer) for answer in read[3]] == [type(answer) for answer in general(message)[3]]


@pytest.mark.parametrize(
    "message",
    [
        b"",
        dns_message([(WWW, 1)])[:-1],
        dns_message([(WWW, 1)], flags=0x2800),  # an update
        dns_message([(WWW, 1), (WWW, 28)]),
        dns_message([(AT, 1)]),
        dns_message([(b"\x03a\0b\0", 1)]),  # a zero in a label
        dns_message([(b"\x41" + b"a" * 65 + b"\0", 1)]),
        dns_message([(dns_name(b"l" * 50, b"m" * 40), 1)]),
        dns_message([(WWW, 1)], [record(AT, 1, V4[:3])], flags=0x8180),
        dns_message([(WWW, 1)], [record(AT, 1, V4)], flags=0x8180)[:-1],
        dns_message([(WWW, 1)], [record(pointer(16), 1, V4)], flags=0x8180),
        dns_message([(WWW, 1)], [record(AT, 5, CDN + b"\0")], flags=0x8180),
        dns_message([(WWW, 1)], [record(AT, 5, b"\x05cdn" + pointer(16))], flags=0x8180),
        dns_message([(WWW, 1)], [record(AT, 5, b"\x03cdn" + pointer(17))], flags=0x8180),
        dns_message([(WWW, 1)], [record(AT, 5, b"\x03cdn\xc0")], flags=0x8180),
        dns_message([(WWW, 1)], [record(AT, 5, b"")], flags=0x8180),
        dns_message([(WWW, 1)], [OPT[:-2] + u16(9)]),
        dns_message([(WWW, 1)], [b"\0" + u16(1, 1) + bytes(4) + u16(4) + V4]),
        dns_message([(WWW, 1)], [record(AT, 1, V4)] * (room.RECORDS + 1), flags=0x8180),
    ],
)
def test_p5_what_is_not_of_the_usual_shape_is_left_to_the_general_reader(message: bytes) -> None:
    assert Usual().read(message) is None


NAMES = st.sampled_from(
    [WWW, dns_name(b"a.b", b"c"), dns_name(), dns_name(b"x" * 63), b"\x03a\0b\0", dns_name(b"\xff")]
)
OWNERS = st.one_of(st.just(AT), st.integers(0, 90).map(pointer), st.just(b"\0"), NAMES)
INLINE = st.lists(st.sampled_from([b"cdn", b"E", b"\0", b"1"]), max_size=3).map(
    lambda labels: b"".join(bytes((len(label),)) + label for label in labels)
)
TARGETS = st.builds(bytes.__add__, INLINE, st.one_of(st.integers(0, 90).map(pointer), st.just(b"\0"), st.just(b"")))
RECORDS = st.builds(
    record,
    OWNERS,
    st.sampled_from([1, 28, 5, 5, 41, 2, 65]),
    st.one_of(st.just(V4), st.just(V6), TARGETS, TARGETS, st.binary(max_size=5)),
)
MESSAGES = st.builds(
    dns_message,
    st.lists(st.tuples(NAMES, st.sampled_from([1, 28, 65_280])), min_size=1, max_size=1),
    st.lists(st.one_of(RECORDS, st.just(OPT)), max_size=5),
    flags=st.sampled_from([0x0100, 0x8180, 0x8183, 0x9180]),
)
CHANGES = st.one_of(st.just([]), st.lists(st.tuples(st.integers(2, 120), st.integers(0, 255)), max_size=2))


@given(st.lists(st.tuples(MESSAGES, CHANGES, st.sampled_from([0, 0, 0, 1, 2])), min_size=1, max_size=3))
def test_p5_both_readers_say_the_same_of_any_bytes(some: list[tuple[bytes, list[tuple[int, int]], int]]) -> None:
    reader = Usual()
    room.remembered.clear()
    for message, changes, cut in some:
        raw = bytearray(message[: len(message) - cut])
        for at, byte in changes:
            if at < len(raw):
                raw[at] = byte
        read = reader.read(bytes(raw))
        event("usual" if read is not None else "left")
        if read is not None:
            assert read == general(bytes(raw))


@needs_corpora
def test_p5_both_readers_say_the_same_of_real_messages() -> None:
    reader = Usual()
    usual = 0
    for path in sorted((CORPORA / "captures").glob("*dns*.pcap")):
        for _, packet in packets(path):
            if packet.protocol == 17 and 53 in (packet.source[1], packet.target[1]):
                read = reader.read(packet.payload)
                usual += read is not None
                assert read is None or read == general(packet.payload)
    assert usual > 50


def test_m3_the_questions_that_are_kept_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "QUESTIONS", 4)
    reader = Usual()
    for number in range(20):
        assert reader.read(dns_message([(dns_name(b"%d" % number), 1)])) is not None
        assert len(reader._questions) <= 4
