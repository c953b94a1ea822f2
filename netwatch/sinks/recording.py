"""The three files of an export: flows, and beside them lookups and the summary with the ledger (DESIGN section 4)."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from netwatch.model.errors import SinkError
from netwatch.model.records import Release
from netwatch.sinks.atomic import AtomicFile, GrowingFile, HeldFile, reason
from netwatch.sinks.base import Growth, RowFormat
from netwatch.sinks.encode import json_object

LOOKUPS_AT_ONCE: Final = 2_048  # what stands as text in memory at a time: about 2 MB


_FILES: Final[dict[Growth, Callable[[Path, bytes], AtomicFile | GrowingFile]]] = {
    Growth.NO: lambda path, _start: AtomicFile(path),
    Growth.LINES: GrowingFile,
    Growth.HELD: HeldFile,
}


class Recording:
    """`out.jsonl`, `out.lookups.jsonl` and `out.summary.json` (or another ending).

    They are written under temporary names and get theirs at the end, the flows last: where those stand, the others do.
    With `grow`, flows and lookups are files that grow by whole lines, and only the summary is written whole.
    """

    def __init__(self, path: Path, rows: RowFormat, *, grow: Growth = Growth.NO) -> None:
        """Open all three, so that what cannot be written is known before anything is read. Raises SinkError.

        grow: HELD: lines that the disk does not take wait in memory, up to HELD_BYTES of each file.
        """
        lookups = path.with_name(f"{path.stem}.lookups{path.suffix or '.' + rows.name}")
        self._path, self._rows, self._grow = path, rows, grow is not Growth.NO
        self._taken = [0, 0]  # records given so far: flows, lookups
        self._bytes = [0, 0]
        self._files: list[AtomicFile | GrowingFile] = []
        self._summary: AtomicFile | None = None
        try:
            for name, start in ((path, rows.flow_start), (lookups, rows.lookup_start)):
                self._files.append(_FILES[grow](name, start))
            self._summary = AtomicFile(path.with_name(f"{path.stem}.summary.json"))
        except SinkError:
            self.abort()
            raise
        if not self._grow:
            self._put(0, rows.flow_head, 0)
            self._put(1, rows.lookup_head, 0)

    @property
    def size(self) -> int:
        """Bytes of the larger file of records, without what stood there before."""
        return max(self._bytes)

    @property
    def waiting(self) -> bool:
        """Whether a full disk keeps lines back."""
        return any(isinstance(file, HeldFile) and file.stopped is not None for file in self._files)

    def write(self, release: Release) -> None:
        """Append the records of a release. Raises SinkError; files that are written whole are given up by then."""
        self._put(0, self._rows.flows(release.flows), len(release.flows))
        for lo in range(0, len(release.lookups), LOOKUPS_AT_ONCE):
            some = release.lookups[lo : lo + LOOKUPS_AT_ONCE]
            self._put(1, self._rows.lookups(some), len(some))

    def retry(self) -> int:
        """Try again to write the lines that wait."""
        held = [file for file in self._files if isinstance(file, HeldFile)]
        for file in held:
            file.flush()
        return sum(file.given_up for file in held)

    def close(self, summary: Mapping[str, object], _verdict: Mapping[str, object] | None = None) -> None:
        """Write the summary, bring all to disk and give the files their names. Raises SinkError."""
        if self._summary is None:
            return
        files = [self._summary, *reversed(self._files)]
        at = summary_at = self._summary.path
        try:
            self._summary.write(f"{json_object(summary)}\n".encode("ascii"))
            for file in files:
                at = file.path
                file.sync()
            for file in files:
                at = file.path
                if isinstance(file, AtomicFile):
                    file.publish()
        except OSError as error:
            self.abort()
            lost = "the summary is" if self._grow and at == summary_at else f"{self._lost()} are"
            raise SinkError(f"{at}: {reason(error)}; {lost} not on disk") from error
        self.abort()

    def abort(self) -> None:
        """Close all; what has not got its name disappears."""
        for file in self._files:
            if isinstance(file, AtomicFile):
                file.abort()
            else:
                file.close()
        if self._summary is not None:
            self._summary.abort()
        self._files, self._summary = [], None

    def _put(self, index: int, data: bytes, count: int) -> None:
        if not data:
            return
        if not self._files:
            raise SinkError(f"{self._path}: given up before; {count} records are not on disk")
        file = self._files[index]
        self._bytes[index] += len(data)
        if isinstance(file, GrowingFile):
            written, stopped = file.write(data)
            self._taken[index] += written
            if stopped is not None:
                kind = ("flow", "lookup")[index]
                text = f"{file.path}: {reason(stopped)}; {count - written} {kind} records are not on disk"
                raise SinkError(text) from stopped
            return
        self._taken[index] += count
        try:
            file.write(data)
        except OSError as error:
            self.abort()
            raise SinkError(f"{file.path}: {reason(error)}; {self._lost()} are not on disk") from error

    def _lost(self) -> str:
        return f"the {self._taken[0]} flow and {self._taken[1]} lookup records so far"


class Stream:
    """Flow records alone, as they come, on an open stream."""

    size: Final = 0
    waiting: Final = False

    def __init__(self, rows: RowFormat, out: BinaryIO | None = None) -> None:
        """Take the stream to write to, stdout unless given."""
        self._rows = rows
        self._out: BinaryIO = sys.stdout.buffer if out is None else out
        self._head = rows.flow_head

    def write(self, release: Release) -> None:
        """Write and flush. Raises BrokenPipeError where the reader has gone, SinkError for all else."""
        count = len(release.flows)
        try:
            self._out.write(self._head + self._rows.flows(release.flows))
            self._out.flush()
            self._head = b""
        except BrokenPipeError:
            raise
        except OSError as error:
            raise SinkError(f"stdout: {reason(error)}; {count} flow records are not written") from error

    def retry(self) -> int:
        """Nothing waits: what cannot be written is an error at once."""
        return 0

    def close(self, summary: Mapping[str, object], _verdict: Mapping[str, object] | None = None) -> None:
        """Leave the stream open: it is not ours; the summary has no place on it."""

    def abort(self) -> None:
        """Leave what was written."""
