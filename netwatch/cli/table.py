"""The summary as a page that a person likes to read: apps by device, what could not be seen, the ledger."""

from collections.abc import Iterator
from typing import Any, Final, TextIO

from netwatch.model.text import display

WIDTH_WITHOUT_TERMINAL: Final = 110
BLIND_TEXT: Final = {
    "ech": "the name is hidden by Encrypted ClientHello",
    "doh": "DNS over HTTPS: look-ups are hidden",
    "dot": "DNS over TLS: look-ups are hidden",
    "vpn": "inside a VPN or tunnel",
    "no_handshake": "joined mid-way: the hello was before the capture",
    "no_name_offered": "a hello without a name",
    "snaplen_cut": "the capture cut packets before the name",
    "encrypted_unknown": "encrypted, and no name was seen",
    "ip_only": "an address and nothing else",
    "undecryptable": "a QUIC hello that could not be opened",
}
UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")
Row = dict[str, Any]


def size(count: int) -> str:
    """Write bytes as `8.2 kB`, three figures at most."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return (
        f"{count} B" if unit == 0 else f"{value:.1f} {UNITS[unit]}" if value < 99.95 else f"{value:.0f} {UNITS[unit]}"
    )


def print_summary(summary: dict[str, Any], out: TextIO, *, colour: bool) -> None:
    """Print a summary record (DESIGN section 4) as tables."""
    from rich.console import Console

    width = None if out.isatty() else WIDTH_WITHOUT_TERMINAL
    console = Console(
        file=out, width=width, no_color=not colour, force_terminal=colour or None, highlight=False, markup=False,
        emoji=False, soft_wrap=False,
    )  # fmt: skip
    for line in _captures(summary):
        console.print(line)
    _apps(console, summary)
    _blind(console, summary)
    console.print()
    for line in _ledger(summary):
        console.print(line)


def _captures(summary: dict[str, Any]) -> Iterator[str]:
    for capture in summary["captures"]:
        span = ""
        if capture["first"] is not None:
            first, last = capture["first"][:19].replace("T", " "), capture["last"][:19].replace("T", " ")
            span = f", {first} to {last[11:] if first[:10] == last[:10] else last} UTC"
        partial = "" if capture["complete"] else ", NOT COMPLETE"
        yield f"{display(capture['name'])}: {capture['format']}, {capture['packets']:,} packets{span}{partial}"


def _apps(console: Any, summary: dict[str, Any]) -> None:
    from rich.table import Table

    if not summary["devices"]:
        console.print("\nNo flow: nothing here talked over IP.")
        return
    apps = {row["app_id"]: row for row in summary["apps"]}
    owners = {row["owner_id"]: row for row in summary["owners"]}
    for device in summary["devices"]:
        console.print()
        console.print(_heading(device), style="bold")
        table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        table.add_column("  App", no_wrap=True)
        table.add_column("Owner → control", no_wrap=True)
        table.add_column("Role")
        table.add_column("Servers in")
        table.add_column("Sent", justify="right", no_wrap=True)
        table.add_column("Received", justify="right", no_wrap=True)
        table.add_column("Flows", justify="right", no_wrap=True)
        table.add_column("Evidence (flows)")
        for group in _groups(summary["cross"], device["device_id"]):
            table.add_row(*_cells(group, apps, owners))
        console.print(table)


def _heading(device: Row) -> str:
    identifier = device["device_id"] or "(further devices)"
    vendor = display(device["device_vendor"]) if device["device_vendor"] else ""
    about = ", ".join(part for part in (identifier, vendor) if part)
    return f"{display(device['device_name'])} ({about})" if device["device_name"] else about


def _groups(cross: list[Row], device_id: str | None) -> list[list[Row]]:
    """Rows of one device, those of one app (else owner) together; by bytes, unnamed ones last."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in cross:
        if row["device_id"] == device_id:
            groups.setdefault((row["app_id"] or "", row["owner_id"] or ""), []).append(row)
    ordered = sorted(groups.items(), key=lambda item: (item[0] == ("", ""), -_total(item[1]), item[0]))
    return [rows for _, rows in ordered]


