import random
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hellos import (
    TLS13,
    Lengths,
    certificate_message,
    client_hello,
    records,
    self_signed,
    server_hello,
    u16,
)

from netwatch.model.limits import HELLO_MAX
from netwatch.model.reading import Reading
from netwatch.names.inspector import Inspector

CLIENT, SERVER = 0, 1
HELLO = records(client_hello(b"split.example.org"))


def send(
    inspector: Inspector,
    side: int,
    seq: int,
    payload: bytes,
    *,
    first: int | None = 1,
    cut: bool = False,
    flow: int = 7,
    port: int = 443,
) -> Reading | None:
    ports = (50_000, port) if side == CLIENT else (port, 50_000)
    return inspector.segment(flow, side, seq & 0xFFFF_FFFF, first, payload, cut, *ports, 0)


def names(readings: list[Reading | None]) -> list[str]:
    return [name for reading in readings if reading is not None for name in reading.names]


def test_a_hello_in_one_segment_tells_all_at_once() -> None:
    reading = send(Inspector(), CLIENT, 1, HELLO)
    assert reading is not None
    assert (reading.protocol, reading.kind, reading.names) == ("tls", "sni", ("split.example.org",))
    assert (reading.from_client, reading.more, reading.done) == (True, False, True)
    assert reading.hello is not None
    assert (reading.hello.alpn, reading.hello.version) == ((b"h2", b"http/1.1"), "1.3")


@pytest.mark.parametrize("first", [1, None])
def test_p7_the_name_is_found_for_every_split_in_both_orders(first: int | None) -> None:
    for at in range(1, len(HELLO)):
        for order in ((0, at), (at, 0)):
            inspector = Inspector()
            parts = {0: HELLO[:at], at: HELLO[at:]}
            out = [send(inspector, CLIENT, 1 + start, parts[start], first=first) for start in order]
            assert names(out) == ["split.example.org"], (at, order)
            assert first is None or (out[0] is not None and out[0].more)
            assert not inspector.anomalies


@given(st.integers(1, len(HELLO) - 2), st.integers(1, len(HELLO) - 2), st.sampled_from([1, 0xFFFF_FFD0, None]))
def test_p7_three_parts_in_every_order(one: int, two: int, first: int | None) -> None:
    low, high = sorted((one, two + 1 if one == two else two))
    parts = {0: HELLO[:low], low: HELLO[low:high], high: HELLO[high:]}
    start = 1 if first is None else first
    for order in permutations(parts):
        inspector = Inspector()
        out = [send(inspector, CLIENT, start + at, parts[at], first=first) for at in order]
        assert names(out) == ["split.example.org"], (low, high, order)


def test_p7_one_byte_each_and_backwards() -> None:
    for order in (range(len(HELLO)), reversed(range(len(HELLO)))):
        inspector = Inspector()
        out = [send(inspector, CLIENT, 1 + at, HELLO[at : at + 1]) for at in order]
        assert names(out) == ["split.example.org"]
        assert all(reading is not None and reading.more for reading in out[:-1])


def test_p7_a_hello_of_the_largest_size_in_small_pieces_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from netwatch.names import tls as room

    calls = []
    parse = room.parse_client_hello
    monkeypatch.setattr(room, "parse_client_hello", lambda *given: calls.append(1) or parse(*given))
    padding = u16(21, 60_000) + bytes(60_000)
    message = records(client_hello(b"far.example.org", before=padding))
    inspector = Inspector()
    out = [send(inspector, CLIENT, 1 + at, message[at : at + 16]) for at in range(0, len(message), 16)]
    assert names(out) == ["far.example.org"]
    assert len(calls) == 1
    assert len(message) < HELLO_MAX


def test_one_byte_in_each_record() -> None:
    assert names([send(Inspector(), CLIENT, 1, records(client_hello(), size=1))]) == ["www.example.org"]


def test_the_first_bytes_win_and_are_counted() -> None:
    inspector = Inspector()
    other = records(client_hello(b"other.example.org"))
    out = [
        send(inspector, CLIENT, 1, HELLO[:100]),
        send(inspector, CLIENT, 1, other[:120]),
        send(inspector, CLIENT, 101, HELLO[100:]),
    ]
    assert names(out) in (["split.example.org"], [])
    assert inspector.anomalies["reassembly_overlap"] == 1


