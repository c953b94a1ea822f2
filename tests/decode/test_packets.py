"""The columns say what a beginner's loop says, whatever a frame holds and wherever it or its batch was cut."""

import numpy as np
import pytest
from decode.plain import Plain
from decode.rows import row, rows
from hypothesis import given
from hypothesis import strategies as st
from support.corpora import CORPORA, needs_corpora, truth
from support.packets import batch, eth, ip4, ip6, part, tcp, udp, vlan

from netwatch.decode.bytesview import BytesView
from netwatch.decode.link import LINK_TYPES
from netwatch.decode.packets import decode
from netwatch.decode.walk import walk
from netwatch.model.anomalies import ANOMALIES
from netwatch.model.batch import PacketBatch
from netwatch.model.packets import MALFORMED, OK, TOO_DEEP, TRUNCATED, Packets
from netwatch.sources import open_capture

lie = st.sampled_from([None, None, None, None, 0, 1, 7, 19, 39, 65_535])
data = st.binary(max_size=40)


@st.composite
def segments(draw: st.DrawFn) -> tuple[int, bytes]:
    """A protocol number and its packet."""
    kind = draw(st.sampled_from([6, 6, 17, 17, 132, 1]))
    if kind == 6:
        options = bytes(draw(st.sampled_from([0, 0, 12])))
        words = draw(st.sampled_from([None, None, None, 0, 4, 15]))
        return 6, tcp(draw(data), options=options, words=words, flags=draw(st.integers(0, 255)))
    if kind == 17:
        return 17, udp(draw(data), dport=draw(st.sampled_from([53, 443])), length=draw(lie))
    return kind, draw(data)


@st.composite
def datagrams(draw: st.DrawFn, depth: int = 0) -> tuple[int, bytes]:
    """An Ethernet type and an IP packet, of which lengths, versions and fragment fields may be anything."""
    protocol, inner = draw(segments())
    if depth < 3 and draw(st.booleans()) and draw(st.booleans()):
        kind, packet = draw(datagrams(depth=depth + 1))
        protocol, inner = {0x0800: 4, 0x86DD: 41}[kind], packet
        if draw(st.booleans()):
            protocol, inner = 47, bytes(2) + kind.to_bytes(2, "big") + packet
    if draw(st.booleans()):
        fragment = draw(st.sampled_from([0, 0, 0x4000, 0x2000, 0x2001, 5]))
        options = bytes(draw(st.sampled_from([0, 0, 0, 8])))
        version, words = draw(st.sampled_from([(4, None)] * 8 + [(6, None), (4, 3), (4, 15)]))
        return 0x0800, ip4(
            inner, protocol, total=draw(lie), fragment=fragment, options=options, version=version, words=words
        )
    for kind in draw(st.lists(st.sampled_from([0, 43, 44, 51, 60, 135]), max_size=14 if draw(st.booleans()) else 2)):
        extra = draw(st.sampled_from([0, 0, 0, 0, 1, 9]))
        body = bytes(extra * (4 if kind == 51 else 8) + (6 if kind != 51 else 2))[: 0 if kind == 44 else None]
        if kind == 44:
            inner = bytes((protocol, 0, *draw(st.sampled_from([(0, 0), (0, 1), (0, 8)])))) + bytes(4) + inner
        else:
            inner = bytes((protocol, extra)) + body + inner
        protocol = kind
    return 0x86DD, ip6(inner, protocol, length=draw(lie), version=draw(st.sampled_from([6] * 8 + [4])))


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    kind, packet = draw(datagrams())
    if draw(st.integers(0, 5)) == 0:
        protocol = b"\x00\x21" if kind == 0x0800 else b"\x57"
        length = draw(st.sampled_from([len(packet) + len(protocol), 65_535, 3]))
        packet, kind = b"\x11\0\0\1" + length.to_bytes(2, "big") + protocol + packet, 0x8864
    for number in draw(st.lists(st.integers(0, 4095), max_size=10 if draw(st.integers(0, 5)) == 0 else 2)):
        packet, kind = vlan(packet, number, kind), draw(st.sampled_from([0x8100, 0x88A8]))
    return eth(packet, kind) + bytes(draw(st.sampled_from([0, 0, 6])))


