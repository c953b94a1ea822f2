"""The data files of the installation and the databases that the user brings: read, checked, never fetched."""

import hashlib
import io
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from netwatch.model.errors import DataError, UsageError
from netwatch.model.limits import GEO_BYTES
from netwatch.places.device import Vendors
from netwatch.places.mmdb import READER_ERRORS, MmdbDatabase, kinds
from netwatch.places.places import Places
from netwatch.places.tables import CountryTables, NetworkTables

DATA: Final = Path(__file__).resolve().parent.parent / "data"
MANIFEST: Final = "manifest.json"
MANIFEST_BYTES: Final = 1 << 20
SCHEMA: Final = 1
MENDING: Final = "install netwatch again"
USES: Final = {"country": "server_country", "asn": "asn"}
PLACE_USES: Final = ("server_country", "registration_country", "asn")


class DataFile(NamedTuple):
    """A line of the manifest.

    file: its name in the folder.   size: bytes.   sha256: hex digits.   schema: of the layout.
    name, use, date, licence: as in the summary's `databases`.   attribution: what its licence asks to be shown.
    source: the packages it was made from.
    """

    file: str
    size: int
    sha256: str
    schema: int
    name: str
    use: str
    date: str
    licence: str
    attribution: str
    source: str

    def database(self) -> dict[str, str | None]:
        """Return its entry of the summary."""
        return {"name": self.name, "use": self.use, "date": self.date, "licence": self.licence}


class DataFolder:
    """The shipped files; only those that match the manifest are handed out.

    Raises DataError where the manifest is damaged or a file has another size.
    """

    def __init__(self, folder: Path = DATA) -> None:
        self._folder = folder
        self.files = _manifest(folder / MANIFEST)
        self.missing: list[DataFile] = []
        for entry in self.files:
            try:
                size = (folder / entry.file).stat().st_size
            except OSError:
                self.missing.append(entry)
                continue
            if size != entry.size:
                raise DataError(f"{folder / entry.file}: {size} bytes, not {entry.size}: damaged; {MENDING}")

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, None where it is missing. Raises DataError where they do not match the manifest."""
        entry = next((entry for entry in self.files if entry.file == name), None)
        if entry is None or entry in self.missing:
            return None
        path = self._folder / name
        try:
            with path.open("rb") as file:
                content = file.read(entry.size + 1)
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}; {MENDING}") from error
        if len(content) != entry.size or hashlib.sha256(content).hexdigest() != entry.sha256:
            raise DataError(f"{path}: does not match the checksum in {MANIFEST}: damaged; {MENDING}")
        return content

    def databases(self, uses: Sequence[str]) -> list[dict[str, str | None]]:
        """Return the summary's entries for these uses, of databases of which a file is there."""
        there = {entry.name: entry for entry in reversed(self.files) if entry not in self.missing}
        return sorted((e.database() for e in there.values() if e.use in uses), key=lambda e: uses.index(str(e["use"])))

    def notices(self, uses: Sequence[str]) -> list[str]:
        """Return a line for each missing file of these uses."""
        if not self.files:
            return [f"{self._folder / MANIFEST} is missing: {', '.join(uses)} stay unknown; {MENDING}"]
        return [
            f"{entry.file} is missing: {entry.use} stays unknown; {MENDING}"
            for entry in self.missing
            if entry.use in uses
        ]


def data_files(folder: Path = DATA) -> list[DataFile]:
    """Return what the manifest lists, with the attributions to show. Raises DataError where it is damaged."""
    return _manifest(folder / MANIFEST)


def attributions(folder: Path = DATA) -> list[str]:
    """Return one line for each database: its date and the attribution that its licence asks for."""
    return list(dict.fromkeys(f"{entry.attribution} (as of {entry.date})" for entry in data_files(folder)))


def places(geo: Sequence[str] = (), folder: Path = DATA) -> Places:
    """Make the room that describes addresses; tables are read when the first address needs them.

    geo: paths of databases in MaxMind's format that stand in for the shipped country or AS tables.
    Raises DataError for a database that cannot be used, UsageError where two hold the same.
    """
    shipped = DataFolder(folder)
    notices: list[str] = []
    own: dict[str, MmdbDatabase] = {}
    entries: list[dict[str, str | None]] = []
    for path in geo:
        database, held, date = _open_mmdb(Path(path), notices)
        fresh = [kind for kind in USES if kind in held and kind not in own]
        if not fresh:
            raise UsageError(
                f"--geo {path}: another --geo already gives {' and '.join(USES[kind] for kind in sorted(held))}"
            )
        own |= dict.fromkeys(fresh, database)
        entries += ({"name": Path(path).name, "use": USES[kind], "date": date, "licence": None} for kind in fresh)
    rest = [use for use in PLACE_USES if use not in {entry["use"] for entry in entries}]
    entries = sorted(entries + shipped.databases(rest), key=lambda entry: PLACE_USES.index(str(entry["use"])))
    notices += shipped.notices(rest)
    return Places(
        own.get("country") or CountryTables("dbip-country", shipped.read),
        CountryTables("nro-registration", shipped.read),
        own.get("asn") or NetworkTables(shipped.read),
        entries,
        notices,
    )


