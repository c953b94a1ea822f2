"""The HTML report as an output: sums while records pass, one file at the end."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from netwatch.model.errors import SinkError
from netwatch.model.records import Release
from netwatch.sinks.atomic import AtomicFile, reason
from netwatch.sinks.base import Growth, Sink
from netwatch.sinks.report.tally import Tally


class Report:
    """`report.html`, written whole at the end, readable by its owner alone (RELIABILITY E1, E5)."""

    size: Final = 0
    waiting: Final = False

    def __init__(self, path: Path) -> None:
        """Create the temporary file, so that what cannot be written is known early. Raises SinkError."""
        self._file: AtomicFile | None = AtomicFile(path)
        self._tally = Tally()

    def write(self, release: Release) -> None:
        """Add up the records of a release; nothing goes to disk yet."""
        self._tally.add(release)

    def close(self, summary: Mapping[str, object], verdict: Mapping[str, object] | None = None) -> None:
        """Make the page and give the file its name. Raises SinkError."""
        from netwatch.sinks.report.page import page

        if self._file is None:
            return
        file = self._file
        try:
            file.write(page(summary, self._tally, verdict))
            file.sync()
            file.publish()
        except OSError as error:
            raise SinkError(f"{file.path}: {reason(error)}; the report is not on disk") from error
        finally:
            self.abort()

    def retry(self) -> int:
        """Nothing waits: the page is written at the end."""
        return 0

    def abort(self) -> None:
        """Give up: what has not got its name disappears."""
        if self._file is not None:
            self._file.abort()
        self._file = None


def open_html(path: Path, _grow: Growth) -> Sink:
    """Open a report; it is written whole, also where JSONL would grow."""
    return Report(path)
