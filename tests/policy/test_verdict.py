"""PASS has to be earned."""

from typing import Any

import pytest
from policy.test_rules import policy, rules
from support.flows import PHONE, TIKTOK, Flow, Question, release, tiktok_flow

from netwatch.model.records import Device, Label
from netwatch.places.local import LocalNetworks
from netwatch.policy.limitations import limitations
from netwatch.policy.observed import Observed
from netwatch.policy.rules import Rules
from netwatch.policy.verdict import Verdict, Watched, judge
from netwatch.sinks.summary import Summary

BENIGN = Label("www.example.org", "sni")
TABLET = Device("mac:02:00:00:00:00:77", "tablet", None)
QUIET = Flow(device=TABLET, client="192.168.1.50", label=BENIGN)


def judged(
    flows: list[Flow], questions: list[Question] | None = None, made: Rules | None = None, *, device: str | None = None,
    **watched: Any,
) -> Verdict:  # fmt: skip
    summary, observed = Summary(), Observed(LocalNetworks(), lambda _claim: True)
    one = release(flows, questions or [])
    summary.add(one)
    observed.add(one)
    state = Watched(summary.coverages(), 0, 10**9, limited=False, dropped=0, packets=1_000, partial=False, self_test=())
    return judge(made or rules({"app": "tiktok"}), observed, state._replace(**watched), lambda _name: "rule", device)


def reasons(verdict: Verdict) -> list[str]:
    return [one.reason for one in verdict.reasons]


def test_a_named_device_without_the_app_passes() -> None:
    verdict = judged([QUIET])
    assert (verdict.verdict, reasons(verdict)) == ("PASS", [])


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"partial": True}, "partial_input"),
        ({"dropped": 2}, "dropped"),
        ({"limited": True, "last": 599 * 10**9}, "short_watch"),
        ({"self_test": ("nothing matched",)}, "self_test"),
    ],
)
def test_what_keeps_every_device_from_a_pass(state: dict[str, Any], reason: str) -> None:
    verdict = judged([QUIET], **state)
    assert (verdict.verdict, reasons(verdict)) == ("INCONCLUSIVE", [reason])
    failed = judged([tiktok_flow()], **state)
    assert failed.verdict == "FAIL"


def test_a_few_drops_and_a_watch_that_is_long_enough_pass() -> None:
    assert judged([QUIET], dropped=1, packets=1_000).verdict == "PASS"
    assert judged([QUIET], limited=True, last=600 * 10**9).verdict == "PASS"


def test_nothing_captured_is_inconclusive() -> None:
    verdict = judged([])
    assert (verdict.verdict, reasons(verdict), verdict.devices) == ("INCONCLUSIVE", ["inactive"], ())


def test_a_device_that_never_left_the_local_network_is_not_judged() -> None:
    inside = Flow(device=TABLET, client="192.168.1.50", server="192.168.1.1", in_coverage=False)
    verdict = judged([tiktok_flow(label=BENIGN, evidence=()), inside])
    assert [one.seen.device for one in verdict.devices] == [PHONE]
    assert judged([inside]).verdict == "INCONCLUSIVE"


def test_a_device_of_which_only_time_and_names_were_seen_did_not_speak() -> None:
    asking = Flow(device=TABLET, server="9.9.9.9", server_port=53, transport=17, in_coverage=False)
    verdict = judged([asking])
    assert (verdict.verdict, reasons(verdict)) == ("INCONCLUSIVE", ["inactive"])


def test_a_lookup_is_an_attempt_unless_the_policy_says_not() -> None:
    verdict = judged([tiktok_flow(label=BENIGN, evidence=())], [Question()])
    (violation,) = verdict.devices[0].violations
    assert (verdict.verdict, violation.via, violation.tally.lookups) == ("FAIL", "lookup", 1)
    assert violation.evidence[0].rule == "rule"
    calm = rules({"app": "tiktok"}, attempts=False)
    assert judged([tiktok_flow(label=BENIGN, evidence=())], [Question()], calm).verdict == "PASS"


def test_a_blocked_lookup_of_a_device_that_sent_nothing_else_is_an_attempt() -> None:
    verdict = judged([], [Question(blocked=True)])
    assert verdict.verdict == "FAIL"
    assert verdict.devices[0].violations[0].via == "blocked_lookup"


