"""What a reviewer would say of signature files: every rule that is broken, and what looks unfinished."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from netwatch.attribution.catalogue import Catalogue, holds
from netwatch.attribution.compiling import compile_documents
from netwatch.attribution.documents import AppFile, Company
from netwatch.model.errors import NetwatchError
from netwatch.runtime import policies
from netwatch.runtime.signature_files import POLICIES, Reader
from netwatch.runtime.signatures import VERSION, load
from netwatch.runtime.tomlfiles import TomlError, TomlFile

LAST_DAY: Final = "9999-12-31"
FAMILIES: Final = 2  # of sources, for confidence `high`
ORDER: Final = ("app", "app.data", "endpoint", "label_role", "network", "test")
# first labels whose role is evident, whoever owns the name
LABELS: Final = {
    **dict.fromkeys(("log", "logs", "metrics", "telemetry", "analytics"), "telemetry"),
    **dict.fromkeys(("ad", "ads"), "ads"),
    **{word: word for word in ("cdn", "push", "login", "crash", "httpdns")},
}
_FIRST: Final = re.compile(r"([a-z]+)[0-9-]?[^.]*\.[^.]+\.")  # with two labels behind it: no registered name


class Finding(NamedTuple):
    """One line of a report: `file:line: message`, `warning: ` before the message of what is no error."""

    text: str
    is_error: bool


def lint(folder: Path) -> list[Finding]:
    """Check the files of a folder, policies too, each alone and all together; by file and line.

    A folder without a file VERSION holds a user's own files: they are read on top of what is shipped. Raises DataError
    where the folder cannot be read at all.
    """
    reader = Reader(None if (folder / VERSION).is_file() else load([]).documents)
    reader.take(folder, trusted=True)
    catalogue = None if reader.errors else Catalogue(compile_documents(reader.finish(), "0"))
    errors: list[NetwatchError] = [*reader.errors, *_policy_errors(_policies(folder), catalogue)]
    soft = list(_warnings(reader))
    found = [(_place(error), Finding(str(error), is_error=True)) for error in errors]
    found += [
        (_place(error), Finding(f"{error.path}:{error.line}: warning: {error.message}", is_error=False))
        for error in soft
    ]
    return [finding for _, finding in sorted(found, key=lambda item: (item[0], item[1].text))]


def policy_problems(folder: Path | None, catalogue: Catalogue | None) -> list[str]:
    """Return one line for each rule that a policy breaks, of a folder of signatures or of those that are shipped.

    catalogue: what its words are looked up in, None for not at all.
    """
    paths = policies.shipped() if folder is None else _policies(folder)
    return [str(error) for error in _policy_errors(paths, catalogue)]


def _policies(folder: Path) -> list[Path]:
    return sorted((folder / POLICIES).glob("*.toml"))


def _policy_errors(paths: Iterable[Path], catalogue: Catalogue | None) -> Iterator[NetwatchError]:
    for path in paths:
        try:
            policy, file = policies.load_policy(path)
            if policy.id != path.stem:
                yield file.error(".id", f"the id is {policy.id}, the file {path.name}")
            if catalogue is not None:
                policies.check_words(policy, file, catalogue)
        except NetwatchError as error:
            yield error


def _place(error: NetwatchError) -> tuple[str, int]:
    if isinstance(error, TomlError):
        return str(error.path), error.line
    found = re.match(r"(.*?\.toml):(?:(\d+):)?", str(error))
    return (found[1], int(found[2] or 0)) if found else ("", 0)


def _warnings(reader: Reader) -> Iterator[TomlError]:
    for company_id, file in reader.company_files.items():
        yield from _of_company(reader.companies[company_id], file)
    for app_id, file in reader.app_files.items():
        yield from _of_app(reader.apps[app_id][1], file)


def _of_company(company: Company, file: TomlFile) -> Iterator[TomlError]:
    rows = [row for row in company.control if row.region == "*"]
    if "control" not in file.kept and not any(holds(row.since, row.until, LAST_DAY) for row in rows):
        yield file.error(".control[0]" if rows else "", "no [[control]] row of region * holds today: who controls it?")


def _of_app(content: AppFile, file: TomlFile) -> Iterator[TomlError]:
    if content.app.homepage is None:
        yield file.error(".app", "no homepage")
    for number, row in enumerate(content.endpoint):
        place = f".endpoint[{number}]"
        families = {_family(source) for source in row.sources}
        if row.confidence == "high" and len(families) < FAMILIES:
            yield file.error(
                f"{place}.confidence", f"{row.name}: high, yet its sources are of one family ({row.sources[0]})"
            )
        first = _FIRST.match(row.name)
        role = LABELS.get(first[1]) if first else None
        if role is not None and role != row.role:
            yield file.error(f"{place}.role", f"{row.name}: role {row.role}, while its first label says {role}")
    yield from _order(content, file)


def _family(source: str) -> str:
    """Return who says it: the host of an address, else what stands before the colon."""
    host = re.match(r"https?://(?:www\.)?([^/]+)", source)
    return host[1] if host else source.partition(":")[0]


def _order(content: AppFile, file: TomlFile) -> Iterator[TomlError]:
    """Yield what is out of the order that signatures/README.md asks for."""
    last = 0
    for number, name in file.headers():
        place = ORDER.index(name) if name in ORDER else last
        if place < last:
            yield TomlError(file.path, number, f"[{name}] stands behind [{ORDER[last]}]")
        last = max(last, place)
    keys = [(row.role, row.name) for row in content.endpoint]
    for number in range(1, len(keys)):
        if keys[number] < keys[number - 1]:
            yield file.error(
                f".endpoint[{number}]",
                f"{keys[number][1]} stands behind {keys[number - 1][1]}: sort by role, then name",
            )
            return
