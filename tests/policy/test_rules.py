"""What a policy's rows meet: the settled readings of DESIGN section 7."""

from typing import Any

import pytest
from msgspec import convert
from support.flows import PHONE

from netwatch.policy.documents import Policy, duration
from netwatch.policy.rules import Claim, Grade, Rules

TIKTOK = Claim("tiktok", "app", "telemetry", "bytedance", "CN", "high", "sni")
SHARED = Claim("bytedance_names", "platform", "api", "bytedance", "CN", "high", "sni")
CLOUD = Claim("volcengine", "infra", "cloud", "bytedance", "CN", "high", "sni")
NETWORK = Claim(None, None, None, "bytedance", "CN", "medium", None)
INSTAGRAM = Claim("instagram", "app", "api", "instagram_llc", "US", "high", "sni")

PARENTS = {"instagram_llc": {"meta"}}


def lineage(owner: str, _time: int | None) -> frozenset[str]:
    return frozenset({owner, *PARENTS.get(owner, ())})


def policy(*forbid: dict[str, Any], **more: Any) -> Policy:
    head = {"schema": 1, "id": "p", "title": "P", "date": "2025", "basis": "b", "sources": ["s"]}
    return convert({**head, "forbid": list(forbid), **more}, Policy)


def rules(*forbid: dict[str, Any], **more: Any) -> Rules:
    return Rules(policy(*forbid, **more), {"tiktok": "bytedance"}, lineage)


@pytest.mark.parametrize(
    ("row", "claim", "grade"),
    [
        ({"app": "tiktok"}, TIKTOK, Grade.FULL),
        ({"app": ["wechat", "tiktok"]}, TIKTOK, Grade.FULL),
        ({"app": "wechat"}, TIKTOK, Grade.NONE),
        ({"app": "tiktok"}, NETWORK, Grade.OWNER),
        ({"app": "tiktok"}, SHARED, Grade.NONE),
        ({"app": "tiktok", "control_country": "US"}, TIKTOK, Grade.NONE),
        ({"owner": "bytedance"}, TIKTOK, Grade.FULL),
        ({"owner": "bytedance"}, SHARED, Grade.OWNER),
        ({"owner": "bytedance", "kind": ["app", "platform"]}, SHARED, Grade.FULL),
        ({"owner": "bytedance", "kind": "app"}, SHARED, Grade.NONE),
        ({"owner": "bytedance"}, CLOUD, Grade.OWNER),
        ({"owner": "bytedance"}, NETWORK, Grade.OWNER),
        ({"owner": "meta"}, INSTAGRAM, Grade.FULL),
        ({"owner": "meta"}, TIKTOK, Grade.NONE),
        ({"control_country": ["CN", "RU"]}, TIKTOK, Grade.FULL),
        ({"control_country": "CN", "role": "ads"}, TIKTOK, Grade.NONE),
        ({"control_country": "CN", "role": ["ads", "telemetry"]}, TIKTOK, Grade.FULL),
        ({"control_country": "CN"}, NETWORK, Grade.OWNER),
        ({"role": "telemetry"}, TIKTOK, Grade.FULL),
        ({"role": "telemetry"}, NETWORK, Grade.NONE),
        ({"kind": "infra"}, CLOUD, Grade.FULL),
    ],
)
def test_all_keys_of_a_row_hold_together(row: dict[str, Any], claim: Claim, grade: Grade) -> None:
    assert rules(row).grade(0, claim, 0) is grade


@pytest.mark.parametrize(
    ("source", "confidence", "minimum", "proves"),
    [
        ("sni", "high", "medium", True),
        ("sni", "medium", "high", False),
        ("sni", "low", "medium", False),
        ("sni", "low", "low", True),
        ("dns_query", "medium", "medium", True),
        ("dns_answer", "medium", "medium", True),
        ("dns_answer", "low", "low", False),
        ("certificate", "low", "low", False),
        ("dns_answer_other", "low", "low", False),
        (None, "high", "low", False),
    ],
)
def test_what_proves_a_violation(source: str | None, confidence: str, minimum: str, *, proves: bool) -> None:
    claim = TIKTOK._replace(source=source, confidence=confidence)
    assert rules({"app": "tiktok"}, min_confidence=minimum).proves(claim) is proves


@pytest.mark.parametrize("word", ["mac:8e:12:34:56:78:9a", "8E:12:34:56:78:9A", "ana-iphone", "192.168.1.23"])
def test_a_device_is_met_by_identifier_name_or_address(word: str) -> None:
    addresses = frozenset({"192.168.1.23"})
    assert rules({"app": "tiktok", "devices": word}).concerns(0, PHONE, addresses)
    assert not rules({"app": "tiktok", "devices": "other"}).concerns(0, PHONE, addresses)


def test_a_device_that_may_do_everything_is_not_concerned() -> None:
    made = rules({"app": "tiktok"}, allow=[{"devices": "Ana-iPhone"}])
    assert not made.concerns(0, PHONE, frozenset())


def test_an_exception_takes_out_what_it_names() -> None:
    made = rules({"owner": "bytedance"}, allow=[{"app": "tiktok", "role": "telemetry"}])
    assert made.allowed(TIKTOK, Grade.FULL, 0, PHONE, frozenset())
    assert not made.allowed(TIKTOK._replace(role="ads"), Grade.FULL, 0, PHONE, frozenset())
    assert not made.allowed(NETWORK._replace(owner_id="meta"), Grade.OWNER, 0, PHONE, frozenset())


@pytest.mark.parametrize(
    ("text", "number"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400), ("", 0), ("m", 0)]
)
def test_lengths_of_time(text: str, number: int) -> None:
    assert duration(text) == number
