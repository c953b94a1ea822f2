"""The verdict: what was forbidden and seen, what keeps it from a PASS, what would settle it."""

from collections.abc import Iterator
from typing import Any, Final

from netwatch.sinks.report.apps import badge, pieces_table
from netwatch.sinks.report.facts import Facts, Record
from netwatch.sinks.report.markup import (
    NOTHING,
    Column,
    Html,
    Row,
    code,
    count,
    joined,
    moment,
    more,
    plain,
    sentence,
    share,
    short,
    size,
    table,
    tag,
    wire,
)
from netwatch.sinks.report.tally import Who
from netwatch.sinks.report.words import LEADS, MARKS, NOT_SEEN, VIA_WORDS

DEVICE_COLUMNS: Final = (
    Column("Device"),
    Column("Verdict"),
    Column("Forbidden, seen", number=True),
    Column("Named bytes", number=True),
    Column("Bytes to the outside", number=True),
)
VIOLATION_COLUMNS: Final = (
    Column("What", wide=True),
    Column("Rule", number=True),
    Column("Control"),
    Column("Seen as"),
    Column("Confidence"),
    Column("Sent", number=True),
    Column("Received", number=True),
    Column("Flows", number=True),
    Column("Look-ups", number=True),
    Column("First (UTC)"),
)
LIMIT_COLUMNS: Final = (Column("Device"), Column("Bytes", number=True), Column("What was not seen", wide=True))
SHOWN: Final = 100  # devices, violations, reasons, limits each
HEADLINES: Final = 5
EVIDENCE_SHOWN: Final = 40  # violations whose evidence is listed
PIECES_SHOWN: Final = 5


def verdict_word(verdict: Record) -> str:
    """Return one of the three words."""
    word = str(verdict["verdict"])
    return word if word in MARKS else "INCONCLUSIVE"


def head(facts: Facts, verdict: Record) -> Iterator[Html]:
    """Yield the verdict in a word, what broke the policy, and the policy with its source."""
    word = verdict_word(verdict)
    policy = verdict["policy"]
    yield tag("h1", plain("Policy check: "), badge(word, word), cls="verdict")
    yield tag("p", tag("strong", plain(LEADS[word])), plain(" "), plain(_count(verdict)))
    broken = _broken(verdict)
    if broken:
        yield tag("ul", *(_headline(facts, *one) for one in broken[:HEADLINES]))
        yield more(len(broken) - HEADLINES, "in the table below")
    date = joined((plain(", "), plain("of "), wire(policy["date"]))) if policy["date"] else NOTHING
    yield tag(
        "p",
        plain("Policy: "),
        wire(policy["title"]),
        plain(" ("),
        code(policy["id"]),
        date,
        plain("), read from "),
        code(policy["source"]),
        plain("."),
    )
    yield tag("p", plain(NOT_SEEN), cls="soft")


def verdict_section(facts: Facts, verdict: Record) -> Iterator[Html]:
    """Yield devices, violations with their evidence, reasons with what would settle them, and limits."""
    devices = sorted(verdict["devices"], key=lambda one: list(MARKS).index(verdict_word(one)))
    if devices:
        yield table(
            plain("Judged devices. Enough bytes must have a name before nothing seen can be a PASS."),
            DEVICE_COLUMNS,
            (_device(facts, one) for one in devices[:SHOWN]),
        )
        yield more(len(devices) - SHOWN, "devices")
    else:
        yield tag("p", plain("No device could be judged."))
    yield from _violations(facts, verdict)
    yield from _reasons(facts, verdict)
    yield from _limits(facts, verdict)
    yield from _self_test(verdict)


def _broken(verdict: Record) -> list[tuple[str, Record]]:
    return [(one["device_id"], violation) for one in verdict["devices"] for violation in one["violations"]]


def _headline(facts: Facts, device_id: str, one: Record) -> Html:
    asked = f"looked up {count(one['lookups'])} times, no connection"
    sent = f"{size(one['bytes_out'])} sent" if one["flows"] else asked
    control = (
        joined((plain(", controlled from "), short(one["control_country"]))) if one["control_country"] else NOTHING
    )
    return tag("li", tag("strong", _what(facts, device_id, one)), control, plain(f": {sent}"))


def _count(verdict: Record) -> str:
    words = [verdict_word(one) for one in verdict["devices"]]
    parts = [f"{words.count(word):,} {word}" for word in MARKS if word in words]
    return f"Devices judged: {len(words):,} ({', '.join(parts)})." if parts else "No device could be judged."


