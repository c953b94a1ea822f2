"""What every output offers, and what a format of rows has to say about itself."""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from netwatch.model.records import FlowBatch, Lookup, Release


class Growth(Enum):
    """Whether a file of lines grows as they come. HELD: what a full disk does not take waits in memory."""

    NO = 0
    LINES = 1
    HELD = 2


class Sink(Protocol):
    """An output. Its caller ends it with `close` or `abort`; a second end does nothing.

    size: bytes of its largest file so far, 0 where that is known at the end only.   waiting: a full disk keeps some of
    it back.
    """

    @property
    def size(self) -> int: ...

    @property
    def waiting(self) -> bool: ...

    def write(self, release: Release) -> None:
        """Take the records of one release. Raises SinkError, which says how many records are not on disk."""

    def retry(self) -> int:
        """Try again to write what a full disk kept back; return how many records are given up for good."""

    def close(self, summary: Mapping[str, object], verdict: Mapping[str, object] | None = None, /) -> None:
        """Bring everything to disk, with the summary record beside it. Raises SinkError as `write` does.

        verdict: what a check said (sinks/verdict.py), for formats that show it.
        """

    def abort(self) -> None:
        """Give up: what is written whole at the end leaves no trace, lines of a growing file stay."""


class RowFormat(NamedTuple):
    """A format that writes one record after another.

    name:  also the ending of its files.   flow_head, lookup_head: what stands before the first record.
    flows, lookups: the bytes of records.
    flow_start, lookup_start: how each line begins in a file that may be continued, "" for formats that never are.
    """

    name: str
    flow_head: bytes
    lookup_head: bytes
    flows: Callable[[FlowBatch], bytes]
    lookups: Callable[[Sequence[Lookup]], bytes]
    flow_start: bytes = b""
    lookup_start: bytes = b""
