"""What a flow is called: hellos however they are cut, DNS answers in their order, labels that go on in a new record."""

from typing import Any

import pytest
from engine.lab import (
    ACK,
    FIN,
    LAPTOP,
    PHONE,
    RESOLVER,
    RST,
    SERVER,
    SYN,
    Frame,
    answer,
    datagram,
    frame,
    hello,
    question,
    resolved,
    run,
    run_both,
    segment,
    shake,
    tls,
)
from support import hellos
from support.packets import udp

TIKTOK, EDGE = "api.tiktokv.com", "edge.cdn.example"


def syn(device: Any = PHONE, server: Any = SERVER, at: float = 0.0, port: int = 50_000) -> Frame:
    return segment(device, server, at=at, ports=(port, 443), flags=SYN, seq=0)


def pieces(data: bytes, size: int, at: float = 0.0, seq: int = 1, port: int = 50_000) -> list[Frame]:
    return [
        segment(PHONE, SERVER, data[lo : lo + size], at, ports=(port, 443), seq=seq + lo)
        for lo in range(0, len(data), size)
    ]


def kinds(flow: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["kind"], one["value"]) for one in flow["evidence"]]


# --- hellos ---


def test_a_hello_names_its_flow() -> None:
    flow = run_both(tls(PHONE, SERVER)).flow
    assert (flow["protocol"], flow["name"], flow["name_source"]) == ("tls", TIKTOK, "sni")
    assert (flow["app_id"], flow["owner_id"], flow["control_country"]) == ("tiktok", "bytedance", "CN")
    assert (flow["alpn"], flow["tls_version"], flow["ech"], flow["blind"]) == ("h2,http/1.1", "1.3", None, None)
    assert [(one["kind"], one["packet"]) for one in flow["evidence"]] == [("sni", 3)]


