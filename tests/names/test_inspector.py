import pytest
from support.hellos import client_hello, crypto, dns_message, dns_name, initial, records

from netwatch.model import limits
from netwatch.model.anomalies import ANOMALIES
from netwatch.model.limits import HELD_SEGMENTS, INSPECT_PACKETS
from netwatch.model.reading import Reading
from netwatch.names import inspector as room
from netwatch.names import store
from netwatch.names.inspector import Inspector

HELLO = records(client_hello(b"one.example.org"))


def segment(
    inspector: Inspector, flow: int, seq: int, payload: bytes, *, side: int = 0, first: int | None = 1
) -> Reading | None:
    return inspector.segment(flow, side, seq, first, payload, False, 50_000, 443, 0)


def test_p1_a_bug_of_a_parser_is_counted_and_costs_one_flow_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise IndexError

    inspector = Inspector()
    with monkeypatch.context() as patch:
        patch.setattr(room, "whole_hello", broken)
        assert segment(inspector, 1, 1, HELLO) is None
    with monkeypatch.context() as patch:
        patch.setattr("netwatch.names.dns.parse_message", broken)
        payload = dns_message([(dns_name(b"x"), 1), (dns_name(b"y"), 1)])
        assert inspector.datagram(2, 0, payload, False, 50_000, 53, 1, 0) is None
    with monkeypatch.context() as patch:
        patch.setattr("netwatch.names.dnsusual.Usual.read", broken)
        assert inspector.usual_dns(dns_message([(dns_name(b"x"), 1)])) is None
    assert inspector.anomalies == {"parser_bug": 3}
    reading = segment(inspector, 3, 1, HELLO)
    assert reading is not None
    assert reading.names == ("one.example.org",)


def test_every_anomaly_that_is_raised_or_noted_is_registered() -> None:
    import ast
    from pathlib import Path

    seen = set()
    for path in Path(room.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                if called in ("ParseError", "note"):
                    seen.add(node.args[0].value)
            if (
                isinstance(node, ast.Subscript)
                and getattr(node.value, "attr", getattr(node.value, "id", "")) in ("anomalies", "_anomalies")
                and isinstance(node.slice, ast.Constant)
            ):
                seen.add(node.slice.value)
    assert len(seen) > 30
    assert seen <= set(ANOMALIES)


def test_p7_half_open_hellos_stay_within_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "REASSEMBLY_BYTES", 200_000)
    inspector = Inspector()
    for flow in range(2_000):
        segment(inspector, flow, 1, HELLO[:120])
        assert inspector._store.bytes <= 200_000
    kept = len(inspector._store)
    assert inspector.anomalies == {"reassembly_evicted": 2_000 - kept}
    reading = segment(inspector, 1_999, 121, HELLO[120:])
    assert reading is not None
    assert reading.names == ("one.example.org",)
    assert limits.REASSEMBLY_BYTES == 32 * 1024 * 1024


def test_forget_drops_what_was_kept() -> None:
    inspector = Inspector()
    segment(inspector, 1, 1, HELLO[:90])
    inspector.forget(1)
    assert (len(inspector._store), inspector._store.bytes) == (0, 0)
    assert segment(inspector, 1, 91, HELLO[90:], first=None) is None
    inspector.forget(99)


def test_a_flow_of_no_known_protocol_asks_for_nothing_and_keeps_no_bytes() -> None:
    for first in (1, None):
        inspector = Inspector()
        for number in range(INSPECT_PACKETS):
            assert segment(inspector, 1, 1 + 4 * number, b"\x01\x02\x03\x04", first=first) is None
            assert segment(inspector, 1, 1 + 4 * number, b"\x01\x02\x03\x04", side=1, first=first) is None
        assert inspector._store.bytes <= 1_024
        assert not inspector.anomalies


def test_what_was_asked_for_is_called_off() -> None:
    inspector = Inspector()
    reading = segment(inspector, 1, 1, b"G")
    assert reading == Reading(more=True)
    assert segment(inspector, 1, 2, b"\x00\x00") == Reading()


def test_p7_segments_behind_a_gap_are_given_up_at_the_bound() -> None:
    inspector = Inspector()
    for number in range(HELD_SEGMENTS):
        assert segment(inspector, 1, 10 + 2 * number, b"x") == Reading(more=True)
    assert segment(inspector, 1, 1_000, b"x") == Reading()
    assert inspector.anomalies == {"reassembly_held_full": 1}


def test_a_second_hello_in_the_flow_is_told_too() -> None:
    inspector = Inspector()
    other = records(client_hello(b"two.example.org"))
    out = [segment(inspector, 1, 1, HELLO), segment(inspector, 1, 1 + len(HELLO), other)]
    assert [reading.names for reading in out if reading is not None] == [("one.example.org",), ("two.example.org",)]


def test_names_are_reversible_text() -> None:
    reading = segment(Inspector(), 1, 1, records(client_hello(b"a\\b\xff\x00")))
    assert reading is not None
    assert reading.names == ("a\\x5cb\\xff\x00",)


def test_empty_payloads_tell_nothing() -> None:
    assert segment(Inspector(), 1, 1, b"") is None
    assert Inspector().datagram(1, 0, b"", False, 1, 443, 1, 0) is None


def test_two_inspectors_share_nothing() -> None:
    one, two = Inspector(), Inspector()
    half = initial(crypto(0, client_hello()[:60]))
    one.datagram(1, 0, half, False, 50_000, 443, 1, 0)
    segment(one, 2, 1, HELLO[:50])
    assert (len(one._store), len(two._store)) == (2, 0)
