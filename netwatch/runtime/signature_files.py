"""Folders of signature files into checked documents: one company a folder, one app a TOML (DESIGN section 6)."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from netwatch.attribution.compiling import bounds_of
from netwatch.attribution.documents import AppFile, Company, Documents
from netwatch.attribution.normal import matchable, normal_form
from netwatch.model.errors import DataError
from netwatch.runtime.suffixes import every_suffix, is_public
from netwatch.runtime.tomlfiles import FILL_IN, TomlFile, read_all, refuse_writable

COMPANY: Final = "_company.toml"
POLICIES: Final = "policies"
FILES_MAX: Final = 20_000  # B3: files of one folder
# what is in normal form and matchable at a glance; anything else is asked
_PLAIN: Final = re.compile(r"(?:[a-z0-9-]{1,63}\.){1,3}(?!(?:local|lan|arpa)\Z)[a-z]{2,16}")


def signature_names(folder: Path) -> list[str]:
    """Return the files of companies and apps, `acme/chat.toml`, in a fixed order.

    Raises DataError for one that stands elsewhere.
    """
    names, stray = _found(folder)
    if stray:
        raise _is_stray(stray[0], folder)
    return names


def read_documents(folder: Path) -> Documents:
    """Read a folder of netwatch's own. Raises DataError with file and line."""
    reader = Reader()
    reader.take(folder, trusted=True)
    return reader.finish()


class Reader:
    """Collects files, checks each and all together.

    count: files taken.   errors: every rule that is broken.   companies, apps: as in Documents, of a file that breaks
    rules what is left.   app_files, company_files: by id, of those that were read here.   read: by name, in order.
    """

    def __init__(self, shipped: Documents | None = None) -> None:
        self.companies: Final[dict[str, Company]] = dict(shipped.companies) if shipped else {}
        self.apps: Final[dict[str, tuple[str, AppFile]]] = dict(shipped.apps) if shipped else {}
        self.app_files: Final[dict[str, TomlFile]] = {}
        self.company_files: Final[dict[str, TomlFile]] = {}
        self.read: Final[dict[str, TomlFile]] = {}
        self.count = 0
        self.errors: list[DataError] = []
        self._unread: set[str] = set()  # companies whose file gave nothing

    def take(self, folder: Path, *, trusted: bool) -> None:
        """Read a folder; what breaks a rule goes to errors. trusted: it belongs to netwatch itself."""
        names, stray = _found(folder)
        self.errors += [_is_stray(name, folder) for name in stray]
        guarded = [] if trusted else [folder, *sorted({(folder / name).parent for name in names})]
        for path in guarded:
            refuse_writable(path)
        seen: set[str] = set()
        self.count += len(names)
        for name in names:
            try:
                if not trusted:
                    refuse_writable(folder / name)
                if name.endswith(f"/{COMPANY}"):
                    self._company(f"{folder}/{name}", name)
                else:
                    self._app(f"{folder}/{name}", name, seen)
            except DataError as error:
                self.errors.append(error)
        self.errors += self._together()

    def finish(self) -> Documents:
        """Return what was read. Raises DataError: the first rule that is broken, and how many more are."""
        if self.errors:
            more = f" ({len(self.errors) - 1} more)" if len(self.errors) > 1 else ""
            raise DataError(f"{self.errors[0]}{more}")
        return Documents(self.companies, self.apps)

    def _company(self, path: str, name: str) -> None:
        folder = name.partition("/")[0]
        self._unread.add(folder)
        company, file, errors = read_all(path, Company)
        self.read[name] = file
        self.errors += errors
        if company is None:
            return
        if company.id != folder:
            raise file.error(".id", f"the id is {company.id}, the folder {folder}")
        self._unread.remove(company.id)
        self.companies[company.id] = company
        self.company_files[company.id] = file

    def _app(self, path: str, name: str, seen: set[str]) -> None:
        content, file, errors = read_all(path, AppFile)
        self.read[name] = file
        lines = {error.line for error in errors}
        self.errors += errors
        if content is None:
            return
        for place, message in _broken(content, name.partition("/")[0]):
            error = file.error(place, message)
            if error.line not in lines:  # one error a line: what follows from it is none of its own
                self.errors.append(error)
        app = content.app
        if app.id in seen:
            raise file.error(".app.id", f"{app.id} stands in {self.app_files[app.id].path} too")
        seen.add(app.id)
        self.apps[app.id] = (name, content)
        self.app_files[app.id] = file

    def _together(self) -> Iterator[DataError]:
        """Yield what is wrong between files: endpoints of two files, owners that are not there."""
        by_kind: tuple[dict[str, str], dict[str, str]] = {}, {}  # suffix or exact name -> the file that has it
        companies = self.companies.keys() | self._unread
        order = sorted(self.apps.items(), key=lambda item: (item[0] in self.app_files, item[1][0]))
        for app_id, (path, content) in order:
            file = self.app_files.get(app_id)
            company = path.partition("/")[0]
            if file is not None and company not in companies:
                yield file.error(".app.company", f"there is no {company}/{COMPANY}")
            for number, row in enumerate(content.endpoint):
                taken, name = by_kind[row.exact is not None], row.name
                if name not in taken:
                    taken[name] = path
                elif file is not None and name != FILL_IN:
                    yield file.error(f".endpoint[{number}]", f"{name} stands in signatures/{taken[name]} too")
        for company_id, file in self.company_files.items():
            for number, parent in enumerate(self.companies[company_id].parents):
                if parent.id not in companies:
                    yield file.error(f".parents[{number}]", f"there is no {parent.id}/{COMPANY}")


