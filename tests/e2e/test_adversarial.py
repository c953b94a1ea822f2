"""The product on 141 hostile inputs: what must hold for each, and what must hold for all."""

import csv
import io
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import judge
from support.corpora import CORPORA, adversarial, needs_corpora
from support.run import Run, replay, replay_process

pytestmark = needs_corpora
EXPECT = {row["file"]: row for row in adversarial()}
NAME_KINDS = ("sni", "quic_sni", "http_host")
RSS, SECONDS = 300_000_000, 5.0

REFUSED = {"pcap_empty_file.pcap", "pcap_23_bytes.pcap", "pcap_bad_magic.pcap"}
PARTIAL = {
    "pcap_caplen_ffffffff.pcap", "pcap_caplen_7fffffff.pcap", "pcap_cut_record_header.pcap", "pcap_cut_body.pcap",
    "pcap_garbage_after.pcap", "pcap_linktype_65535.pcap", "pcapng_huge_block.pcapng", "pcapng_block_len_0.pcapng",
    "pcapng_block_len_8.pcapng", "pcapng_cut_odd.pcapng", "gzip_cut.pcap.gz", "gzip_bomb_records.pcap.gz",
}  # fmt: skip
# more than one answer is right: what can be read is read, or the file is refused with one message
OPEN = {
    "pcapng_block_len_odd.pcapng", "pcapng_bad_iface.pcapng", "pcapng_caplen_over_block.pcapng", "gzip_twice.pcap.gz",
    "pcapng_custom_short.pcapng", "pcapng_no_idb.pcapng", "pcapng_option_overrun.pcapng", "gzip_trailing.pcap.gz",
    "pcapng_trailer_lie.pcapng",
}  # fmt: skip
# a process of their own: memory and time are the point
HEAVY = {
    "gzip_bomb_records.pcap.gz", "flows_20k.pcap", "pcap_zero_records.pcap", "frag_never_complete.pcap",
    "dns_pointer_ladder.pcap", "dns_tcp_65535.pcap", "http_header_bomb.pcap", "pcapng_option_bomb.pcapng",
    "pcapng_10k_idb.pcapng", "pcap_caplen_ffffffff.pcap", "pcapng_huge_block.pcapng", "quic_flood.pcap",
    "pcapng_caplen_over_block.pcapng", "nest_gre_70.pcap", "ch_15k_padding.pcap",
}  # fmt: skip
SHOWN = [name for name in EXPECT if name.startswith("names_")] + ["pcapng_nrb_hostile.pcapng", "dns_label_ff.pcap"]

Must = Callable[[Run], None]


def names(run: Run) -> set[str]:
    return {value for flow in run.flows for value in judge.evidence(flow, *NAME_KINDS)}


def questions(run: Run) -> set[str]:
    return {lookup["query"] for lookup in run.lookups}


def packets(run: Run) -> int:
    return sum(flow["packets_out"] + flow["packets_in"] for flow in run.flows)


def only(*allowed: str) -> Must:
    """No name but these: neither a part of one nor a blend."""

    def must(run: Run) -> None:
        assert names(run) <= set(allowed)
        assert {flow["name"] for flow in run.flows} <= {*allowed, None}

    return must


def asked_only(*allowed: str) -> Must:
    def must(run: Run) -> None:
        assert questions(run) <= set(allowed)

    return must


def flows(number: int, **columns: Any) -> Must:
    """So many flow records, each with these values (a tuple: one of them)."""

    def must(run: Run) -> None:
        assert len(run.flows) == number
        for flow in run.flows:
            for column, value in columns.items():
                assert flow[column] in (value if isinstance(value, tuple) else (value,)), (column, flow[column])

    return must


def one_conversation(number: int) -> Must:
    """So many packets, all of the same two ends; no duration is negative."""

    def must(run: Run) -> None:
        assert packets(run) == number
        assert len({judge.ends_of(flow) for flow in run.flows}) == 1
        assert all(flow["start"] <= flow["end"] for flow in run.flows)

    return must


def says(*words: str) -> Must:
    """One message on stderr that holds these words."""

    def must(run: Run) -> None:
        lines = run.stderr.splitlines()
        assert len(lines) == 1, lines
        assert all(word in lines[0] for word in words), lines

    return must


def both(*musts: Must) -> Must:
    def must(run: Run) -> None:
        for each in musts:
            each(run)

    return must


