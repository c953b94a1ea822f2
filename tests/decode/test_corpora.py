"""Against the corpora: conversations as tshark counts them, and the hostile network captures."""

import ipaddress
import json
from collections import Counter
from typing import Any

import pytest
from support.corpora import CORPORA, DAMAGED, adversarial, needs_corpora, truth

from netwatch.decode.fragments import Fragments
from netwatch.decode.packets import decode
from netwatch.model.anomalies import ANOMALIES
from netwatch.model.packets import MALFORMED, NON_IP, OK, TOO_DEEP, TRUNCATED, Packets
from netwatch.sources import open_capture

WORDS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}

Row = tuple[Any, ...]


def _conversations(folder: str, name: str) -> tuple[dict[Row, tuple[int, int]], Counter[int], Counter[str]]:
    """Return packets and frame bytes of each five-tuple, frames by state, anomalies."""
    out: dict[Row, tuple[int, int]] = {}
    states: Counter[int] = Counter()
    fragments = Fragments()
    anomalies = fragments.anomalies
    with open_capture(str(CORPORA / folder / name)) as batches:
        for batch in batches:
            packets = decode(batch)
            anomalies.update(packets.anomalies)
            packets = fragments.apply(packets, batch.time)
            fragments.datagrams(packets, batch.data)
            states.update(packets.state.tolist())
            for key, size in zip(_keys(packets), batch.wirelen.tolist(), strict=True):
                if key is not None:
                    count, total = out.get(key, (0, 0))
                    out[key] = count + 1, total + size
    return out, states, anomalies


def _keys(packets: Packets) -> list[Row | None]:
    columns = ("in_flow", "family", "src_hi", "src_lo", "dst_hi", "dst_lo", "protocol", "ports", "src_port", "dst_port")
    out: list[Row | None] = []
    for in_flow, family, *rest in zip(*(getattr(packets, name).tolist() for name in columns), strict=True):
        src_hi, src_lo, dst_hi, dst_lo, protocol, ports, src_port, dst_port = rest
        kind = ipaddress.IPv4Address if family == 4 else ipaddress.IPv6Address
        ends = (
            [
                (str(kind(hi << 64 | lo)), port if ports else 0)
                for hi, lo, port in ((src_hi, src_lo, src_port), (dst_hi, dst_lo, dst_port))
            ]
            if in_flow
            else []
        )
        out.append((WORDS.get(protocol, f"ip-{protocol}"), *sorted(ends)) if in_flow else None)
    return out


@needs_corpora
def test_conversations_are_those_of_tshark() -> None:
    same = total = 0
    for capture in truth():
        if capture["name"] in DAMAGED or not capture["dissected"]:
            continue
        ours, _, _ = _conversations("captures", capture["name"])
        for protocol, one, one_port, other, other_port, packets, size in capture["conversations"]:
            key = (protocol, *sorted([(one, one_port), (other, other_port)]))
            same += ours.get(key) == (packets, size)
            total += 1
    assert same / total >= 0.98


def _expect(name: str) -> dict[str, Any]:
    return next(row for row in adversarial() if row["file"] == name)


