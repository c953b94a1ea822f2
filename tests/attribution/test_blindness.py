"""The reasons why a flow has no name, in their order."""

from typing import Any

import pytest

from netwatch.attribution.blindness import nameless_reason, needs_name, tunnel_reason


@pytest.mark.parametrize(
    ("protocol", "transport", "port", "doh_name", "resolver", "reason"),
    [
        ("wireguard", 17, 51820, False, False, "vpn"),
        ("openvpn", 6, 443, False, False, "vpn"),
        ("ipsec", 17, 4500, False, False, "vpn"),
        (None, 50, -1, False, False, "vpn"),
        (None, 51, -1, False, False, "vpn"),
        (None, 47, -1, False, False, "vpn"),
        ("tls", 6, 853, False, False, "dot"),
        ("quic", 17, 853, True, True, "dot"),
        (None, 6, 853, False, False, "dot"),
        ("http", 6, 853, False, False, None),
        ("tls", 6, 443, True, False, "doh"),
        ("quic", 17, 443, False, True, "doh"),
        (None, 6, 443, False, True, "doh"),
        ("tls", 6, 8443, True, False, "doh"),
        ("tls", 6, 8443, False, True, None),
        ("dns", 17, 53, False, True, None),
        ("http", 6, 443, True, True, None),
        ("tls", 6, 443, False, False, None),
    ],
)
def test_tunnels_and_hidden_dns_have_their_reason(
    protocol: str | None, transport: int, port: int, doh_name: bool, resolver: bool, reason: str | None
) -> None:
    assert tunnel_reason(protocol, transport, port, doh_name=doh_name, resolver=resolver) == reason


ALL = {"cut": True, "undecryptable": True, "handshake": False, "hello": True, "payload": True}


@pytest.mark.parametrize(
    ("protocol", "change", "reason"),
    [
        ("tls", {}, "snaplen_cut"),
        ("quic", {"cut": False}, "undecryptable"),
        ("tls", {"cut": False, "undecryptable": False}, "no_name_offered"),
        ("tls", {"cut": False, "undecryptable": False, "hello": False}, "no_handshake"),
        ("tls", {"cut": False, "undecryptable": False, "hello": False, "handshake": True}, "encrypted_unknown"),
        ("mmtls", {"cut": False, "undecryptable": False, "hello": False, "handshake": True}, "encrypted_unknown"),
        (None, {"cut": False, "undecryptable": False, "hello": False, "handshake": True}, "encrypted_unknown"),
        (
            None,
            {"cut": False, "undecryptable": False, "hello": False, "handshake": True, "payload": False},
            "ip_only",
        ),
        ("http", {"cut": False, "undecryptable": False, "hello": False, "handshake": True}, "ip_only"),
    ],
)
def test_the_first_reason_that_holds_is_given(protocol: str | None, change: dict[str, Any], reason: str) -> None:
    assert nameless_reason(protocol, 6, **{**ALL, **change}) == reason


def test_only_tcp_has_a_handshake_to_miss() -> None:
    facts = {**ALL, "cut": False, "undecryptable": False, "hello": False}
    assert nameless_reason("quic", 17, **facts) == "encrypted_unknown"


@pytest.mark.parametrize(
    ("protocol", "transport"),
    [("dns", 17), ("mdns", 17), ("llmnr", 17), ("ntp", 17), ("dhcp", 17), (None, 1), (None, 58), ("icmp", 1)],
)
def test_what_needs_no_name_is_not_blind(protocol: str | None, transport: int) -> None:
    assert not needs_name(protocol, transport)
    assert nameless_reason(protocol, transport, **ALL) is None


@pytest.mark.parametrize(("protocol", "transport"), [("tls", 6), (None, 17), ("dot", 6), ("http", 6)])
def test_what_needs_a_name_counts(protocol: str | None, transport: int) -> None:
    assert needs_name(protocol, transport)
