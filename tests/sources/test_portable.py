"""Live capture through scapy, which is what other systems have."""

import socket
import time
from collections.abc import Iterator

import pytest
from support.netns import ip, needs_root, network, send, up, veth

from netwatch.model.errors import SourceError, UsageError
from netwatch.model.limits import PAD
from netwatch.sources.live import LiveSource, open_live

pytestmark = [needs_root, pytest.mark.filterwarnings("default")]

FRAMES = [bytes(6) + b"abcdef" + b"\x81\x00\x00\x07\x08\x00" + bytes([number]) * (50 + number) for number in range(200)]


@pytest.fixture(autouse=True)
def cable() -> Iterator[None]:
    with network():
        veth("nv0", "nv1")
        yield


def drain(source: LiveSource, count: int, within: float = 1.0) -> list[tuple[str | None, bytes]]:
    got: list[tuple[str | None, bytes]] = []
    until = time.monotonic() + within
    while len(got) < count and time.monotonic() < until:
        batch = source.poll(100)
        if batch is None:
            continue
        assert len(batch.data) >= int((batch.offset + batch.caplen).max()) + PAD
        rows = zip(batch.interface.tolist(), batch.offset.tolist(), batch.caplen.tolist(), strict=True)
        got += [(batch.interfaces[code], bytes(batch.data.data[at : at + size])) for code, at, size in rows]
    return got


def test_every_frame_arrives_as_it_was_sent() -> None:
    opened = open_live(["nv1", "nv0"], kind="scapy")
    assert len(opened.fds) == 2
    source = LiveSource(opened)
    before = time.time_ns()
    send("nv0", FRAMES)
    got = drain(source, 2 * len(FRAMES))
    assert [frame for name, frame in got if name == "nv1"] == FRAMES
    assert [frame for name, frame in got if name == "nv0"] == FRAMES, "what is sent is seen where it is sent"
    counts = source.counts()
    assert (counts.received, counts.dropped) == (400, None)
    assert source.capture.first is not None
    assert abs(source.capture.first - before) < 10**9
    send("nv0", FRAMES[:5])
    source.stop()
    assert [frame for name, frame in drain(source, 10, within=0.1) if name == "nv1"] == FRAMES[:5]
    source.close()


def test_loopback_counts_once() -> None:
    up("lo")
    source = LiveSource(open_live(["lo"], kind="scapy"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.sendto(b"once", one.getsockname())
    assert [frame[-4:] for _, frame in drain(source, 2, within=0.3)] == [b"once"]
    source.close()


def test_the_snapshot_length_cuts_frames() -> None:
    source = LiveSource(open_live(["nv1"], kind="scapy", snaplen=60))
    send("nv0", FRAMES[-1:])
    batch = source.poll(500)
    assert batch is not None
    assert (batch.caplen.tolist(), batch.wirelen.tolist()) == ([60], [len(FRAMES[-1])])
    source.close()


def test_an_interface_that_goes_down_is_told() -> None:
    source = LiveSource(open_live(["nv1"], kind="scapy"))
    ip("link set nv1 down")
    assert source.poll(200) is None
    assert source.events() == ["nv1: network is down"]
    assert not source.add("nv0")
    assert source.events() == ["nv0: not captured: this source cannot add interfaces"]
    source.close()


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(SourceError, match="nv9: no such interface; there are"):
        open_live(["nv9"], kind="scapy")
    with pytest.raises(UsageError, match="no filter in the kernel"):
        open_live(["nv1"], kind="scapy", program=b"12345678")
