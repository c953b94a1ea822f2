"""Every real capture through every policy that is shipped: no crash, no FAIL whose evidence the truth does not hold."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from engine.lab import places
from support import judge
from support.corpora import capture, needs_corpora, truth

from netwatch.attribution.catalogue import Catalogue
from netwatch.engine.probes import Probed
from netwatch.model.records import FlowBatch, Release
from netwatch.runtime import policies, signatures
from netwatch.runtime.checking import PolicyJudge
from netwatch.runtime.session import End, replay

pytestmark = needs_corpora
TRUTH = {row["name"]: row for row in truth()}
IDS = [path.stem for path in policies.shipped()]


class All:
    """Every policy over one run."""

    def __init__(self) -> None:
        self._judges = [
            PolicyJudge(policies.load(one, catalogue()), catalogue(), places(), tested=probed(one)) for one in IDS
        ]

    def add(self, release: Release) -> None:
        for one in self._judges:
            one.add(release)

    def prepare(self) -> None:
        pass

    def preview(self, end: End, live: Sequence[FlowBatch]) -> dict[str, Any]:
        raise NotImplementedError

    def verdict(self, end: End) -> dict[str, Any]:
        return {one: judge_.verdict(end) for one, judge_ in zip(IDS, self._judges, strict=True)}


@cache
def catalogue() -> Catalogue:
    return signatures.load()


@cache
def probed(policy: str) -> Probed:
    return PolicyJudge(policies.load(policy, catalogue()), catalogue(), places()).test()


def names(row: dict[str, Any]) -> dict[str, set[str]]:
    """Return the names that the truth holds, by the kind of evidence that they can be."""
    hellos = {judge.plain(one[5]) for one in row["tls_sni"]} | set(map(judge.plain, row.get("sni_ndpi_only") or ()))
    hosts = {judge.host_alone(str(one[-1])) for one in row["http_hosts"]}
    ndpi = {judge.plain(one[1]) for one in row["ndpi"] or () if one[1]}
    asked, told = set(), set()
    for part in (row[key] for key in ("dns", "mdns", "llmnr") if key in row):
        asked |= set(map(judge.plain, part["names"]))
        told |= {judge.plain(word) for one in part["answers"] for word in (one[0], one[2])}
    return {
        "sni": hellos,
        "quic_sni": hellos | ndpi,
        "http_host": hosts | ndpi,
        "dns_query": asked,
        "dns_answer": asked | told,
    }


@pytest.mark.parametrize("name", TRUTH)
def test_the_evidence_of_each_fail_is_in_the_truth(name: str) -> None:
    row = TRUTH[name]
    result = replay([str(capture(name, row["sha256"]))], catalogue=catalogue(), places=places(), judge=All())
    assert result.verdict is not None
    known = names(row)
    for verdict in result.verdict.values():
        assert isinstance(verdict, dict)
        assert verdict["verdict"] in {"PASS", "FAIL", "INCONCLUSIVE"}
        assert (verdict["verdict"] == "PASS") <= (not verdict["reasons"])
        fails = [one for one in verdict["devices"] if one["verdict"] == "FAIL"]
        assert bool(fails) == (verdict["verdict"] == "FAIL")
        for violation in (one for device in fails for one in device["violations"]):
            assert violation["evidence"]
            for piece in violation["evidence"]:
                assert 1 <= piece["packet"] <= row["packets"]
                assert piece["rule"].startswith("signatures/")
                if row["dissected"] and piece["kind"] in known:
                    assert judge.plain(piece["value"]) in known[piece["kind"]], (verdict["policy"]["id"], piece)
