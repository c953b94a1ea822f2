"""Apps by device, and the evidence behind each of these rows."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from netwatch.model.records import Evidence
from netwatch.sinks.encode import time_texts
from netwatch.sinks.report.facts import Facts, Group
from netwatch.sinks.report.markup import (
    GAP,
    NOTHING,
    Column,
    Html,
    Row,
    code,
    count,
    joined,
    link,
    moment,
    more,
    plain,
    short,
    size,
    table,
    tag,
    wire,
)
from netwatch.sinks.report.words import KIND_WORDS, MARKS

COLUMNS: Final = (
    Column("App", wide=True),
    Column("Owner, control", wide=True),
    Column("Sent", number=True),
    Column("Received", number=True),
    Column("Flows", number=True),
    Column("Look-ups", number=True),
    Column("For what", wide=True),
    Column("Servers (estimate)"),
    Column("Best evidence", wide=True),
)
PIECE_COLUMNS: Final = (
    Column("Kind"),
    Column("Value", wide=True),
    Column("Time (UTC)"),
    Column("Packet", number=True),
    Column("Rule", wide=True),
)
NAME_WIDTH: Final = 60
ROLES_SHOWN: Final = 4
COUNTRIES_SHOWN: Final = 5
EVIDENCE_BYTES: Final = 2_500_000  # of HTML: names of 253 strange characters grow by a factor of twenty


def badge(word: str, text: str) -> Html:
    """Return a verdict's mark, words and colour."""
    kind = word.lower() if word in MARKS else "inconclusive"
    return tag("span", plain(f"{MARKS.get(word, '?')} {text}"), cls=f"badge {kind}")


class Anchors:
    """Numbers the rows that have evidence, in the order of the page."""

    def __init__(self, facts: Facts) -> None:
        groups = [group for some in facts.shown.values() for group in some]
        kept = [group for group in groups if (pieces := facts.tally.evidence.get(group.who)) and pieces.best]
        details: list[Html] = []
        room = EVIDENCE_BYTES
        for at, group in enumerate(kept):
            html = _details(facts, group, at)
            room -= len(html.encode("utf-8", "backslashreplace"))
            if room < 0:
                break
            details.append(html)
        self.details = details
        self.of = {group.who: f"e{at}" for at, group in enumerate(kept[: len(details)])}
        self.cut = len(kept) - len(details)


def apps_section(facts: Facts, anchors: Anchors) -> Iterator[Html]:
    """Yield a table for each device."""
    yield tag(
        "p",
        plain(
            "What each device talked to, most sent first. Control is the country that controls the owner, by the"
            " catalogue on the day of the capture; where a server stands is another question and proves nothing about"
            " the owner."
        ),
        cls="note",
    )
    if not facts.devices:
        yield tag("p", plain("No flow: nothing here talked over IP."))
    for device_id, groups in facts.shown.items():
        about = facts.device_about(device_id)
        yield tag("h3", facts.device(device_id), *_verdict_of(facts, device_id))
        caption = joined(
            part
            for part in (
                about,
                plain(f"{', ' if about else ''}{_sums(facts, device_id)}"),
            )
            if part
        )
        yield table(caption, COLUMNS, (_row(facts, anchors, group) for group in groups))
        yield more(len(facts.groups[device_id]) - len(groups), "apps or owners of this device")
    devices = len(facts.groups) - len(facts.shown)
    yield more(devices, "devices")
    if facts.cut:
        shown, whole = (sum(map(len, some.values())) for some in (facts.shown, facts.groups))
        yield tag(
            "p",
            plain(f"The page shows the first {shown:,} rows of {whole:,}; all stand in an export (-w out.jsonl)."),
            cls="more",
        )


def evidence_section(anchors: Anchors) -> Iterator[Html]:
    """Yield the best pieces of evidence of each row, folded away on a screen."""
    yield tag(
        "p",
        plain(
            "Up to five pieces for each row above, best first. A name is what the client said it wanted: that is"
            " evidence, not truth. Packets count from 1 in their capture file."
        ),
        cls="note",
    )
    terms = (joined((tag("dt", code(kind)), tag("dd", plain(words)))) for kind, words in KIND_WORDS.items())
    yield tag(
        "details",
        tag("summary", plain("What the kinds of evidence mean, strongest first")),
        tag("dl", *terms, cls="terms"),
    )
    if not anchors.details:
        yield tag("p", plain("There is none: no app and no owner was recognised."))
    yield from anchors.details
    yield more(anchors.cut, "rows whose evidence has no room here; it stands in an export (-w out.jsonl)")


def pieces_table(caption: Html, pieces: Iterable[Mapping[str, Any]]) -> Html:
    """Return a table of evidence as the contract has it: kind, value, time (text), packet, rule."""
    return table(
        caption,
        PIECE_COLUMNS,
        (
            Row(
                (
                    code(piece["kind"]),
                    code(piece["value"]),
                    plain(moment(piece["time"])),
                    plain(count(piece["packet"])),
                    code(piece["rule"]) if piece["rule"] else plain("-"),
                )
            )
            for piece in pieces
        ),
    )


