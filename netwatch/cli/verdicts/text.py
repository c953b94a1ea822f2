"""A verdict for a person at a terminal."""

import os
import sys
from collections.abc import Iterator
from typing import Final

from netwatch.cli.table import BLIND_TEXT
from netwatch.cli.verdicts import words
from netwatch.cli.verdicts.words import NO_NAMES, Group, Names, Row, Verdict
from netwatch.cli.verdicts.wrap import wrapped
from netwatch.model.figures import size
from netwatch.model.text import display

SYMBOLS: Final = {"PASS": "✓", "FAIL": "✗", "INCONCLUSIVE": "?", "": "~"}
ASCII: Final = {"PASS": "ok", "FAIL": "X", "INCONCLUSIVE": "?", "": "~"}
ASCII_WORDS: Final = str.maketrans({"→": "->", "…": "..."})
# Okabe-Ito colours, told apart by the colour-blind: #0072B2, #D55E00, #F0E442
COLOURS: Final = {
    "PASS": "\x1b[1;38;2;0;114;178m",
    "FAIL": "\x1b[1;38;2;213;94;0m",
    "INCONCLUSIVE": "\x1b[1;38;2;240;228;66m",
    "": "\x1b[1m",
}
PLAIN: Final = "\x1b[0m"
GLUE: Final = "\0"  # a space where no line may break
WIDTH_MIN: Final = 40
SIMPLE_TERMINALS: Final = frozenset(("dumb", "linux"))  # their fonts lack the symbols


def text(
    verdict: Verdict,
    *,
    colour: bool = False,
    width: int = 80,
    names: Names = NO_NAMES,
    ascii_only: bool | None = None,
) -> str:
    """Write a verdict in lines of at most `width` cells (at least WIDTH_MIN); the first holds it, the last the code.

    ascii_only: nothing but ASCII; None: where the terminal or the encoding of stdout asks for it.
    """
    plain = _needs_ascii() if ascii_only is None else ascii_only
    page = _Page(max(width, WIDTH_MIN), colour=colour, ascii_only=plain)
    page.head(verdict["verdict"], words.title(verdict))
    for line in (words.source(verdict), words.span(verdict)):
        page.line(line)
    page.line(f"devices: {words.headline(verdict)}")
    dated = words.several_days(verdict)
    for group in words.groups(verdict):
        page.blank()
        page.head(group.verdict, group.label)
        for indent, line in _group(group, names, dated=dated):
            page.line(line, indent)
    page.blank()
    earned = f"{words.NOT_SEEN} " if verdict["verdict"] == "PASS" else ""
    page.line(f"{earned}Exit code {words.exit_code(verdict)}.", 0)
    return page.text()


def _group(group: Group, names: Names, *, dated: bool) -> Iterator[tuple[int, str]]:
    """Yield lines, each with its indent."""
    for violation in group.row["violations"] if group.row else ():
        yield 2, f"{words.who(violation, names)}: {words.did(violation)}"
        yield 4, words.circumstances(violation, dated=dated)
        for line in words.evidence(violation, dated=dated):
            yield 4, line.replace(", rule ", f", rule{GLUE}")
    for row in group.reasons:
        yield 2, f"{'why' if group.verdict == 'INCONCLUSIVE' else 'not settled'}: {words.reason(row)}"
        if row.get("settle"):
            yield 4, f"to settle it: {words.shown(row['settle'])}"
    if group.row:
        yield from _coverage(group.row["coverage"])
    if group.limits:
        yield 2, "not seen, of no weight here:"
    for row in group.limits:
        yield 4, words.limit(row)


def _coverage(coverage: Row) -> Iterator[tuple[int, str]]:
    yield 2, f"coverage: {words.named(coverage)}"
    for reason, flows, count in words.hidden(coverage):
        about = BLIND_TEXT.get(reason, "")
        what = f"hidden {size(count)} in {words.counted(flows)}, {display(reason)}"
        yield 4, f"{what}: {about}" if about else what


class _Page:
    """Lines, wrapped and, where wanted, coloured and in ASCII alone."""

    def __init__(self, width: int, *, colour: bool, ascii_only: bool) -> None:
        self._width = width
        self._colour = colour
        self._ascii = ascii_only
        self._lines: list[str] = []

    def head(self, word: str, label: str) -> None:
        """Write a verdict and whose it is; "" for what has none."""
        mark = " ".join(filter(None, ((ASCII if self._ascii else SYMBOLS)[word], word)))
        first, *rest = wrapped(f"{mark}  {self._said(label)}", self._width, "", "  ")
        if self._colour:
            first = f"{COLOURS[word]}{mark}{PLAIN}{first[len(mark) :]}"
        self._lines += [first, *rest]

    def line(self, text: str, indent: int = 2) -> None:
        """Write a line, and what does not fit below it."""
        self._lines += wrapped(self._said(text), self._width, " " * indent, " " * (indent + 2))

    def blank(self) -> None:
        """Write an empty line."""
        self._lines.append("")

    def text(self) -> str:
        """Return all lines."""
        return "".join(f"{line.rstrip()}\n" for line in self._lines).replace(GLUE, " ")

    def _said(self, text: str) -> str:
        return text.translate(ASCII_WORDS).encode("ascii", "backslashreplace").decode() if self._ascii else text


def _needs_ascii() -> bool:
    """Tell whether stdout, or the terminal behind it, cannot show the symbols."""
    if sys.stdout.isatty() and os.environ.get("TERM") in SIMPLE_TERMINALS:
        return True
    try:
        "".join(SYMBOLS.values()).encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return True
    return False