def _device(facts: Facts, one: Record) -> Row:
    coverage = one["coverage"]
    word = verdict_word(one)
    name = joined((_name(facts, one), tag("small", facts.device_about(one["device_id"]))))
    return Row(
        (
            name,
            badge(word, word),
            plain(count(len(one["violations"]))),
            plain(share(coverage["named_bytes"], coverage["bytes"])),
            plain(size(coverage["bytes"])),
        )
    )


def _name(facts: Facts, one: Record) -> Html:
    return facts.device(one["device_id"]) if one["device_id"] in facts.devices else wire(one["device_id"])


def _violations(facts: Facts, verdict: Record) -> Iterator[Html]:
    found = _broken(verdict)
    if not found:
        return
    yield tag("h3", plain("Forbidden, and seen"))
    yield table(
        plain("Rule counts the [[forbid]] entries of the policy from 1."),
        VIOLATION_COLUMNS,
        (_violation(facts, device_id, one) for device_id, one in found[:SHOWN]),
    )
    yield more(len(found) - SHOWN, "violations")
    for device_id, one in found[:EVIDENCE_SHOWN]:
        what = _what(facts, device_id, one)
        pieces = one["evidence"]
        yield Html(
            f"<details open><summary>Evidence: {what}, rule {count(one['forbid'])}</summary>"
            f"{pieces_table(plain('Best first.'), pieces[:PIECES_SHOWN])}"
            f"{more(len(pieces) - PIECES_SHOWN, 'pieces')}</details>\n"
        )


def _what(facts: Facts, device_id: str, one: Record) -> Html:
    who = Who(device_id, one["app_id"], one["owner_id"])
    known = who.app_id in facts.apps or who.owner_id in facts.owners
    name = facts.who(who) if known else wire(who.app_id or who.owner_id or "unknown")
    return joined((name, plain(" on "), facts.device(device_id)))


def _violation(facts: Facts, device_id: str, one: Record) -> Row:
    return Row(
        (
            _what(facts, device_id, one),
            plain(count(one["forbid"])),
            short(one["control_country"] or "unknown"),
            plain(VIA_WORDS.get(one["via"], "unknown")),
            short(one["confidence"] or "unknown"),
            plain(size(one["bytes_out"])),
            plain(size(one["bytes_in"])),
            plain(count(one["flows"])),
            plain(count(one["lookups"])),
            plain(moment(one["first"])),
        )
    )


def _reasons(facts: Facts, verdict: Record) -> Iterator[Html]:
    reasons = verdict["reasons"]
    if not reasons:
        return
    yield tag("h3", plain("Why more cannot be said, and what would settle it"))
    yield tag("ol", *(_reason(facts, one) for one in reasons[:SHOWN]), cls="settle")
    yield more(len(reasons) - SHOWN, "reasons")


def _reason(facts: Facts, one: Record) -> Html:
    where = joined((plain(" On "), facts.device(one["device_id"]), plain("."))) if one["device_id"] else NOTHING
    amount = plain(f" {size(one['bytes'])}.") if one["bytes"] else NOTHING
    settle = tag("div", tag("strong", plain("To settle it: ")), sentence(one["settle"]))
    return tag("li", code(one["reason"]), plain(": "), sentence(one["text"]), where, amount, settle)


def _limits(facts: Facts, verdict: Record) -> Iterator[Html]:
    limits: list[dict[str, Any]] = verdict.get("limits") or []
    if not limits:
        return
    yield tag("h3", plain("What could not be seen"))
    yield table(
        plain("Said even where it changes no verdict; in bytes of the flows that it concerns."),
        LIMIT_COLUMNS,
        (
            Row(
                (
                    facts.device(one["device_id"]) if one["device_id"] else plain("all"),
                    plain(size(one["bytes"]) if one["bytes"] else "-"),
                    sentence(one["text"]),
                )
            )
            for one in limits[:SHOWN]
        ),
    )
    yield more(len(limits) - SHOWN, "of them")


def _self_test(verdict: Record) -> Iterator[Html]:
    test = verdict.get("self_test")
    if test:
        yield tag(
            "p",
            plain(f"Self-test of the catalogue: it knew {count(test['matched'])} of {count(test['probes'])} names."),
            cls="note",
        )
