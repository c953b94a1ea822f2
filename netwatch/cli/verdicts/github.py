"""A verdict as workflow commands of GitHub Actions: annotations of the run.

Source: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from collections.abc import Iterator
from typing import Final

from netwatch.cli.verdicts import words
from netwatch.cli.verdicts.words import NO_NAMES, Names, Verdict

DATA: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
PROPERTY: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})
LEVELS: Final = {"PASS": "notice", "FAIL": "error", "INCONCLUSIVE": "warning"}


def github(verdict: Verdict, *, names: Names = NO_NAMES) -> str:
    """Write one command a line: the whole, then each violation and each reason. GitHub shows the first ten a level."""
    return "".join(f"{line}\n" for line in _lines(verdict, names))


def _lines(verdict: Verdict, names: Names) -> Iterator[str]:
    word = verdict["verdict"]
    whole = f"{words.headline(verdict)}; {words.source(verdict)}"
    if word == "PASS":
        whole = f"{whole}; {words.NOT_SEEN}"
    yield _command(LEVELS[word], f"{word}: {words.title(verdict)}", [whole])
    dated = words.several_days(verdict)
    groups = words.groups(verdict)
    for group in groups:
        for violation in group.row["violations"] if group.row else ():
            text = [f"{words.who(violation, names)}: {words.did(violation)}"]
            text += [words.circumstances(violation, dated=dated), *words.evidence(violation, dated=dated)]
            yield _command("error", f"FAIL: {group.label}", text)
    for group in groups:
        for row in group.reasons:
            settle = [f"To settle it: {words.shown(row['settle'])}"] if row.get("settle") else []
            yield _command("warning", f"Not settled: {group.label}", [words.reason(row), *settle])
    for group in groups:
        for row in group.limits:
            yield _command("notice", f"Not seen: {group.label}", [words.limit(row)])


def _command(level: str, title: str, lines: list[str]) -> str:
    return f"::{level} title={title.translate(PROPERTY)}::" + "\n".join(lines).translate(DATA)