def _found(folder: Path) -> tuple[list[str], list[str]]:
    """Return the files of companies and apps below a folder, in a fixed order, and those that stand elsewhere."""
    placed: list[str] = []
    stray: list[str] = []
    waiting = [""]
    while waiting:
        at = waiting.pop()
        files, below = _listed(f"{folder}/{at}")
        waiting += [f"{at}{name}/" for name in sorted(below, reverse=True) if at or name != POLICIES]
        (placed if at.count("/") == 1 else stray).extend([at + name for name in sorted(files)])
        if len(placed) + len(stray) > FILES_MAX:
            raise DataError(f"{folder}: more than {FILES_MAX} files")
    return placed, stray


def _listed(folder: str) -> tuple[list[str], list[str]]:
    """Return the names of the TOML files and of the folders in a folder, none for one that is not there."""
    files: list[str] = []
    below: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".toml"):
                    files.append(entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    below.append(entry.name)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise DataError(f"{folder.rstrip('/')}: {error.strerror}") from error
    return files, below


def _is_stray(name: str, folder: Path) -> DataError:
    return DataError(f"{folder}/{name}: signatures stand in {folder}/<company>/<app>.toml")


def _broken(content: AppFile, folder: str) -> Iterable[tuple[str, str]]:
    """Yield the place and the rule of what is wrong in one app's file."""
    if content.app.company != folder:
        yield ".app.company", f"the company is {content.app.company}, the folder {folder}"
    suffixes = every_suffix()
    infra = content.app.kind == "infra"
    for number, row in enumerate(content.endpoint):
        place = f".endpoint[{number}]"
        if (row.exact is None) == (row.suffix is None):
            yield place, "an endpoint has either suffix or exact"
            continue
        key, name = "suffix" if row.exact is None else "exact", row.name
        if not _PLAIN.fullmatch(name) and (normal_form(name) != name or not matchable(name)):
            yield f"{place}.{key}", f"{name!r} is no host name in lower case with A-labels"
        elif name in suffixes and (is_public(name) or (row.exact is None and not infra)):
            yield f"{place}.{key}", f"{name} is a public suffix: names below it belong to many"
    words = [(number, word) for number, row in enumerate(content.label_role) for word in row.words]
    for at, (number, word) in enumerate(words):
        if word in {other for _, other in words[:at]}:
            yield f".label_role[{number}]", f"{word} has a role already"
    for number, net in enumerate(content.network):
        if net.asn is None and not net.prefixes:
            yield f".network[{number}]", "a network has prefixes or an asn"
        for text in net.prefixes:
            if bounds_of(text) is None:
                yield f".network[{number}].prefixes", f"{text!r} is no prefix, or has bits behind its length"
