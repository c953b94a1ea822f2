"""Verdicts as `check` makes them, for tests of how they are shown."""

from typing import Any

EVIDENCE = {
    "kind": "sni",
    "value": "log-sg.tiktokv.com",
    "time": "2025-11-24T19:51:02.114000000Z",
    "packet": 12,
    "rule": "signatures/bytedance/tiktok.toml#tiktokv.com",
}


def coverage(named: int = 13_600, **blind: int) -> dict[str, Any]:
    """Make a coverage: bytes that have a name, and those that each reason hides."""
    hidden = {reason: {"flows": 1, "bytes": count} for reason, count in blind.items()}
    total = named + sum(blind.values())
    return {
        "flows": 1 + len(blind), "bytes": total, "named_flows": 1, "named_bytes": named,
        "named_share": round(named / total, 6) if total else None,
        "by_evidence": {"sni": {"flows": 1, "bytes": named}}, "by_blind": hidden,
    }  # fmt: skip


def violation(**more: Any) -> dict[str, Any]:
    """Make a violation by a flow to TikTok."""
    return {
        "forbid": 1, "app_id": "tiktok", "owner_id": "bytedance", "control_country": "CN", "via": "flow",
        "confidence": "high", "first": "2025-11-24T19:51:02.070000000Z", "last": "2025-11-24T19:51:14.470000000Z",
        "flows": 1, "lookups": 1, "bytes_out": 8_200, "bytes_in": 5_400, "evidence": [EVIDENCE], **more,
    }  # fmt: skip


def device(word: str = "PASS", *violations: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Make a device with its verdict."""
    return {
        "device_id": "mac:8e:12:34:56:78:9a", "device_name": "Ana-iPhone", "verdict": word,
        "violations": list(violations), "coverage": coverage(), **more,
    }  # fmt: skip


def reason(**more: Any) -> dict[str, Any]:
    """Make a reason why there is no verdict."""
    return {
        "reason": "ech", "device_id": "mac:8e:12:34:56:78:9a", "bytes": 233_000,
        "text": "94.5% of its bytes are hidden",
        "settle": "Turn off Encrypted ClientHello in the browser, and capture again.", **more,
    }  # fmt: skip


def verdict(word: str, *devices: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Make a verdict (DESIGN section 7)."""
    return {
        "schema": 1, "verdict": word,
        "policy": {
            "id": "us-eo-2020", "title": "Executive orders 13942 and 13943", "date": "2020-08-06",
            "source": "signatures/policies/us-eo-2020.toml",
        },
        "span": {"first": "2025-11-24T19:51:00.000000000Z", "last": "2025-11-24T19:51:14.470000000Z", "seconds": 14.47},
        "devices": list(devices), "coverage": coverage(), "ledger": {"seen": 42, "kernel_dropped": None},
        "databases": [], "catalogue": {"version": "2026.11"}, "reasons": [], "limits": [], **more,
    }  # fmt: skip


def passed() -> dict[str, Any]:
    """Return a PASS with something hidden under the floor."""
    limit = {"limit": "ech_offered", "device_id": None, "bytes": 1_200, "text": "the name is probably real"}
    return verdict("PASS", device("PASS", coverage=coverage(ech=900)), limits=[limit])


def failed() -> dict[str, Any]:
    """Return a FAIL of one device by a flow, of another by lookups, beside one that cannot be judged."""
    asked = violation(app_id="wechat", owner_id="tencent", via="lookup", flows=0, bytes_out=0, bytes_in=0)
    refused = violation(app_id=None, via="blocked_lookup", forbid=2, evidence=[EVIDENCE] * 5)
    return verdict(
        "FAIL",
        device("FAIL", violation(), asked),
        device("FAIL", refused, device_id="mac:00:00:5e:00:53:01", device_name=None),
        device("INCONCLUSIVE", device_id="ip:192.0.2.7", device_name=None, coverage=coverage(ech=233_000)),
        reasons=[reason(device_id="ip:192.0.2.7")],
    )


def unsettled() -> dict[str, Any]:
    """Return an INCONCLUSIVE of a capture in which no judged device spoke."""
    nobody = reason(
        reason="inactive", device_id=None, bytes=0, text="no device left the local network", settle="Use it."
    )
    return verdict("INCONCLUSIVE", reasons=[nobody], span={"first": None, "last": None, "seconds": 0.0},
                   coverage=coverage(0))  # fmt: skip
