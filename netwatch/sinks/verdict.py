"""A verdict as the object that `check --json` prints (DESIGN section 7)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from netwatch.model.records import SCHEMA
from netwatch.policy.documents import Policy
from netwatch.policy.limitations import Limitation
from netwatch.policy.verdict import DeviceVerdict, Verdict, Violation, Watched
from netwatch.sinks.encode import time_text

MISSED: Final = 10  # probes that a record names


def verdict_record(
    verdict: Verdict, policy: Policy, source: str, watched: Watched, limits: Sequence[Limitation],
    summary: Mapping[str, Any], probes: int,
) -> dict[str, object]:  # fmt: skip
    """Return the object: the keys of the contract in its order, then `limits` and `self_test`.

    source: where the policy was read.   limits: what was not seen; where a reason is about the same, its sentence is
    the reason's text, and it stands there alone.   summary: the summary record, for ledger, databases and catalogue.
    probes: how many names the catalogue was asked in its self-test.
    """
    reasons = {(one.device_id, one.reason) for one in verdict.reasons}
    told = {(one.device_id, one.limit): one.text for one in limits}
    return {
        "schema": SCHEMA,
        "verdict": verdict.verdict,
        "policy": {"id": policy.id, "title": policy.title, "date": policy.date, "source": source},
        "span": {
            "first": None if watched.first is None else time_text(watched.first),
            "last": None if watched.last is None else time_text(watched.last),
            "seconds": round(watched.seconds, 6),
        },
        "devices": [_device(one) for one in verdict.devices],
        "coverage": dict(watched.coverage(None)),
        "ledger": summary["ledger"],
        "databases": summary["databases"],
        "catalogue": summary["catalogue"],
        "reasons": [
            {
                "reason": one.reason,
                "device_id": one.device_id,
                "bytes": one.bytes,
                "text": told.get((one.device_id, one.reason), one.text),
                "settle": one.settle,
            }
            for one in verdict.reasons
        ],
        "limits": [one._asdict() for one in limits if (one.device_id, one.limit) not in reasons],
        "self_test": _self_test(probes, watched.self_test),
    }


def _self_test(probes: int, missed: Sequence[str]) -> dict[str, object]:
    return {"probes": probes, "matched": max(0, probes - len(missed)), "missed": list(missed[:MISSED])}


def _device(one: DeviceVerdict) -> dict[str, object]:
    return {
        "device_id": one.seen.device.device_id,
        "device_name": one.seen.device.device_name,
        "verdict": one.verdict,
        "violations": [_violation(violation) for violation in one.violations],
        "coverage": dict(one.coverage),
    }


def _violation(one: Violation) -> dict[str, object]:
    tally = one.tally
    return {
        "forbid": one.forbid,
        "app_id": one.app_id,
        "owner_id": one.owner_id,
        "control_country": one.control_country,
        "via": one.via,
        "confidence": one.confidence,
        "first": time_text(tally.first),
        "last": time_text(tally.last),
        "flows": tally.flows,
        "lookups": tally.lookups,
        "bytes_out": tally.bytes_out,
        "bytes_in": tally.bytes_in,
        "evidence": [
            {"kind": kind, "value": value, "time": time_text(time), "packet": packet, "rule": rule}
            for kind, value, time, packet, rule in one.evidence
        ],
    }