FLOW = {"udp": ("udp", ("192.0.2.10", 40_000), ("198.51.100.20", 53))}
STATES = {
    "nest_vlan_70.pcap": {TOO_DEEP: 1},
    "nest_mpls_200.pcap": {TOO_DEEP: 1},
    "nest_mpls_no_bottom.pcap": {TOO_DEEP: 1},
    "nest_ipip_70.pcap": {TOO_DEEP: 1},
    "nest_gre_70.pcap": {TOO_DEEP: 1},
    "nest_ip6_70.pcap": {TOO_DEEP: 1},
    "nest_vxlan_25.pcap": {TOO_DEEP: 1},
    "ip6_ext_chain_hopopts_150.pcap": {TOO_DEEP: 1},
    "ip6_ext_chain_dstopts_150.pcap": {TOO_DEEP: 1},
    "ip6_ext_overrun.pcap": {MALFORMED: 1},
    "ip6_ah_frag_routing.pcap": {OK: 1},
    "ip6_no_next.pcap": {OK: 1},
    "ip6_len_0.pcap": {OK: 1},
    "frag_in_order.pcap": {OK: 3},
    "frag_reverse.pcap": {OK: 3},
    "frag_overlap_conflict.pcap": {OK: 4},
    "frag_teardrop.pcap": {OK: 2},
    "frag_ping_of_death.pcap": {OK: 2},
    "frag_never_complete.pcap": {OK: 5_000},
    "frag_first_tiny.pcap": {OK: 2},
    "frag_middle_only.pcap": {OK: 1},
    "raw_link_mixed.pcap": {OK: 2, NON_IP: 2},
    "null_both_orders.pcap": {OK: 4, MALFORMED: 1},
    "radiotap_len_lie.pcap": {MALFORMED: 3},
    "pppoe_len_lie.pcap": {OK: 1, MALFORMED: 1},
    "pcap_linktype_65535.pcap": {NON_IP: 2},
    "pcap_linktype_fcs_bits.pcap": {OK: 2},
    "pcap_snapped_40.pcap": {TRUNCATED: 5},
    "pcap_caplen_over_orig.pcap": {OK: 1},
    "icmp_quotes_other_flow.pcap": {OK: 1},
}


@needs_corpora
@pytest.mark.parametrize("name", STATES)
def test_p6_each_hostile_frame_ends_in_its_state(name: str) -> None:
    rows, states, anomalies = _conversations("adversarial", name)
    assert dict(states) == STATES[name]
    assert sum(states.values()) == _expect(name)["packets"]
    assert set(anomalies) <= set(ANOMALIES), json.dumps(anomalies)
    assert sum(packets for packets, _ in rows.values()) <= sum(states.values())


@needs_corpora
def test_what_the_hostile_captures_must_give() -> None:
    def flows(name: str) -> dict[Row, tuple[int, int]]:
        return _conversations("adversarial", name)[0]

    five = [("udp", ("192.0.2.10", 40_000 + at), ("198.51.100.20", 53)) for at in range(5)]
    assert list(flows("pcap_snapped_40.pcap")) == five
    assert all(size > 40 for _, size in flows("pcap_snapped_40.pcap").values())
    six = ("udp", ("2001:db8::10", 40_000), ("2001:db8::20", 53))
    assert list(flows("ip6_ah_frag_routing.pcap")) == list(flows("ip6_len_0.pcap")) == [six]
    assert list(flows("ip6_no_next.pcap")) == [("ip-59", ("2001:db8::10", 0), ("2001:db8::20", 0))]
    assert list(flows("frag_in_order.pcap")) == [FLOW["udp"]]
    assert list(flows("frag_first_tiny.pcap")) == [("tcp", ("192.0.2.10", 40_000), ("198.51.100.20", 443))]
    assert list(flows("frag_middle_only.pcap")) == [("tcp", ("192.0.2.10", 0), ("198.51.100.20", 0))]
    assert list(flows("icmp_quotes_other_flow.pcap")) == [("icmp", ("192.0.2.10", 0), ("198.51.100.20", 0))]
    assert len(flows("raw_link_mixed.pcap")) == 2


@needs_corpora
def test_p1_seventeen_broken_lengths_are_each_counted_once() -> None:
    _, states, anomalies = _conversations("adversarial", "ip4_bad_lengths.pcap")
    assert sum(states.values()) == 17
    assert states[NON_IP] == states[TRUNCATED] == states[TOO_DEEP] == 0
    assert states[MALFORMED] >= 10
    assert anomalies["ip4_header_length"] == 2


@needs_corpora
def test_p1_every_hostile_capture_that_opens_is_decoded() -> None:
    for row in adversarial():
        if row["packets"] and row["packets"] <= 20_000 and not row["file"].startswith("gzip"):
            _, states, anomalies = _conversations("adversarial", row["file"])
            assert sum(states.values()) == row["packets"], row["file"]
            assert set(anomalies) <= set(ANOMALIES)
