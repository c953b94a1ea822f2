import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.limits import HTTP_HEAD
from netwatch.model.reading import Reading
from netwatch.names.http import without_port
from netwatch.names.inspector import Inspector

GET = b"GET / HTTP/1.1\r\nUser-Agent: x\r\nHost: www.example.org:8080\r\nAccept: */*\r\n\r\n"


def send(inspector: Inspector, payload: bytes, seq: int = 1, *, side: int = 0) -> Reading | None:
    ports = (50_000, 80) if side == 0 else (80, 50_000)
    return inspector.segment(1, side, seq, 1, payload, False, *ports, 0)


def host_of(payload: bytes) -> tuple[str, ...]:
    reading = send(Inspector(), payload)
    assert reading is not None
    assert (reading.protocol, reading.from_client, reading.more) == ("http", True, False)
    return reading.names


def test_the_host_without_its_port() -> None:
    reading = send(Inspector(), GET)
    assert reading == Reading("http", "http_host", ("www.example.org",), from_client=True, done=True)


@pytest.mark.parametrize(
    ("head", "host"),
    [
        (b"GET / HTTP/1.1\r\nhOsT:\t a.example \r\n\r\n", "a.example"),
        (b"GET / HTTP/1.1\nHost: a.example\n\n", "a.example"),
        (b"GET / HTTP/1.1\r\nHost: one\r\nHost: two\r\nHost: three\r\n\r\n", "one"),
        (b"GET http://user@abs.example:81/x?a=b HTTP/1.1\r\n\r\n", "abs.example"),
        (b"CONNECT tunnel.example:443 HTTP/1.1\r\n\r\n", "tunnel.example"),
        (b"GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", "[2001:db8::1]"),
        (b"GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n", "192.0.2.1"),
        (b"GET / HTTP/1.1\r\nHost: a\x00b\xff\r\n\r\n", "a\x00b\\xff"),
        (b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nHost: ws.example\r\n\r\n", "ws.example"),
    ],
)
def test_where_the_host_stands(head: bytes, host: str) -> None:
    assert host_of(head) == (host,)


@pytest.mark.parametrize("head", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost:\r\n\r\n"])
def test_a_request_without_a_host(head: bytes) -> None:
    assert host_of(head) == ()


def test_every_split_and_one_byte_each() -> None:
    for cut in range(1, len(GET)):
        inspector = Inspector()
        out = [send(inspector, GET[:cut]), send(inspector, GET[cut:], 1 + cut)]
        assert [name for reading in out if reading is not None for name in reading.names] == ["www.example.org"]
    inspector = Inspector()
    out = [send(inspector, GET[at : at + 1], 1 + at) for at in range(GET.index(b"\r\nAccept") + 2)]
    assert out[-1] is not None
    assert out[-1].names == ("www.example.org",)


def test_a_response_shows_the_server() -> None:
    reading = send(Inspector(), b"HTTP/1.1 200 OK\r\n\r\n", side=1)
    assert reading == Reading("http", from_client=False)


def test_a_head_that_never_ends_is_given_up() -> None:
    for filler in (b"a" * 1_000, b"X-Pad: " + b"a" * 90 + b"\r\n"):
        inspector = Inspector()
        seq = 1
        payload = b"GET / HTTP/1.1\r\nX: "
        for _ in range(HTTP_HEAD // len(filler) + 2):
            reading = send(inspector, payload, seq)
            if reading is not None and not reading.more:
                break
            seq += len(payload)
            payload = filler
        assert reading == Reading("http")
        assert inspector.anomalies == {"http_head_too_long": 1}
        assert inspector._store.bytes < 2_048


def test_mmtls_in_http_keeps_its_host() -> None:
    reading = send(Inspector(), b"POST /mmtls/00004a3b HTTP/1.1\r\nHost: szextshort.weixin.qq.com\r\n\r\n")
    assert reading is not None
    assert (reading.protocol, reading.names) == ("mmtls", ("szextshort.weixin.qq.com",))


@pytest.mark.parametrize(
    ("authority", "host"),
    [(b"a:80", b"a"), (b"a", b"a"), (b"[::1]:80", b"[::1]"), (b"[::1]", b"[::1]"), (b"::1", b"::1"), (b"a:b", b"a:b")],
)
def test_the_port_is_cut_away(authority: bytes, host: bytes) -> None:
    assert without_port(authority) == host


@given(st.binary(max_size=120), st.integers(1, 40))
def test_p1_any_head_is_a_name_of_it_or_none(tail: bytes, size: int) -> None:
    payload = b"GET " + tail
    inspector = Inspector()
    for at in range(0, len(payload), size):
        send(inspector, payload[at : at + size], 1 + at)
    assert not inspector.anomalies["parser_bug"]


def test_a_body_is_no_head() -> None:
    inspector = Inspector()
    send(inspector, GET[:20])
    assert send(inspector, b"\x01\x02 not a response\n" * 3, side=1) == Reading()
    assert not inspector.anomalies


def test_what_follows_a_connect_is_not_told_again() -> None:
    inspector = Inspector()
    ask = b"CONNECT a.example:22 HTTP/1.1\r\n\r\n"
    assert send(inspector, ask) == Reading("http", "http_host", ("a.example",), from_client=True)
    assert send(inspector, b"SSH-2.0-x\r\n", 1 + len(ask)) is None


def test_a_request_that_is_whole_at_once_keeps_no_state_and_one_in_the_middle_is_none() -> None:
    inspector = Inspector()
    for seq, first in ((1, 1), (900, None)):
        reading = inspector.segment(1, 0, seq, first, GET, False, 50_000, 80, 0)
        assert reading is not None
        assert reading.names == ("www.example.org",)
        assert len(inspector._store) == 0
    assert inspector.segment(2, 0, 500, 1, GET, False, 50_000, 80, 0) == Reading(
        more=True
    )  # bytes are missing before it
    assert inspector.segment(3, 0, 1, 1, b"\x7f\x01", False, 50_000, 80, 0) is None
    assert (
        inspector.segment(3, 0, 3, 1, GET, False, 50_000, 80, 0) is None
    )  # no request begins inside of something else


def test_a_head_that_is_too_long_at_once_counts_once() -> None:
    inspector = Inspector()
    send(inspector, GET[:16] + b"X: y\r\n" * (HTTP_HEAD // 6))
    assert inspector.anomalies == {"http_head_too_long": 1}
