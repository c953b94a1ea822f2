"""The catalogue as one page of Markdown: owners by the country that controls them, each with its apps."""

from collections.abc import Iterator
from typing import Final

from netwatch.attribution.catalogue import Catalogue, Ownership, holds
from netwatch.attribution.documents import AppData, AppFile, Company, Control, Endpoint, Investor, Network, Parent
from netwatch.cli.verdicts.markdown import plain

LAST_DAY: Final = "9999-12-31"  # the rows that hold now
UNKNOWN: Final = "Not known"
HEAD: Final = ("Owner", "Domicile", "Control since", "Basis", "Apps", "Sources")


def page(catalogue: Catalogue) -> str:
    """Write the page; the same files make the same bytes, whatever the day."""
    return "".join(f"{line}\n" for line in _lines(catalogue))


def _lines(catalogue: Catalogue) -> Iterator[str]:
    counts = catalogue.counts
    yield f"# Catalogue {catalogue.version}"
    yield ""
    yield f"{counts.apps} apps and SDKs, {counts.owners} owners, {counts.endpoints} endpoints."
    yield "Made by `netwatch signatures page`; do not edit."
    apps: dict[str, list[AppFile]] = {}
    for _, file in catalogue.documents.apps.values():
        apps.setdefault(file.app.company, []).append(file)
    countries: dict[str, list[tuple[Company, Ownership]]] = {}
    for company in catalogue.documents.companies.values():
        owned = catalogue.owner_on(company.id, LAST_DAY)
        if owned is not None:
            countries.setdefault(owned.control_country or UNKNOWN, []).append((company, owned))
    for country, rows in sorted(countries.items(), key=lambda item: (item[0] == UNKNOWN, item[0])):
        yield ""
        yield f"## {country}"
        yield ""
        yield f"| {' | '.join(HEAD)} |"
        yield f"|{' --- |' * len(HEAD)}"
        for company, owned in sorted(rows, key=lambda row: (row[0].name.lower(), row[0].id)):
            files = sorted(apps.get(company.id, ()), key=lambda file: (file.app.name.lower(), file.app.id))
            yield f"| {' | '.join(_cells(catalogue, company, owned, files))} |"


def _cells(catalogue: Catalogue, company: Company, owned: Ownership, files: list[AppFile]) -> Iterator[str]:
    above = "" if owned.ultimate_id == company.id else f", part of {plain(owned.ultimate_owner)}"
    yield f"{plain(company.name)}{above}"
    yield owned.domicile or "?"
    row = _row(catalogue, company, owned)
    yield row.since if row else ""
    yield plain(row.basis) if row else ""
    yield "<br>".join(_app(file) for file in files)
    yield str(len(set(_sources(company, files))))


def _row(catalogue: Catalogue, company: Company, owned: Ownership) -> Control | None:
    """Return the row that counts now: the owner's own, else its nearest parent's."""
    for identifier in (company.id, *owned.ancestors):
        rows = catalogue.documents.companies[identifier].control
        valid = [row for row in rows if row.region == "*" and holds(row.since, row.until, LAST_DAY)]
        if valid:
            return max(valid, key=lambda row: row.since)
    return None


def _app(file: AppFile) -> str:
    count = len(file.endpoint)
    roles = sorted({row.role for row in file.endpoint} | {row.role for row in file.label_role})
    named = f": {', '.join(roles)}" if roles else ""
    return f"{plain(file.app.name)} ({file.app.kind}), {count} {'endpoint' if count == 1 else 'endpoints'}{named}"


def _sources(company: Company, files: list[AppFile]) -> Iterator[str]:
    rows: list[Parent | Control | Investor] = [*company.parents, *company.control, *company.investor]
    for row in rows:
        yield from row.sources
    for file in files:
        parts: list[AppData | Endpoint | Network] = [*file.app.data, *file.endpoint, *file.network]
        for part in parts:
            yield from part.sources
