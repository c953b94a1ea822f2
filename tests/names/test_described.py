import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.reading import Reading
from netwatch.names import DATAGRAMS as DATAGRAM_PROTOCOLS
from netwatch.names import STREAMS as STREAM_PROTOCOLS
from netwatch.names import described, dtls, quic
from netwatch.names.inspector import Inspector

HIGH = (50_000, 40_000)
IKE = b"\x11" * 8 + bytes(8) + b"\x21\x20\x22\x08" + bytes(4) + (300).to_bytes(4, "big") + bytes(272)
STUN = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12)
RESET = b"\x38" + b"session!" + bytes(5)

DATAGRAMS = [
    ("wireguard", b"\x01\0\0\0" + bytes(144), HIGH),
    ("wireguard", b"\x02\0\0\0" + bytes(88), HIGH),
    ("wireguard", b"\x04\0\0\0" + bytes(60), HIGH),
    (None, b"\x01\0\0\0" + bytes(143), HIGH),
    (None, b"\x01\0\x01\0" + bytes(144), HIGH),
    (None, b"\x04\0\0\0" + bytes(61), HIGH),
    ("stun", STUN, HIGH),
    ("stun", b"\x01\x01\x00\x08\x21\x12\xa4\x42" + bytes(20), HIGH),
    (None, b"\x01\x01\x00\x08\x21\x12\xa4\x43" + bytes(20), HIGH),
    (None, b"\x01\x01\x00\x48\x21\x12\xa4\x42" + bytes(20), HIGH),
    ("ntp", b"\x23" + bytes(47), (123, 123)),
    ("ntp", b"\x16" + bytes(11), (50_000, 123)),
    (None, b"\x23" + bytes(47), HIGH),
    (None, b"\x20" + bytes(47), (123, 123)),
    ("ipsec", IKE, (500, 500)),
    ("ipsec", b"\0\0\0\0" + IKE, (40_000, 4_500)),
    ("ipsec", b"\xff", (4_500, 4_500)),
    ("ipsec", b"\x12\x34\x56\x78" + bytes(60), (4_500, 4_500)),
    (None, IKE, HIGH),
    (None, IKE[:17] + b"\x99" + IKE[18:], (500, 500)),
    ("openvpn", RESET, (50_000, 1_194)),
    ("openvpn", RESET, HIGH),
    ("openvpn", b"\x38session!" + b"h" * 20 + b"\0\0\0\x01" + b"time" + bytes(5), HIGH),
    (None, b"\x38session!" + b"h" * 40, HIGH),
    (None, b"\x38" + bytes(13), HIGH),
    ("nbns", bytes(5) + b"\x01" + bytes(44), (137, 137)),
    ("ssdp", b"M-SEARCH * HTTP/1.1\r\n\r\n", (50_000, 1_900)),
    ("bittorrent", b"d1:ad2:id20:" + b"i" * 20 + b"e1:q4:ping1:t2:aa1:y1:qe", HIGH),
    ("rtcp", b"\x80\xc8\x00\x06" + bytes(24), HIGH),
    (None, b"\x80\x60\x00\x06" + bytes(24), HIGH),
]

STREAMS = [
    ("ssh", b"SSH-2.0-OpenSSH_9.2\r\n", 22),
    ("mmtls", b"\x16\xf1\x03\x00\x20" + bytes(32), 443),
    ("mmtls", b"\x19\xf1\x03\x00\x20" + bytes(32), 8_080),
    ("mqtt", b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c", 1_883),
    ("mqtt", b"\x10\x90\x01\x00\x04MQTT\x05\x02", 9_999),
    ("bittorrent", b"\x13BitTorrent protocol" + bytes(48), 6_881),
    ("smtp", b"220 mail.example.org ESMTP\r\n", 25),
    ("imap", b"* OK ready\r\n", 143),
    ("pop3", b"+OK ready\r\n", 110),
    ("ftp", b"220 ftp\r\n", 21),
    (None, b"220 what\r\n", 9_999),
    ("openvpn", b"\x00\x0e" + RESET, 1_194),
    (None, b"\x00\x01\x02\x03\x04\x05\x06\x07", 9_999),
]


@pytest.mark.parametrize(("protocol", "payload", "ports"), DATAGRAMS)
def test_datagrams(protocol: str | None, payload: bytes, ports: tuple[int, int]) -> None:
    inspector = Inspector()
    reading = inspector.datagram(1, 0, payload, False, *ports, 1, 0)
    assert reading == (Reading(protocol, done=protocol != "stun") if protocol else None)
    assert not inspector.anomalies


@pytest.mark.parametrize(("protocol", "payload", "port"), STREAMS)
def test_streams(protocol: str | None, payload: bytes, port: int) -> None:
    reading = Inspector().segment(1, 1, 1, 1, payload, False, port, 50_000, 0)
    may_turn_to_tls = protocol in ("smtp", "imap", "pop3", "ftp")
    assert reading == (Reading(protocol, done=not may_turn_to_tls) if protocol else None)


@given(st.binary(max_size=80), st.sampled_from([53, 67, 123, 137, 443, 500, 546, 1_194, 1_900, 4_500, 5_353, 9_999]))
def test_p1_random_datagrams_and_streams_are_never_a_bug(payload: bytes, port: int) -> None:
    inspector = Inspector()
    inspector.datagram(1, 0, payload, False, 50_000, port, 1, 0)
    inspector.segment(2, 0, 1, 1, payload, False, 50_000, port, 0)
    inspector.segment(3, 0, 1, None, payload, True, 50_000, port, 0)
    assert not inspector.anomalies["parser_bug"]


TAILS = [payload[1:] for _, payload, _ in (*DATAGRAMS, *STREAMS)] + [b"\0\0\0\1" + bytes(40), b"\xfe\xfd" + bytes(40)]


def test_no_datagram_is_refused_by_its_first_byte_that_a_test_would_take() -> None:
    for first in range(256):
        for tail in TAILS:
            payload = bytes((first,)) + tail
            taken = [name for name, test in described.DATAGRAM_TESTS.items() if test(payload, HIGH)]
            assert all(first in described.FIRST_OF[name] for name in taken)
            assert not taken or first in DATAGRAM_PROTOCOLS["described"].firsts
            assert not quic.looks_like(payload) or first in DATAGRAM_PROTOCOLS["quic"].firsts
            assert not dtls.looks_like(payload) or first in DATAGRAM_PROTOCOLS["dtls"].firsts


def test_tests_that_go_by_a_port_are_asked_there_whatever_the_first_byte() -> None:
    for name, test in described.DATAGRAM_TESTS.items():
        for port in {port for _, _, ports in DATAGRAMS for port in ports} | {53, 443, 1_234}:
            if name not in described.FIRST_OF and any(test(payload, (port, 50_000)) for _, payload, _ in DATAGRAMS):
                assert port in described.PORTS


def test_no_stream_is_refused_by_its_first_byte_that_a_protocol_would_take() -> None:
    ports = 50_000, 25
    for protocol in STREAM_PROTOCOLS.values():
        for first in range(256):
            for tail in (*TAILS, *(word[1:] for word in (b"GET / ", b"HTTP/1.1 ", b"PRI * ", b"EHLO x", b"M-SEARCH "))):
                starts = protocol.starts(bytes((first,)) + tail, ports)
                assert starts is False or first in protocol.firsts
