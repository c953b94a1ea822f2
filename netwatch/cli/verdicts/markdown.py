"""A verdict as Markdown tables, for the summary of a job or a mail."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from netwatch.cli.table import BLIND_TEXT
from netwatch.cli.verdicts import words
from netwatch.cli.verdicts.words import NO_NAMES, Group, Names, Verdict
from netwatch.model.figures import size

MARKS: Final = {"PASS": "✓", "FAIL": "✗", "INCONCLUSIVE": "?"}
# what a cell may hold as it is: words and numbers, with marks around them that mean nothing to Markdown
_TOKEN: Final = re.compile(r"([\"'(]*)(.*?)([)\"'.,;:?]*)", re.DOTALL)
_SAFE: Final = re.compile(r"(?:[^\W_]+(?:[-/'][^\W_]+)*%?|[+-]?\d+(?:[.,:]\d+)*%?|[→…✓✗]?)")
_IN_CODE: Final = str.maketrans({"`": r"\x60", "|": r"\x7c"})


def markdown(verdict: Verdict, *, names: Names = NO_NAMES) -> str:
    """Write a heading and tables. What could be markup, a link or HTML anywhere stands in a code span."""
    word = verdict["verdict"]
    lines = [
        f"### {MARKS[word]} {word}: {plain(words.title(verdict))}",
        "",
        *_table(("Policy", "Seen", "Devices", "Exit code"), [_about(verdict)]),
        "",
        *_table(("Verdict", "Device", "Named"), [_device(group) for group in words.groups(verdict) if group.verdict]),
    ]
    dated = words.several_days(verdict)
    groups = words.groups(verdict)
    broken = [row for group in groups for row in _violations(group, names, dated=dated)]
    settle = [
        (group.label, words.reason(row), words.shown(row.get("settle") or ""))
        for group in groups
        for row in group.reasons
    ]
    unseen = [row for group in groups for row in _unseen(group)]
    for head, rows in (
        (("Device", "What broke the policy", "Rule", "Evidence"), broken),
        (("Device", "What is not settled", "What would settle it"), settle),
        (("Device", "Not seen"), unseen),
    ):
        if rows:
            lines += ["", *_table(head, rows)]
    if word == "PASS":
        lines += ["", words.NOT_SEEN]
    return "".join(f"{line}\n" for line in lines)


def plain(text: str) -> str:
    """Return a text on one line as Markdown that shows it and does nothing else.

    A token that is more than letters, digits and plain punctuation becomes a code span, where no dialect sees markup,
    links, mentions or HTML; a backtick or `|` in it is written as an escape.
    """
    return " ".join(_piece(token) for token in text.split(" "))


def _piece(token: str) -> str:
    found = _TOKEN.fullmatch(token)
    before, core, after = found.groups() if found else ("", token, "")
    return token if _SAFE.fullmatch(core) else f"{before}`{core.translate(_IN_CODE)}`{after}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        cells = ("<br>".join(map(plain, cell.split("\n"))) for cell in row)
        yield f"| {' | '.join(cells)} |"


def _about(verdict: Verdict) -> Sequence[str]:
    return words.source(verdict), words.span(verdict), words.headline(verdict), str(words.exit_code(verdict))


def _device(group: Group) -> Sequence[str]:
    named = words.named(group.row["coverage"]) if group.row else ""
    return f"{MARKS[group.verdict]} {group.verdict}", group.label, named


def _violations(group: Group, names: Names, *, dated: bool) -> Iterator[Sequence[str]]:
    for row in group.row["violations"] if group.row else ():
        what = f"{words.who(row, names)}: {words.did(row)}"
        yield group.label, what, words.circumstances(row, dated=dated), "\n".join(words.evidence(row, dated=dated))


def _unseen(group: Group) -> Iterator[Sequence[str]]:
    if group.row:
        for reason, flows, count in words.hidden(group.row["coverage"]):
            yield group.label, f"{size(count)} in {words.counted(flows)}, {reason}: {BLIND_TEXT.get(reason, '')}"
    for row in group.limits:
        yield group.label, words.limit(row)