def as_records(pieces: Sequence[Evidence]) -> list[dict[str, Any]]:
    """Return pieces with their times as text."""
    times = time_texts(np.array([piece.time for piece in pieces], np.int64))
    return [{**piece._asdict(), "time": time} for piece, time in zip(pieces, times, strict=True)]


def _details(facts: Facts, group: Group, at: int) -> Html:
    best = facts.tally.evidence[group.who].best
    what = joined((facts.who(group.who), plain(" on "), facts.device(group.who.device_id)))
    pieces = pieces_table(plain("Best first."), as_records(best))
    return Html(
        f"<details><summary>{what}: {count(len(best))} {'piece' if len(best) == 1 else 'pieces'}</summary>"
        f'<div id="e{at}">{pieces}</div></details>\n'
    )


def _sums(facts: Facts, device_id: str | None) -> str:
    row = facts.devices.get(device_id)
    if row is None:
        return "nothing seen"
    sent, received = size(row["bytes_out"]), size(row["bytes_in"])
    return f"{sent} sent, {received} received, {moment(row['first'])} to {moment(row['last'])} UTC"


def _verdict_of(facts: Facts, device_id: str | None) -> Iterator[Html]:
    for one in facts.verdict["devices"] if facts.verdict else ():
        if one["device_id"] == device_id:
            yield plain(" ")
            yield badge(one["verdict"], one["verdict"] if one["verdict"] in MARKS else "INCONCLUSIVE")


def _row(facts: Facts, anchors: Anchors, group: Group) -> Row:
    return Row(
        (
            _app(facts, group),
            _owner(facts, group),
            plain(size(group.out)),
            plain(size(group.back)),
            plain(count(group.flows)),
            plain(count(group.lookups)),
            _roles(group),
            _servers(group),
            _evidence(facts, anchors, group),
        )
    )


def _app(facts: Facts, group: Group) -> Html:
    parts = [facts.who(group.who)]
    if group.app is not None and group.app["app_kind"] != "app":
        parts.append(tag("small", plain(_kind(group.app["app_kind"]))))
    if group.who in facts.violations:
        rules = ", ".join(str(one["forbid"]) for one in facts.violations[group.who])
        parts.append(tag("div", badge("FAIL", f"forbidden, rule {rules}"), cls="small"))
    return joined(parts)


def _kind(kind: object) -> str:
    return {
        "sdk": "SDK; which app is unknown",
        "platform": "platform service",
        "infra": "shared infrastructure, no app",
    }.get(str(kind), "")


def _owner(facts: Facts, group: Group) -> Html:
    who = group.who.owner_id
    if group.owner is None or who is None:
        return plain("-")
    control = joined((plain(" \u2192 "), short(group.owner["control_country"] or "unknown")))
    at = facts.owner_at.get(who)
    basis = tag("small", link(f"o{at}", "basis")) if at is not None else NOTHING
    return joined((wire(group.owner["owner"], NAME_WIDTH), control, basis))


def _by(group: Group, key: str, worth: Callable[[Mapping[str, Any]], int]) -> list[tuple[str, int]]:
    sums: dict[str, int] = {}
    for row in group.rows:
        if row[key] and row["flows"]:
            sums[row[key]] = sums.get(row[key], 0) + worth(row)
    return sorted(sums.items(), key=lambda item: (-item[1], item[0]))


def _both(row: Mapping[str, Any]) -> int:
    return int(row["bytes_out"]) + int(row["bytes_in"])


def _roles(group: Group) -> Html:
    """Say for what the bytes were, both ways together."""
    found = _by(group, "role", _both)
    total = group.out + group.back
    parts = [
        joined((short(role), plain(f" {size(octets)} ({_percent(octets, total)})")))
        for role, octets in found[:ROLES_SHOWN]
    ]
    if len(found) > ROLES_SHOWN:
        parts.append(plain(f"and {len(found) - ROLES_SHOWN} more"))
    return joined(tag("div", part, cls="role") for part in parts) or plain("-")


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f}{GAP}%" if whole else "-"


def _servers(group: Group) -> Html:
    found = [place for place, _ in _by(group, "server_country", _both)]
    if not found:
        return plain("-")
    rest = len(found) - COUNTRIES_SHOWN
    return joined((*map(short, found[:COUNTRIES_SHOWN]), *([plain(f"and {rest} more")] if rest > 0 else [])), " ")


def _evidence(facts: Facts, anchors: Anchors, group: Group) -> Html:
    if group.nameless:
        return plain("none")
    kept = facts.tally.evidence.get(group.who)
    if kept is None or not kept.best:
        return plain("none kept")
    best = kept.best[0]
    about = joined((short(best.kind), plain(f", packet {best.packet:,}")))
    anchor = anchors.of.get(group.who)
    rest = joined((plain(", "), link(anchor, "details"))) if anchor else NOTHING
    return joined((code(best.value), tag("small", about, rest)))
