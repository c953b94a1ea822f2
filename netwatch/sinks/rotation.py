"""Outputs that go from one set of files to the next, by size and by time (RELIABILITY E4)."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from netwatch.model.errors import SinkError
from netwatch.model.records import Release
from netwatch.sinks.atomic import AtomicFile
from netwatch.sinks.base import Sink
from netwatch.sinks.encode import time_text
from netwatch.sinks.summary import Summary

SECOND_NS: Final = 10**9


class Rotation(NamedTuple):
    """When a set of files ends. None: never.

    size: bytes of its largest file.   seconds: of the clock; sets end at its multiples, such as each full hour.
    keep: the newest sets that stay, beside the one that is being written.
    """

    size: int | None = None
    seconds: int | None = None
    keep: int | None = None

    def due(self, size: int, begun: int, now: int) -> bool:
        """Tell whether a set ends that has so many bytes and began at a time. begun, now: ns.

        A clock that is set back ends it, too.
        """
        if self.size is not None and size >= self.size:
            return True
        return self.seconds is not None and begun // SECOND_NS // self.seconds != now // SECOND_NS // self.seconds


class Parts:
    """The names of one output's sets: `out-20261125T023000Z.jsonl` for `out.jsonl`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        stem, suffix = re.escape(path.stem), re.escape(path.suffix)
        self._pattern = re.compile(rf"({stem}-([0-9]{{8}}T[0-9]{{6}}Z)(?:-([0-9]{{1,9}}))?){suffix}")
        self._given = ("", 0)  # the last name: its moment, and which one of that moment

    def free(self, now: int) -> Path:
        """Return the name of a set that begins now (ns since 1970 UTC); nothing has it yet."""
        moment = re.sub("[-:]", "", time_text(now)[:19]) + "Z"
        numbers = [int(match[3] or 1) for match in self._found(self._names()) if match[2] == moment]
        if self._given[0] == moment:  # its file may have no name yet
            numbers.append(self._given[1])
        number = max(numbers, default=0) + 1
        while True:
            self._given = moment, number
            ordinal = f"-{number}" if number > 1 else ""
            path = self._path.with_name(f"{self._path.stem}-{moment}{ordinal}{self._path.suffix}")
            if not os.path.lexists(path):
                return path
            number += 1

    def prune(self, keep: int | None) -> None:
        """Remove all sets but the newest ones; of each set what it is told by goes last, so that none stays in part."""
        if keep is None:
            return
        names = self._names()
        found = self._found(names)
        for match in found[: max(0, len(found) - keep)]:
            beside = [name for name in names if name.startswith((f"{match[1]}.lookups", f"{match[1]}.summary.json"))]
            for name in (*beside, match[0]):
                with suppress(OSError):
                    self._path.with_name(name).unlink()

    def newest(self) -> Path | None:
        """Return the newest set that is there."""
        found = self._found(self._names())
        return self._path.with_name(found[-1][0]) if found else None

    def _names(self) -> list[str]:
        """Return what is in the folder; nothing where that cannot be listed."""
        try:
            return os.listdir(self._path.parent)  # noqa: PTH208 names are what is needed
        except OSError:
            return []

    def _found(self, names: Sequence[str]) -> list[re.Match[str]]:
        """Return the names of sets among these, the oldest first."""
        found = [match for name in names if (match := self._pattern.fullmatch(name)) is not None]
        return sorted(found, key=lambda match: (match[2], int(match[3] or 1)))


class Standing(Protocol):
    """A run, as far as its outputs ask."""

    def record(self, summary: Summary) -> Mapping[str, object]:
        """Return the summary record of some of its records, with the counters as they stand."""

    def say(self, text: str) -> None:
        """Tell the user."""


class _Part:
    """A set of files. begun: ns.   summary: of its records.   count: how many those are."""

    def __init__(self, path: Path, sink: Sink, begun: int) -> None:
        self.path = path
        self.sink = sink
        self.begun = begun
        self.summary = Summary()
        self.count = 0


