"""Folders of signature files into checked documents: one company a folder, one app a TOML (DESIGN section 6)."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from netwatch.attribution.documents import AppFile, Company, Documents
from netwatch.attribution.normal import matchable, normal_form
from netwatch.attribution.prefixes import parse_prefix
from netwatch.model.errors import DataError
from netwatch.runtime.suffixes import is_public, is_shared
from netwatch.runtime.tomlfiles import TomlFile, read_toml, refuse_writable

COMPANY: Final = "_company.toml"
POLICIES: Final = "policies"
FILES_MAX: Final = 20_000  # B3: files of one folder


def signature_paths(folder: Path) -> list[Path]:
    """Return the files of companies and apps, in a fixed order. Raises DataError for one that stands elsewhere."""
    found = sorted(path for path in folder.glob("**/*.toml") if path.relative_to(folder).parts[0] != POLICIES)
    stray = next((path for path in found if len(path.relative_to(folder).parts) != 2), None)
    if stray is not None:
        raise DataError(f"{stray}: signatures stand in {folder}/<company>/<app>.toml")
    if len(found) > FILES_MAX:
        raise DataError(f"{folder}: more than {FILES_MAX} files")
    return found


def read_documents(folder: Path) -> Documents:
    """Read a folder of netwatch's own. Raises DataError with file and line."""
    reader = Reader()
    reader.take(folder, trusted=True)
    return reader.finish()


class Reader:
    """Collects files, checks each and all together. count: files taken; errors: every rule that is broken."""

    def __init__(self, shipped: Documents | None = None) -> None:
        self._companies: dict[str, Company] = dict(shipped.companies) if shipped else {}
        self._apps: dict[str, tuple[str, AppFile]] = dict(shipped.apps) if shipped else {}
        self._files: dict[str, TomlFile] = {}  # id of an app -> its file, of those that were read here
        self._company_files: dict[str, TomlFile] = {}
        self.count = 0
        self.errors: list[DataError] = []

    def take(self, folder: Path, *, trusted: bool) -> None:
        """Read a folder; what breaks a rule goes to errors. trusted: it belongs to netwatch itself."""
        paths = signature_paths(folder)
        guarded = [] if trusted else [folder, *sorted({path.parent for path in paths})]
        for path in guarded:
            refuse_writable(path)
        seen: set[str] = set()
        self.count += len(paths)
        for path in paths:
            try:
                if not trusted:
                    refuse_writable(path)
                if path.name == COMPANY:
                    self._company(path)
                else:
                    self._app(path, seen)
            except DataError as error:
                self.errors.append(error)
        self.errors += self._together()

    def finish(self) -> Documents:
        """Return what was read. Raises DataError: the first rule that is broken, and how many more are."""
        if self.errors:
            more = f" ({len(self.errors) - 1} more)" if len(self.errors) > 1 else ""
            raise DataError(f"{self.errors[0]}{more}")
        return Documents(self._companies, self._apps)

    def _company(self, path: Path) -> None:
        company, file = read_toml(path, Company)
        if company.id != path.parent.name:
            raise file.error(".id", f"the id is {company.id}, the folder {path.parent.name}")
        self._companies[company.id] = company
        self._company_files[company.id] = file

    def _app(self, path: Path, seen: set[str]) -> None:
        content, file = read_toml(path, AppFile)
        app = content.app
        if app.company != path.parent.name:
            raise file.error(".app.company", f"the company is {app.company}, the folder {path.parent.name}")
        if app.id in seen:
            raise file.error(".app.id", f"{app.id} stands in {self._files[app.id].path} too")
        for place, message in _broken(content):
            raise file.error(place, message)
        seen.add(app.id)
        self._apps[app.id] = (f"{path.parent.name}/{path.name}", content)
        self._files[app.id] = file

    def _together(self) -> Iterator[DataError]:
        """Yield what is wrong between files: endpoints of two files, owners that are not there."""
        taken: dict[tuple[bool, str], str] = {}
        order = sorted(self._apps.items(), key=lambda item: (item[0] in self._files, item[1][0]))
        for app_id, (path, content) in order:
            file = self._files.get(app_id)
            if file is not None and content.app.company not in self._companies:
                yield file.error(".app.company", f"there is no {content.app.company}/{COMPANY}")
            for number, row in enumerate(content.endpoint):
                key = (row.exact is not None, row.name)
                if file is not None and key in taken:
                    yield file.error(f".endpoint[{number}]", f"{key[1]} stands in signatures/{taken[key]} too")
                taken.setdefault(key, path)
        for company_id, file in self._company_files.items():
            for number, parent in enumerate(self._companies[company_id].parents):
                if parent.id not in self._companies:
                    yield file.error(f".parents[{number}]", f"there is no {parent.id}/{COMPANY}")


def _broken(content: AppFile) -> Iterable[tuple[str, str]]:
    """Yield the place and the rule of what is wrong in one app's file."""
    infra = content.app.kind == "infra"
    for number, row in enumerate(content.endpoint):
        place = f".endpoint[{number}]"
        if (row.exact is None) == (row.suffix is None):
            yield place, "an endpoint has either suffix or exact"
            continue
        key, name = "suffix" if row.exact is None else "exact", row.name
        if normal_form(name) != name or not matchable(name):
            yield f"{place}.{key}", f"{name!r} is no host name in lower case with A-labels"
        elif is_public(name) or (row.exact is None and not infra and is_shared(name)):
            yield f"{place}.{key}", f"{name} is a public suffix: names below it belong to many"
    words = [(number, word) for number, row in enumerate(content.label_role) for word in row.words]
    for at, (number, word) in enumerate(words):
        if word in {other for _, other in words[:at]}:
            yield f".label_role[{number}]", f"{word} has a role already"
    for number, net in enumerate(content.network):
        if net.asn is None and not net.prefixes:
            yield f".network[{number}]", "a network has prefixes or an asn"
        for text in net.prefixes:
            if parse_prefix(text) is None:
                yield f".network[{number}].prefixes", f"{text!r} is no prefix, or has bits behind its length"