def counted(least: int, most: int) -> Must:
    """So many packets were counted to flows."""

    def must(run: Run) -> None:
        assert least <= run.ledger["in_flows"] <= most

    return must


def short_questions(run: Run) -> None:
    assert all(len(name) <= 254 for name in questions(run))


def tiny_ports(run: Run) -> None:
    assert {(flow["client_port"], flow["server_port"]) for flow in run.flows} <= {(40_000, 443), (None, None)}


def no_answers(run: Run) -> None:
    assert questions(run) == {"x.example.org"}
    assert [lookup["answers"] for lookup in run.lookups] == [[]]


def named_first(run: Run) -> None:
    assert [flow["name"] for flow in run.flows][:1] == ["split.example.org"]
    assert names(run) <= {"split.example.org", "second.example.org"}


def bank_unnamed(run: Run) -> None:
    assert "bank.example.org" not in {flow["name"] for flow in run.flows} | questions(run)


def in_nanoseconds(run: Run) -> None:
    assert [flow["start"][-10:] for flow in run.flows] == ["999999999Z"] * 3


def original_lengths(run: Run) -> None:
    assert [flow["wire_bytes_out"] for flow in run.flows] == [74] * 5
    assert run.ledger["bytes_seen"] == 5 * 74
    assert names(run) == questions(run) == set()


def all_twenty_thousand(run: Run) -> None:
    assert packets(run) == 20_000
    assert len(run.flows) == 20_000


def file_given_names_stay_out(run: Run) -> None:
    written = b"".join(run.files.values()) + run.stdout
    assert b"evil" not in written
    assert b"eth0" not in written


def reused(run: Run) -> None:
    assert "one.example.org" in names(run)
    assert names(run) <= {"one.example.org", "two.example.org"}


def times_are_times(run: Run) -> None:
    for flow in run.flows:
        assert len(flow["start"]) == len(flow["end"]) == len("2025-11-24T19:51:02.070000000Z")
        assert flow["start"] <= flow["end"]


def ordinary_names(form: Callable[[str], str]) -> Must:
    """The two hostile names that are good host names are found; a name never ends at a NUL."""

    def must(run: Run) -> None:
        seen = names(run) | questions(run)
        assert {form("mixed.example.org"), form("xn--pple-43d.example")} <= seen
        assert form("good.example.org") not in seen

    return must


def devices_unharmed(run: Run) -> None:
    seen = {row["device_name"] for row in run.summary["devices"]}
    assert not any(name is not None and ("\x1b" in name or "\n" in name) for name in seen)