def tables(folder: Path = DATA) -> dict[str, bytes]:
    """Return the shipped files that describe addresses, by name. Raises DataError for a damaged one."""
    shipped = DataFolder(folder)
    names = [entry.file for entry in shipped.files if entry.use in PLACE_USES]
    return {name: content for name in names if (content := shipped.read(name)) is not None}


def places_from(files: Mapping[str, bytes], own: Sequence[bytes]) -> Places:
    """Make the same room as `places`, of bytes, for a process that can read no file; it names no databases.

    files: as `tables` gives them.   own: databases in MaxMind's format. Raises DataError for one that cannot be used.
    """
    import maxminddb

    found: dict[str, MmdbDatabase] = {}
    for content in own:
        try:
            reader = maxminddb.open_database(_InMemory(content), maxminddb.MODE_FD)
            version = reader.metadata().ip_version
            held = kinds(reader, version)
        except READER_ERRORS as error:
            raise DataError(f"not a database in MaxMind's format that can be read: {error}") from error
        for kind in held:
            found.setdefault(kind, MmdbDatabase(reader, version, lambda: None))
    return Places(
        found.get("country") or CountryTables("dbip-country", files.get),
        CountryTables("nro-registration", files.get),
        found.get("asn") or NetworkTables(files.get),
    )


class _InMemory(io.BytesIO):
    """What a reader takes for an open file."""

    name = "a database"


def vendors(folder: Path = DATA) -> Vendors:
    """Make the table of device vendors, which is read when it is first asked. Raises DataError where it is damaged."""
    shipped = DataFolder(folder)
    return Vendors(shipped.read, next(iter(shipped.databases(["device_vendor"])), None))


def verify(folder: Path = DATA) -> list[DataFile]:
    """Check every file against the manifest and return those that are missing. Raises DataError for a damaged one."""
    shipped = DataFolder(folder)
    for entry in shipped.files:
        shipped.read(entry.file)
    return shipped.missing


def _manifest(path: Path) -> list[DataFile]:
    """Return the manifest's lines, none where there is no manifest."""
    try:
        with path.open("rb") as file:
            text = file.read(MANIFEST_BYTES)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; {MENDING}") from error
    try:
        return [_checked(DataFile(**entry)) for entry in json.loads(text)["files"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(f"{path}: damaged ({error}); {MENDING}") from error


def _checked(entry: DataFile) -> DataFile:
    """Return the entry. Raises TypeError, ValueError where it cannot be one of this version's."""
    if [type(value) for value in entry] != list(DataFile.__annotations__.values()):
        raise TypeError(f"{entry.file}: a value of another type")
    if entry.schema != SCHEMA or Path(entry.file).name != entry.file:
        raise ValueError(f"{entry.file}: schema {entry.schema}")
    return entry


def _open_mmdb(path: Path, notices: list[str]) -> tuple[MmdbDatabase, set[str], str | None]:
    """Return a database, what it holds (`country`, `asn`) and its build date. Raises DataError."""
    import maxminddb

    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise DataError(f"--geo {path}: {getattr(error, 'strerror', error)}") from error
    if not path.is_file():
        raise DataError(f"--geo {path}: not a file")
    if size > GEO_BYTES:
        raise DataError(f"--geo {path}: {size} bytes (limit {GEO_BYTES})")
    try:
        reader = maxminddb.open_database(path)
        about = reader.metadata()
        held = kinds(reader, about.ip_version)
    except READER_ERRORS as error:
        raise DataError(f"--geo {path}: not a database in MaxMind's format that can be read: {error}") from error
    if not held:
        known = "country.iso_code, country_code, country; autonomous_system_number, asn"
        raise DataError(f"--geo {path}: holds neither countries nor AS numbers under a known name ({known})")

    def damaged() -> None:
        notices.append(f"--geo {path}: some of its records cannot be read: unknown there")

    return MmdbDatabase(reader, about.ip_version, damaged), held, _date(about.build_epoch)


def _date(epoch: object) -> str | None:
    """Return the UTC date of a time in seconds since 1970, None where it is none."""
    if not isinstance(epoch, int):
        return None
    try:
        return time.strftime("%Y-%m-%d", time.gmtime(epoch))
    except (ValueError, OverflowError, OSError):
        return None
