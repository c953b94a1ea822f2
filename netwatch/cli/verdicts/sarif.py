"""A verdict as SARIF 2.1.0 (OASIS, https://docs.oasis-open.org/sarif/sarif/v2.1.0/), for code scanning and viewers."""

from collections.abc import Sequence
from typing import Any, Final

from netwatch import __version__
from netwatch.cli.verdicts import words
from netwatch.cli.verdicts.words import NO_NAMES, Group, Names, Row, Verdict
from netwatch.model.text import display

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
# sections 3.11.5 and 3.11.6: braces would be placeholders, brackets an embedded link
_MESSAGE: Final = str.maketrans({char: f"\\x{ord(char):02x}" for char in "[]{}"})
Object = dict[str, Any]


def sarif(
    verdict: Verdict, *, captures: Sequence[str] = (), forbids: Sequence[str] = (), names: Names = NO_NAMES
) -> str:
    """Write one run: a result for each violation (error), reason (warning) and limit (note).

    captures: names of the files that were read, relative to where the reader of the report stands.
    forbids: what each `[[forbid]]` of the policy says, from the first; else the rules are those that were broken.
    """
    import json

    places = [_place(index, name) for index, name in enumerate(captures)]
    run = _Run(verdict, places, forbids)
    dated = words.several_days(verdict)
    for group in words.groups(verdict):
        for row in group.row["violations"] if group.row else ():
            text = [f"{group.label}: {words.who(row, names)}: {words.did(row)}"]
            text += [words.circumstances(row, dated=dated), *words.evidence(row, dated=dated)]
            run.violation(group, row, text)
        for row in group.reasons:
            settle = [f"To settle it: {words.shown(row['settle'])}"] if row.get("settle") else []
            run.unseen(group, row, row["reason"], "warning", [f"{group.label}: {words.reason(row)}", *settle])
        for row in group.limits:
            run.unseen(group, row, row["limit"], "note", [f"{group.label}: {words.limit(row)}"])
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run.log(captures)]}
    return json.dumps(log, ensure_ascii=True, allow_nan=False, indent=1) + "\n"


class _Run:
    """Collects results and the rules that they name."""

    def __init__(self, verdict: Verdict, places: list[Object], forbids: Sequence[str]) -> None:
        self._verdict = verdict
        self._places = places
        self._rules: dict[str, Object] = {}
        self._results: list[Object] = []
        for number, text in enumerate(forbids, 1):
            self._forbid(number, words.shown(text))

    def violation(self, group: Group, row: Row, text: list[str]) -> None:
        keys = ("app_id", "owner_id", "control_country", "via", "confidence", "first", "last", "flows", "lookups")
        facts = {key: row[key] for key in (*keys, "bytes_out", "bytes_in", "evidence")}
        self._add(self._forbid(row["forbid"]), "error", group, text, facts, str(row["app_id"] or row["owner_id"]))

    def unseen(self, group: Group, row: Row, word: str, level: str, text: list[str]) -> None:
        short = f"{'Not settled' if level == 'warning' else 'Not seen'}: {display(word)}"
        rule = self._rule(f"{level}/{word}", short, level)
        self._add(rule, level, group, text, {"bytes": row["bytes"]}, word)

    def _forbid(self, number: int, text: str = "") -> int:
        short = f"{words.title(self._verdict)}: forbid {number}" + (f", {text}" if text else "")
        return self._rule(f"{self._verdict['policy']['id']}/forbid-{number}", short, "error")

    def _rule(self, identifier: str, text: str, level: str) -> int:
        rule = {
            "id": identifier,
            "shortDescription": {"text": text.translate(_MESSAGE)},
            "defaultConfiguration": {"level": level},
        }
        self._rules.setdefault(identifier, rule)
        return list(self._rules).index(identifier)

    def _add(self, rule: int, level: str, group: Group, text: list[str], facts: Object, what: str) -> None:
        from hashlib import sha256

        identifier = group.row["device_id"] if group.row else None
        name = identifier or group.label
        logical = [{"name": name, "fullyQualifiedName": name, "kind": "device"}] if group.label != words.WHOLE else []
        places = self._places or ([{}] if logical else [])
        rule_id = list(self._rules)[rule]
        mark = sha256("\n".join((rule_id, name, what)).encode("utf-8", "surrogatepass")).hexdigest()[:32]
        self._results.append(
            {
                "ruleId": rule_id,
                "ruleIndex": rule,
                "level": level,
                "message": {"text": "\n".join(text).translate(_MESSAGE)},
                "locations": [{**place, "logicalLocations": logical} for place in places],
                "partialFingerprints": {"netwatch/v1": mark},
                "properties": {
                    "device_id": identifier,
                    "device_name": group.row.get("device_name") if group.row else None,
                    **facts,
                },
            }
        )

    def log(self, captures: Sequence[str]) -> Object:
        """Return the run."""
        verdict = self._verdict
        driver = {"name": "netwatch", "version": __version__, "rules": list(self._rules.values())}
        kept = ("verdict", "policy", "span", "coverage", "ledger", "databases", "catalogue")
        devices = [
            {key: row.get(key) for key in ("device_id", "device_name", "verdict", "coverage")}
            for row in verdict["devices"]
        ]
        return {
            "tool": {"driver": driver},
            "invocations": [
                {
                    "executionSuccessful": True,
                    "exitCode": words.exit_code(verdict),
                    "exitCodeDescription": verdict["verdict"],
                }
            ],
            "artifacts": [{"location": {"uri": _uri(name)}, "roles": ["analysisTarget"]} for name in captures],
            "results": self._results,
            "properties": {**{key: verdict[key] for key in kept}, "devices": devices},
        }


def _place(index: int, name: str) -> Object:
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(name), "index": index}}}


def _uri(name: str) -> str:
    """Write a file name as a relative or absolute path of a URI (RFC 3986 section 3.3)."""
    raw = name.encode("utf-8", "surrogateescape")
    kept = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/"
    while raw.startswith(b"//"):  # else a host
        raw = raw[1:]
    return "".join(chr(byte) if byte in kept else f"%{byte:02X}" for byte in raw) or "-"
