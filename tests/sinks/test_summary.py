"""The summary adds up, whatever the releases are cut into, and stays small."""

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.exports import DATABASES, Capture, Known, design_ledger, design_release
from support.flows import PHONE, SINGAPORE, T0, TIKTOK, Flow, Question, release, tiktok_flow

from netwatch.model.ledger import Ledger
from netwatch.model.records import Device, Evidence, Label, Place
from netwatch.sinks import summary as module
from netwatch.sinks.coverage import CLEAR
from netwatch.sinks.encode import time_text
from netwatch.sinks.summary import Summary

CDN = Label(owner_id="fastly", owner="Fastly", control_country="US", domicile="US", confidence="low")
LABELS = [
    Label(),
    TIKTOK,
    TIKTOK._replace(name="other.tiktokv.com", role="api"),
    TIKTOK._replace(name="dns.tiktokv.com", name_source="dns_answer_other", confidence="low"),
    Label(name="unknown.example", name_source="http_host"),
    CDN,
]
DEVICES = [PHONE, PHONE._replace(device_name="Ana"), PHONE._replace(device_name=None), Device("ip:10.0.0.1", None, "V")]
NETWORK = (Evidence("network", "AS54113", T0, 1, None),)


def record(summary: Summary, ledger: Ledger | None = None) -> dict[str, Any]:
    return summary.record([Capture()], ledger or Ledger(), DATABASES, Known())


def summed(*releases: Any) -> dict[str, Any]:
    summary = Summary()
    for one in releases:
        summary.add(one)
    return record(summary)


def flows() -> st.SearchStrategy[list[Flow]]:
    small = st.integers(0, 50)
    one = st.builds(
        lambda start, lasts, evidence, **rest: Flow(
            start=T0 + start, end=T0 + start + lasts, evidence=NETWORK if evidence else (), **rest
        ),
        small,
        small,
        st.booleans(),
        octets=st.tuples(small, small),
        label=st.sampled_from(LABELS),
        device=st.sampled_from(DEVICES),
        place=st.sampled_from([Place(), SINGAPORE, Place("US", "US", 1, "x", None)]),
        blind=st.sampled_from([None, "ech", "ip_only"]),
        in_coverage=st.booleans(),
    )
    return st.lists(one, max_size=12)


def questions() -> st.SearchStrategy[list[Question]]:
    one = st.builds(
        Question,
        time=st.integers(T0, T0 + 50),
        label=st.sampled_from([Label(), TIKTOK, CDN]),
        device=st.sampled_from(DEVICES),
    )
    return st.lists(one, max_size=5)


