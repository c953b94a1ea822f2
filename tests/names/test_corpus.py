"""Every hostile input, and names against the truth of the real captures that dpkt can read layer by layer."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.corpora import CORPORA, adversarial, capture, needs_corpora, truth
from support.drive import READ_LINKS, Seen, drive

from netwatch.model.text import wire_bytes
from netwatch.names.http import without_port
from netwatch.names.inspector import Inspector

pytestmark = needs_corpora

OURS = ("ch_", "dns_", "quic_", "http_", "names_", "ports_reused", "frag_")
HOSTILE = [case for case in adversarial() if case["file"].startswith(OURS)]
# "the name or none": beyond 128 extensions, more than 32 runs out of order
MAY_MISS = {"ch_1000_extensions.pcap": "tls_extensions", "ch_bytewise_shuffled.pcap": "reassembly_held_full"}
ANOMALY_OF = {
    "ch_len_lie.pcap": {"tls_record_length": 1},
    "ch_overlap_conflict.pcap": {"reassembly_overlap": 1},
    "ch_sni_len_lie.pcap": {"truncated": 1},
    "ch_sni_type_9.pcap": {"tls_server_name_type": 1},
    "dns_a_rdlength_3.pcap": {"dns_address_length": 1},
    "dns_label_40_80.pcap": {"dns_label_type": 1},
    "dns_name_600.pcap": {"dns_name_too_long": 1},
    "dns_pointer_ladder.pcap": {"dns_pointer_chain": 1},
    "dns_pointer_self.pcap": {"dns_pointer_forward": 1},
    "dns_rdlength_lie.pcap": {"truncated": 1},
    "quic_bad_tag.pcap": {"quic_not_authentic": 1},
    "quic_cid_255.pcap": {"quic_connection_id": 1},
    "quic_crypto_huge_offset.pcap": {"quic_crypto_offset": 1},
}


def names_of(seen: list[Seen]) -> list[str]:
    return [name for one in seen for name in one.reading.names]


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case["file"])
def test_p1_hostile_inputs(case: dict[str, Any]) -> None:
    inspector = Inspector()
    seen = drive(CORPORA / "adversarial" / case["file"], inspector)
    names = names_of(seen)
    assert not inspector.anomalies["parser_bug"]
    if case["file"] in ANOMALY_OF:
        assert inspector.anomalies == ANOMALY_OF[case["file"]]
    if case["file"] in MAY_MISS:
        assert names in ([], case["sni"])
        assert inspector.anomalies[MAY_MISS[case["file"]]] == 1
    elif "sni" in case:
        assert names == case["sni"] * case.get("flows", 1)
    asked = [question.name for one in seen for message in one.reading.messages for question in message.questions]
    if "dns_names" in case and not case["file"].startswith("frag_"):
        assert sorted(set(asked)) == sorted(case["dns_names"])


@pytest.mark.parametrize(
    ("file", "allowed"),
    [
        ("ch_gap.pcap", []),
        ("ch_second_half_only.pcap", []),
        ("ch_len_lie.pcap", []),
        ("ch_sni_len_lie.pcap", []),
        ("ch_sni_type_9.pcap", []),
        ("ch_sni_list_empty.pcap", []),
        ("ch_twice.pcap", ["split.example.org"]),
        ("ch_two_sni.pcap", ["one.example.org"]),
        ("ch_overlap_conflict.pcap", ["split.example.org"]),
        ("ports_reused.pcap", ["one.example.org", "two.example.org"]),
        ("http_two_hosts.pcap", ["one.example.org"]),
        ("http_header_bomb.pcap", []),
        ("quic_flood.pcap", []),
        ("quic_bad_tag.pcap", []),
        ("quic_bad_version.pcap", []),
        ("quic_1000_empty_crypto.pcap", []),
    ],
)
def test_hostile_inputs_give_these_names_and_no_blend(file: str, allowed: list[str]) -> None:
    assert names_of(drive(CORPORA / "adversarial" / file)) == allowed


@pytest.mark.parametrize("kind", ["sni", "quic", "http_host"])
def test_p10_hostile_names_come_back_as_the_bytes_sent(kind: str) -> None:
    case = next(case for case in HOSTILE if case["file"] == f"names_{kind}.pcap")
    sent = [bytes.fromhex(raw) for _, raw in case["names_hex"]]
    if kind == "http_host":
        sent = [raw.split(b"\r\n")[0] for raw in sent]  # a newline ends the header
    got = [wire_bytes(name) for name in names_of(drive(CORPORA / "adversarial" / case["file"]))]
    assert got == [raw for raw in sent if raw]


def test_p10_hostile_names_of_devices_and_in_dns() -> None:
    cases = {case["file"]: case for case in HOSTILE}
    sent = [bytes.fromhex(raw) for _, raw in cases["names_dhcp.pcap"]["names_hex"]]
    seen = drive(CORPORA / "adversarial" / "names_dhcp.pcap")
    got = [wire_bytes(one.reading.device.name) for one in seen if one.reading.device is not None]
    assert got == [raw[:255] for raw in sent if raw]
    for file in ("names_dns.pcap", "names_mdns.pcap"):
        sent = [bytes.fromhex(raw)[:63] for _, raw in cases[file]["names_hex"]]
        seen = drive(CORPORA / "adversarial" / file)
        asked = [question.name for one in seen for message in one.reading.messages for question in message.questions]
        labels = [wire_bytes(name.split(".")[0]) for name in asked]  # a dot inside a label is escaped
        assert set(labels) >= {raw.lower() for raw in sent if raw}


def captures() -> list[dict[str, Any]]:
    """The captures whose packets the driver finds: no tunnels, link layers that dpkt's IP can be reached through."""
    return [
        row
        for row in truth()
        if row["dissected"]
        and not row["tunnel"]
        and row["format"] != "gz"
        and all(link in READ_LINKS for link in row["linktypes"])
    ]