def test_junk_in_the_handshakes_ack_does_not_hide_the_hello_behind_it() -> None:
    for junk in (b"\0", b"\0\0", b"\x16", b"G", b"\x16\x03"):
        inspector = Inspector()
        out = [send(inspector, CLIENT, 1, junk), send(inspector, CLIENT, 1, HELLO)]
        assert names(out) == ["split.example.org"], junk
        inspector = Inspector()
        out = [
            send(inspector, CLIENT, 1, junk),
            send(inspector, CLIENT, 1, HELLO[:90]),
            send(inspector, CLIENT, 91, HELLO[90:]),
        ]
        assert names(out) == ["split.example.org"] or junk == b"\x16\x03"


def test_a_gap_or_a_lying_length_gives_no_name() -> None:
    inspector = Inspector()
    out = [send(inspector, CLIENT, 1, HELLO[:60]), send(inspector, CLIENT, 81, HELLO[80:])]
    assert names(out) == []
    assert out[-1] is not None
    assert (out[-1].protocol, out[-1].more) == ("tls", True)
    inspector = Inspector()
    lie = b"\x16\x03\x01\xff\xff\x01\xff\xff\xff\x03\x03" + b"x" * 200
    reading = send(inspector, CLIENT, 1, lie)
    assert reading is not None
    assert (reading.protocol, reading.names, reading.more) == ("tls", (), False)
    assert inspector.anomalies == {"tls_record_length": 1}


def test_a_cut_hello_ends_without_a_name() -> None:
    reading = send(Inspector(), CLIENT, 1, HELLO[:100], cut=True)
    assert reading is not None
    assert (reading.protocol, reading.names, reading.more, reading.done) == ("tls", (), False, True)
    assert names([send(Inspector(), CLIENT, 1, HELLO + b"\x17\x03\x03\x10\x00x", cut=True)]) == ["split.example.org"]


def test_a_hello_in_the_middle_of_another_protocol_is_found() -> None:
    inspector = Inspector()
    send(inspector, SERVER, 1, b"220 mail.example.org ESMTP\r\n", port=25)
    send(inspector, CLIENT, 1, b"EHLO me\r\n", port=25)
    out = [
        send(inspector, CLIENT, 100, HELLO[:70], port=25),
        send(inspector, CLIENT, 170, HELLO[70:], port=25),
    ]
    assert names(out) == ["split.example.org"]


def test_a_connect_request_and_the_hello_behind_it_are_both_told() -> None:
    inspector = Inspector()
    ask = b"CONNECT proxied.example.org:443 HTTP/1.1\r\nHost: proxied.example.org:443\r\n\r\n"
    out = [send(inspector, CLIENT, 1, ask, port=3_128), send(inspector, CLIENT, 1 + len(ask), HELLO, port=3_128)]
    assert out[0] is not None
    assert not out[0].done
    assert names(out) == ["proxied.example.org", "split.example.org"]


def serve(message: bytes, *, offered: bytes | None = None) -> tuple[Inspector, list[Reading | None]]:
    inspector = Inspector()
    hello = records(client_hello(None)) if offered is None else offered
    out = [send(inspector, CLIENT, 1, hello)]
    for at in range(0, len(message), 500):
        out.append(send(inspector, SERVER, 1 + at, message[at : at + 500]))
        if out[-1] is not None and out[-1].done:
            break
    return inspector, out


def test_without_a_name_the_servers_certificate_is_read() -> None:
    certificate = self_signed("common.example.org", ["one.example.org", "*.two.example.org"])
    inspector, out = serve(records(server_hello() + certificate_message(certificate, b"next")))
    assert out[0] is not None
    assert (out[0].names, out[0].more, out[0].from_client) == ((), True, True)
    assert out[0].hello is not None
    last = out[-1]
    assert last is not None
    assert (last.kind, last.names) == ("certificate", ("one.example.org", "*.two.example.org"))
    assert (last.from_client, last.done) == (False, True)
    assert not inspector.anomalies


def test_without_alternatives_the_common_name_counts() -> None:
    _, out = serve(records(server_hello()) + records(certificate_message(self_signed("common.example.org"))))
    assert names(out) == ["common.example.org"]


def test_tls_13_hides_its_certificate_and_is_not_waited_for() -> None:
    _, out = serve(records(server_hello(TLS13)) + b"\x17\x03\x03\x00\x05hello")
    assert names(out) == []
    assert out[-1] is not None
    assert out[-1].done


def test_a_resumed_session_shows_no_certificate_and_is_not_waited_for() -> None:
    _, out = serve(records(server_hello()) + b"\x14\x03\x03\x00\x01\x01")
    assert out[-1] is not None
    assert (out[-1].names, out[-1].done) == ((), True)


