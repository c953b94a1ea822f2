"""The catalogue tests itself: every signature file carries names that it must and must not match (DESIGN section 6)."""

from collections.abc import Iterator

from netwatch.attribution.catalogue import App, Catalogue
from netwatch.attribution.compiling import parents_of
from netwatch.attribution.documents import INFRA_ROLES, AppFile, Company, Control, Endpoint, Investor, Parent

_TODAY = "9999-12-31"


def problems(catalogue: Catalogue) -> list[str]:
    """Return one line for each rule that a file breaks, [] for a catalogue that proves itself."""
    documents = catalogue.documents
    out = [line for company in documents.companies.values() for line in _company(company)]
    for path, file in documents.apps.values():
        where = f"signatures/{path}"
        out += [f"{where}: {text}" for text in _test(catalogue, file)]
        out += [f"{where}: {row.name} {text}" for row in file.endpoint for text in _endpoint(catalogue, file, row)]
    return sorted(out)


def _company(company: Company) -> Iterator[str]:
    where = f"signatures/{company.id}/_company.toml"
    if not any(row.region == "*" for row in company.control):
        yield f"{where}: no [[control]] row of region *"
    rows: list[Parent | Control | Investor] = [*company.parents, *company.control, *company.investor]
    for row in rows:
        if row.until is not None and row.since is not None and row.until <= row.since:
            yield f"{where}: a row ends ({row.until}) before it begins ({row.since})"


def _test(catalogue: Catalogue, file: AppFile) -> Iterator[str]:
    if not file.test.match or not file.test.no_match:
        yield "[test] needs names in match and in no_match"
    for name in file.test.match:
        if not _is(catalogue, name, file):
            yield f"[test] {name} is not matched"
    for name in file.test.no_match:
        if _is(catalogue, name, file):
            yield f"[test] {name} is matched"


def _endpoint(catalogue: Catalogue, file: AppFile, row: Endpoint) -> Iterator[str]:
    if not _is(catalogue, row.name, file):
        yield "does not match itself: another file has it"
    for name in (f"look-alike-{row.name}", f"{row.name}.look-alike.example"):
        match = catalogue.match(name)
        if match is not None and match.endpoint == row.name:
            yield f"lets {name} through"
    if row.role in INFRA_ROLES and file.app.kind != "infra":
        yield f"has role {row.role}, which only infra has"
    if row.operator is not None and row.confidence == "high":
        yield f"stands on {row.operator}: at most medium"
    if row.operator is not None and catalogue.owner(row.operator) is None and catalogue.app(row.operator) is None:
        yield f"has an operator that is not known: {row.operator}"
    third = _third_party(catalogue, file, row.name)
    if third is not None:
        yield f"is a customer's name inside {third.id}, to which it belongs"


def _is(catalogue: Catalogue, name: str, file: AppFile) -> bool:
    match = catalogue.match(name)
    return match is not None and match.app.id == file.app.id


def _third_party(catalogue: Catalogue, file: AppFile, endpoint: str) -> App | None:
    """Return the SDK of another owner below whose name an endpoint stands (DESIGN section 5, rule 4)."""
    mine = catalogue.owner_on(file.app.company, _TODAY)
    for above in parents_of(endpoint):
        match = catalogue.match(above)
        if match is None or match.app.kind != "sdk":
            continue
        theirs = catalogue.owner_on(match.app.owner_id, _TODAY)
        if mine is not None and theirs is not None and mine.ultimate_id != theirs.ultimate_id:
            return match.app
    return None
