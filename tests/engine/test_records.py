"""What is counted and kept beside the names: ledger, coverage, reasons for blindness, lookups, memory."""

import random

import pytest
from engine.lab import (
    GROUP,
    LAPTOP,
    OTHER_SERVER,
    PHONE,
    PHONE_ID,
    RESOLVER,
    SERVER,
    SYN,
    Frame,
    datagram,
    faults,
    frame,
    hello,
    laid,
    outside,
    question,
    resolved,
    run,
    run_batches,
    run_both,
    segment,
    shake,
    tls,
)
from engine.test_batches import GAPS, TEMPLATES, release_every
from support import hellos
from support.packets import udp

from netwatch.engine.engine import Engine
from netwatch.model.records import Release


def test_p11_every_frame_and_byte_is_counted_once() -> None:
    frames = [
        *tls(PHONE, SERVER),
        Frame(b"\xff" * 12 + b"\x08\x06" + bytes(28), 0),  # ARP
        Frame(b"\x01\x02\x03", 0),
        frame(PHONE, SERVER, b"\x01\x02", 6),  # a TCP header of two bytes
        frame(PHONE, OTHER_SERVER, b"x" * 400, 17).snapped(30),
        segment(PHONE, SERVER, b"x" * 400).snapped(60),
    ]
    told = run_both(frames)
    assert faults(told) == []
    assert told.ledger["seen"] == len(frames)
    assert told.ledger["bytes_seen"] == sum(one.wirelen or len(one.data) for one in frames)
    assert told.ledger["non_ip"] == 1
    assert told.ledger["malformed"] + told.ledger["truncated"] >= 2
    assert told.ledger["flows_live"] == 0


def test_the_ledger_holds_in_the_middle_too() -> None:
    told = run([*tls(PHONE, SERVER)])
    engine = told.engine
    for _ in engine.feed(laid(tls(LAPTOP, SERVER, 1))):
        pass
    ledger = engine.ledger().record()
    assert (ledger["flows_created"], ledger["flows_live"], ledger["flows_ended"]) == (2, 1, 1)


def test_frames_of_a_link_type_that_is_not_read_are_counted() -> None:
    told = run_batches([laid([Frame(b"\x00" * 40, 0)] * 3, 999), laid(tls(PHONE, SERVER))])
    assert told.engine.unread_links == {999: 3}
    assert (told.ledger["non_ip"], told.ledger["ok"]) == (3, 3)
    assert told.flow["name"] == "api.tiktokv.com"


def coverage(frames: list[Frame]) -> list[bool]:
    """in_coverage of each flow, in order of start."""
    from engine.lab import catalogue, places, vendor

    from netwatch.places.local import LocalNetworks

    engine = Engine(
        catalogue(), places(), vendor, LocalNetworks(()), max_flows=1_000, draw=random.Random(1).getrandbits
    )
    releases: list[Release] = [*engine.feed(laid(frames)), *engine.finish()]
    return [flag for release in releases for flag in release.flows.in_coverage.tolist()]


def test_coverage_is_traffic_of_devices_with_the_outside_that_has_a_name() -> None:
    assert coverage(tls(PHONE, SERVER)) == [True]
    assert coverage(tls(PHONE, LAPTOP)) == [False]
    assert coverage([segment(PHONE, SERVER, flags=SYN)]) == [True], "an attempt counts"
    assert coverage([datagram(PHONE, outside("9.9.9.9"), question("example.org"), ports=(40_000, 53))]) == [False]
    assert coverage([frame(PHONE, SERVER, b"\x08\0\0\0\0\1\0\1", 1)]) == [False]
    ntp = b"\x23" + bytes(47)
    assert coverage([datagram(PHONE, SERVER, ntp, ports=(123, 123))]) == [False]
    assert coverage([datagram(PHONE, GROUP, bytes(40), ports=(5353, 5353))]) == [False]
    assert coverage([frame(PHONE, SERVER, bytes(24), 89)]) == [False], "OSPF: no name and no reason for its lack"


def blind(frames: list[Frame]) -> str | None:
    told = run_both(frames)
    return next(flow["blind"] for flow in told.flows if flow["server_ip"] == "198.51.100.20")


WIREGUARD = b"\x01\0\0\0" + random.Random(3).randbytes(144)