def test_a_clients_certificate_names_nobody() -> None:
    inspector = Inspector()
    hello = records(client_hello(None))
    send(inspector, CLIENT, 1, hello)
    own = records(certificate_message(self_signed("client.example.org")))
    reading = send(inspector, CLIENT, 1 + len(hello), own)
    assert reading is not None
    assert (reading.names, reading.more) == ((), True)


def test_a_version_2_hello_is_tls() -> None:
    body = b"\x01" + u16(0x0301, 6, 0, 16) + bytes.fromhex("00002f") + bytes.fromhex("010080") + b"c" * 16
    message = u16(0x8000 | len(body)) + body
    for size in (len(message), 1):
        inspector = Inspector()
        out = [send(inspector, CLIENT, 1 + at, message[at : at + size]) for at in range(0, len(message), size)]
        assert out[-1] is not None
        assert out[-1].hello is not None
        assert (out[-1].protocol, out[-1].hello.version, out[-1].hello.ja4[:8]) == ("tls", "1.0", "t10i0100")


def test_application_data_alone_is_tls_without_a_name() -> None:
    reading = send(Inspector(), CLIENT, 9, b"\x17\x03\x03\x01\x00" + bytes(256), first=None)
    assert reading == Reading("tls", done=True)
    assert send(Inspector(), CLIENT, 9, b"\x17\x03\x03\xff\x00" + bytes(256), first=None) is None


def test_port_853_or_the_alpn_make_it_dns_over_tls() -> None:
    reading = send(Inspector(), CLIENT, 1, HELLO, port=853)
    assert reading is not None
    assert reading.protocol == "dot"
    reading = send(Inspector(), CLIENT, 1, records(client_hello(alpn=(b"dot",))))
    assert reading is not None
    assert reading.protocol == "dot"


@given(st.integers(0, 16), st.integers(-70, 70), st.integers(1, 300))
def test_p1_lying_certificates_are_counted_and_never_a_bug(at: int, by: int, size: int) -> None:
    message = records(server_hello() + certificate_message(CERTIFICATE, lengths=Lengths(at, by)), size=size)
    inspector, _ = serve(message)
    assert not inspector.anomalies["parser_bug"]


CERTIFICATE = self_signed("common.example.org", ["one.example.org"])


@given(st.binary(max_size=60), st.integers(0, 80), st.integers(0, 6))
def test_p1_bytes_changed_in_a_hello_are_never_a_bug(noise: bytes, at: int, pieces: int) -> None:
    message = HELLO[:at] + noise + HELLO[at + len(noise) :]
    inspector = Inspector()
    rng = random.Random(pieces)
    cuts = sorted(rng.sample(range(len(message)), pieces))
    for start, end in zip([0, *cuts], [*cuts, len(message)], strict=True):
        send(inspector, CLIENT, 1 + start, message[start:end])
    assert not inspector.anomalies["parser_bug"]


def test_a_broken_hello_is_tls_without_a_name() -> None:
    inspector = Inspector()
    message = bytearray(HELLO)
    message[43] = 255  # the length of the session id
    assert send(inspector, CLIENT, 1, bytes(message)) == Reading("tls", from_client=True, done=True)
    assert inspector.anomalies == {"truncated": 1}


@pytest.mark.parametrize(
    ("wire", "anomaly"),
    [
        (records(b"\x02\0\x40\0" + bytes(3_000), size=1), "tls_records"),
        (b"\x16\x03\x03\x04\0" + b"\x02\0\0\x26" + bytes(38) + b"\x04\0\0\0" * 246 + b"\0\0", "tls_messages"),
        (records(server_hello()) + b"\x63\x03\x03\0\x05hello", "tls_record_type"),
        (records(server_hello()) + b"\x16\x02\x03\0\x05hello", "tls_record_version"),
        (b"\x16\x03\x03\0\x04\x0b\xff\xff\xff" + records(server_hello()), "tls_message_too_long"),
    ],
)
def test_p4_what_a_server_sends_is_bounded(wire: bytes, anomaly: str) -> None:
    inspector, out = serve(wire)
    assert names(out) == []
    assert inspector.anomalies == {anomaly: 1}


@given(st.binary(min_size=1, max_size=20))
def test_p1_any_first_bytes_of_a_server_are_never_a_bug(answer: bytes) -> None:
    for end in (1, len(answer)):
        inspector, _ = serve(answer[:end])
        assert not inspector.anomalies["parser_bug"]
