"""TOML files of people into checked plain data; every error names the file and the line."""

import os
import re
from pathlib import Path
from typing import Final, TypeVar

from netwatch.model.errors import DataError

T = TypeVar("T")

FILE_MAX: Final = 256 * 1024  # B3: bytes of one file; the largest shipped has 20 KiB
LINE_DOTS: Final = 256  # B3: dots of one line: the standard library reads `a.a.a. ...` in quadratic time
_HEADER: Final = re.compile(r"\s*\[{1,2}\s*([A-Za-z0-9_.-]+)\s*\]{1,2}")
_STEP: Final = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+)\]")
_AT: Final = re.compile(r" - at `(?:key in )?\$([^`]*)`\Z")
_FIELD: Final = re.compile(r"unknown field `([^`]*)`")


class TomlFile:
    """One file that was read: its values and where they stand."""

    def __init__(self, path: Path, text: str) -> None:
        self.path: Final = path
        self._lines = text.split("\n")

    def error(self, place: str, message: str) -> DataError:
        """Make the error for a place such as `.endpoint[3].role`."""
        return DataError(f"{self.path}:{self.line(place)}: {message}")

    def line(self, place: str) -> int:
        """Return the number of the line of a place, of the table around it where the key is not found."""
        steps = [name or int(number) for name, number in _STEP.findall(place)]
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
        for number, line in enumerate(self._lines):
            found = _HEADER.match(line)
            if found and found[1] == table:
                if count == 0:
                    return number
                count -= 1
        return None

    def _key(self, start: int, key: str | None) -> int | None:
        """Find a key from a line on, up to the next table."""
        for number in range(start, len(self._lines)):
            line = self._lines[number].lstrip()
            if line.startswith("["):
                return None
            if key is not None and line.startswith(key) and line[len(key) :].lstrip().startswith("="):
                return number + 1
        return None


def read_toml(path: Path, kind: type[T]) -> tuple[T, TomlFile]:
    """Read a file as a msgspec Struct.

    Raises DataError with file and line: unreadable, too large, not UTF-8, no TOML, an unknown, missing or wrong
    value.
    """
    import tomllib

    from msgspec import ValidationError, convert

    raw = read_capped(path)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: not UTF-8") from error
    file = TomlFile(path, text)
    for number, one in enumerate(text.split("\n"), 1):
        if one.count(".") > LINE_DOTS:
            raise DataError(f"{path}:{number}: more than {LINE_DOTS} dots: write a long list on several lines")
    try:
        return convert(tomllib.loads(text), type=kind), file
    except tomllib.TOMLDecodeError as error:
        raise _undecodable(file, text, str(error)) from error
    except RecursionError as error:
        raise DataError(f"{path}:1: values are nested too deep") from error
    except ValidationError as error:
        raise _invalid(file, str(error)) from error


def read_capped(path: Path) -> bytes:
    """Read a file of at most FILE_MAX bytes. Raises DataError."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(FILE_MAX + 1)
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


def _undecodable(file: TomlFile, text: str, message: str) -> DataError:
    found = re.search(r"\(at line (\d+), column \d+\)", message)
    line = int(found[1]) if found else text.count("\n") + 1
    return DataError(f"{file.path}:{line}: {message.split(' (at ', maxsplit=1)[0]}")


def _invalid(file: TomlFile, message: str) -> DataError:
    at = _AT.search(message)
    place = at[1] if at else ""
    field = _FIELD.search(message)
    return file.error(f"{place}.{field[1]}" if field else place, message[: at.start()] if at else message)
