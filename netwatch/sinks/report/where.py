"""Owners and the countries that control them, countries of servers, and traffic over time."""

from collections.abc import Iterator
from typing import Final

from netwatch.sinks.encode import time_text
from netwatch.sinks.report.charts import bar, strip
from netwatch.sinks.report.facts import OWNERS_SHOWN, Facts, Record
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
    short,
    size,
    table,
    tag,
    wire,
)
from netwatch.sinks.report.tally import Somewhere
from netwatch.sinks.report.timeline import OTHER

SENT: Final = (Column("Sent", number=True), Column("Share of all sent", number=True), Column("Sent, as a bar"))
RECEIVED: Final = Column("Received", number=True)
COUNTRIES_SHOWN: Final = 60
REGISTERED_SHOWN: Final = 4
STRIPS_SHOWN: Final = 12
NAME_WIDTH: Final = 60


def owners_section(facts: Facts) -> Iterator[Html]:
    """Yield the control countries, then the owners."""
    by_control: dict[str, list[int]] = {}
    for row in facts.summary["owners"]:
        _add(by_control, row["control_country"] or "not known of the owner", row)
    known = [sum(sums[i] for sums in by_control.values()) for i in (0, 1)]
    rest = facts.out - known[0], facts.back - known[1]
    rows = [
        _bars(facts, short(name), out, back, plain(count(owners)))
        for name, (out, back, owners) in sorted(
            by_control.items(), key=lambda item: (-item[1][0], -item[1][1], item[0])
        )
    ]
    shown = rows[:COUNTRIES_SHOWN]
    shown.append(_bars(facts, plain("No owner known"), *rest, plain("-")))
    yield table(
        plain("Countries that control an owner (the question of this report), not where a server stands."),
        (Column("Control country"), *SENT, RECEIVED, Column("Owners", number=True)),
        shown,
    )
    yield more(len(rows) - COUNTRIES_SHOWN, "countries")
    owners = facts.owner_rows
    if owners:
        yield table(
            plain(
                "Owners. The basis names the file of the catalogue where domicile, control, dates and sources stand."
            ),
            (Column("Owner", wide=True), Column("Control"), Column("Domicile"), *SENT, RECEIVED, Column("Basis")),
            (_owner(facts, row, at) for at, row in enumerate(owners[:OWNERS_SHOWN])),
        )
        yield more(len(owners) - OWNERS_SHOWN, "owners")


def servers_section(facts: Facts) -> Iterator[Html]:
    """Yield the countries where servers seem to be, with those where their blocks are registered."""
    yield tag(
        "p",
        plain(
            "An estimate from the address alone. It says nothing about who controls the owner. An anycast address is in"
            " many places at once and has none here. Where the block is registered is a fact of paper, not a place."
        ),
        cls="note",
    )
    sums: dict[str, list[int]] = {}
    registered: dict[str, dict[str, int]] = {}
    for place, (_, out, back) in facts.tally.places.items():
        name = _place(place)
        total = sums.setdefault(name, [0, 0])
        total[0] += out
        total[1] += back
        if place.registration_country:
            beside = registered.setdefault(name, {})
            beside[place.registration_country] = beside.get(place.registration_country, 0) + out + back
    ranked = sorted(sums.items(), key=lambda item: (-item[1][0], -item[1][1], item[0]))
    yield table(
        plain("Countries of servers."),
        (Column("Server country"), *SENT, RECEIVED, Column("Blocks registered in")),
        (
            _bars(facts, short(name), out, back, _registered(registered.get(name, {})))
            for name, (out, back) in ranked[:COUNTRIES_SHOWN]
        ),
    )
    yield more(len(ranked) - COUNTRIES_SHOWN, "countries")


def timeline_section(facts: Facts) -> Iterator[Html]:
    """Yield a strip of bars for each control country, sent and received."""
    bins = facts.tally.timeline.bins()
    if bins is None:
        yield tag("p", plain("No flow, so no time to show."))
        return
    count_of = max(values.shape[1] for values in bins.rows.values()) if bins.rows else 0
    first, last = (_time(at) for at in (bins.first, bins.first + bins.width * count_of))
    width = duration(bins.width / 10**9) if bins.width >= 10**8 else f"{bins.width / 10**6:.1f} ms"
    yield tag(
        "p",
        plain(
            f"By control country, from {first} (left) to {last} UTC (right); each bar is {width}. Every strip has its"
            " own scale: its highest bar is said below it. The bytes of a flow are spread evenly over its life."
        ),
        cls="note",
    )
    one_day = first[:10] == last[:10]
    rows = []
    for name, values in list(bins.rows.items())[:STRIPS_SHOWN]:
        cells = []
        for way, cls in enumerate(("sent", "received")):
            row = [float(value) for value in values[way]]
            total, peak = int(sum(row)), max(row)
            at = _time(bins.first + bins.width * row.index(peak))
            when = f" at {at[11:] if one_day else at}" if peak else ""
            told = f"{size(total)} {cls}, highest bar {size(int(peak))}{when}"
            cells.append(joined((strip(row, cls, told), tag("small", plain(told)))))
        label = "no owner known" if name is None else "further countries" if name == OTHER else name
        rows.append(Row((short(label), *cells)))
    yield table(plain("Traffic over time."), (Column("Control country"), Column("Sent"), Column("Received")), rows)
    yield more(len(bins.rows) - STRIPS_SHOWN, "countries")


def _time(at: int) -> str:
    """Write a time; bins may begin before and end after what a time can say."""
    return moment(time_text(min(max(at, -(2**63) + 1), 2**63 - 1)))


def _add(sums: dict[str, list[int]], name: str, row: Record) -> None:
    total = sums.setdefault(name, [0, 0, 0])
    total[0] += row["bytes_out"]
    total[1] += row["bytes_in"]
    total[2] += 1


def _bars(facts: Facts, name: Html, out: int, back: int, last: Html) -> Row:
    cells = (plain(size(out)), plain(share(out, facts.out)), bar(out, facts.out), plain(size(back)), last)
    return Row((name, *cells))


def _owner(facts: Facts, row: Record, at: int) -> Row:
    out = row["bytes_out"]
    return Row(
        (
            wire(row["owner"], NAME_WIDTH),
            short(row["control_country"] or "unknown"),
            short(row["domicile"] or "unknown"),
            plain(size(out)),
            plain(share(out, facts.out)),
            bar(out, facts.out),
            plain(size(row["bytes_in"])),
            code(f"signatures/{row['owner_id']}/_company.toml"),
        ),
        f"o{at}",
    )


def _place(place: Somewhere) -> str:
    if place.anycast:
        return "anycast, no place"
    return place.server_country or "local, or no estimate"


def _registered(sums: dict[str, int]) -> Html:
    ranked = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    parts = [joined((short(country), plain(f" {size(octets)}"))) for country, octets in ranked[:REGISTERED_SHOWN]]
    rest = len(ranked) - REGISTERED_SHOWN
    return joined((joined(parts, ", "), plain(f" and {rest} more" if rest > 0 else ""))) if ranked else plain("-")