def test_flows_and_lookups_of_one_app_are_one_violation() -> None:
    verdict = judged([tiktok_flow()], [Question()])
    (violation,) = verdict.devices[0].violations
    assert (violation.via, violation.tally.flows, violation.tally.lookups) == ("flow", 1, 1)
    assert [piece.kind for piece in violation.evidence] == ["sni", "dns_query"]
    assert (violation.tally.bytes_out, violation.tally.bytes_in) == (8200, 5400)


def test_each_row_that_is_broken_is_a_violation() -> None:
    verdict = judged([tiktok_flow()], made=rules({"app": "tiktok"}, {"control_country": "CN"}))
    assert [one.forbid for one in verdict.devices[0].violations] == [1, 2]


def test_one_device_that_fails_fails_the_whole() -> None:
    verdict = judged([tiktok_flow(), QUIET])
    assert verdict.verdict == "FAIL"
    assert {one.seen.device.device_name: one.verdict for one in verdict.devices} == {
        "Ana-iPhone": "FAIL",
        "tablet": "PASS",
    }


@pytest.mark.parametrize("word", ["tablet", "192.168.1.50", "mac:02:00:00:00:00:77"])
def test_only_the_device_that_was_asked_for_is_judged(word: str) -> None:
    verdict = judged([tiktok_flow(), QUIET], device=word)
    assert verdict.verdict == "PASS"
    assert [one.seen.device for one in verdict.devices] == [TABLET]


def test_a_device_that_was_not_seen_is_inconclusive() -> None:
    verdict = judged([tiktok_flow()], device="nobody")
    assert (verdict.verdict, reasons(verdict)) == ("INCONCLUSIVE", ["inactive"])


def test_the_named_share_has_to_reach_the_floor() -> None:
    hidden = Flow(device=TABLET, client="192.168.1.50", blind="ech", octets=(0, 20))
    assert judged([QUIET, hidden]).verdict == "PASS"  # 100 of 120 bytes
    more = Flow(device=TABLET, client="192.168.1.50", blind="doh", octets=(0, 6))
    verdict = judged([QUIET, hidden, more])  # 100 of 126
    assert (verdict.verdict, reasons(verdict)) == ("INCONCLUSIVE", ["ech", "doh"])
    strict = Rules(policy({"app": "tiktok"}, coverage={"min_named_bytes": 0.5}), {"tiktok": "bytedance"}, rules_lineage)
    assert judged([QUIET, hidden, more], made=strict).verdict == "PASS"


def rules_lineage(owner: str, _time: int | None) -> frozenset[str]:
    return frozenset({owner})


def test_an_owners_network_alone_is_weak() -> None:
    label = Label(owner_id="bytedance", owner="ByteDance", control_country="CN", confidence="medium")
    verdict = judged([QUIET, Flow(device=TABLET, client="192.168.1.50", label=label, octets=(1, 1), blind="ip_only")])
    assert (verdict.verdict, reasons(verdict)) == ("INCONCLUSIVE", ["weak_evidence"])


def test_the_separate_phone_may() -> None:
    made = rules({"app": "tiktok"}, allow=[{"devices": "Ana-iPhone"}])
    verdict = judged([tiktok_flow(), QUIET], made=made)
    assert (verdict.verdict, [one.seen.device for one in verdict.devices]) == ("PASS", [TABLET])
    assert judged([tiktok_flow(device=TABLET)], made=made).verdict == "FAIL"


def test_several_addresses_of_one_link_layer_address_are_said() -> None:
    observed = Observed(LocalNetworks(), lambda _claim: True)
    observed.add(release([Flow(device=TABLET, client=f"192.168.1.{n}", label=BENIGN) for n in range(5)]))
    (said,) = limitations(observed, [TABLET.device_id])
    assert said.limit == "nat"
    assert "5 IPv4 addresses" in said.text


def test_the_resolver_behind_doh_is_named() -> None:
    observed = Observed(LocalNetworks(), lambda _claim: True)
    label = Label("cloudflare-dns.com", "sni", role="doh")
    observed.add(release([Flow(label=label, blind="doh", octets=(3, 4)), Flow(label=TIKTOK)]))
    (said,) = limitations(observed, ["ip:192.168.1.23"])
    assert (said.limit, said.bytes) == ("doh", 7)
    assert "cloudflare-dns.com" in said.text
