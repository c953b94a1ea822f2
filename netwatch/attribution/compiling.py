"""Documents into the compiled catalogue. No file is read here: runtime/signatures.py does that and names the lines."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from msgspec import Raw, json

from netwatch.attribution.catalogue import App, Compiled, Dated, Entry, NetworkRow, Networks, Owner
from netwatch.attribution.documents import AppFile, Company, Documents, Endpoint
from netwatch.attribution.prefixes import flatten, parse_prefix
from netwatch.model.address import V6

bounds_of: Final = lru_cache(8_192)(parse_prefix)  # asked where a file is checked, and here


def compile_documents(documents: Documents, version: str, digest: str = "") -> Compiled:
    """Build the form that answers questions. Rows are checked before: names are in normal form, prefixes are whole.

    version: of the data; digest: of the files.

    Of equal endpoints, prefixes and AS numbers the first app by id counts. An app's name below the infra name of
    another owner is at most `medium` (DESIGN section 5, rule 3).
    """
    files = sorted(documents.apps.values(), key=lambda item: item[1].app.id)
    shared = {row.name: file.app.company for _, file in files if file.app.kind == "infra" for row in file.endpoint}
    exact: dict[str, Entry] = {}
    suffix: dict[str, Entry] = {}
    for place, (_, file) in enumerate(files):
        for row in file.endpoint:
            table = suffix if row.exact is None else exact
            if row.name not in table:
                table[row.name] = Entry(place, row.role, _confidence(row, file, shared), row.operator)
    return Compiled(
        version=version,
        digest=digest,
        apps=[_app(path, file) for path, file in files],
        owners={company.id: _owner(company) for _, company in sorted(documents.companies.items())},
        exact=exact,
        suffix=suffix,
        networks=Raw(json.encode(_networks([file for _, file in files]))),
        documents=Raw(json.encode(documents)),
    )


def parents_of(name: str) -> Iterator[str]:
    """Yield the names above a name, the nearest first."""
    _, dot, above = name.partition(".")
    while dot:
        yield above
        _, dot, above = above.partition(".")


def _confidence(row: Endpoint, file: AppFile, shared: dict[str, str]) -> str:
    if row.confidence != "high" or file.app.kind == "infra":
        return row.confidence
    own = file.app.company
    tenant = row.operator is not None or any(shared.get(above, own) != own for above in parents_of(row.name))
    return "medium" if tenant else "high"


def _app(path: str, file: AppFile) -> App:
    words: dict[str, str] = {word: row.role for row in file.label_role for word in row.words}
    return App(file.app.id, file.app.name, file.app.kind, file.app.company, path, words)


def _owner(company: Company) -> Owner:
    parents = [Dated(row.id, "", row.since, row.until) for row in company.parents]
    control = [
        Dated(row.legal_domicile, row.control_country, row.since, row.until)
        for row in company.control
        if row.region == "*"
    ]
    return Owner(company.id, company.name, parents, control)


def _networks(files: list[AppFile]) -> Networks:
    """Anycast rows name no owner and would hide the prefix around them; a resolver's wins over an equal owner's."""
    rows: list[NetworkRow] = []
    ranges: list[tuple[int, int, int]] = []
    asns: dict[int, int] = {}
    claims = [(place, net) for place, file in enumerate(files) for net in file.network if net.claim != "anycast"]
    for place, net in sorted(claims, key=lambda claim: claim[1].claim != "resolver"):
        confidence = "low" if net.tenancy == "shared" else net.confidence
        for text in net.prefixes:
            bounds = bounds_of(text)
            if bounds is not None:
                ranges.append((*bounds, len(rows)))
                rows.append(NetworkRow(place, text, net.name, net.tenancy, net.claim, confidence))
        if net.asn is not None and net.asn not in asns:
            asns[net.asn] = len(rows)
            rows.append(NetworkRow(place, f"AS{net.asn}", net.name, net.tenancy, net.claim, confidence))
    starts4, rows4 = flatten(item for item in ranges if item[0] < V6)
    starts6, rows6 = flatten(item for item in ranges if item[0] >= V6)
    return Networks(rows, starts4, rows4, [f"{start:x}" for start in starts6], rows6, asns)
