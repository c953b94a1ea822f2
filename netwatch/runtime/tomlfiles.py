"""TOML files of people into checked plain data; every error names the file and the line."""

import os
import re
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

from netwatch.model.errors import DataError

T = TypeVar("T")

FILE_MAX: Final = 256 * 1024  # B3: bytes of one file; the largest shipped has 20 KiB
READ: Final = 16 * 1024  # bytes of one call: nearly every file is smaller
LINE_DOTS: Final = 256  # B3: dots of one line: the standard library reads `a.a.a. ...` in quadratic time
_HEADER: Final = re.compile(r"\s*\[{1,2}\s*([A-Za-z0-9_.-]+)\s*\]{1,2}")
_STEP: Final = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+)\]")
_AT: Final = re.compile(r" - at `(?:key in )?\$([^`]*)`\Z")
_FIELD: Final = re.compile(r"unknown field `([^`]*)`")
FILL_IN: Final = "FILL IN"  # what a skeleton holds where its author has to write


class TomlError(DataError):
    """A rule that a file breaks, with the number of the line where it stands."""

    def __init__(self, path: Path | str, line: int, message: str) -> None:
        super().__init__(f"{path}:{line}: {message}")
        self.path = path
        self.line = line
        self.message = message


class TomlFile:
    """One file that was read: its values and where they stand."""

    def __init__(self, path: Path | str, text: str) -> None:
        self.path: Final = path
        self.text: Final = text
        self.kept: Final[dict[str, list[int]]] = {}
        """Table -> which of its rows were taken, of a file that breaks rules; places count the taken ones."""

    @cached_property
    def lines(self) -> list[str]:
        """The lines: only what is wrong, or looked through, needs them."""
        return self.text.split("\n")

    def error(self, place: str, message: str) -> TomlError:
        """Make the error for a place such as `.endpoint[3].role`."""
        return TomlError(self.path, self.line(place), message)

    def headers(self) -> Iterator[tuple[int, str]]:
        """Yield the number of each line that begins a table, and the table's name."""
        for number, line in enumerate(self.lines, 1):
            if found := _HEADER.match(line):
                yield number, found[1]

    def unfilled(self) -> Iterator[TomlError]:
        """Yield an error for each line of a skeleton that its author has still to write."""
        for number, line in enumerate(self.lines if FILL_IN in self.text else (), 1):
            if FILL_IN in line and f'"{FILL_IN}' in line.partition("#")[0]:
                yield TomlError(self.path, number, "still to be filled in")

    def line(self, place: str) -> int:
        """Return the number of the line of a place, of the table around it where the key is not found."""
        steps = [name or int(number) for name, number in _STEP.findall(place)]
        if len(steps) > 1 and isinstance(steps[1], int) and steps[0] in self.kept:
            steps[1] = self.kept[str(steps[0])][steps[1]]
        for size in range(len(steps), 0, -1):
            head = steps[:size]
            table = ".".join(step for step in head if isinstance(step, str))
            count = head[-1] if isinstance(head[-1], int) else 0
            start = self._header(table, count)
            if start is not None:
                rest = next((step for step in steps[size:] if isinstance(step, str)), None)
                return self._key(start + 1, rest) or start + 1
        first = next((step for step in steps if isinstance(step, str)), None)
        return self._key(0, first) or 1

    def _header(self, table: str, count: int) -> int | None:
        for number, line in enumerate(self.lines):
            found = _HEADER.match(line)
            if found and found[1] == table:
                if count == 0:
                    return number
                count -= 1
        return None

    def _key(self, start: int, key: str | None) -> int | None:
        """Find a key from a line on, up to the next table."""
        for number in range(start, len(self.lines)):
            line = self.lines[number].lstrip()
            if line.startswith("["):
                return None
            if key is not None and line.startswith(key) and line[len(key) :].lstrip().startswith("="):
                return number + 1
        return None


def read_toml(path: Path | str, kind: type[T]) -> tuple[T, TomlFile]:
    """Read a file as a msgspec Struct.

    Raises DataError with file and line: unreadable, too large, not UTF-8, no TOML, an unknown, missing or wrong
    value.
    """
    from msgspec import ValidationError, convert

    values, file = parse_toml(path)
    try:
        return convert(values, type=kind), file
    except ValidationError as error:
        raise _invalid(file, str(error)) from error


def read_all(path: Path | str, kind: type[T]) -> tuple[T | None, TomlFile, list[TomlError]]:
    """Read a file as a msgspec Struct, with every value that is unknown, missing or wrong.

    What is left without those values comes first, None where too little is; rows of its tables that are wrong are left
    out (TomlFile.kept). Raises DataError with file and line: unreadable, too large, not UTF-8, no TOML.
    """
    from msgspec import ValidationError, convert

    values, file = parse_toml(path)
    unfilled = list(file.unfilled())
    if not unfilled:
        try:
            return convert(values, type=kind), file, []
        except ValidationError:
            pass
    lines = {error.line for error in unfilled}
    whole, broken = _sifted(values, kind, "", file)
    errors = [*unfilled, *(error for error in broken if error.line not in lines)]
    return None if whole is None else convert(whole, type=kind), file, errors


