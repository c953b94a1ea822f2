"""The summary as a page that a person likes to read: apps by device, what could not be seen, the ledger."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, TextIO

from netwatch.model.figures import size
from netwatch.model.text import display
from netwatch.places.device import is_random

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
HEAD: Final = ("App", "Owner → control", "Servers", "Sent", "Received", "Evidence, flows")
WIDTHS: Final = (28, 26, 11, 8, 8, 44)
RIGHT: Final = frozenset((3, 4))
STYLES: Final = {"bold": "\x1b[1m", "dim": "\x1b[2m"}
PLAIN: Final = "\x1b[0m"
Row = dict[str, Any]


def print_summary(summary: Row, out: TextIO, *, colour: bool) -> None:
    """Print a summary record (DESIGN section 4) as a page."""
    page = Page(out, colour=colour)
    for line in _captures(summary):
        page.line(line)
    _apps(page, summary)
    _blind(page, summary)
    page.line()
    for line in _ledger(summary):
        page.line(line)


class Page:
    """Lines on a terminal or in a file; style only where colour is wanted."""

    def __init__(self, out: TextIO, *, colour: bool) -> None:
        self._out = out
        self._colour = colour

    def line(self, text: str = "", style: str = "") -> None:
        """Write one line in a style of STYLES."""
        text = text.rstrip()
        if self._colour and style:
            text = f"{STYLES[style]}{text}{PLAIN}"
        self._out.write(text + "\n")

    def table(self, head: Sequence[str], rows: Sequence[tuple[Sequence[str], str]]) -> None:
        """Write rows of cells in columns, each with a note below it where it has one."""
        cells = [[_fit(cell, width) for cell, width in zip(row, WIDTHS, strict=True)] for row, _ in rows]
        widths = [max(len(row[i]) for row in (head, *cells)) for i in range(len(head))]
        self.line(_joined(head, widths), "dim")
        for row, (_, note) in zip(cells, rows, strict=True):
            self.line(_joined(row, widths))
            if note:
                self.line(f"      {note}", "dim")


def _fit(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    fitted = (
        text.rjust(width) if i in RIGHT else text.ljust(width)
        for i, (text, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  " + "  ".join(fitted)


def _captures(summary: Row) -> Iterator[str]:
    for capture in summary["captures"]:
        span = ""
        if capture["first"] is not None:
            first, last = capture["first"][:19].replace("T", " "), capture["last"][:19].replace("T", " ")
            span = f", {first} to {last[11:] if first[:10] == last[:10] else last} UTC"
        partial = "" if capture["complete"] else ", NOT COMPLETE"
        yield f"{display(capture['name'])}: {capture['format']}, {capture['packets']:,} packets{span}{partial}"


def _apps(page: Page, summary: Row) -> None:
    if not summary["devices"]:
        page.line()
        page.line("No flow: nothing here talked over IP.")
        return
    apps = {row["app_id"]: row for row in summary["apps"]}
    owners = {row["owner_id"]: row for row in summary["owners"]}
    for device in summary["devices"]:
        page.line()
        page.line(_heading(device), "bold")
        rows: list[tuple[Sequence[str], str]] = []
        infra: list[str] = []
        for group in _groups(summary["cross"], device["device_id"]):
            app = apps.get(group[0]["app_id"])
            if app is not None and app["app_kind"] == "infra":
                if _total(group):
                    infra.append(f"{display(app['app'])} {size(_total(group))}")
            else:
                rows.append((_cells(group, app, owners.get(group[0]["owner_id"])), _roles(group)))
        if rows:
            page.table(HEAD, rows)
        if infra:
            page.line(f"  Shared infrastructure, no app: {', '.join(infra)}", "dim")


def _heading(device: Row) -> str:
    identifier = device["device_id"] or "(further devices)"
    vendor = display(device["device_vendor"]) if device["device_vendor"] else ""
    if identifier.startswith("mac:") and is_random(int(identifier[4:].replace(":", ""), 16)):
        vendor = "randomised address"
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


def _cells(rows: list[Row], app: Row | None, owner: Row | None) -> list[str]:
    if app is not None:
        kind = "" if app["app_kind"] == "app" else f" ({app['app_kind']})"
        name = display(app["app"]) + kind
    else:
        name = f"({display(owner['owner'])} network)" if owner else "(not in the catalogue)"
    countries = sorted({row["server_country"] for row in rows if row["server_country"]})
    return [
        name,
        f"{display(owner['owner'])} → {owner['control_country'] or '?'}" if owner else "",
        " ".join(countries) or "-",
        size(sum(row["bytes_out"] for row in rows)),
        size(sum(row["bytes_in"] for row in rows)),
        _evidence(rows),
    ]


def _evidence(rows: list[Row]) -> str:
    flows = sum(row["flows"] for row in rows)
    if not flows:
        return f"looked up {sum(row['lookups'] for row in rows):,}x, no flow"
    counts: dict[str, int] = {}
    for row in rows:
        for kind, count in row["evidence"].items():
            counts[kind] = counts.get(kind, 0) + count
    kinds = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if not rows[0]["app_id"] and not rows[0]["owner_id"]:
        return f"{flows:,} flows"
    return ", ".join(f"{kind} {count:,}" for kind, count in kinds)


def _roles(rows: list[Row]) -> str:
    """Say for what the bytes were, where more is known than one thing."""
    total = _total(rows)
    share: dict[str, int] = {}
    for row in rows:
        if row["role"] and row["flows"]:
            share[row["role"]] = share.get(row["role"], 0) + row["bytes_out"] + row["bytes_in"]
    if not share or not total:
        return ""
    ordered = sorted(share.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{role} {count / total:.0%}" for role, count in ordered)


def _blind(page: Page, summary: Row) -> None:
    coverage = summary["coverage"]
    page.line()
    if coverage["named_share"] is None:
        page.line("Could not see: no flow left the local network.", "bold")
        return
    page.line(
        f"Could not see: {coverage['bytes'] - coverage['named_bytes']:,} of {coverage['bytes']:,} bytes to the outside "
        f"have no name ({coverage['named_share']:.1%} named)",
        "bold",
    )
    for reason, row in sorted(coverage["by_blind"].items(), key=lambda item: (-item[1]["bytes"], item[0])):
        page.line(f"  {reason:<18} {row['flows']:>6,} flows {size(row['bytes']):>9}  {BLIND_TEXT[reason]}")
    page.line(
        "  A name is what the client claimed; not seen is never not installed; a server's place is not its owner's."
    )


def _ledger(summary: Row) -> Iterator[str]:
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
