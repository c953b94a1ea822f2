"""The matrix of verdicts: every way to hide, much or little, with every kind of evidence of a forbidden app."""

from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from engine.lab import LAPTOP_ID, PHONE_ID, places
from policy.household import EVIDENCE, FORBIDDEN, HIDING, WEAK, household, write
from support.catalogues import sample

from netwatch.attribution.catalogue import Catalogue
from netwatch.runtime import policies
from netwatch.runtime.checking import PolicyJudge
from netwatch.runtime.session import replay

POLICY = """\
schema = 1
id = "no-tiktok"
title = "No TikTok here"
date = "2025-01-01"
basis = "a test"
sources = ["test"]
attempts = {attempts}

[[forbid]]
app = "tiktok"
"""


@cache
def catalogue() -> Catalogue:
    return sample()


def check(folder: Path, hides: str | None, evidence: str | None, *, much: bool) -> dict[str, Any]:
    """Write the capture and the policy, and check one by the other."""
    capture = write(household(hides, evidence, much=much), folder / "household.pcap")
    text = POLICY.format(attempts="false" if evidence == "dns_answer_other" else "true")
    (folder / "policy.toml").write_text(text, "utf-8")
    loaded = policies.load(str(folder / "policy.toml"), catalogue())
    judge = PolicyJudge(loaded, catalogue(), places())
    result = replay([str(capture)], catalogue=catalogue(), places=places(), judge=judge)
    assert result.verdict is not None
    return result.verdict


def device(verdict: dict[str, Any], device_id: str) -> dict[str, Any]:
    (one,) = (one for one in verdict["devices"] if one["device_id"] == device_id)
    return one


def expected(evidence: str | None, *, much: bool) -> str:
    if evidence is None:
        return "INCONCLUSIVE" if much else "PASS"
    return "INCONCLUSIVE" if evidence in WEAK else "FAIL"


@pytest.mark.parametrize(("hides", "evidence", "much"), [*product(HIDING, [None, *EVIDENCE], [True, False])])
def test_the_matrix(tmp_path: Path, hides: str, evidence: str | None, *, much: bool) -> None:
    """No false PASS, no false FAIL; what hid much is a reason by its name, and hidden bytes are always told."""
    verdict = check(tmp_path, hides, evidence, much=much)
    phone = device(verdict, PHONE_ID)
    assert phone["verdict"] == verdict["verdict"] == expected(evidence, much=much)
    assert device(verdict, LAPTOP_ID)["verdict"] == "PASS"
    reasons = {one["reason"]: one for one in verdict["reasons"]}
    assert (hides in reasons) == much
    if much:
        assert reasons[hides]["device_id"] == PHONE_ID
        assert reasons[hides]["bytes"] == phone["coverage"]["by_blind"][hides]["bytes"]
        assert reasons[hides]["text"]
        assert reasons[hides]["settle"]
    assert phone["coverage"]["by_blind"][hides]["bytes"] > 0
    assert ("weak_evidence" in reasons) == (evidence in WEAK)
    assert len(phone["violations"]) == (verdict["verdict"] == "FAIL")


@pytest.mark.parametrize("evidence", sorted(set(EVIDENCE) - WEAK))
def test_a_violation_shows_where_its_evidence_stands(tmp_path: Path, evidence: str) -> None:
    """A stranger finds the packet by its number, with the name and the rule that were used."""
    verdict = check(tmp_path, None, evidence, much=False)
    (violation,) = device(verdict, PHONE_ID)["violations"]
    ways = {"dns_query": "lookup", "blocked_lookup": "blocked_lookup"}
    kinds = {"blocked_lookup": "dns_query"}
    assert violation["via"] == ways.get(evidence, "flow")
    first = violation["evidence"][0]
    assert first["kind"] == kinds.get(evidence, evidence)
    assert first["value"] == FORBIDDEN
    assert first["rule"] == "signatures/bytedance/tiktok.toml#tiktokv.com"
    labels = b"".join(bytes((len(label),)) + label for label in FORBIDDEN.encode().split(b"."))
    frame = household(None, evidence, much=False)[first["packet"] - 1].data
    assert evidence == "quic_sni" or FORBIDDEN.encode() in frame or labels in frame
    assert (violation["app_id"], violation["owner_id"], violation["control_country"]) == ("tiktok", "bytedance", "CN")


@pytest.mark.parametrize("evidence", sorted(WEAK))
def test_weak_evidence_is_never_a_fail_whatever_the_policy_asks(tmp_path: Path, evidence: str) -> None:
    capture = write(household(None, evidence, much=False), tmp_path / "household.pcap")
    text = POLICY.format(attempts="false").replace("[[forbid]]", 'min_confidence = "low"\n\n[[forbid]]')
    (tmp_path / "policy.toml").write_text(text, "utf-8")
    loaded = policies.load(str(tmp_path / "policy.toml"), catalogue())
    judge = PolicyJudge(loaded, catalogue(), places())
    result = replay([str(capture)], catalogue=catalogue(), places=places(), judge=judge)
    assert result.verdict is not None
    assert result.verdict["verdict"] == "INCONCLUSIVE"
    assert [one["reason"] for one in result.verdict["reasons"]] == ["weak_evidence"]