SPLIT, QUIC = "split.example.org", "quic.example.org"
nothing = only()
followed = both(counted(1, 1), only())
MUST: dict[str, Must] = {
    "ch_bytewise_reverse.pcap": only(SPLIT),
    "ch_bytewise_shuffled.pcap": only(SPLIT),
    "ch_1000_extensions.pcap": only(SPLIT),
    "ch_15k_padding.pcap": only(SPLIT),
    "ch_in_syn.pcap": only(SPLIT),
    "ch_overlap_conflict.pcap": only(SPLIT, "fraud.example.org"),
    "ch_two_sni.pcap": flows(1, name=("one.example.org", "two.example.org")),
    "ch_twice.pcap": named_first,
    "dns_a_rdlength_3.pcap": no_answers,
    "dns_rdlength_lie.pcap": no_answers,
    "dns_answer_other_name.pcap": bank_unnamed,
    "dns_name_600.pcap": short_questions,
    "dns_pointer_forward.pcap": asked_only("fwd.example.org"),
    "dns_pointer_ladder.pcap": asked_only(""),
    "dns_tcp_65535.pcap": asked_only("x.example.org"),
    "dns_tcp_len_0.pcap": asked_only("x.example.org"),
    "flows_20k.pcap": all_twenty_thousand,
    "frag_first_tiny.pcap": both(counted(2, 2), tiny_ports),
    "frag_in_order.pcap": both(counted(3, 3), asked_only("frag.example.org")),
    "frag_reverse.pcap": both(counted(3, 3), asked_only("frag.example.org")),
    "frag_middle_only.pcap": flows(1, client_port=None, server_port=None),
    "frag_never_complete.pcap": counted(5_000, 5_000),
    "frag_overlap_conflict.pcap": both(counted(4, 4), asked_only("frag.example.org")),
    "frag_ping_of_death.pcap": counted(2, 2),
    "frag_teardrop.pcap": counted(2, 2),
    "http_two_hosts.pcap": flows(1, name=("one.example.org", "two.example.org")),
    "icmp_quotes_other_flow.pcap": flows(1, transport="icmp", packets_out=1, client_port=None),
    "ip4_bad_lengths.pcap": counted(0, 17),
    "ip6_ah_frag_routing.pcap": flows(1, transport="udp", client_port=40_000, server_port=53),
    "ip6_ext_chain_dstopts_150.pcap": counted(1, 1),
    "ip6_ext_chain_hopopts_150.pcap": counted(1, 1),
    "ip6_ext_overrun.pcap": flows(1, client_port=None, server_port=None),
    "ip6_len_0.pcap": flows(1, transport="udp", client_port=40_000, server_port=53),
    "ip6_no_next.pcap": flows(1, transport="59", client_port=None, server_port=None),
    "names_dhcp.pcap": devices_unharmed,
    "names_dns.pcap": ordinary_names(lambda name: (name + "." * (name[0] == "m")).replace(".", "\\x2e")),
    "names_http_host.pcap": ordinary_names(str),
    "names_mdns.pcap": devices_unharmed,
    "names_quic.pcap": ordinary_names(str),
    "names_sni.pcap": ordinary_names(str),
    "nest_gre_70.pcap": followed,
    "nest_ip6_70.pcap": followed,
    "nest_ipip_70.pcap": followed,
    "nest_vxlan_25.pcap": followed,
    "nest_mpls_200.pcap": counted(0, 1),
    "nest_mpls_no_bottom.pcap": counted(0, 0),
    "nest_vlan_70.pcap": counted(0, 1),
    "null_both_orders.pcap": counted(4, 4),
    "pcap_be_ns.pcap": in_nanoseconds,
    "pcap_caplen_7fffffff.pcap": says("pcap_caplen_7fffffff.pcap"),
    "pcap_caplen_ffffffff.pcap": says("pcap_caplen_ffffffff.pcap"),
    "pcap_caplen_over_orig.pcap": flows(1, packets_out=1),
    "pcap_cut_body.pcap": says("pcap_cut_body.pcap"),
    "pcap_cut_record_header.pcap": says("pcap_cut_record_header.pcap"),
    "pcap_garbage_after.pcap": says("pcap_garbage_after.pcap"),
    "pcap_header_only.pcap": flows(0),
    "pcap_linktype_65535.pcap": both(flows(0), says("65535")),
    "pcap_linktype_fcs_bits.pcap": flows(2, transport="udp", server_port=53),
    "pcap_snaplen_0.pcap": flows(2, transport="udp", server_port=53),
    "pcap_snapped_40.pcap": original_lengths,
    "pcap_ts_1970_2106.pcap": one_conversation(3),
    "pcap_ts_backwards.pcap": both(flows(10), times_are_times),
    "pcap_usec_over_1e6.pcap": times_are_times,
    "pcap_zero_records.pcap": flows(0),
    "pcapng_mixed_endian.pcapng": one_conversation(3),
    "pcapng_nrb_hostile.pcapng": file_given_names_stay_out,
    "ports_reused.pcap": reused,
    "pppoe_len_lie.pcap": counted(0, 2),
    "quic_crypto_len_lie.pcap": only(QUIC),
    "radiotap_len_lie.pcap": flows(0),
    "raw_link_mixed.pcap": flows(2, transport="udp", server_port=53),
}
MUST |= dict.fromkeys(
    (
        "ch_gap.pcap", "ch_len_lie.pcap", "ch_second_half_only.pcap", "ch_session_id_255.pcap", "ch_sni_len_lie.pcap",
        "ch_sni_list_empty.pcap", "ch_sni_type_9.pcap", "http_header_bomb.pcap", "quic_1000_empty_crypto.pcap",
        "quic_bad_tag.pcap", "quic_bad_version.pcap", "quic_cid_255.pcap", "quic_crypto_huge_offset.pcap",
        "quic_flood.pcap", "quic_token_lie.pcap", "quic_zero_length.pcap",
    ),
    nothing,
)  # fmt: skip
MUST |= dict.fromkeys(
    (
        "dns_11_bytes.pcap", "dns_label_40_80.pcap", "dns_label_ff.pcap", "dns_label_overrun.pcap",
        "dns_pointer_mutual.pcap", "dns_pointer_self.pcap", "dns_header_only.pcap", "dns_pointer_chain_120.pcap",
    ),
    asked_only(),
)  # fmt: skip
MUST |= {name: times_are_times for name in EXPECT if name.startswith("pcapng_ts")}
MUST |= {name: both(MUST.get(name, one_conversation(1))) for name in (
    "pcapng_10k_idb.pcapng", "pcapng_block_len_0.pcapng", "pcapng_block_len_8.pcapng", "pcapng_cut_odd.pcapng",
    "pcapng_huge_block.pcapng", "pcapng_option_bomb.pcapng", "pcapng_section_len_lie.pcapng", "pcapng_spb.pcapng",
    "pcapng_unknown_blocks.pcapng",
)}  # fmt: skip
# the name of these may be found, but need not
OPTIONAL = {
    "ch_bytewise_reverse.pcap", "ch_bytewise_shuffled.pcap", "ch_1000_extensions.pcap", "ch_15k_padding.pcap",
    "ch_in_syn.pcap", "dns_tcp_65535.pcap", "frag_in_order.pcap", "frag_reverse.pcap",
}  # fmt: skip