@st.composite
def captured(draw: st.DrawFn) -> tuple[bytes, int]:
    """A frame as captured and its length on the wire: whole, snapped, or simply too short."""
    frame = draw(frames())
    stop = draw(st.one_of(st.just(len(frame)), st.integers(0, len(frame))))
    return frame[:stop], draw(st.sampled_from([len(frame), stop, 10]))


def equal(one: Packets, other: Packets) -> None:
    for name, mine, theirs in zip(one._fields, one, other, strict=True):
        if isinstance(mine, np.ndarray):
            assert mine.dtype == theirs.dtype, name
            np.testing.assert_array_equal(mine, theirs, name)
    assert one.anomalies == other.anomalies


@given(st.lists(captured(), min_size=1, max_size=12))
def test_p1_columns_equal_a_plain_loop_whatever_length_lies(cases: list[tuple[bytes, int]]) -> None:
    whole = batch([frame for frame, _ in cases], wirelen=[wire for _, wire in cases])
    for said, (frame, wire) in zip(rows(whole), cases, strict=True):
        judge = Plain(frame, wire)
        meant = judge.read()
        if judge.unread:
            continue
        if meant["in_flow"]:
            meant["payload"] = meant["payload"] or b""
        assert said == meant


@given(st.lists(captured(), min_size=1, max_size=12), st.integers(0, 12))
def test_rows_are_the_same_wherever_a_batch_is_cut(cases: list[tuple[bytes, int]], cut: int) -> None:
    whole = batch([frame for frame, _ in cases], wirelen=[wire for _, wire in cases])
    said = rows(whole)
    assert rows(part(whole, 0, cut)) + rows(part(whole, cut, len(cases))) == said


@given(st.lists(captured(), min_size=1, max_size=12))
def test_the_common_path_equals_the_layers(cases: list[tuple[bytes, int]]) -> None:
    whole = batch([frame for frame, _ in cases], wirelen=[wire for _, wire in cases])
    equal(decode(whole), walk(BytesView(whole.data), whole.offset, whole.caplen, whole.wirelen, LINK_TYPES[1]))


@given(st.lists(st.binary(max_size=200), max_size=8), st.sampled_from([*LINK_TYPES, 147]))
def test_p2_no_bytes_of_any_link_type_raise_or_reach_behind_the_frame(noise: list[bytes], link: int) -> None:
    one, other = batch(noise, link), batch(noise, link, pad=bytes(128))
    said = decode(one)
    equal(said, decode(other))
    assert ((said.payload >= one.offset) | (said.payload_len == 0)).all()
    assert (said.payload + said.payload_len <= one.offset + one.caplen).all()
    assert set(said.anomalies) <= set(ANOMALIES)


@given(captured(), st.sampled_from([(0, b"\x02\0\0\0"), (113, bytes(14) + b"\x08\0"), (101, b"")]), st.integers(0, 60))
def test_p2_one_flipped_byte_of_any_link_header_does_not_raise(
    case: tuple[bytes, int], link: tuple[int, bytes], at: int
) -> None:
    number, header = link
    frame = bytearray(header + case[0][14:])
    if at < len(frame):
        frame[at] ^= 0x11
    said = decode(batch([bytes(frame)], number))
    assert said.in_flow[0] == (said.family[0] != 0)


def test_an_empty_batch_gives_empty_columns() -> None:
    for link in (1, 101, 147):
        said = decode(batch([], link))
        assert all(len(column) == 0 for column in said if isinstance(column, np.ndarray))
        assert said.state.dtype == np.uint8


def test_link_padding_is_no_payload() -> None:
    frame = eth(ip4(tcp(b""), 6)) + bytes(6)
    said = rows(batch([frame]))[0]
    assert (said["payload"], said["ip_bytes"], said["cut"]) == (b"", 40, False)


def test_a_snapped_tcp_payload_is_cut_and_a_lying_total_length_too() -> None:
    packet = eth(ip4(tcp(b"x" * 100), 6))
    beyond = eth(ip4(tcp(b"x" * 100), 6, total=65_535))
    snapped, lying = rows(batch([packet[:80], beyond], wirelen=[len(packet), len(beyond)]))
    assert (snapped["state"], snapped["payload"], snapped["cut"], snapped["ip_bytes"]) == (OK, b"x" * 26, True, 140)
    assert (lying["state"], lying["payload"], lying["cut"], lying["ip_bytes"]) == (OK, b"x" * 100, True, 65_535)


