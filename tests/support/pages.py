"""Reports for tests: a run whose every string can be chosen, and pages read as trees."""

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from support.exports import DATABASES, Capture, Known, design_ledger
from support.flows import SECOND, T0, Flow, Question, release

from netwatch.model.blind import EXPLAINED
from netwatch.model.records import Device, Evidence, Label, Place, Release
from netwatch.sinks.html import Report
from netwatch.sinks.summary import Summary

VOID = {"meta", "br", "hr", "img", "link", "input", "base"}
Say = Callable[[str], str]


class Page(HTMLParser):
    """What a browser gets to see: elements with their attributes, texts, and those of the style element apart."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[tuple[str, str], ...]]] = []
        self.texts: list[str] = []
        self.style = ""
        self.open: list[str] = []
        self.declared = ""
        self.feed(raw.decode("utf-8"))
        self.close()

    def handle_decl(self, decl: str) -> None:
        self.declared = decl

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple((name, value or "") for name, value in attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.elements.append((f"/{tag}", ()))

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        elif data.strip():
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [dict(attrs) for name, attrs in self.elements if name == tag]


def strings(say: Say) -> Release:
    """Return flows and look-ups of which `say` gave every string, by its name."""
    phone = Device(say("device id 1"), say("device name 1"), say("vendor 1"))
    other = Device(say("device id 2"), None, say("vendor 2"))

    def label(number: int, role: str, kind: str = "app") -> Label:
        return Label(
            *(say(f"name {number}"), "sni", say(f"app id {number}"), say(f"app {number}"), kind, say(role)),
            *(say(f"owner id {number}"), say(f"owner {number}"), say(f"control {number}"), say(f"domicile {number}")),
            *("high", None),
        )

    def evidence(number: int) -> tuple[Evidence, ...]:
        kinds = ("sni", "dns_answer")
        return tuple(
            Evidence(kind, say(f"value {number} {kind}"), T0 + number, number, say(f"rule {number}")) for kind in kinds
        )

    def place(number: int) -> Place:
        return Place(say(f"server {number}"), say(f"registered {number}"), number, say(f"network {number}"), False)

    flows = [
        Flow(
            flow_id=number,
            start=T0 + number * SECOND,
            end=T0 + (number + 3) * SECOND,
            octets=(9_000 - 1_000 * number, 500 * number),
            device=device,
            label=label(app, role, kind),
            place=place(number),
            evidence=evidence(number),
        )
        for number, device, app, role, kind in (
            (1, phone, 1, "role 1", "app"),
            (2, phone, 1, "role 2", "app"),
            (3, phone, 2, "role 1", "sdk"),
            (4, other, 3, "role 1", "infra"),
        )
    ]
    flows.append(
        Flow(flow_id=5, device=other, octets=(1_234, 4_321), blind="ech", place=Place(None, "US", 1, "x", True))
    )
    asked = [Question(query=say("query"), device=other, label=label(4, "role 3"), time=T0 + SECOND)]
    return release(flows, asked)


def record(say: Say, *releases: Release) -> dict[str, Any]:
    """Return the summary record of releases."""
    summary = Summary()
    for one in releases:
        summary.add(one)
    known = Known(version=say("version"))
    databases = [*DATABASES, {"name": say("database"), "use": "asn", "date": say("date"), "licence": None}]
    return summary.record([Capture(name=say("capture"))], design_ledger(), databases, known)


def verdict(say: Say, summary: dict[str, Any], word: str = "FAIL") -> dict[str, Any]:
    """Return the object of `check --json`: the first device with a violation where the word is FAIL."""
    first = summary["apps"][0]
    keys = ("app_id", "owner_id", "control_country", "first", "last", "flows", "lookups", "bytes_out", "bytes_in")
    piece = {"kind": "sni", "value": say("proof"), "time": first["first"], "packet": 12, "rule": say("rule of proof")}
    violation = {"forbid": 1, "via": "flow", "confidence": "high", "evidence": [piece], **{k: first[k] for k in keys}}
    devices = [
        {
            "device_id": row["device_id"],
            "device_name": row["device_name"],
            "verdict": word if at == 0 else "PASS",
            "violations": [violation] if at == 0 and word == "FAIL" else [],
            "coverage": summary["coverage"],
        }
        for at, row in enumerate(summary["devices"])
    ]
    means, settles = EXPLAINED["ech"]
    reasons = [{"reason": "ech", "device_id": devices[0]["device_id"], "bytes": 77, "text": means, "settle": settles}]
    return {
        "schema": 1,
        "verdict": word,
        "policy": {"id": say("policy id"), "title": say("title"), "date": say("policy date"), "source": say("source")},
        "span": {"first": None, "last": None, "seconds": 1.0},
        "devices": devices,
        "coverage": summary["coverage"],
        "ledger": summary["ledger"],
        "databases": summary["databases"],
        "catalogue": summary["catalogue"],
        "reasons": reasons if word == "INCONCLUSIVE" else [],
        "limits": [{"limit": "doh", "device_id": None, "bytes": 5, "text": f"Names went to {say('resolver')}."}],
        "self_test": {"probes": 9, "matched": 9, "missed": []},
    }


def written(folder: Path, say: Say, word: str | None = None) -> bytes:
    """Return the report of `strings`, with a verdict where a word is given."""
    sink = Report(folder / "report.html")
    run = strings(say)
    sink.write(run)
    summary = record(say, run)
    sink.close(summary, None if word is None else verdict(say, summary, word))
    return (folder / "report.html").read_bytes()
