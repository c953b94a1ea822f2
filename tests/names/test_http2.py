import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.reading import Reading
from netwatch.names.http2 import PREFACE
from netwatch.names.inspector import Inspector

# RFC 7541 appendix C.4.1: a request to www.example.com, Huffman coded
BLOCK = bytes.fromhex("828684418cf1e3c2e5f23a6ba0ab90f4ff")
SETTINGS = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64"


def frame(kind: int, flags: int, body: bytes, stream: int = 1) -> bytes:
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def send(inspector: Inspector, wire: bytes, size: int = 10_000) -> Reading | None:
    reading = None
    for at in range(0, len(wire), size):
        reading = inspector.segment(1, 0, 1 + at, 1, wire[at : at + size], False, 50_000, 80, 0)
    return reading


@pytest.mark.parametrize(
    "frames",
    [
        frame(1, 5, BLOCK),
        frame(1, 0x2D, b"\x03" + bytes(5) + BLOCK + bytes(3)),
        frame(1, 1, BLOCK[:5]) + frame(9, 0, BLOCK[5:7]) + frame(9, 4, BLOCK[7:]),
        frame(8, 0, bytes(4), 0) + frame(2, 0, bytes(5), 3) + frame(1, 5, BLOCK),
        frame(1, 5, b"\x82\x66\x0bhost.exampl"),
    ],
    ids=["plain", "padded", "continued", "others-first", "host"],
)
def test_the_authority_of_the_first_request(frames: bytes) -> None:
    for size in (1, 11, 10_000):
        reading = send(Inspector(), PREFACE + SETTINGS + frames, size)
        assert reading is not None
        assert reading.names in (("www.example.com",), ("host.exampl",))
        assert (reading.protocol, reading.kind, reading.done) == ("http", "http_host", True)


def test_the_preface_alone_asks_for_more() -> None:
    assert send(Inspector(), PREFACE[:3]) == Reading(more=True)
    assert send(Inspector(), PREFACE + SETTINGS) == Reading("http", from_client=True, more=True)


@pytest.mark.parametrize(
    ("frames", "anomaly"),
    [
        (frame(8, 0, bytes(4), 0) * 70, "http2_frame"),
        (b"\xff\xff\xff\x00\0\0\0\0\0", "http2_frame"),
        (frame(1, 0xC, b"\x09x"), "http2_frame"),
        ((frame(1, 0, bytes(9_000)) + frame(9, 0, bytes(9_000))), "http_head_too_long"),
        (frame(1, 5, b"\xbe"), "hpack_index"),
        (frame(1, 5, b"\x41\xff" + b"\xff" * 8), "hpack_integer"),
    ],
)
def test_broken_frames_end_the_wait(frames: bytes, anomaly: str) -> None:
    inspector = Inspector()
    assert send(inspector, PREFACE + SETTINGS + frames) == Reading("http")
    assert inspector.anomalies == {anomaly: 1}


@given(st.binary(max_size=80), st.integers(0, 47))
def test_p1_any_block_is_never_a_bug(block: bytes, flags: int) -> None:
    inspector = Inspector()
    send(inspector, PREFACE + SETTINGS + frame(1, flags | 4, block))
    assert not inspector.anomalies["parser_bug"]