@pytest.mark.parametrize(
    ("reason", "frames"),
    [
        (None, tls(PHONE, SERVER)),
        ("no_name_offered", tls(PHONE, SERVER, data=hello(None))),
        ("no_handshake", [segment(PHONE, SERVER, random.Random(1).randbytes(100), seq=77)]),
        ("snaplen_cut", [*shake(PHONE, SERVER), segment(PHONE, SERVER, hello()).snapped(80)]),
        ("encrypted_unknown", [*shake(PHONE, SERVER), segment(PHONE, SERVER, random.Random(2).randbytes(300))]),
        ("ip_only", shake(PHONE, SERVER)),
        ("vpn", [datagram(PHONE, SERVER, WIREGUARD, ports=(60_000, 51_820))]),
        ("vpn", [frame(PHONE, SERVER, bytes(64), 50)]),
        ("dot", [segment(PHONE, SERVER, hello(b"dns.example"), ports=(50_000, 853))]),
        ("doh", tls(PHONE, SERVER, data=hello(b"cloudflare-dns.com"))),
        ("ech", tls(PHONE, SERVER, data=hello(b"cloudflare-ech.com", extra=hellos.extension(hellos.ECH, bytes(20))))),
        (
            "undecryptable",
            [datagram(PHONE, SERVER, hellos.initial(hellos.crypto(0, hellos.client_hello()), keys_of=b"otherkey"))],
        ),
    ],
)  # fmt: skip
def test_the_reason_why_there_is_no_name(reason: str | None, frames: list[Frame]) -> None:
    assert blind(frames) == reason


def test_ech_is_used_where_an_https_record_with_a_key_was_answered_for_the_address() -> None:
    key = b"\0\5" + len(b"keys").to_bytes(2, "big") + b"keys"
    record = hellos.record(hellos.dns_name(b"hidden", b"example"), 65, b"\0\1\0" + key)
    reply = hellos.dns_message(
        [(hellos.dns_name(b"hidden", b"example"), 65)],
        [record, hellos.record(hellos.dns_name(b"hidden", b"example"), 1, SERVER.ip)],
    )
    query = hellos.dns_message([(hellos.dns_name(b"hidden", b"example"), 65)], flags=0x0100)
    inner = tls(PHONE, SERVER, 1, data=hello(b"outer.example", extra=hellos.extension(hellos.ECH, bytes(20))))
    asked = [
        datagram(PHONE, RESOLVER, query, ports=(40_000, 53)),
        datagram(RESOLVER, PHONE, reply, 0.1, ports=(53, 40_000)),
    ]
    assert run_both([*asked, *inner]).to(SERVER)["ech"] == "used"
    assert run_both(inner).to(SERVER)["ech"] == "offered"


# --- lookups ---


def test_a_question_with_its_answer_is_one_lookup() -> None:
    (lookup,) = run_both(resolved(PHONE, "api.tiktokv.com", SERVER)).lookups
    assert (lookup["device_id"], lookup["client_ip"], lookup["resolver_ip"]) == (
        PHONE_ID,
        "192.168.1.23",
        "192.168.1.1",
    )
    assert (lookup["query"], lookup["type"], lookup["rcode"], lookup["transport"]) == (
        "api.tiktokv.com",
        "A",
        "NOERROR",
        "udp",
    )
    assert lookup["time"] == "2025-11-24T19:51:02.000000000Z"
    assert lookup["answers"] == [{"name": "api.tiktokv.com", "type": "A", "data": "198.51.100.20", "ttl": 60}]
    assert (lookup["app_id"], lookup["control_country"], lookup["blocked"]) == ("tiktok", "CN", False)


@pytest.mark.parametrize(("wait", "rcodes"), [(9.9, ["NOERROR"]), (10.1, [None, "NOERROR"])])
def test_an_answer_counts_for_ten_seconds(wait: float, rcodes: list[str | None]) -> None:
    asked, told = resolved(PHONE, "api.tiktokv.com", SERVER)
    assert [one["rcode"] for one in run_both([asked, told._replace(at=wait)]).lookups] == rcodes