@pytest.mark.parametrize("size", [1, 7, 60])
def test_p7_a_hello_in_many_segments_is_one_hello(size: int) -> None:
    data = hello()
    told = run_both(tls(PHONE, SERVER, step=size))
    assert told.flow["name"] == TIKTOK
    assert told.flow["evidence"][0]["packet"] == 2 + -(-len(data) // size), "the packet that completed it"


def test_p7_a_hello_of_64_kib_in_segments_of_one_byte_in_one_batch() -> None:
    """All but the first six payload packets are wanted only because of the first."""
    data = hello(extra=b"".join(hellos.extension(0x3A3A + i, bytes(6_000)) for i in range(10)))
    frames = [*shake(PHONE, SERVER), *pieces(data, 1)]
    assert 60_000 < len(frames) < 65_536
    assert run(frames).flow["name"] == TIKTOK


def test_a_hello_behind_starttls_is_read_whatever_its_place() -> None:
    frames = shake(PHONE, SERVER, server_port=25)
    for turn in range(5):
        frames.append(segment(PHONE, SERVER, b"NOOP 12\n", ports=(50_000, 25), seq=1 + 8 * turn))
        frames.append(segment(SERVER, PHONE, b"250 ok\r\n", ports=(25, 50_000), seq=1 + 8 * turn))
    data = hello(b"www.tiktok.com")
    for lo in range(0, len(data), 40):
        frames.append(segment(PHONE, SERVER, data[lo : lo + 40], 1, ports=(50_000, 25), seq=41 + lo))
    assert run_both(frames).flow["name"] == "www.tiktok.com"


def test_segments_out_of_order_and_sent_twice() -> None:
    one, two, three = pieces(hello(), 60)
    assert run_both([*shake(PHONE, SERVER), three, two, two, one]).flow["name"] == TIKTOK


def test_data_in_the_syn_counts_as_the_first_bytes() -> None:
    data = hello()
    frames = [
        segment(PHONE, SERVER, data[:50], flags=SYN, seq=0),
        segment(PHONE, SERVER, data[50:], 0.1, seq=51),
    ]
    assert run_both(frames).flow["name"] == TIKTOK


@pytest.mark.parametrize("closing", [[RST], [FIN | ACK, FIN | ACK]])
def test_a_port_that_is_used_again_gives_two_flows_with_two_names(closing: list[int]) -> None:
    ends = [
        segment(*pair, at=1, ports=ports, flags=flags, seq=900)
        for flags, pair, ports in zip(
            closing, ((PHONE, SERVER), (SERVER, PHONE)), ((50_000, 443), (443, 50_000)), strict=False
        )
    ]
    frames = [*tls(PHONE, SERVER), *ends, *tls(PHONE, SERVER, 2, data=hello(b"www.douyin.com"))]
    told = run_both(frames)
    assert [(flow["name"], flow["end_reason"]) for flow in told.flows] == [
        (TIKTOK, "end"),
        ("www.douyin.com", "forced"),
    ]
    assert len({flow["flow_id"] for flow in told.flows}) == 2
    assert [flow["evidence"][0]["packet"] for flow in told.flows] == [3, len(frames)]


def test_a_certificate_names_a_flow_without_a_name_in_its_hello() -> None:
    body = hellos.certificate_message(hellos.self_signed("ads.tiktok.com", ["ads.tiktok.com"]))
    data = hellos.records(hellos.server_hello() + body)
    frames = [*tls(PHONE, SERVER, data=hello(None)), segment(SERVER, PHONE, data, 0.1, ports=(443, 50_000))]
    flow = run_both(frames).flow
    assert (flow["name_source"], flow["role"], flow["confidence"]) == ("certificate", "ads", "medium")


def test_evidence_is_numbered_within_its_capture() -> None:
    """Captures that are read together interleave; a number is the one that the capture's own tools show."""
    from engine.lab import cut, laid, run_batches

    one, two = cut(laid([*tls(PHONE, SERVER), *tls(LAPTOP, SERVER, 1)]), [3])
    told = run_batches([one, two._replace(number=two.number - 3)])
    assert [flow["evidence"][0]["packet"] for flow in told.flows] == [3, 3]


# --- DNS answers ---


def test_an_answer_before_a_flow_names_it_also_where_no_byte_follows() -> None:
    flow = run_both([*resolved(PHONE, TIKTOK, SERVER), syn(at=1)]).to(SERVER)
    assert (flow["name"], flow["name_source"], flow["app_id"], flow["confidence"]) == (
        TIKTOK,
        "dns_answer",
        "tiktok",
        "medium",
    )
    assert (flow["evidence"][0]["packet"], flow["evidence"][0]["time"]) == (2, "2025-11-24T19:51:02.010000000Z")


def test_an_answer_names_a_flow_whose_hello_has_no_name() -> None:
    flow = run_both([*resolved(PHONE, TIKTOK, SERVER), *tls(PHONE, SERVER, 1, data=hello(None))]).to(SERVER)
    assert (flow["name"], flow["name_source"], flow["blind"]) == (TIKTOK, "dns_answer", None)


def test_a_hello_comes_before_an_answer_and_both_are_shown() -> None:
    flow = run_both([*resolved(PHONE, TIKTOK, SERVER, chain=[EDGE]), *tls(PHONE, SERVER, 1)]).to(SERVER)
    assert flow["name_source"] == "sni"
    assert kinds(flow) == [("sni", TIKTOK), ("dns_answer", TIKTOK), ("dns_answer", EDGE)]


def test_the_names_of_a_chain_count() -> None:
    flow = run_both(
        [*resolved(PHONE, "brand.example", SERVER, chain=[TIKTOK]), *tls(PHONE, SERVER, 1, data=hello(None))]
    ).to(SERVER)
    assert flow["app_id"] == "tiktok"
    assert ("dns_answer", TIKTOK) in kinds(flow)


def test_an_answer_that_comes_after_the_flow_began_names_it_not() -> None:
    frames = [*tls(PHONE, SERVER, data=hello(None)), *resolved(PHONE, TIKTOK, SERVER, 1)]
    flow = run_both(frames).to(SERVER)
    assert (flow["name"], flow["evidence"], flow["blind"]) == (None, [], "no_name_offered")


@pytest.mark.parametrize("before", [True, False])
def test_order_within_a_batch_counts_where_the_times_are_equal(before: bool) -> None:
    asked, told = resolved(PHONE, TIKTOK, SERVER)
    pair = [told._replace(at=0.5), syn(at=0.5)]
    flow = run_both([asked, *(pair if before else pair[::-1])]).to(SERVER)
    assert flow["name"] == (TIKTOK if before else None)


def test_the_answer_to_another_device_is_weak() -> None:
    flow = run_both([*resolved(LAPTOP, TIKTOK, SERVER), *tls(PHONE, SERVER, 1, data=hello(None))]).to(SERVER)
    assert (flow["name_source"], flow["confidence"]) == ("dns_answer_other", "low")


def test_an_answer_counts_for_its_ttl_and_15_minutes() -> None:
    sources = {}
    for at in (60 + 899, 60 + 902):
        flow = run_both([*resolved(PHONE, TIKTOK, SERVER, ttl=60), *tls(PHONE, SERVER, at, data=hello(None))]).to(
            SERVER
        )
        sources[at] = flow["name_source"]
    assert sources == {959: "dns_answer", 962: "dns_answer_other"}


def test_an_answer_over_tcp_and_in_two_segments() -> None:
    query, reply = question(TIKTOK), answer(TIKTOK, address=SERVER)
    stream = len(reply).to_bytes(2, "big") + reply
    frames = [
        *shake(PHONE, RESOLVER, server_port=53),
        segment(PHONE, RESOLVER, len(query).to_bytes(2, "big") + query, ports=(50_000, 53)),
        segment(RESOLVER, PHONE, stream[:20], 0.1, ports=(53, 50_000)),
        segment(RESOLVER, PHONE, stream[20:], 0.1, ports=(53, 50_000), seq=21),
        syn(at=1),
    ]
    told = run_both(frames)
    assert told.to(SERVER)["name"] == TIKTOK
    assert [lookup["transport"] for lookup in told.lookups] == ["tcp"]


def test_a_flow_that_the_server_began_is_named_for_the_local_end() -> None:
    frames = [*resolved(PHONE, TIKTOK, SERVER), datagram(SERVER, PHONE, b"12345678", 1, ports=(443, 50_000))]
    assert run_both(frames).to(SERVER)["name"] == TIKTOK


# --- the 30 minutes limit ---


def long_flow(begin: list[Frame], last: int = 2_200) -> list[Frame]:
    return [*begin, *(segment(PHONE, SERVER, b"x" * 10, at, seq=5_000) for at in range(200, last, 200))]


@pytest.mark.parametrize("begin", ["sni", "dns"])
def test_a_label_goes_on_in_the_record_behind_30_minutes(begin: str) -> None:
    first = (
        tls(PHONE, SERVER, 1)
        if begin == "sni"
        else [*resolved(PHONE, TIKTOK, SERVER), *tls(PHONE, SERVER, 1, data=hello(None))]
    )
    told = run_both(long_flow(first))
    old, new = (flow for flow in told.flows if flow["server_port"] == 443)
    assert (old["end_reason"], new["end_reason"]) == ("active", "forced")
    same = ("name", "name_source", "app_id", "owner_id", "evidence", "protocol", "ja4", "tls_version", "alpn", "blind")
    assert [new[key] for key in same] == [old[key] for key in same]
    assert new["name"] == TIKTOK
    assert old["flow_id"] != new["flow_id"]
    assert new["packets_out"] == 1
    assert new["start"] == new["end"] > old["end"]


def test_a_label_goes_on_over_several_records() -> None:
    told = run_both(long_flow(tls(PHONE, SERVER, 1), 6_000))
    assert [flow["name"] for flow in told.flows] == [TIKTOK] * 3
    assert [flow["end_reason"] for flow in told.flows] == ["active"] * 2 + ["forced"]
    assert len({flow["flow_id"] for flow in told.flows}) == 3


# --- fragments ---


def test_p9_a_question_in_three_fragments_is_a_lookup() -> None:
    whole = udp(question("a-name-that-is-quite-long.tiktokv.com"), sport=40_000, dport=53)
    parts = [
        frame(
            PHONE,
            RESOLVER,
            whole[lo : lo + 24],
            17,
            ident=9,
            fragment=lo // 8 | (0x2000 if lo + 24 < len(whole) else 0),
        )
        for lo in range(0, len(whole), 24)
    ]
    assert len(parts) == 3
    told = run_both(parts)
    assert [(one["query"], one["app_id"]) for one in told.lookups] == [
        ("a-name-that-is-quite-long.tiktokv.com", "tiktok")
    ]
    flow = told.flow
    assert (flow["packets_out"], flow["client_port"], flow["server_port"], flow["protocol"]) == (3, 40_000, 53, "dns")


def test_p9_a_first_fragment_that_the_snapshot_length_cut_is_read_alone() -> None:
    whole = udp(question(TIKTOK) + bytes(1_400), sport=40_000, dport=53)
    first = frame(PHONE, RESOLVER, whole[:1_400], 17, ident=9, fragment=0x2000).snapped(
        14 + 20 + 8 + len(question(TIKTOK)) + 10
    )
    told = run_both([first])
    assert [one["query"] for one in told.lookups] == [TIKTOK]
