import builtins
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hellos import V2, chlo, client_hello, crypto, initial, varint

from netwatch.model.limits import QUIC_INITIALS, QUIC_RATE_SOURCE
from netwatch.model.reading import Reading
from netwatch.names import initial as protection
from netwatch.names.inspector import Inspector
from netwatch.names.quic import DATAGRAM_MIN

HELLO = client_hello(b"quic.example.org", alpn=(b"h3",), versions=(0x0304,))
CUTS = (0, 40, 90, len(HELLO))
PARTS = [crypto(start, HELLO[start:end]) for start, end in pairwise(CUTS)]
ACK = b"\x02\x05\x00\x01\x00\x02\x03"


def send(
    inspector: Inspector,
    payload: bytes,
    *,
    flow: int = 1,
    side: int = 0,
    source: int = 1,
    now: int = 0,
    cut: bool = False,
    ports: tuple[int, int] = (50_000, 443),
) -> Reading | None:
    return inspector.datagram(flow, side, payload, cut, *ports, source, now)


def names(readings: list[Reading | None]) -> list[str]:
    return [name for reading in readings if reading is not None for name in reading.names]


def test_a_hello_in_one_initial() -> None:
    reading = send(Inspector(), initial(crypto(0, HELLO)))
    assert reading is not None
    assert (reading.protocol, reading.kind, reading.names) == ("quic", "quic_sni", ("quic.example.org",))
    assert (reading.from_client, reading.more, reading.done) == (True, False, True)
    assert reading.hello is not None
    assert (reading.hello.alpn, reading.hello.version, reading.hello.ja4[:4]) == ((b"h3",), "1.3", "q13d")


@pytest.mark.parametrize("version", sorted(number for number in protection.VERSIONS if number != V2))
def test_every_version_that_is_read(version: int) -> None:
    known = protection.VERSIONS[version]
    frames = crypto(0, HELLO, kind=8 if known.google else 6)
    assert names([send(Inspector(), initial(frames, version=version, salt=known.salt))]) == ["quic.example.org"]


def test_version_2_has_other_packet_types() -> None:
    assert names([send(Inspector(), initial(crypto(0, HELLO), version=V2))]) == ["quic.example.org"]


def test_crypto_frames_in_every_order_with_others_between() -> None:
    for order in permutations(PARTS):
        frames = (b"\x01" + ACK + b"\0\0").join(order)
        assert names([send(Inspector(), initial(frames))]) == ["quic.example.org"]


def test_a_hello_over_datagrams_in_every_order() -> None:
    packets = [initial(part, number=number) for number, part in enumerate(PARTS)]
    for order in permutations(packets):
        inspector = Inspector()
        out = [send(inspector, packet) for packet in order]
        assert names(out) == ["quic.example.org"]
        assert all(reading is not None and reading.more for reading in out[:-1])
        assert not inspector.anomalies


@given(st.integers(1, len(HELLO) - 1), st.integers(0, 30))
def test_split_at_every_byte_with_an_overlap(at: int, back: int) -> None:
    frames = crypto(0, HELLO[:at]) + crypto(max(0, at - back), HELLO[max(0, at - back) :])
    assert names([send(Inspector(), initial(frames))]) == ["quic.example.org"]


def test_coalesced_packets_and_what_follows_them() -> None:
    datagram = initial(PARTS[0], size=300) + initial(PARTS[1] + PARTS[2], number=1, size=300) + bytes(500)
    assert names([send(Inspector(), datagram)]) == ["quic.example.org"]


def test_garbage_behind_a_packet_ends_nothing() -> None:
    inspector = Inspector()
    reading = send(inspector, initial(PARTS[0]) + b"\xff" * 40)
    assert reading is not None
    assert reading.more
    assert names([send(inspector, initial(PARTS[1] + PARTS[2], number=1))]) == ["quic.example.org"]


def test_after_a_retry_the_keys_come_from_the_new_id() -> None:
    inspector = Inspector()
    packets = [
        initial(PARTS[0]),
        initial(b"".join(PARTS), dcid=b"after-retry", token=b"token" * 20),
    ]
    assert names([send(inspector, packet) for packet in packets]) == ["quic.example.org"]


def test_after_the_servers_answer_the_id_changes_and_the_keys_stay() -> None:
    inspector = Inspector()
    first = initial(PARTS[0] + PARTS[1])
    second = initial(PARTS[2], number=1, dcid=b"its-own", size=1_170, keys_of=bytes.fromhex("8394c8f03e515708"))
    assert names([send(inspector, first), send(inspector, second)]) == ["quic.example.org"]
    assert not inspector.anomalies


