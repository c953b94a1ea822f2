"""What the corpora's truth says of a capture, beside what the product says of it."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from support.run import Run

SNI_KINDS = ("sni", "quic_sni")
PROTOCOLS = {"icmpv6": "icmp6"}  # the truth's word -> ours


class Ends(NamedTuple):
    """A conversation: the protocol and both ends in order, ports 0 where there are none."""

    transport: str
    low: tuple[str, int]
    high: tuple[str, int]


@dataclass
class Compared:
    """Rows of the truth that were found and missed, and rows of ours that the truth has not."""

    found: set[Any] = field(default_factory=set)
    missing: set[Any] = field(default_factory=set)
    beyond: set[Any] = field(default_factory=set)


def compare(expected: Iterable[Any], seen: Iterable[Any]) -> Compared:
    expected, seen = set(expected), set(seen)
    return Compared(expected & seen, expected - seen, seen - expected)


def plain(name: str) -> str:
    """Write a name of the truth in the form of our records: lower case, no last dot, control characters as they are.

    tshark writes a control character as a backslash and three octal digits.
    """
    name = re.sub(r"\\([0-3][0-7]{2})", lambda found: chr(int(found[1], 8)), name)
    return name.lower().removesuffix(".")


def host_alone(value: str) -> str:
    """Take the port off a name as a client sent it."""
    host, colon, port = value.rpartition(":")
    return plain(host if colon and port.isdecimal() and not host.endswith(":") else value)


def evidence(flow: dict[str, Any], *kinds: str) -> list[str]:
    return [piece["value"] for piece in flow["evidence"] if piece["kind"] in kinds]


def ends_of(flow: dict[str, Any]) -> tuple[str, int | None, str, int | None]:
    return flow["client_ip"], flow["client_port"], flow["server_ip"], flow["server_port"]


def tls_names(truth: dict[str, Any], run: Run) -> Compared:
    """Compare rows (client ip, port, server ip, port, tcp|quic|dtls, name)."""
    expected = {(*row[:5], host_alone(row[5])) for row in truth.get("tls_sni", ())}
    seen = {
        (*ends_of(flow), _tls_transport(flow), plain(name)) for flow in run.flows for name in evidence(flow, *SNI_KINDS)
    }
    return compare(expected, seen)


def _tls_transport(flow: dict[str, Any]) -> str:
    if flow["transport"] != "udp":
        return str(flow["transport"])
    return "quic" if evidence(flow, "quic_sni") else "dtls"


def http_hosts(truth: dict[str, Any], run: Run) -> Compared:
    """Compare rows (client ip, port, server ip, port, host without its port)."""
    expected = {(*row[:4], host_alone(row[4])) for row in truth.get("http_hosts", ())}
    seen = {(*ends_of(flow), host_alone(name)) for flow in run.flows for name in evidence(flow, "http_host")}
    return compare(expected, seen)


def dns_answers(truth: dict[str, Any], run: Run) -> Compared:
    """Compare rows (name, A or AAAA, address) of DNS, mDNS and LLMNR, all sections."""
    expected = {
        (plain(name), kind, address)
        for box in ("dns", "mdns", "llmnr")
        for name, kind, address in truth.get(box, {}).get("answers", ())
    }
    seen = {
        (plain(row["name"]), row["type"], row["data"])
        for lookup in run.lookups
        for row in lookup["answers"]
        if row["type"] in ("A", "AAAA")
    }
    return compare(expected, seen)


def device_names(truth: dict[str, Any], run: Run) -> Compared:
    """Compare DHCP host names with the names of devices."""
    expected = {plain(name) for name in truth.get("dhcp_hostnames", ())}
    seen = {plain(row["device_name"]) for row in run.summary["devices"] if row["device_name"] is not None}
    return compare(expected, seen)


def conversations(truth: dict[str, Any], run: Run) -> tuple[dict[Ends, tuple[int, int]], dict[Ends, tuple[int, int]]]:
    """Return (the truth's, ours): conversation -> (packets, bytes on the wire)."""
    expected = {
        _ends(PROTOCOLS.get(row[0], row[0].removeprefix("ip-")), row[1], row[2], row[3], row[4]): (row[5], row[6])
        for row in truth.get("conversations", ())
    }
    packets: Counter[Ends] = Counter()
    octets: Counter[Ends] = Counter()
    for flow in run.flows:
        ends = _ends(flow["transport"], *ends_of(flow))
        packets[ends] += flow["packets_out"] + flow["packets_in"]
        octets[ends] += flow["wire_bytes_out"] + flow["wire_bytes_in"]
    return expected, {ends: (packets[ends], octets[ends]) for ends in packets}


def _ends(transport: str, a: str, a_port: int | None, b: str, b_port: int | None) -> Ends:
    low, high = sorted(((a, a_port or 0), (b, b_port or 0)))
    return Ends(transport, low, high)


def ledger_faults(run: Run) -> list[str]:
    """Return what does not add up between the ledger and the flow records, [] where all does."""
    ledger, flows = run.ledger, run.flows
    states = ("ok", "non_ip", "malformed", "truncated", "too_deep")
    sums = {
        "seen": (ledger["seen"], sum(ledger[state] for state in states)),
        "bytes_seen": (ledger["bytes_seen"], sum(ledger[f"bytes_{state}"] for state in states)),
        "in_flows": (ledger["in_flows"], sum(flow["packets_out"] + flow["packets_in"] for flow in flows)),
        "bytes_in_flows": (
            ledger["bytes_in_flows"],
            sum(flow["wire_bytes_out"] + flow["wire_bytes_in"] for flow in flows),
        ),
        "flows_created": (ledger["flows_created"], ledger["flows_live"] + ledger["flows_ended"]),
        "flows_ended": (ledger["flows_ended"], len(flows)),
        "lookups": (ledger["lookups"], len(run.lookups)),
        "flow_id": (len(flows), len({flow["flow_id"] for flow in flows})),
        "captures": (ledger["seen"], sum(capture["packets"] for capture in run.summary["captures"])),
    }
    return [f"{what}: {left} is not {right}" for what, (left, right) in sums.items() if left != right]
