"""One replay: captures in, records and summary out. The process around the engine."""

import gc
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from netwatch.attribution.catalogue import Catalogue
from netwatch.decode.link import link_name
from netwatch.engine.engine import Engine
from netwatch.filters.parse import parse
from netwatch.model.batch import PacketBatch
from netwatch.model.errors import ExitCode, SinkError
from netwatch.model.ledger import Ledger
from netwatch.model.limits import MAX_FLOWS, UNPACK_TOTAL
from netwatch.model.records import FlowBatch, Release
from netwatch.places.local import LocalNetworks
from netwatch.places.places import Places
from netwatch.runtime import datafiles, signatures
from netwatch.runtime.filtering import Filter
from netwatch.runtime.policies import Loaded
from netwatch.runtime.signals import stoppable
from netwatch.sinks import open_sink
from netwatch.sinks.base import Growth, Sink
from netwatch.sinks.encode import json_object
from netwatch.sinks.summary import Summary
from netwatch.sources import Source, merge, open_capture
from netwatch.sources.base import CaptureInfo, Deadline

GC_THRESHOLD: Final = (1_000_000, 20, 100)  # records hold no cycles: looking for them often costs 5 % and finds nothing

Progress = Callable[[int, int | None, int], None]
"""progress(bytes read, bytes in all or None, packets)."""


class Judge(Protocol):
    """What sees the records of a run and says a last word on them, before outputs are closed."""

    def add(self, release: Release) -> None: ...

    def prepare(self) -> None: ...

    def verdict(self, end: "End") -> dict[str, object]: ...

    def preview(self, end: "End", live: Sequence[FlowBatch]) -> dict[str, object]: ...

    def renew(self, loaded: Loaded, catalogue: Catalogue, places: Places) -> None: ...