def test_the_fixed_header_cut_by_the_snapshot_length_leaves_the_ports() -> None:
    packet = eth(ip4(udp(b"x" * 20), 17))
    said, unported = rows(batch([packet[:40], packet[:36]], wirelen=[len(packet)] * 2))
    assert (said["state"], said["ports"], said["ip_bytes"], said["cut"]) == (TRUNCATED, (40_000, 53), 48, True)
    assert (unported["state"], unported["ports"], unported["in_flow"]) == (TRUNCATED, None, True)


def test_a_header_that_ends_with_the_frame_may_be_cut_too() -> None:
    packet = eth(ip4(tcp(), 6))
    said = rows(batch([packet[:-1], packet[:33]], wirelen=[len(packet)] * 2))
    assert [(one["state"], one["in_flow"]) for one in said] == [(TRUNCATED, True), (TRUNCATED, False)]
    assert not said[0]["cut"]


@pytest.mark.parametrize(("length", "counted", "payload"), [(28, 0, 20), (20, 0, 12), (29, 1, 20), (0, 0, 20)])
def test_a_udp_length_ends_the_payload_unless_it_reaches_beyond_the_packet(
    length: int, counted: int, payload: int
) -> None:
    whole = batch([eth(ip4(udp(b"x" * 20, length=length), 17))])
    said = decode(whole)
    assert (said.state[0], said.payload_len[0]) == (OK, payload)
    assert said.anomalies.get("udp_length_beyond", 0) == counted


def test_the_udp_length_of_a_first_fragment_is_that_of_the_datagram() -> None:
    said = decode(batch([eth(ip4(udp(b"x" * 24, length=3_000), 17, fragment=0x2000))]))
    assert (said.payload_len[0], said.anomalies) == (24, {})


@pytest.mark.parametrize(("count", "state"), [(12, OK), (13, TOO_DEEP)])
def test_p6_twelve_extension_headers_are_read_and_no_more(count: int, state: int) -> None:
    chain = bytes((60, 0, 1, 4, 0, 0, 0, 0)) * (count - 1) + bytes((17, 0, 1, 4, 0, 0, 0, 0))
    said = decode(batch([eth(ip6(chain + udp(b"x"), 60), 0x86DD)]))
    assert (said.state[0], said.ports[0], said.in_flow[0]) == (state, state == OK, True)


def test_the_same_bytes_that_were_never_cut_are_malformed() -> None:
    packet = eth(ip4(udp(b"x" * 20), 17))[:40]
    said = decode(batch([packet]))
    assert (said.state[0], said.ports[0], said.in_flow[0]) == (MALFORMED, False, True)
    assert said.anomalies == {"ip4_total_length_beyond": 1, "udp_truncated": 1}


@needs_corpora
@pytest.mark.parametrize("source", ["ndpi", "suricata", "tcpdump", "zeek"])
def test_m5_each_frame_of_the_captures_is_in_one_state_whatever_the_path_and_the_batch(source: str) -> None:
    for capture in truth():
        if capture["source"] != source:
            continue
        seen = 0
        with open_capture(str(CORPORA / "captures" / capture["name"])) as batches:
            for whole in batches:
                said = decode(whole)
                first = LINK_TYPES.get(whole.link_type, 0)
                equal(said, walk(BytesView(whole.data), whole.offset, whole.caplen, whole.wirelen, first))
                _judged(whole, said)
                assert (said.state <= 4).all()
                assert set(said.anomalies) <= set(ANOMALIES)
                seen += len(said.state)
        assert seen == capture["packets"]


def _judged(whole: PacketBatch, said: Packets) -> None:
    """The plain reader agrees on the first and the last frames of a batch."""
    if whole.link_type != 1:
        return
    count = len(whole.offset)
    for at in sorted({*range(min(count, 20)), *range(max(0, count - 20), count)}):
        start = int(whole.offset[at])
        judge = Plain(whole.data[start : start + int(whole.caplen[at])].tobytes(), int(whole.wirelen[at]))
        meant = judge.read()
        if judge.unread:
            continue
        if meant["in_flow"]:
            meant["payload"] = meant["payload"] or b""
        assert row(said, whole, at) == meant
