"""The page: one file, no script, nothing fetched, the same bytes for the same input (RELIABILITY E7, E11)."""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final

from netwatch.sinks.report.accounts import blind_section, ledger_section, sources_section, tiles, watched_section
from netwatch.sinks.report.apps import Anchors, apps_section, evidence_section
from netwatch.sinks.report.facts import Facts, Record
from netwatch.sinks.report.judged import head, verdict_section, verdict_word
from netwatch.sinks.report.markup import Html, joined, link, plain, tag
from netwatch.sinks.report.style import STYLE
from netwatch.sinks.report.tally import Tally
from netwatch.sinks.report.where import owners_section, servers_section, timeline_section
from netwatch.sinks.report.words import NOT_SEEN

POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}';"
    " base-uri 'none'; form-action 'none'"
)


def page(summary: Record, tally: Tally, verdict: Record | None) -> bytes:
    """Return the report, UTF-8.

    summary: the summary record.   verdict: the object of `check --json` (DESIGN section 7), None where nobody asked.
    """
    facts = Facts(summary, tally, verdict)
    title = "netwatch report" if verdict is None else f"netwatch report: {verdict_word(verdict)}"
    anchors = Anchors(facts)
    sections = list(_sections(facts, anchors))
    contents = tag("ul", *(tag("li", link(anchor, name)) for anchor, name, _ in sections))
    body = joined(_section(*one) for one in sections)
    top = joined(head(facts, verdict) if verdict is not None else _plain_head())
    text = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#main">To the report</a>\n<header>\n{top}{tiles(facts)}\n'
        f'<nav aria-label="Sections">{contents}</nav>\n</header>\n<main id="main">\n{body}</main>\n'
        f"<footer><p>{plain(NOT_SEEN)}</p>"
        "<p>Written by netwatch from what passed one point of the network. It sent nothing and asked nobody.</p>"
        "</footer>\n</body>\n</html>\n"
    )
    return text.encode("utf-8", "backslashreplace")


def _sections(facts: Facts, anchors: Anchors) -> Iterator[tuple[str, str, Iterable[Html]]]:
    if facts.verdict is not None:
        yield "verdict", "Verdict", verdict_section(facts, facts.verdict)
    yield "watched", "What was watched", watched_section(facts)
    yield "apps", "Apps by device", apps_section(facts, anchors)
    yield "owners", "Owners and control countries", owners_section(facts)
    yield "servers", "Server countries", servers_section(facts)
    yield "timeline", "Timeline", timeline_section(facts)
    yield "evidence", "Evidence", evidence_section(anchors)
    yield "blind", "Blind spots", blind_section(facts)
    yield "ledger", "Ledger", ledger_section(facts)
    yield "sources", "Databases and licences", sources_section(facts)


def _section(anchor: str, name: str, inside: Iterable[Html]) -> Html:
    return Html(
        f'<section id="{anchor}" aria-labelledby="{anchor}-h">\n<h2 id="{anchor}-h">{name}</h2>\n'
        f"{joined(inside)}</section>\n"
    )


def _plain_head() -> Iterator[Html]:
    yield tag("h1", plain("What this network traffic shows"))
    yield tag("p", plain("A report, not a verdict: no policy was asked. netwatch check FILE --policy P asks one."))
    yield tag("p", plain(NOT_SEEN), cls="soft")