def test_the_servers_initials_are_not_opened() -> None:
    inspector = Inspector()
    answer = initial(b"\x02\0\0\0\0" + crypto(0, b"\x02\0\0\x02xx"), sender=b"server in", dcid=b"client")
    reading = send(inspector, answer, side=1, ports=(443, 50_000))
    assert reading == Reading("quic")
    out = [send(inspector, initial(crypto(0, HELLO[:50]))), send(inspector, answer, side=1, ports=(443, 50_000))]
    assert out[1] is not None
    assert (out[1].from_client, out[1].more) == (False, True)
    assert not inspector.anomalies


def test_what_does_not_authenticate_names_nothing() -> None:
    inspector = Inspector()
    packet = initial(crypto(0, HELLO))
    assert send(inspector, packet[:-1] + bytes([packet[-1] ^ 1])) == Reading("quic", undecryptable=True)
    assert inspector.anomalies == {"quic_not_authentic": 1}


def test_a_hello_that_is_not_whole_names_nothing() -> None:
    end = HELLO.index(b"quic.example") + 4
    reading = send(Inspector(), initial(crypto(0, HELLO[:end])))
    assert reading is not None
    assert (reading.names, reading.hello, reading.more) == ((), None, True)


def test_a_cut_datagram_is_quic_without_a_name() -> None:
    inspector = Inspector()
    for size in (60, 1_000):
        assert send(inspector, initial(crypto(0, HELLO))[:size], cut=True) == Reading("quic")
    assert not inspector.anomalies


@pytest.mark.parametrize(
    ("frames", "anomaly"),
    [
        (crypto(2**62 - 60, b"x" * 50), "quic_crypto_offset"),
        (crypto(0, HELLO, lie=9_000), "truncated"),
        (b"\x08\x00hello", "quic_frame"),
        (crypto(0, b"\x02\0\0\x01x"), "quic_no_hello"),
        (b"\x02\x00\x00" + varint(2**60) + b"\x00" * 20, "step_budget_spent"),
        (crypto(0, b"\x01\xff\xff\xff"), "tls_message_too_long"),
    ],
)
def test_broken_frames_are_counted_and_stay_quic(frames: bytes, anomaly: str) -> None:
    inspector = Inspector()
    reading = send(inspector, initial(frames))
    assert reading is not None
    assert (reading.protocol, reading.names) == ("quic", ())
    assert inspector.anomalies == {anomaly: 1}


def test_p4_frames_without_bytes_spend_the_budget() -> None:
    inspector = Inspector()
    send(inspector, initial(crypto(0, b"") * 3_000, size=0))
    send(inspector, initial(b"\x01" * 9_000, size=0, dcid=b"another"))
    assert inspector.anomalies == {"step_budget_spent": 2}


def test_p8_so_many_initials_of_a_flow_are_opened() -> None:
    inspector = Inspector()
    for number in range(60):
        reading = send(inspector, initial(crypto(0, HELLO[:60]), dcid=bytes([number] * 8)))
        assert reading is not None
        assert reading.more == (number < QUIC_INITIALS - 1)
    assert inspector.anomalies == {"quic_skipped": 60 - QUIC_INITIALS}


def test_p8_an_initial_in_a_small_datagram_is_counted_and_read() -> None:
    for size, small in ((DATAGRAM_MIN, 0), (DATAGRAM_MIN - 1, 1)):
        inspector = Inspector()
        packet = initial(crypto(0, HELLO), size=size - 38)
        assert len(packet) == size
        assert names([send(inspector, packet)]) == ["quic.example.org"]
        assert inspector.anomalies["quic_small_datagram"] == small
    inspector = Inspector()
    bogus = packet[:6] + b"\xff" + packet[7:]
    assert send(inspector, bogus) == Reading("quic", undecryptable=True)
    assert inspector.anomalies == {"quic_small_datagram": 1, "quic_not_authentic": 1}


def test_p8_a_small_datagram_counts_once_and_only_whole_and_from_the_client() -> None:
    two = initial(PARTS[0], size=200) + initial(PARTS[1] + PARTS[2], number=1, size=300)
    inspector = Inspector()
    assert names([send(inspector, two)]) == ["quic.example.org"]
    assert inspector.anomalies == {"quic_small_datagram": 1}
    inspector = Inspector()
    send(inspector, two, side=1, ports=(443, 50_000))
    send(inspector, two[:100], cut=True)
    known = protection.VERSIONS[0x51303530]  # Google's own asks for less
    send(inspector, initial(crypto(0, HELLO, kind=8), version=0x51303530, salt=known.salt, size=1_000), flow=2)
    assert not inspector.anomalies


def test_an_initial_that_opens_is_not_undecryptable() -> None:
    inspector = Inspector()
    for packet in (initial(PARTS[0]), initial(PARTS[1], number=1), initial(PARTS[2], number=2)):
        reading = send(inspector, packet)
        assert reading is not None
        assert not reading.undecryptable


