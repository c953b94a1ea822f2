"""What was watched, what could not be seen, how the counts close, and whose data were used."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from netwatch.model.anomalies import ANOMALIES
from netwatch.model.blind import EXPLAINED
from netwatch.sinks.coverage import CLEAR
from netwatch.sinks.report.charts import bar
from netwatch.sinks.report.facts import COUNTED, Facts, Record
from netwatch.sinks.report.markup import (
    Column,
    Html,
    Row,
    code,
    count,
    duration,
    joined,
    moment,
    more,
    plain,
    share,
    size,
    table,
    tag,
    wire,
)
from netwatch.sinks.report.words import ATTRIBUTIONS, USE_WORDS

CAPTURES_SHOWN: Final = 100
STATES: Final = {
    "ok": "read to the end of their headers",
    "non_ip": "no IP inside (ARP, Wi-Fi management and the like)",
    "malformed": "break a rule of their protocol",
    "truncated": "cut off inside a header",
    "too_deep": "more layers of tunnels than are followed",
}
DROPS: Final = {
    "kernel_dropped": "lost before they could be read",
    "queue_dropped": "lost between reading and the engine",
    "export_dropped": "records that could not be written",
}


def tiles(facts: Facts) -> Html:
    """Return the figures that come first."""
    coverage = facts.summary["coverage"]
    kinds = [row["app_kind"] for row in facts.summary["apps"]]
    hidden = coverage["bytes"] - coverage["named_bytes"]
    pairs = (
        ("Devices", count(len(facts.devices)), "with traffic or look-ups"),
        ("Apps and SDKs", count(sum(kind in COUNTED for kind in kinds)), f"of {len(facts.owners):,} owners in all"),
        (
            "Sent",
            size(facts.out),
            f"{len(facts.summary['captures']):,} captures" if len(facts.summary["captures"]) != 1 else "1 capture",
        ),
        ("Received", size(facts.back), f"{facts.summary['ledger']['flows_created']:,} flows"),
        ("Named", share(coverage["named_bytes"], coverage["bytes"]), "of the bytes to the outside"),
        ("Not named", share(hidden, coverage["bytes"]), f"{size(hidden)}: see the blind spots"),
    )
    return tag("dl", *(_tile(*pair) for pair in pairs), cls="tiles")


def _tile(head: str, figure: str, about: str) -> Html:
    return tag("div", tag("dt", plain(head)), tag("dd", plain(figure), tag("small", plain(about))))


def watched_section(facts: Facts) -> Iterator[Html]:
    """Yield the captures and the time that they span."""
    captures = facts.summary["captures"]
    seconds = _seconds(captures)
    if seconds is not None:
        first = min(one["first"] for one in captures if one["first"])
        last = max(one["last"] for one in captures if one["last"])
        packets = sum(one["packets"] for one in captures)
        yield tag(
            "p",
            plain(f"{packets:,} packets from {moment(first)} to {moment(last)} UTC, {duration(seconds)}."),
        )
    else:
        yield tag("p", plain("No packet was seen."))
    columns = (
        Column("Capture"),
        Column("Format"),
        Column("Packets", number=True),
        Column("First (UTC)"),
        Column("Last (UTC)"),
        Column("Read to its end"),
    )
    rows = (
        Row(
            (
                wire(one["name"]),
                wire(one["format"]),
                plain(count(one["packets"])),
                plain(moment(one["first"])),
                plain(moment(one["last"])),
                plain("yes" if one["complete"] else "NO: a part is missing"),
            )
        )
        for one in captures[:CAPTURES_SHOWN]
    )
    yield table(plain("Captures."), columns, rows)
    yield more(len(captures) - CAPTURES_SHOWN, "captures")


def _seconds(captures: list[dict[str, Any]]) -> float | None:
    first = [np.datetime64(one["first"].rstrip("Z"), "ns") for one in captures if one["first"]]
    last = [np.datetime64(one["last"].rstrip("Z"), "ns") for one in captures if one["last"]]
    return float((max(last) - min(first)) / np.timedelta64(1, "s")) if first and last else None


def blind_section(facts: Facts) -> Iterator[Html]:
    """Yield what has no name, in bytes, each reason with a sentence and what would settle it."""
    coverage = facts.summary["coverage"]
    whole = coverage["bytes"]
    if not whole:
        yield tag("p", plain("No flow left the local network, so there was nothing to name."))
        return
    hidden = whole - coverage["named_bytes"]
    yield tag(
        "p",
        plain(
            f"{size(hidden)} of {size(whole)} to the outside have no name that counts ({share(hidden, whole)})."
            " Flows that need none (DNS, NTP, DHCP, ICMP and the like) are left out."
        ),
    )
    sums: dict[str, list[int]] = {why: [one["flows"], one["bytes"]] for why, one in coverage["by_blind"].items()}
    for kind, one in coverage["by_evidence"].items():
        if kind not in CLEAR:
            weak = sums.setdefault("weak_evidence", [0, 0])
            weak[0] += one["flows"]
            weak[1] += one["bytes"]
    columns = (
        Column("Reason"),
        Column("Bytes", number=True),
        Column("Share", number=True),
        Column("As a bar"),
        Column("Flows", number=True),
        Column("What it means, and what would settle it"),
    )
    ranked = sorted(sums.items(), key=lambda item: (-item[1][1], item[0]))
    if ranked:
        yield table(
            plain("Blind spots, of the bytes to the outside."), columns, (_reason(*one, whole) for one in ranked)
        )


def _reason(why: str, sums: list[int], whole: int) -> Row:
    flows, octets = sums
    means, settles = EXPLAINED.get(why, ("No name was seen.", ""))
    return Row(
        (
            code(why),
            plain(size(octets)),
            plain(share(octets, whole)),
            bar(octets, whole),
            plain(count(flows)),
            joined((plain(means), tag("small", plain(settles)))),
        )
    )


def ledger_section(facts: Facts) -> Iterator[Html]:
    """Yield the counters, the law that closes them, and whether it does."""
    ledger = facts.summary["ledger"]
    states = [ledger[state] for state in STATES]
    yield _law("seen", " + ".join(STATES), ledger["seen"], states, "packets")
    yield _law(
        "flows_created", "flows_live + flows_ended", ledger["flows_created"],
        [ledger["flows_live"], ledger["flows_ended"]], "flow records",
    )  # fmt: skip
    rows = [
        Row((code(state), plain(count(ledger[state])), plain(size(ledger[f"bytes_{state}"])), plain(words)))
        for state, words in STATES.items()
    ]
    total = (tag("strong", code("seen")), plain(count(ledger["seen"])), plain(size(ledger["bytes_seen"])), plain("all"))
    flows = (
        code("in_flows"),
        plain(count(ledger["in_flows"])),
        plain(size(ledger["bytes_in_flows"])),
        plain("of ok: counted in a flow"),
    )
    columns = (
        Column("State"),
        Column("Packets", number=True),
        Column("Bytes on the wire", number=True),
        Column("Meaning"),
    )
    yield table(plain("Every packet is in exactly one state."), columns, [*rows, Row(total), Row(flows)])
    lost = [
        Row(
            (
                code(name),
                plain(count(ledger[name]) if ledger[name] is not None else "not told by the input"),
                plain(words),
            )
        )
        for name, words in DROPS.items()
    ]
    yield table(
        plain("Losses, kept apart from the states."),
        (Column("Loss"), Column("Count", number=True), Column("Meaning")),
        lost,
    )
    yield from _anomalies(ledger)


def _law(name: str, parts: str, whole: int, numbers: list[int], what: str) -> Html:
    holds = whole == sum(numbers)
    sums = " + ".join(f"{number:,}" for number in numbers)
    return tag(
        "p",
        code(f"{name} = {parts}"),
        plain(f": {whole:,} = {sums} {what}. "),
        tag(
            "strong",
            plain("\u2713 The account closes." if holds else "\u2717 The account does not close: please report."),
        ),
        cls="law",
    )


def _anomalies(ledger: Record) -> Iterator[Html]:
    found = sorted(ledger["anomalies"].items(), key=lambda item: (-item[1], item[0]))
    if not found:
        yield tag("p", plain("No anomaly: nothing that was parsed broke a rule."))
        return
    rows = (Row((code(name), plain(count(number)), plain(ANOMALIES.get(name, "-")))) for name, number in found)
    listed = table(
        plain("Rules that wire data broke, most often first."),
        (Column("Anomaly"), Column("Count", number=True), Column("Meaning")),
        rows,
    )
    yield tag("details", tag("summary", plain(f"Anomalies: {len(found):,} kinds")), listed)


def sources_section(facts: Facts) -> Iterator[Html]:
    """Yield databases with their dates and licences, the catalogue, and what licences ask to be said."""
    catalogue = facts.summary["catalogue"]
    counts = ", ".join(f"{catalogue[what]:,} {what}" for what in ("apps", "owners", "endpoints"))
    yield tag("p", plain("Catalogue of apps and owners: version "), wire(catalogue["version"]), plain(f", {counts}."))
    databases = facts.summary["databases"]
    columns = (Column("Database"), Column("Tells"), Column("As of"), Column("Licence"))
    yield table(
        plain("Databases that were used; none was asked over the network."),
        columns,
        (
            Row(
                (
                    code(one["name"]),
                    plain(USE_WORDS.get(one["use"], "-")),
                    wire(one["date"] or "unknown"),
                    wire(one["licence"] or "your own database: see its terms"),
                )
            )
            for one in databases
        ),
    )
    owed = [ATTRIBUTIONS[one["name"]] for one in databases if one["licence"] and one["name"] in ATTRIBUTIONS]
    if owed:
        yield tag("ul", *(tag("li", plain(text)) for text in dict.fromkeys(owed)), cls="note")
