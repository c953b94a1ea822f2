"""The catalogue from the disk: compiled in an installed package, as TOML in a clone, with the user's own files."""

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from netwatch.attribution.catalogue import Catalogue
from netwatch.model.errors import DataError
from netwatch.runtime.configuration import configured

PACKAGE: Final = Path(__file__).parents[1]
COMPILED: Final = PACKAGE / "data" / "catalogue.json"
CLONE: Final = PACKAGE.parent / "signatures"
VERSION: Final = "VERSION"
COMPILED_MAX: Final = 256 * 1024 * 1024  # B2


@contextmanager
def _collecting_no_garbage() -> Iterator[None]:
    """Spare the collector tens of thousands of young objects, which are no garbage while files are read."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_collecting_no_garbage()
def load(user_folders: Sequence[Path] | None = None) -> Catalogue:
    """Load the catalogue.

    The compiled file counts where it stands, except in a clone whose TOML files have changed since. A user's file adds
    an app or a company, or replaces the one with its id; the version then ends in `+user`.
    user_folders: laid out as signatures/ is; None: that of the configuration, if any.
    Raises DataError: with file and line where a file breaks a rule, or where there is no catalogue at all.
    """
    catalogue = _shipped()
    folders = configured("signatures") if user_folders is None else user_folders
    folders = [folder for folder in folders if folder.is_dir()]
    if not folders:
        return catalogue
    from netwatch.attribution.compiling import compile_documents
    from netwatch.runtime.signature_files import Reader

    reader = Reader(catalogue.documents)
    for folder in folders:
        reader.take(folder, trusted=False)
    return Catalogue(compile_documents(reader.finish(), f"{catalogue.version}+user")) if reader.count else catalogue


@_collecting_no_garbage()
def compile_catalogue(folder: Path) -> bytes:
    """Return the compiled form of a folder of signatures. Needs no NumPy. Raises DataError with file and line."""
    from msgspec import json

    from netwatch.attribution.compiling import compile_documents
    from netwatch.runtime.signature_files import Reader

    reader = Reader()
    reader.take(folder, trusted=True)
    documents, version = reader.finish(), _version(folder)
    checksum = _checksum(version, ((name, file.text.encode()) for name, file in reader.read.items()))
    return json.encode(compile_documents(documents, version, checksum))


@_collecting_no_garbage()
def read_folder(folder: Path) -> Catalogue:
    """Read a folder of signatures. Raises DataError with file and line."""
    from netwatch.attribution.compiling import compile_documents
    from netwatch.runtime.signature_files import read_documents

    return Catalogue(compile_documents(read_documents(folder), _version(folder)))


def self_test(what: Catalogue | Path | None = None) -> list[str]:
    """Return one line for each rule that is broken: of a catalogue, a folder of signatures, or what `load` gives."""
    from netwatch.attribution.compiling import compile_documents
    from netwatch.attribution.proofs import problems
    from netwatch.runtime.signature_files import Reader

    try:
        if isinstance(what, Path):
            reader = Reader()
            reader.take(what, trusted=True)
            if reader.errors:
                return [str(error) for error in reader.errors]
            what = Catalogue(compile_documents(reader.finish(), _version(what)))
        return problems(load() if what is None else what)
    except DataError as error:
        return [str(error)]


def digest(folder: Path) -> str:
    """Return a checksum over names and contents of the files that a catalogue is made of."""
    from netwatch.runtime.signature_files import signature_names
    from netwatch.runtime.tomlfiles import read_capped

    names = signature_names(folder)
    return _checksum(_version(folder), ((name, read_capped(f"{folder}/{name}")) for name in names))


def _checksum(version: str, contents: Iterable[tuple[str, bytes]]) -> str:
    import hashlib

    total = hashlib.sha256(version.encode())
    for name, content in contents:
        total.update(f"\n{name}\n{len(content)}\n".encode("utf-8", "surrogateescape"))
        total.update(content)
    return total.hexdigest()


def _shipped() -> Catalogue:
    clone = (CLONE / VERSION).is_file()
    if COMPILED.is_file():
        if COMPILED.stat().st_size > COMPILED_MAX:
            raise DataError(f"{COMPILED}: more than {COMPILED_MAX} bytes; install netwatch again")
        catalogue = Catalogue.from_bytes(COMPILED.read_bytes())
        if not clone or catalogue.digest == digest(CLONE):
            return catalogue
    if not clone:
        raise DataError(f"{COMPILED}: no catalogue of signatures; install netwatch again")
    return read_folder(CLONE)


def _version(folder: Path) -> str:
    """Return the month that the file VERSION of a folder names, `0` without one."""
    path = folder / VERSION
    return path.read_text("ascii", "replace").strip() or "0" if path.is_file() else "0"