class Rotating:
    """An output of which every release stands in one of its sets, and in no other.

    A set has the summary record of its own records, with the counters of the run as they stand at its end. One that
    fails is given up, said and counted, and the next one goes on. The name of a set is that of its first records.
    """

    def __init__(
        self, path: Path, opened: Callable[[Path], Sink], rotation: Rotation, standing: Standing, now: Callable[[], int]
    ) -> None:
        """Look whether files can be made there. opened: opens one set. now: ns since 1970 UTC. Raises SinkError."""
        AtomicFile(path).abort()
        cut = Parts(path).newest()
        if cut is not None:  # by the end of an earlier run; lines that grew are made whole where they are opened
            with suppress(SinkError):
                opened(cut).abort()
        self._open = opened
        self._rotation = rotation
        self._standing = standing
        self._now = now
        self._parts = Parts(path)
        self._part: _Part | None = None
        self._ended = 0
        self._given_up = 0
        self._troubled = False  # until an output works again, its trouble is said once

    @property
    def size(self) -> int:
        """Bytes of the largest file of the set that is written."""
        return 0 if self._part is None else self._part.sink.size

    @property
    def waiting(self) -> bool:
        """Whether a full disk keeps something back."""
        return self._part is not None and self._part.sink.waiting

    def write(self, release: Release) -> None:
        """Take the records of one release, in a new set where it is time for one."""
        count = len(release.flows) + len(release.lookups)
        if not count:
            return
        now = self._now()
        if self._part is None or self._is_due(self._part, now):
            self._turn(now)
        part = self._part
        if part is None:
            self._given_up += count
            return
        part.count += count
        part.summary.add(release)
        try:
            part.sink.write(release)
        except SinkError as error:
            self._part = None
            self._fail(part, error)

    def retry(self) -> int:
        """Write what a full disk kept back, and end a set whose time is over; return how many records are given up."""
        part = self._part
        if part is None:
            return self._given_up
        lost = part.sink.retry()
        if not self._is_due(part, self._now()):
            return self._given_up + lost
        self._part = None
        self._end(part)
        return self._given_up

    def close(self, summary: Mapping[str, object], verdict: Mapping[str, object] | None = None) -> None:
        """End the last set. Raises SinkError.

        verdict: is of the whole run, and shown where that is one set.
        """
        if self._part is None and not self._ended:  # nothing came: the counters say so
            self._turn(self._now())
        part, self._part = self._part, None
        if part is None:
            return
        if not self._ended:
            part.sink.close(summary, verdict)
        else:
            counted = {name: summary[name] for name in ("captures", "ledger") if name in summary}
            part.sink.close({**self._standing.record(part.summary), **counted})
        self._parts.prune(self._rotation.keep)

    def abort(self) -> None:
        """Give the set up that is written; those that have ended stay."""
        part, self._part = self._part, None
        if part is not None:
            part.sink.abort()

    def _is_due(self, part: _Part, now: int) -> bool:
        """Tell whether a set ends; not while a full disk keeps some of it back."""
        return self._rotation.due(part.sink.size, part.begun, now) and not part.sink.waiting

    def _turn(self, now: int) -> None:
        """Begin the next set; where that cannot be, the one before goes on."""
        before = self._part
        path = self._parts.free(now)
        try:
            self._part = _Part(path, self._open(path), now)
        except SinkError as error:
            self._say(error)
            return
        if before is not None:
            self._end(before)

    def _end(self, part: _Part) -> None:
        self._ended += 1
        self._given_up += part.sink.retry()
        try:
            part.sink.close(self._standing.record(part.summary))
        except SinkError as error:
            self._fail(part, error)
            return
        self._troubled = False
        self._parts.prune(self._rotation.keep)

    def _fail(self, part: _Part, error: SinkError) -> None:
        """Give a set up. Lines that grew are on disk; what is written whole has no name."""
        part.sink.abort()
        if not os.path.lexists(part.path):
            self._given_up += part.count
        self._say(error)

    def _say(self, error: SinkError) -> None:
        if not self._troubled:
            self._standing.say(str(error))
        self._troubled = True