def expected(table: str, some: list[Flow], asked: list[Question]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The rows of one array, one record at a time: {ids: the seven keys}."""
    rows: dict[tuple[Any, ...], list[Any]] = defaultdict(list)

    def ids(label: Label, device: Device, country: str | None) -> tuple[Any, ...] | None:
        match table:
            case "apps":
                return label.app_id and (label.app_id,)
            case "owners":
                return label.owner_id and (label.owner_id,)
            case "countries":
                return country and (country,)
            case "devices":
                return (device.device_id,)
            case _:
                return device.device_id, label.app_id, label.role, label.owner_id, label.control_country, country

    for flow in some:
        rows[ids(flow.label, flow.device, flow.place.server_country)].append(flow)
    for question in asked:
        rows[ids(question.label, question.device, None)].append(question)
    rows.pop(None, None)
    return {of: seven_keys(members) for of, members in rows.items()}


def seven_keys(members: list[Any]) -> dict[str, Any]:
    ours = [one for one in members if isinstance(one, Flow)]
    asked = [one for one in members if isinstance(one, Question)]
    kinds: dict[str, int] = {}
    for flow in ours:
        kind = flow.label.name_source or (flow.evidence[0].kind if flow.evidence else None)
        if kind:
            kinds[kind] = kinds.get(kind, 0) + 1
    return {
        "flows": len(ours),
        "lookups": len(asked),
        "bytes_out": sum(flow.octets[0] for flow in ours),
        "bytes_in": sum(flow.octets[1] for flow in ours),
        "first": time_text(min([flow.start for flow in ours] + [one.time for one in asked])),
        "last": time_text(max([flow.end for flow in ours] + [one.time for one in asked])),
        "evidence": kinds,
    }


IDS = {
    "apps": ("app_id",),
    "owners": ("owner_id",),
    "countries": ("server_country",),
    "devices": ("device_id",),
    "cross": ("device_id", "app_id", "role", "owner_id", "control_country", "server_country"),
}


@given(flows(), questions())
def test_each_array_is_what_a_plain_sum_says(some: list[Flow], asked: list[Question]) -> None:
    whole = summed(release(some, asked))
    for table, ids in IDS.items():
        found = {tuple(row[key] for key in ids): {key: row[key] for key in SEVEN} for row in whole[table]}
        assert len(found) == len(whole[table])
        assert found == expected(table, some, asked)


SEVEN = ("flows", "lookups", "bytes_out", "bytes_in", "first", "last", "evidence")


@given(flows(), questions(), st.integers(0, 12))
def test_releases_may_be_cut_anywhere(some: list[Flow], asked: list[Question], at: int) -> None:
    parts = summed(release(some[:at]), release(some[at:], asked))
    assert parts == summed(release(some, asked))


@given(flows())
def test_rows_are_sorted_by_bytes_falling_then_by_id_null_last(some: list[Flow]) -> None:
    whole = summed(release(some))
    for table, ids in IDS.items():
        ranks = [
            (-row["bytes_out"] - row["bytes_in"], [(row[key] is None, row[key] or "") for key in ids])
            for row in whole[table]
        ]
        assert ranks == sorted(ranks)


@given(flows())
def test_coverage_counts_each_flow_once_as_named_hidden_or_neither(some: list[Flow]) -> None:
    covered = [flow for flow in some if flow.in_coverage]
    named = [flow for flow in covered if flow.blind is None and flow.label.name and flow.label.name_source in CLEAR]
    coverage = summed(release(some))["coverage"]
    total, clear = (sum(sum(flow.octets) for flow in group) for group in (covered, named))
    assert (coverage["flows"], coverage["bytes"]) == (len(covered), total)
    assert (coverage["named_flows"], coverage["named_bytes"]) == (len(named), clear)
    assert coverage["named_share"] == (round(clear / total, 6) if total else None)
    hidden = [flow for flow in covered if flow.blind]
    assert sum(part["flows"] for part in coverage["by_blind"].values()) == len(hidden)
    assert sum(coverage["by_evidence"].get(kind, {"flows": 0})["flows"] for kind in CLEAR) == len(named)
    assert set(coverage["by_evidence"]) <= {*CLEAR, "dns_answer_other"}


def test_coverage_of_one_device() -> None:
    summary = Summary()
    summary.add(release([tiktok_flow(), Flow(device=DEVICES[3], octets=(1, 2), blind="ip_only")]))
    assert summary.coverages()("ip:10.0.0.1") == {
        "flows": 1,
        "bytes": 3,
        "named_flows": 0,
        "named_bytes": 0,
        "named_share": 0.0,
        "by_evidence": {},
        "by_blind": {"ip_only": {"flows": 1, "bytes": 3}},
    }
    assert summary.coverages()(PHONE.device_id)["named_share"] == 1.0
    assert summary.coverages()("never seen")["named_share"] is None
    assert summary.coverages()(None)["flows"] == 2


def test_the_share_has_six_places() -> None:
    whole = summed(release([tiktok_flow(octets=(1, 0)), Flow(octets=(2, 0))]))
    assert whole["coverage"]["named_share"] == 0.333333


def test_a_network_names_an_owner_and_no_flow() -> None:
    whole = summed(release([Flow(label=CDN, evidence=NETWORK)]))
    assert whole["owners"][0]["evidence"] == {"network": 1}
    assert whole["coverage"]["named_flows"] == 0
    assert whole["coverage"]["by_evidence"] == {}


def test_the_last_name_that_is_known_is_that_of_the_device() -> None:
    whole = summed(
        release([Flow(device=PHONE)]),
        release([Flow(device=PHONE._replace(device_name="Ana")), Flow(device=PHONE._replace(device_name=None))]),
    )
    assert [row["device_name"] for row in whole["devices"]] == ["Ana"]


def test_sums_do_not_lose_bits() -> None:
    whole = summed(release([tiktok_flow(octets=(2**62 - 1, 1)), tiktok_flow(octets=(2**62, 1))]), design_release())
    assert whole["apps"][0]["bytes_out"] == 2**63 - 1 + 8200


def test_an_empty_run_has_empty_arrays() -> None:
    whole = summed(release())
    assert all(whole[table] == [] for table in IDS)
    assert whole["coverage"]["named_share"] is None


def test_an_owner_that_changes_within_a_run_makes_two_rows_of_an_app() -> None:
    sold = TIKTOK._replace(owner_id="other", owner="Other", control_country="US")
    whole = summed(release([tiktok_flow(), tiktok_flow(label=sold)]))
    assert [(row["app_id"], row["owner_id"]) for row in whole["apps"]] == [("tiktok", "bytedance"), ("tiktok", "other")]


@pytest.mark.parametrize(("hosts", "cells"), [(3, 1_000), (1_000, 3)])
def test_m3_beyond_the_caps_devices_share_one_row_and_are_counted(
    monkeypatch: pytest.MonkeyPatch, hosts: int, cells: int
) -> None:
    monkeypatch.setattr(module, "HOSTS", hosts)
    monkeypatch.setattr(module, "SUMMARY_CELLS", cells)
    devices = [Device(f"ip:10.0.0.{at}", None, None) for at in range(30)]
    summary = Summary()
    for at in range(0, 30, 5):
        summary.add(release([Flow(device=device) for device in devices[at : at + 5]]))
    ledger = design_ledger()
    ledger.anomalies["truncated"] = 2
    whole = record(summary, ledger)
    assert [row["device_id"] for row in whole["devices"]] == [None, "ip:10.0.0.0", "ip:10.0.0.1", "ip:10.0.0.2"]
    assert sum(row["flows"] for row in whole["devices"]) == 30
    assert sum(row["bytes_out"] for row in whole["cross"]) == 30 * 60
    assert whole["ledger"]["anomalies"] == {"devices_folded": 27, "truncated": 2}
    assert dict(ledger.anomalies) == {"truncated": 2}


def test_m3_lookups_beyond_the_caps_are_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SUMMARY_CELLS", 2)
    asked = [Question(device=Device(f"ip:10.0.0.{at}", None, None)) for at in range(5)]
    whole = summed(release((), asked))
    assert sum(row["lookups"] for row in whole["devices"]) == 5
    assert whole["ledger"]["anomalies"] == {"devices_folded": 3}