def _total(rows: list[Row]) -> int:
    return sum(row["bytes_out"] + row["bytes_in"] for row in rows)


def _cells(rows: list[Row], apps: dict[str, Row], owners: dict[str, Row]) -> list[str]:
    app, owner = apps.get(rows[0]["app_id"]), owners.get(rows[0]["owner_id"])
    flows = sum(row["flows"] for row in rows)
    lookups = sum(row["lookups"] for row in rows)
    if app is not None:
        kind = app["app_kind"]
        name = display(app["app"]) + (f" ({kind})" if kind != "app" else "")
    else:
        name = f"({display(owner['owner'])} network)" if owner else "(not in the catalogue)"
    evidence: dict[str, int] = {}
    for row in rows:
        for kind, count in row["evidence"].items():
            evidence[kind] = evidence.get(kind, 0) + count
    seen = ", ".join(f"{kind} {count}" for kind, count in sorted(evidence.items(), key=lambda item: -item[1]))
    if not flows and lookups:
        seen = f"looked up {lookups} times, no flow"
    countries = sorted({row["server_country"] for row in rows if row["server_country"]})
    return [
        "  " + name,
        f"{display(owner['owner'])} → {owner['control_country'] or '?'}" if owner else "",
        ", ".join(dict.fromkeys(row["role"] for row in rows if row["role"])),
        " ".join(countries) or "-",
        size(sum(row["bytes_out"] for row in rows)),
        size(sum(row["bytes_in"] for row in rows)),
        f"{flows:,}",
        seen or "-",
    ]


def _blind(console: Any, summary: dict[str, Any]) -> None:
    coverage = summary["coverage"]
    console.print()
    if coverage["named_share"] is None:
        console.print("Could not see: no flow left the local network.", style="bold")
        return
    console.print(
        f"Could not see: {coverage['bytes'] - coverage['named_bytes']:,} of {coverage['bytes']:,} bytes to the outside "
        f"have no name ({coverage['named_share']:.1%} named)",
        style="bold",
    )
    for reason, row in sorted(coverage["by_blind"].items(), key=lambda item: (-item[1]["bytes"], item[0])):
        console.print(f"  {reason:<18} {row['flows']:>6,} flows {size(row['bytes']):>9}  {BLIND_TEXT[reason]}")
    console.print(
        "  A name is what the client claimed; not seen is never not installed; a server's place is not its owner's."
    )


def _ledger(summary: dict[str, Any]) -> Iterator[str]:
    ledger = summary["ledger"]
    states = ", ".join(f"{ledger[state]:,} {state}" for state in ("ok", "non_ip", "malformed", "truncated", "too_deep"))
    flows = f"{ledger['in_flows']:,} in {ledger['flows_created']:,} flows"
    yield f"Ledger: {ledger['seen']:,} packets seen = {states}; {flows}"
    dropped = {name: ledger[name] for name in ("kernel_dropped", "queue_dropped", "export_dropped") if ledger[name]}
    for name, count in dropped.items():
        yield f"        {name} {count:,}"
    if ledger["anomalies"]:
        worst = sorted(ledger["anomalies"].items(), key=lambda item: (-item[1], item[0]))
        listed = ", ".join(f"{name} {count:,}" for name, count in worst[:6])
        yield f"        anomalies: {listed}" + (f" and {len(worst) - 6} more kinds" if len(worst) > 6 else "")
    catalogue = summary["catalogue"]
    used = "; ".join(
        f"{base['use'].replace('_', ' ')} {display(base['name'])} {base['date']}" for base in summary["databases"]
    )
    counts = ", ".join(f"{catalogue[what]:,} {what}" for what in ("apps", "owners", "endpoints"))
    yield f"Catalogue {catalogue['version']}: {counts}" + (f"; {used}" if used else "")
