"""What leaves the engine depends on the packets alone, never on how a source cut them into batches."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from engine.lab import (
    ACK,
    FIN,
    LAPTOP,
    PHONE,
    RESOLVER,
    RST,
    SERVER,
    T0,
    Frame,
    Host,
    answer,
    assert_same,
    copied,
    cut,
    datagram,
    faults,
    frame,
    hello,
    question,
    resolved,
    run,
    run_batches,
    segment,
    shake,
    tls,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from support import hellos
from support.corpora import CORPORA, needs_corpora
from support.packets import udp

from netwatch.model.batch import PacketBatch
from netwatch.model.limits import PAD
from netwatch.sources import open_capture

CAPTURES = Path(__file__).resolve().parents[2] / "captures"
CORPUS = (
    "ndpi__443-curl.pcap",
    "ndpi__chrome.pcap",
    "ndpi__dns_ambiguous_names.pcap",
    "ndpi__dtls_certificate_fragments.pcap",
    "ndpi__fuzz-2006-09-29-28586.pcap",
    "ndpi__http_ua_splitted_in_two_pkts.pcapng",
    "ndpi__ip_fragmented_garbage.pcap",
    "ndpi__6in4tunnel.pcap",
)
HELLO = hello()


def certificate(names: int) -> bytes:
    """What a TLS 1.2 server sends: its hello, and a certificate of so many names."""
    der = hellos.self_signed("a.tiktok.com", [f"{i}.tiktok.com" for i in range(names)])
    return hellos.records(hellos.server_hello() + hellos.certificate_message(der))


CERTIFICATE = certificate(3)
LONG_HELLO = hello(b"www.tiktok.com", extra=hellos.extension(21, bytes(3_000)))
GAPS = (0.0, 0.001, 2.0, 6.0, 61.0, 299.0, 301.0, 1_801.0, -10.0)


def templates() -> list[Frame]:
    """Frames to make traffic of: a few flows, every flag, whole and broken hellos, DNS, fragments, rubbish."""
    out: list[Frame] = []
    for client, port in ((PHONE, 50_000), (LAPTOP, 50_000), (PHONE, 50_001)):
        out += shake(client, SERVER, 0, port)
        out += [
            segment(client, SERVER, HELLO, ports=(port, 443)),
            segment(client, SERVER, HELLO[:50], ports=(port, 443)),
            segment(client, SERVER, HELLO[50:], ports=(port, 443), seq=51),
            segment(client, SERVER, b"x" * 50, ports=(port, 443), seq=200),
            segment(SERVER, client, CERTIFICATE, ports=(443, port)),
            segment(SERVER, client, CERTIFICATE[:90], ports=(443, port)),
            segment(SERVER, client, CERTIFICATE[90:], ports=(443, port), seq=91),
            *(
                segment(client, SERVER, LONG_HELLO[at : at + 600], ports=(port, 443), seq=1 + at)
                for at in range(0, len(LONG_HELLO), 600)
            ),
            segment(client, SERVER, b"GET / HTTP/1.1\r\nHost: ads.tiktok.com\r\n\r\n", ports=(port, 443)),
            segment(client, SERVER, ports=(port, 443), flags=FIN | ACK, seq=900),
            segment(SERVER, client, ports=(443, port), flags=FIN | ACK, seq=900),
            segment(SERVER, client, ports=(443, port), flags=RST, seq=1),
        ]
        query = question("api.tiktokv.com")
        reply = answer("api.tiktokv.com", "edge.example", address=SERVER)
        out += [
            datagram(client, RESOLVER, query, ports=(40_000, 53)),
            datagram(RESOLVER, client, reply, ports=(53, 40_000)),
            datagram(
                client,
                SERVER,
                hellos.initial(hellos.crypto(0, hellos.client_hello(b"www.tiktok.com"))),
                ports=(port, 443),
            ),
        ]
        out += fragments(client, query)
    out.append(Frame(b"\xff" * 12 + b"\x08\x06" + bytes(28), 0))
    out.append(frame(PHONE, SERVER, b"\x01\x02", 6))
    out.append(frame(PHONE, SERVER, b"\x08\0\0\0", 1))
    return out


def fragments(client: Host, query: bytes) -> list[Frame]:
    """A question in fragments of 16 bytes."""
    whole = udp(query, sport=40_000, dport=53)
    last = (len(whole) - 1) // 16
    return [
        frame(client, RESOLVER, whole[16 * i : 16 * i + 16], 17, ident=9, fragment=2 * i | (0x2000 if i < last else 0))
        for i in range(last + 1)
    ]


TEMPLATES = templates()


@st.composite
def traffic(draw: st.DrawFn) -> list[Frame]:
    """Runs of neighbouring templates, each after a gap of time."""
    pick = st.tuples(st.integers(0, len(TEMPLATES) - 1), st.integers(1, 8), st.sampled_from(GAPS))
    now, out = 0.0, []
    for start, length, gap in draw(st.lists(pick, min_size=2, max_size=25)):
        now += gap
        for one in TEMPLATES[start : start + length]:
            now += 0.001
            out.append(one._replace(at=now))
    return out


@contextmanager
def release_every(packets: int) -> Iterator[None]:
    """Have records leave after so few packets."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("netwatch.engine.engine", "netwatch.flows.table"):
            patch.setattr(f"{module}.RELEASE_PACKETS", packets)
        patch.setattr("netwatch.engine.engine.STREAM_PACKETS", max(1, packets // 4))
        yield


@settings(max_examples=60)
@given(
    traffic(),
    st.lists(st.integers(1, 50), max_size=12),
    st.sampled_from((4, 8, 65_536)),
    st.sampled_from((2, 40, 1_000)),
)
def test_any_cut_gives_the_same_records(frames: list[Frame], cuts: list[int], release: int, max_flows: int) -> None:
    with release_every(release):
        whole = run(frames, max_flows=max_flows)
        assert_same(whole, run(frames, cuts, max_flows=max_flows, seed=1))
    assert faults(whole) == []


@settings(max_examples=40)
@given(traffic(), st.lists(st.integers(1, 50), max_size=12), st.sampled_from((8, 40)))
def test_any_cut_of_a_stream_gives_the_same_records(frames: list[Frame], cuts: list[int], release: int) -> None:
    with release_every(release):
        whole = run(frames, streamed=True)
        assert_same(whole, run(frames, cuts, streamed=True))
        assert_same(whole, run(frames, range(len(frames)), streamed=True))


def test_a_stream_that_begins_with_a_small_batch_lets_go_at_the_same_packets() -> None:
    frames = [
        datagram(PHONE, SERVER, b"12345678", at, ports=(port, 9_999))
        for port, at in enumerate((0, 200, 200, -5), 50_000)
    ]
    with release_every(8):
        assert_same(run(frames, streamed=True), run(frames, [1], streamed=True))


@settings(max_examples=25)
@given(traffic())
def test_frame_by_frame_gives_the_same_records(frames: list[Frame]) -> None:
    assert_same(run(frames), run(frames, range(len(frames)), seed=2))


def test_dns_names_and_many_names_of_a_certificate_are_kept_alike() -> None:
    """More names than are kept for a flow: which of them are, may not depend on the batches."""
    frames = [
        *resolved(PHONE, "api.tiktokv.com", SERVER),
        *tls(PHONE, SERVER, 1, data=hello(None)),
        segment(SERVER, PHONE, certificate(20), 1.1, ports=(443, 50_000)),
    ]
    assert_same(run(frames), run(frames, range(len(frames))))


def test_a_flow_that_is_cut_at_30_minutes_keeps_its_name_in_one_batch_too() -> None:
    frames = [
        *resolved(PHONE, "api.tiktokv.com", SERVER),
        *tls(PHONE, SERVER, 1),
        *(segment(PHONE, SERVER, b"x", at, seq=1_000) for at in range(200, 2_200, 200)),
    ]
    assert_same(run(frames), run(frames, range(len(frames))))


def test_what_is_told_behind_30_minutes_comes_on_top_of_what_was_told_before() -> None:
    """Plain HTTP first, TLS later: whichever batch brings it, the later protocol is the one of the new record."""
    request = segment(PHONE, SERVER, b"GET / HTTP/1.1\r\nHost: ads.tiktok.com\r\n\r\n", 1)
    waits = [segment(PHONE, SERVER, b"", at, seq=42) for at in range(200, 2_000, 200)]
    frames = [*shake(PHONE, SERVER), request, *waits, segment(PHONE, SERVER, HELLO, 2_000, seq=42)]
    whole = run(frames)
    assert_same(whole, run(frames, range(len(frames))))
    assert_same(whole, run(frames, [len(frames) - 1]))
    assert [flow["protocol"] for flow in whole.flows] == ["http", "tls"]


def test_a_hello_that_cannot_be_opened_behind_30_minutes_is_told() -> None:
    negotiation = b"\xc0\0\0\0\0\x08" + bytes(8) + b"\x08" + bytes(8) + b"\0\0\0\1"
    sealed = hellos.initial(hellos.crypto(0, hellos.client_hello()), keys_of=b"otherkey")
    frames = [
        datagram(SERVER, PHONE, negotiation, ports=(443, 50_000)),
        *(datagram(PHONE, SERVER, b"x", at) for at in range(50, 1_900, 50)),
        datagram(PHONE, SERVER, sealed, 1_900),
    ]
    whole = run(frames)
    assert_same(whole, run(frames, range(len(frames))))
    assert_same(whole, run(frames, [len(frames) - 1]))
    assert [flow["blind"] for flow in whole.flows][-1] == "undecryptable"


@pytest.mark.parametrize("at", range(3, 10))
def test_the_seventh_payload_behind_a_hello_that_is_given_up_is_judged_alike(at: int) -> None:
    """Such a flow wants every packet for a while; where a batch begins in that while, no more may be read than else."""
    pieces = [segment(PHONE, SERVER, LONG_HELLO[lo : lo + 600], seq=1 + lo) for lo in range(0, 3_000, 600)]
    junk = segment(PHONE, SERVER, b"GET / HTTP/1.1\r\nHost: ads.tiktok.com\r\n\r\n", 1)
    frames = [*shake(PHONE, SERVER), *pieces, junk, segment(SERVER, PHONE, CERTIFICATE, 2, ports=(443, 50_000))]
    assert_same(run(frames), run(frames, [at]))


def batches_of(path: Path) -> list[PacketBatch]:
    with open_capture(str(path)) as source:
        return [copied(one) for one in source]


def assert_cut_alike(batches: Sequence[PacketBatch], **limits: int) -> None:
    whole = run_batches(batches, **limits)
    assert faults(whole) == []
    for step in (1_009, 64, 7):
        if step == 7 and sum(len(one.time) for one in batches) > 1_000:
            continue
        pieces = [piece for one in batches for piece in cut(one, range(step, len(one.time), step))]
        assert_same(whole, run_batches(pieces, seed=step, **limits))


@pytest.mark.parametrize("name", ["clean.pcap", "hidden.pcapng", "phone-and-laptop.pcap"])
@pytest.mark.parametrize("max_flows", [16, 262_144])
def test_own_captures_cut_anywhere(name: str, max_flows: int) -> None:
    with release_every(256):
        assert_cut_alike(batches_of(CAPTURES / name), max_flows=max_flows)


@needs_corpora
@pytest.mark.parametrize("name", CORPUS)
def test_real_captures_cut_anywhere(name: str) -> None:
    with release_every(128):
        assert_cut_alike(batches_of(CORPORA / "captures" / name), max_flows=24)


def many(count: int, flows: int) -> PacketBatch:
    """UDP datagrams of so many flows, one flow after the other, 10 ms apart."""
    data = np.frombuffer(datagram(PHONE, SERVER, b"12345678", ports=(0, 9_999)).data, np.uint8)
    rows = np.tile(data, (count, 1))
    port = (np.arange(count) * flows // count + 10_000).astype(">u2")
    rows[:, 34:36] = port.view(np.uint8).reshape(count, 2)
    size = len(data)
    return PacketBatch(
        data=np.concatenate((rows.ravel(), np.zeros(PAD, np.uint8))),
        offset=np.arange(0, count * size, size, dtype=np.int64),
        caplen=np.full(count, size, np.int32),
        wirelen=np.full(count, size, np.uint32),
        time=T0 + np.arange(count, dtype=np.int64) * 10**7,
        interface=np.zeros(count, np.uint16),
        number=np.arange(1, count + 1, dtype=np.int64),
        link_type=1,
        interfaces=(None,),
    )


@pytest.mark.parametrize("max_flows", [500, 262_144])
def test_records_leave_at_the_same_points_of_a_long_input(max_flows: int) -> None:
    batch = many(70_000, 5_000)
    plain = run_batches(cut(batch, [65_536]), max_flows=max_flows)
    odd = run_batches(cut(batch, range(40_000, 70_000, 9_999)), max_flows=max_flows, seed=5)
    assert_same(plain, odd)
    assert faults(plain) == []
    assert plain.releases[0][0] == 65_536
    assert sum(count for at, count in plain.releases if at == 65_536) > 0, "ended flows leave before the end"


def test_m1_live_flows_stay_under_the_limit() -> None:
    told = run_batches(cut(many(20_000, 20_000), []), max_flows=1_000)
    reasons = [flow["end_reason"] for flow in told.flows]
    assert len(reasons) == 20_000
    assert reasons.count("lack_of_resources") >= 19_000