def test_a_question_without_an_answer_is_told_at_the_end() -> None:
    asked, _ = resolved(PHONE, "api.tiktokv.com", SERVER)
    told = run_both([asked])
    assert [(one["rcode"], one["answers"]) for one in told.lookups] == [(None, [])]
    assert told.ledger["lookups"] == 1


def test_an_answer_whose_question_was_not_seen_is_a_lookup_at_its_own_time() -> None:
    (lookup,) = run_both([resolved(PHONE, "api.tiktokv.com", SERVER)[1]]).lookups
    assert (lookup["time"], lookup["rcode"]) == ("2025-11-24T19:51:02.010000000Z", "NOERROR")


def test_a_blocked_name_is_told() -> None:
    nowhere = SERVER._replace(ip=bytes(4))
    (lookup,) = run_both(resolved(PHONE, "api.tiktokv.com", nowhere)).lookups
    assert (lookup["blocked"], lookup["answers"][0]["data"]) == (True, "0.0.0.0")


def test_lookups_leave_in_order_of_time_and_packet() -> None:
    frames = [one for i, at in enumerate((5, 3, 3, 1)) for one in resolved(PHONE, f"n{i}.example", SERVER, at, ident=i)]
    assert [one["query"] for one in run_both(frames).lookups] == [
        "n3.example",
        "n1.example",
        "n2.example",
        "n0.example",
    ]


# --- order and memory ---


def test_records_of_a_release_are_sorted_by_start_and_number() -> None:
    clients = random.Random(4).sample(range(50_000, 60_000), 40)
    frames = [datagram(PHONE, SERVER, b"12345678", i // 8, ports=(port, 9_999)) for i, port in enumerate(clients)]
    flows = run_both(frames).flows
    assert [(one["start"], one["flow_id"]) for one in flows] == sorted((one["start"], one["flow_id"]) for one in flows)


def test_nothing_comes_of_no_packet() -> None:
    told = run_batches([])
    assert (told.flow_bytes, told.lookup_bytes, told.ledger["seen"]) == (b"", b"", 0)


def test_interfaces_are_named_over_batches_that_number_them_otherwise() -> None:
    one, two = laid(tls(PHONE, SERVER)), laid(tls(LAPTOP, OTHER_SERVER))
    one = one._replace(interfaces=("eth0", "wlan0"), interface=one.interface + 1)
    two = two._replace(interfaces=("wlan0", "eth0"), interface=two.interface + 1)
    told = run_batches([one, two])
    assert (told.to(SERVER)["interface"], told.to(OTHER_SERVER)["interface"]) == ("wlan0", "eth0")


HALF_HELLO = hellos.initial(hellos.crypto(0, hellos.client_hello()[:60]))


def kept(engine: Engine) -> tuple[int, int]:
    """How many flows still have something told, and bytes of streams, in the engine."""
    inspection = engine._inspection
    return len(inspection.talked), len(inspection.inspector._store)


@pytest.mark.parametrize(
    "frames",
    [
        tls(PHONE, SERVER),
        tls(PHONE, SERVER, step=9)[:8],
        [*resolved(PHONE, "api.tiktokv.com", SERVER), segment(PHONE, SERVER, at=1, flags=SYN)],
        [*resolved(PHONE, "api.tiktokv.com", SERVER), frame(PHONE, SERVER, b"\x08\0\0\0\0\1\0\1", 1, at=1)],
        [datagram(PHONE, SERVER, HALF_HELLO)],
        [
            frame(PHONE, SERVER, udp(HALF_HELLO, sport=50_000, dport=443)[:800], 17, ident=9, fragment=0x2000),
            frame(PHONE, SERVER, udp(HALF_HELLO, sport=50_000, dport=443)[800:], 17, ident=9, fragment=100),
        ],
    ],
)
def test_m3_nothing_is_kept_of_flows_that_ended(frames: list[Frame]) -> None:
    assert kept(run(frames).engine) == (0, 0)


def test_m3_nothing_is_kept_of_flows_that_ended_whatever_they_said() -> None:
    pick = random.Random(5)
    now, frames = 0.0, []
    for _ in range(2_000):
        now += pick.choice(GAPS)
        frames.append(pick.choice(TEMPLATES)._replace(at=now))
    with release_every(64):
        assert kept(run(frames, range(0, 2_000, 37), max_flows=16).engine) == (0, 0)