def parse_toml(path: Path | str) -> tuple[dict[str, Any], TomlFile]:
    """Read a file as plain data. Raises DataError with file and line: unreadable, too large, not UTF-8, no TOML."""
    toml = _toml()
    raw = read_capped(path)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: not UTF-8") from error
    file = TomlFile(path, text)
    for number, one in enumerate(file.lines if text.count(".") > LINE_DOTS else (), 1):
        if one.count(".") > LINE_DOTS:
            raise DataError(f"{path}:{number}: more than {LINE_DOTS} dots: write a long list on several lines")
    try:
        return toml.loads(text), file
    except toml.TOMLDecodeError as error:
        raise _undecodable(file, text, str(error)) from error
    except RecursionError as error:
        raise DataError(f"{path}:1: values are nested too deep") from error


def read_capped(path: Path | str) -> bytes:
    """Read a file of at most FILE_MAX bytes. Raises DataError."""
    raw = b""
    try:
        file = os.open(path, os.O_RDONLY)  # a third of the time of a stream, for thousands of small files
        try:
            while (more := os.read(file, READ)) and len(raw) <= FILE_MAX:
                raw += more
        finally:
            os.close(file)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    if len(raw) > FILE_MAX:
        raise DataError(f"{path}: more than {FILE_MAX} bytes; split it into several files")
    return raw


def refuse_writable(path: Path) -> None:
    """Refuse, when running as root, a file or folder that somebody else may write (RELIABILITY B4).

    The owner must be root, or who called sudo. Raises DataError.
    """
    if os.geteuid() != 0:
        return
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    sudo = os.environ.get("SUDO_UID", "")
    trusted = {0, int(sudo)} if sudo.isdecimal() else {0}
    if status.st_mode & 0o022 or status.st_uid not in trusted:
        raise DataError(f"{path}: others may write it, so root does not read it; chown it to root and chmod go-w")


@cache
def _toml() -> ModuleType:
    """Return tomli where it is installed, which reads as tomllib does in a third of the time."""
    try:
        import tomli
    except ImportError:
        import tomllib

        return tomllib
    return tomli


def _undecodable(file: TomlFile, text: str, message: str) -> DataError:
    found = re.search(r"\(at line (\d+), column \d+\)", message)
    line = int(found[1]) if found else text.count("\n") + 1
    return DataError(f"{file.path}:{line}: {message.split(' (at ', maxsplit=1)[0]}")


def _invalid(file: TomlFile, message: str, place: str = "") -> TomlError:
    at = _AT.search(message)
    place += at[1] if at else ""
    field = _FIELD.search(message)
    return file.error(f"{place}.{field[1]}" if field else place, message[: at.start()] if at else message)


def _sifted(
    values: dict[str, Any], kind: type[Any], place: str, file: TomlFile
) -> tuple[dict[str, Any] | None, list[TomlError]]:
    """Split a table into what a Struct takes (None without one of its required fields) and an error for the rest."""
    from msgspec import NODEFAULT, ValidationError, convert
    from msgspec.structs import fields

    known = {field.encode_name: field for field in fields(kind)}
    errors = [
        file.error(f"{place}.{key}", f"Object contains unknown field `{key}`") for key in values if key not in known
    ]
    whole: dict[str, Any] | None = {}
    for key, field in known.items():
        required = field.default is NODEFAULT and field.default_factory is NODEFAULT
        if key not in values:
            if required:
                errors.append(file.error(place, f"Object missing required field `{key}`"))
                whole = None
            continue
        row_kind = _struct_of_rows(field.type)
        good: Any
        if row_kind is not None and isinstance(values[key], list):
            good, broken = _sifted_rows(values[key], row_kind, f"{place}.{key}", file)
        elif _is_struct(field.type) and isinstance(values[key], dict):
            good, broken = _sifted(values[key], field.type, f"{place}.{key}", file)
        else:
            good, broken = values[key], []
        if not broken:
            try:
                convert(good, type=field.type)
            except ValidationError as error:
                broken, good = [_invalid(file, str(error), f"{place}.{key}")], None
        errors += broken
        if good is None:  # a row is taken whole or not at all
            whole = None if required or place.endswith("]") else whole
        elif whole is not None:
            whole[key] = good
    return whole, errors


def _sifted_rows(
    rows: list[Any], kind: type[Any], place: str, file: TomlFile
) -> tuple[list[dict[str, Any]], list[TomlError]]:
    good, errors, kept = [], [], []
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            errors.append(file.error(f"{place}[{number}]", "Expected `object`"))
            continue
        whole, broken = _sifted(row, kind, f"{place}[{number}]", file)
        errors += broken
        if whole is not None:
            good.append(whole)
            kept.append(number)
    file.kept[place[1:]] = kept
    return good, errors


def _is_struct(kind: object) -> bool:
    from msgspec import Struct

    return isinstance(kind, type) and issubclass(kind, Struct)


def _struct_of_rows(kind: object) -> type[Any] | None:
    """Return the Struct of a field that holds a list of them."""
    from typing import get_args, get_origin

    (inner,) = get_args(kind) if get_origin(kind) is list else (None,)
    return inner if _is_struct(inner) else None
