from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st
from support.hellos import DTLS10, DTLS12, DTLS13, Lengths, client_hello, dtls_records

from netwatch.model.reading import Reading
from netwatch.names.inspector import Inspector

HELLO = client_hello(b"dtls.example.org", alpn=(), legacy=DTLS12, versions=(DTLS13, DTLS12), cookie=b"")


def send(inspector: Inspector, payload: bytes, *, side: int = 0, cut: bool = False) -> Reading | None:
    return inspector.datagram(3, side, payload, cut, 40_000, 4_433, 1, 0)


def names(readings: list[Reading | None]) -> list[str]:
    return [name for reading in readings if reading is not None for name in reading.names]


def test_a_hello_in_one_record() -> None:
    reading = send(Inspector(), dtls_records(HELLO)[0])
    assert reading is not None
    assert (reading.protocol, reading.kind, reading.names, reading.done) == ("dtls", "sni", ("dtls.example.org",), True)
    assert reading.hello is not None
    assert (reading.hello.version, reading.hello.ja4[:4]) == ("1.3", "dd3d")


def test_a_hello_without_a_name_tells_its_version() -> None:
    bare = client_hello(None, alpn=(), legacy=DTLS10, versions=(), cookie=b"")
    reading = send(Inspector(), dtls_records(bare)[0])
    assert reading is not None
    assert reading.hello is not None
    assert (reading.kind, reading.names, reading.hello.version, reading.done) == (None, (), "1.0", True)


def test_fragments_in_every_order_and_sent_twice() -> None:
    parts = dtls_records(HELLO, (20, 50))
    assert len(parts) == 3
    for order in permutations(parts):
        inspector = Inspector()
        out = [send(inspector, part) for part in (order[0], *order)]
        assert names(out) == ["dtls.example.org"]
        assert all(reading is not None and reading.more for reading in out[:-1])
        assert not inspector.anomalies


def test_fragments_of_different_messages_are_not_blended() -> None:
    other = client_hello(b"evil.example.org", alpn=(), legacy=DTLS12, cookie=b"")
    inspector = Inspector()
    send(inspector, dtls_records(HELLO, (60,), sequence=0)[0])
    assert names([send(inspector, dtls_records(other, (60,), sequence=1)[1])]) == []
    assert names([send(inspector, dtls_records(HELLO, (60,), sequence=0)[1])]) == ["dtls.example.org"]


def test_fragments_in_one_datagram() -> None:
    assert names([send(Inspector(), b"".join(dtls_records(HELLO, (30, 30))))]) == ["dtls.example.org"]


def test_the_cookie_exchange_gives_the_name_at_either_hello() -> None:
    second = client_hello(b"dtls.example.org", alpn=(), legacy=DTLS12, cookie=b"cookie" * 3)
    verify = dtls_records(b"\x03\0\0\x03\xfe\xff\x00")[0]
    inspector = Inspector()
    reading = send(inspector, verify, side=1)
    assert reading is not None
    assert (reading.protocol, reading.from_client) == ("dtls", False)
    assert names([send(inspector, dtls_records(second, sequence=1)[0])]) == ["dtls.example.org"]


def test_a_cut_record_is_no_fault_of_the_sender() -> None:
    inspector = Inspector()
    assert send(inspector, dtls_records(HELLO)[0][:80], cut=True) == Reading("dtls")
    assert not inspector.anomalies


def test_p7_hellos_under_way_are_bounded() -> None:
    inspector = Inspector()
    for sequence in range(6):
        send(inspector, dtls_records(HELLO, (60,), sequence=sequence)[0])
    assert inspector.anomalies["dtls_messages"] == 2


@given(st.integers(0, 14), st.integers(-300, 300))
def test_p1_a_lying_length_is_never_a_bug(at: int, by: int) -> None:
    lengths = Lengths(at, by)
    message = client_hello(b"dtls.example.org", legacy=DTLS12, cookie=b"c", lengths=lengths)
    inspector = Inspector()
    for part in dtls_records(message, (40,), lengths=lengths):
        reading = send(inspector, part)
        assert reading is not None
        assert reading.protocol == "dtls"
        assert all(name.encode() in message for name in reading.names)
    assert not inspector.anomalies["parser_bug"]