class End(NamedTuple):
    """A run at its end.

    record: the summary record.   coverage: of one device by its id, of all for None.   first, last: ns, None without a
    packet.   ledger: the counters.   partial: a part of the input could not be read.
    """

    record: dict[str, object]
    coverage: Callable[[str | None], Mapping[str, Any]]
    first: int | None
    last: int | None
    ledger: Ledger
    partial: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What a replay ends with: the summary record, the exit code, and lines for the user (stderr).

    verdict: what the judge said, where there was one.
    """

    summary: dict[str, object]
    exit_code: ExitCode
    messages: list[str]
    verdict: dict[str, object] | None = None

    def json(self) -> str:
        """Return the summary record as one line of ASCII JSON."""
        return json_object(self.summary)


def replay(
    paths: Sequence[str],
    *,
    writes: Sequence[str] = (),
    merge_by_time: bool = False,
    filter_text: str | None = None,
    max_flows: int = MAX_FLOWS,
    max_bytes: int = UNPACK_TOTAL,
    geo: Sequence[str] = (),
    local_nets: Sequence[str] = (),
    progress: Progress | None = None,
    duration: int | None = None,
    catalogue: Catalogue | None = None,
    places: Places | None = None,
    judge: Judge | None = None,
) -> Result:
    """Read captures through one engine and write what comes out.

    paths: captures in order, "-" for standard input.   writes: OUT.jsonl, OUT.csv, "-" for JSON Lines on stdout.
    duration: seconds of capture time, counted from the first packet, after which the run ends; a piped input is left
    then too where no packet comes.   catalogue, places: None: what is installed, and `geo`.
    judge: is shown what is kept.
    Raises UsageError, SourceError, DataError or SinkError on the way; no output is then left half-written.
    """
    gc.set_threshold(*GC_THRESHOLD)
    local = LocalNetworks(local_nets)
    catalogue = signatures.load() if catalogue is None else catalogue
    places = datafiles.places(geo) if places is None else places
    chosen = Filter(parse(filter_text), catalogue) if filter_text is not None else None
    streamed = any(path == "-" or Path(path).is_fifo() for path in paths)
    vendor = datafiles.vendors().vendor
    deadline = None if duration is None else Deadline(duration)
    engine = Engine(catalogue, places, vendor, local, max_flows=max_flows, draw=draw, streamed=streamed)
    with ExitStack() as stack:
        sources = [stack.enter_context(open_capture(path, max_bytes=max_bytes)) for path in paths]
        for source in sources:
            source.deadline = deadline
        growth = Growth.LINES if streamed else Growth.NO
        outputs = Outputs(chosen, judge, [_guarded(stack, open_sink(spec, grow=growth)) for spec in writes])
        alarm = (duration, lambda: _each(Source.leave, sources)) if streamed and duration is not None else None
        with stoppable(lambda: _each(Source.stop, sources), alarm):
            for batch in _batches(sources, merge_by_time=merge_by_time):
                outputs.take(engine.feed(batch))
                if progress is not None:
                    _report(progress, sources)
        outputs.take(engine.finish())
        messages, partial = _state(sources, engine)
        record, verdict = outputs.close(
            [source.capture for source in sources], engine.ledger(), places, catalogue, partial=partial
        )
    code = ExitCode.PARTIAL if partial else ExitCode.OK
    return Result(record, code, [*messages, *places.notices], verdict)


class Outputs:
    """What is done with the records of a run: the summary, the judge, the files.

    lenient: an output that fails is given up, and the others go on; its text goes to `problems`.
    deserted: who read stdout has gone.
    """

    def __init__(
        self, chosen: Filter | None, judge: Judge | None, sinks: Sequence[Sink], *, lenient: bool = False
    ) -> None:
        self.summary = Summary()
        self.problems: list[str] = []
        self.deserted = False
        self._lost = 0  # records that went to outputs which were given up
        self._chosen = chosen
        self._judge = judge
        self._sinks = list(sinks)
        self._lenient = lenient

    @property
    def dropped(self) -> int:
        """Records that are not in some output and never will be."""
        return self._lost + self.tend()

    @property
    def waiting(self) -> bool:
        """Whether a full disk keeps records back."""
        return any(sink.waiting for sink in self._sinks)

    def tend(self) -> int:
        """Write what waits, end files whose time is over; return how many records the outputs gave up."""
        return sum(sink.retry() for sink in self._sinks)

    def choose(self, chosen: Filter | None) -> None:
        """Keep what this filter lets through from here on."""
        self._chosen = chosen

    def take(self, releases: Iterator[Release]) -> None:
        """Hand each release, as far as it is wanted, to all of them."""
        for release in releases:
            kept = release if self._chosen is None else self._chosen.keep(release)
            self.summary.add(kept)
            if self._judge is not None:
                self._judge.add(kept)
            for sink in list(self._sinks):
                self._write(sink, kept)

    def _write(self, sink: Sink, kept: Release) -> None:
        try:
            sink.write(kept)
        except BrokenPipeError:
            if not self._lenient:
                raise
            self._sinks.remove(sink)
            self.deserted = True
        except SinkError as error:
            if not self._lenient:
                raise
            self._lost += len(kept.flows) + len(kept.lookups)
            self._sinks.remove(sink)
            sink.abort()
            self.problems.append(str(error))

    def preview(
        self, captures: Sequence[CaptureInfo], ledger: Ledger, places: Places, catalogue: Catalogue,
        live: Sequence[FlowBatch],
    ) -> dict[str, object] | None:  # fmt: skip
        """Return the verdict as it would be if the flows that are under way ended now."""
        if self._judge is None:
            return None
        summary = self.summary.copy()
        for batch in live:
            summary.add(Release(batch, []))
        record = summary.record(captures, ledger, places.databases, catalogue)
        return self._judge.preview(_end(record, summary, captures, ledger, partial=False), live)

    def close(
        self, captures: Sequence[CaptureInfo], ledger: Ledger, places: Places, catalogue: Catalogue, *, partial: bool
    ) -> tuple[dict[str, object], dict[str, object] | None]:
        """End the outputs; return the summary record and the verdict."""
        record = self.summary.record(captures, ledger, places.databases, catalogue)
        verdict = None
        if self._judge is not None:
            verdict = self._judge.verdict(_end(record, self.summary, captures, ledger, partial=partial))
        for sink in self._sinks:
            sink.close(record, verdict)
        return record, verdict


def _end(
    record: dict[str, object], summary: Summary, captures: Sequence[CaptureInfo], ledger: Ledger, *, partial: bool
) -> End:
    first = min((capture.first for capture in captures if capture.first is not None), default=None)
    last = max((capture.last for capture in captures if capture.last is not None), default=None)
    return End(record, summary.coverages(), first, last, ledger, partial)


def _each(do: Callable[[Source], None], sources: Sequence[Source]) -> None:
    for source in sources:
        do(source)


def draw(bits: int) -> int:
    """Draw a random number of so many bits."""
    return int.from_bytes(os.urandom(bits // 8), "big")


def _guarded(stack: ExitStack, sink: Sink) -> Sink:
    """Leave nothing half-written where an error ends the run; after close() abort() does nothing."""
    stack.callback(sink.abort)
    return sink


def _batches(sources: Sequence[Source], *, merge_by_time: bool) -> Iterator[PacketBatch]:
    if merge_by_time and len(sources) > 1:
        yield from merge(sources)
        return
    for source in sources:
        yield from source


def _report(progress: Progress, sources: Sequence[Source]) -> None:
    sizes = [source.size for source in sources]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    progress(sum(source.position or 0 for source in sources), total, sum(s.capture.packets for s in sources))


def _state(sources: Sequence[Source], engine: Engine) -> tuple[list[str], bool]:
    """Return what is to be said of the input, and whether a part of it could not be read."""
    messages = [source.capture.problem for source in sources if source.capture.problem is not None]
    for link, frames in sorted(engine.unread_links.items()):
        messages.append(
            f"link type {link_name(link)} is not read: {frames} frames are counted as non_ip, no flow from them"
        )
    return messages, bool(messages)
