"""A verdict as JUnit XML, as GitHub, GitLab and Jenkins read it: a test case for each device.

INCONCLUSIVE is an <error>: a reader of test reports takes <skipped> as nothing wrong, and a PASS has to be earned.
"""

from collections.abc import Iterator
from typing import Final

from netwatch.cli.verdicts import words
from netwatch.cli.verdicts.words import NO_NAMES, Group, Names, Verdict
from netwatch.model.figures import size
from netwatch.model.text import display

XML: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})


def junit(verdict: Verdict, *, names: Names = NO_NAMES) -> str:
    """Write a <testsuites> of one suite; nothing but ASCII and character references."""
    cases = [group for group in words.groups(verdict) if group.verdict]
    counts = {word: sum(group.verdict == word for group in cases) for word in words.EXIT_CODES}
    totals = f'tests="{len(cases)}" failures="{counts["FAIL"]}" errors="{counts["INCONCLUSIVE"]}" skipped="0"'
    policy = display(verdict["policy"]["id"])
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="netwatch check" {totals} time="0">',
        f'  <testsuite name="{_xml(f"{policy}: {words.title(verdict)}")}" {totals} time="0">',
        "    <properties>",
    ]
    facts = {"verdict": verdict["verdict"], "policy": words.source(verdict), "capture": words.span(verdict)}
    facts["exit_code"] = str(words.exit_code(verdict))
    lines += [f'      <property name="{key}" value="{_xml(value)}"/>' for key, value in facts.items()]
    lines.append("    </properties>")
    dated = words.several_days(verdict)
    for group in cases:
        lines.append(f'    <testcase classname="{_xml(f"netwatch.{policy}")}" name="{_xml(group.label)}" time="0">')
        lines += _case(group, names, dated=dated)
        lines.append("    </testcase>")
    rest = [f"{group.label}: {words.limit(row)}" for group in words.groups(verdict) for row in group.limits]
    if rest:
        lines.append(f"    <system-out>{_xml(chr(10).join(rest))}</system-out>")
    lines += ["  </testsuite>", "</testsuites>"]
    return "".join(f"{line}\n" for line in lines)


def _case(group: Group, names: Names, *, dated: bool) -> Iterator[str]:
    violations = group.row["violations"] if group.row else []
    broken = [f"{words.who(row, names)}: {words.did(row)}" for row in violations]
    reasons = [words.reason(row) for row in group.reasons]
    about: list[str] = []
    for row in group.reasons:
        about.append(words.reason(row))
        about += [f"  to settle it: {words.shown(row['settle'])}"] if row.get("settle") else []
    if group.verdict == "FAIL":
        body: list[str] = []
        for row, head in zip(violations, broken, strict=True):
            body += [head, f"  {words.circumstances(row, dated=dated)}"]
            body += [f"  {line}" for line in words.evidence(row, dated=dated)]
        yield _element("failure", "FAIL", "; ".join(broken) or "FAIL", [*body, *about])
    elif group.verdict == "INCONCLUSIVE":
        yield _element("error", "INCONCLUSIVE", "; ".join(reasons) or "INCONCLUSIVE", about)
    if group.row:
        coverage = group.row["coverage"]
        lines = [words.named(coverage)]
        lines += [
            f"hidden {size(count)} in {words.counted(flows)}: {display(why)}"
            for why, flows, count in words.hidden(coverage)
        ]
        lines += [words.NOT_SEEN] if group.verdict == "PASS" else []
        yield f"      <system-out>{_xml(chr(10).join(lines))}</system-out>"


def _element(name: str, kind: str, message: str, lines: list[str]) -> str:
    return f'      <{name} type="{kind}" message="{_xml(message)}">{_xml(chr(10).join(lines))}</{name}>'


def _xml(text: str) -> str:
    return text.translate(XML).encode("ascii", "xmlcharrefreplace").decode()