def test_p8_a_source_has_its_share_of_a_second() -> None:
    inspector = Inspector()
    packet = initial(crypto(0, HELLO))
    out = [send(inspector, packet, flow=flow, source=9) for flow in range(QUIC_RATE_SOURCE + 5)]
    assert len(names(out)) == QUIC_RATE_SOURCE
    assert inspector.anomalies == {"quic_skipped": 5}
    assert names([send(inspector, packet, flow=900, source=10)]) == ["quic.example.org"]
    assert names([send(inspector, packet, flow=901, source=9, now=10**9)]) == ["quic.example.org"]


def test_a_hello_that_was_read_is_not_opened_again() -> None:
    inspector = Inspector()
    for number in range(40):
        out = send(inspector, initial(crypto(0, HELLO), number=number))
        assert out is not None
        assert bool(out.names) == (number == 0)
    assert not inspector.anomalies


def test_packets_without_an_initial_end_the_wait() -> None:
    inspector = Inspector()
    send(inspector, initial(PARTS[0]))
    out = [send(inspector, b"\x40" + bytes(60)) for _ in range(20)]
    assert out[0] is not None
    assert out[0].more
    assert out[-1] == Reading("quic", from_client=True)


def test_unknown_versions_and_negotiation_name_nothing() -> None:
    inspector = Inspector()
    greased = initial(crypto(0, HELLO), version=0xBABABABA, salt=protection.VERSIONS[1].salt)
    assert send(inspector, greased) == Reading("quic")
    negotiation = b"\xc0\0\0\0\0\x08" + bytes(8) + b"\0" + b"\0\0\0\1" * 400
    assert send(inspector, negotiation, side=1, flow=2) == Reading("quic", from_client=False)
    assert send(inspector, b"\xc0\x12\x34\x56\x78" + bytes(60), flow=3) is None


def test_port_853_or_the_alpn_make_it_dns_over_quic() -> None:
    reading = send(Inspector(), initial(crypto(0, HELLO)), ports=(50_000, 853))
    assert reading is not None
    assert reading.protocol == "doq"
    reading = send(Inspector(), initial(crypto(0, client_hello(alpn=(b"doq",)))), ports=(50_000, 8_853))
    assert reading is not None
    assert reading.protocol == "doq"


def test_without_the_package_it_is_quic_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *rest, **more)  # type: ignore[arg-type]

    packet = initial(crypto(0, HELLO))
    protection._cryptography.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    inspector = Inspector()
    try:
        reading = send(inspector, packet)
    finally:
        protection._cryptography.cache_clear()
    assert reading == Reading("quic", undecryptable=True)
    assert inspector.anomalies == {"quic_no_cryptography": 1}


TAGS = [(b"PAD\0", b"-" * 300), (b"SNI\0", b"g.example.org"), (b"VER\0", b"Q043")]


def test_the_name_in_a_chlo_of_the_public_header_and_of_q046() -> None:
    message = chlo(TAGS)
    old = b"\x09" + bytes(8) + b"Q043" + b"\x01" + bytes(12) + b"\xa0\x01\x04\x00" + message
    later = b"\xc3Q046\x50" + bytes(8) + b"\0\0\0\x01" + bytes(12) + b"\xa0\x01\x04\x00" + message
    for packet in (old, later):
        reading = send(Inspector(), packet)
        assert reading is not None
        assert (reading.kind, reading.names, reading.hello) == ("quic_sni", ("g.example.org",), None)
        cut = send(Inspector(), packet[: packet.index(b"g.example") + 3])
        assert cut == Reading("quic")
    known = protection.VERSIONS[0x51303530]
    frames = crypto(0, message, kind=8)
    assert names([send(Inspector(), initial(frames, version=0x51303530, salt=known.salt))]) == ["g.example.org"]


def test_tags_out_of_order_are_refused() -> None:
    message = bytearray(chlo(TAGS))
    message[12:16] = (400).to_bytes(4, "little")
    inspector = Inspector()
    packet = b"\x09" + bytes(8) + b"Q043" + b"\x01" + bytes(12) + b"\xa0\x01\x04\x00" + bytes(message)
    assert send(inspector, packet) == Reading("quic")
    assert inspector.anomalies == {"gquic_tags": 1}


@given(st.integers(5, 40), st.integers(0, 255), st.booleans())
def test_p1_a_wrong_byte_in_the_header_is_never_a_bug(at: int, byte: int, again: bool) -> None:
    packet = bytearray(initial(crypto(0, HELLO), token=b"token"))
    packet[at] = byte
    inspector = Inspector()
    for _ in range(1 + again):
        reading = send(inspector, bytes(packet))
        assert reading is not None
        assert reading.protocol == "quic"
    assert not inspector.anomalies["parser_bug"]


@given(st.binary(min_size=1, max_size=80))
def test_p1_any_frames_are_never_a_bug(frames: bytes) -> None:
    inspector = Inspector()
    reading = send(inspector, initial(frames))
    assert reading is not None
    assert reading.protocol == "quic"
    assert not inspector.anomalies["parser_bug"]