# Where the driver or the truth differs, with the reason.
HTTP_MISSED = {
    "suricata__bug-4810__pppoe-session-http.pcap": "the driver does not read this PPPoE",
    "zeek__mpls-in-vlan.pcap": "the driver does not read MPLS",
    "ndpi__fuzz-2006-09-29-28586.pcap": "tshark ends a host at NUL",
}
HTTP_BEYOND = {
    "ndpi__fuzz-2006-09-29-28586.pcap": "damaged on purpose; see HTTP_MISSED",
    "ndpi__http2.pcapng": "tshark takes another port for HTTP/2",
    "ndpi__soap.pcap": "tshark goes by the port first",
}
DNS_MISSED = {
    "ndpi__dns-invalid-chars.pcap": "the truth escapes control characters in tshark's way",
    "ndpi__malformed_dns.pcap": "behind a record whose name is longer than 255 bytes",
    "suricata__dns-over-http2-post__dns_over_https_POST.pcap": "DNS in the body of clear-text HTTP/2",
    "suricata__dns-over-http2__dns_over_https.pcap": "DNS in the body of clear-text HTTP/2",
}
DNS_BEYOND = {
    "ndpi__dns-invalid-chars.pcap": "see DNS_MISSED",
    "zeek__wikipedia.pcap": "messages that the truth leaves out as doubtful",
}


def test_p11_names_are_those_of_the_truth() -> None:
    found: Counter[str] = Counter()
    for row in captures():
        inspector = Inspector()
        seen = drive(capture(row["name"], row["sha256"]), inspector)
        assert not inspector.anomalies["parser_bug"], row["name"]
        found += compare(row, seen)
    # a floor, so that a driver that reads nothing cannot pass
    assert found["sni"] >= 550
    assert found["http"] >= 900
    assert found["dns"] >= 450
    assert found["dhcp"] >= 15


def compare(row: dict[str, Any], seen: list[Seen]) -> Counter[str]:
    """Compare one capture; return how many facts of each kind were found."""
    name = row["name"]
    sni = {
        (*one.client, *one.server, text)
        for one in seen
        for text in one.reading.names
        if one.reading.kind in ("sni", "quic_sni")
    }
    wanted = {(*ends, text) for *ends, _, text, _ in row["tls_sni"]}
    assert wanted <= sni, name
    assert {ends[-1] for ends in sni - wanted} == set(row.get("sni_ndpi_only") or ()), name

    hosts = {
        (*one.client, *one.server, text)
        for one in seen
        for text in one.reading.names
        if one.reading.kind == "http_host"
    }
    asked = {(*ends, without_port(host.encode()).decode()) for *ends, host in row["http_hosts"]}
    first = {tuple(ends) for *ends, _ in hosts}
    assert all(tuple(ends) in first for *ends, _ in asked) or name in HTTP_MISSED, name
    assert hosts <= asked or name in HTTP_BEYOND, name

    answers = {
        (one.reading.protocol, answer.name, answer.type, answer.data)
        for one in seen
        for message in one.reading.messages
        for answer in message.answers
        if answer.address is not None
    }
    told = {
        (word, text.lower(), kind, data)
        for word in ("dns", "mdns", "llmnr")
        for text, kind, data in (row.get(word) or {}).get("answers", ())
    }
    assert told <= answers or name in DNS_MISSED, name
    assert answers <= told or name in DNS_BEYOND, name

    devices = {one.reading.device.name for one in seen if one.reading.protocol == "dhcp" and one.reading.device}
    assert devices == set(row["dhcp_hostnames"]), name
    return Counter(
        sni=len(wanted & sni), http=len(asked & hosts), dns=len(told & answers), dhcp=len(row["dhcp_hostnames"])
    )


def test_m7_nothing_is_kept_of_flows_that_were_forgotten() -> None:
    inspector = Inspector()
    path = Path(capture(*next((row["name"], row["sha256"]) for row in truth() if "reddit" in row["name"])))
    drive(path, inspector)
    for flow in range(2_000):
        inspector.forget(flow)
    assert (len(inspector._store), inspector._store.bytes) == (0, 0)