def test_every_hostile_input_has_an_assertion_of_its_own() -> None:
    stated = {name for name, row in EXPECT.items() if {"sni", "dns_names"} & row.keys() and name not in OPTIONAL}
    assert EXPECT.keys() <= MUST.keys() | stated | REFUSED | OPEN | PARTIAL
    assert MUST.keys() <= EXPECT.keys()


@pytest.mark.parametrize("name", EXPECT)
def test_p4_hostile_input(name: str, tmp_path: Path) -> None:
    row = EXPECT[name]
    folder = tmp_path / "out"
    folder.mkdir()
    run = (replay_process if name in HEAVY else replay)(CORPORA / "adversarial" / name, folder)

    assert run.exit_code in allowed(name), run.stderr
    assert "Traceback" not in run.stderr
    assert printable_ascii(run.stderr.encode())
    assert run.rss <= RSS
    assert run.seconds <= SECONDS
    if run.exit_code == 3:
        assert run.stdout == b""
        assert run.files == {}
        assert len(run.stderr.splitlines()) == 1
        return
    assert bool(run.stderr) == (run.exit_code == 4)
    for data in (run.stdout, *run.files.values()):
        assert printable_ascii(data)
    if row["packets"] is not None:
        assert run.ledger["seen"] == row["packets"]
    assert judge.ledger_faults(run) == []
    assert run.ledger["anomalies"].get("parser_bug", 0) == 0
    stated(row, run)
    if name in MUST:
        MUST[name](run)


def allowed(name: str) -> set[int]:
    if name in OPEN:
        return {0, 3, 4}
    return {3} if name in REFUSED else {4} if name in PARTIAL else {0}


def stated(row: dict[str, Any], run: Run) -> None:
    """Assert what expect.jsonl gives in its own keys."""
    if row["file"] in OPTIONAL:
        return
    if "sni" in row:
        assert names(run) == set(row["sni"])
    if "dns_names" in row:
        assert questions(run) == set(row["dns_names"])
    if "flows" in row:
        assert len(run.flows) == row["flows"]
        assert all(judge.evidence(flow, "sni") == row["sni"] for flow in run.flows)


def printable_ascii(data: bytes) -> bool:
    return not data.translate(None, bytes(range(32, 127)) + b"\n")


@pytest.mark.parametrize("name", SHOWN)
def test_d1_no_control_or_bidi_character_reaches_a_terminal(name: str, tmp_path: Path) -> None:
    run = replay(CORPORA / "adversarial" / name, tmp_path, json_summary=False)
    assert run.exit_code == 0
    assert harmless(run.stdout.decode("utf-8").replace("\n", ""))
    assert harmless(run.stderr.replace("\n", ""))


@pytest.mark.parametrize("name", SHOWN)
def test_e6_no_cell_of_a_spreadsheet_is_a_formula_or_holds_a_control(name: str, tmp_path: Path) -> None:
    run = replay(CORPORA / "adversarial" / name, tmp_path, "-w", str(tmp_path / "out.csv"))
    for file in ("out.csv", "out.lookups.csv"):
        rows = list(csv.reader(io.StringIO(run.files[file].decode("utf-8"), newline=""), strict=True))
        assert {len(row) for row in rows} == {len(rows[0])}
        for cell in (cell for row in rows for cell in row):
            assert cell[:1] not in {"=", "+", "-", "@"}
            assert harmless(cell)


def harmless(text: str) -> bool:
    return not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for char in text)
