"""One replay: captures in, records and summary out. The process around the engine."""

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from netwatch.decode.link import link_name
from netwatch.engine.engine import Engine
from netwatch.filters.parse import parse
from netwatch.model.batch import PacketBatch
from netwatch.model.errors import ExitCode
from netwatch.model.limits import MAX_FLOWS, UNPACK_TOTAL
from netwatch.model.records import Release
from netwatch.places.local import LocalNetworks
from netwatch.runtime import datafiles, signatures
from netwatch.runtime.filtering import Filter
from netwatch.runtime.signals import stoppable
from netwatch.sinks import open_sink
from netwatch.sinks.base import Sink
from netwatch.sinks.encode import json_object
from netwatch.sinks.summary import Summary
from netwatch.sources import Source, merge, open_capture

GC_THRESHOLD: Final = (100_000, 20, 100)  # records hold no cycles: looking for them often costs 5 % and finds nothing

Progress = Callable[[int, int | None, int], None]
"""progress(bytes read, bytes in all or None, packets)."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a replay ends with: the summary record, the exit code, and lines for the user (stderr)."""

    summary: dict[str, object]
    exit_code: ExitCode
    messages: list[str]

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
) -> Result:
    """Read captures through one engine and write what comes out.

    paths: captures in order, "-" for standard input.   writes: OUT.jsonl, OUT.csv, "-" for JSON Lines on stdout.
    Raises UsageError, SourceError, DataError or SinkError on the way; no output is then left half-written.
    """
    gc.set_threshold(*GC_THRESHOLD)
    local = LocalNetworks(local_nets)
    catalogue = signatures.load()
    places = datafiles.places(geo)
    chosen = Filter(parse(filter_text), catalogue) if filter_text is not None else None
    streamed = any(path == "-" or Path(path).is_fifo() for path in paths)
    vendor = datafiles.vendors().vendor
    engine = Engine(catalogue, places, vendor, local, max_flows=max_flows, draw=_draw, streamed=streamed)
    with ExitStack() as stack:
        sources = [stack.enter_context(open_capture(path, max_bytes=max_bytes)) for path in paths]
        sinks = [_guarded(stack, open_sink(spec, grow=streamed)) for spec in writes]
        summary = Summary()

        def emit(release: Release) -> None:
            kept = release if chosen is None else chosen.keep(release)
            summary.add(kept)
            for sink in sinks:
                sink.write(kept)

        def wake() -> None:
            for source in sources:
                source.stop()

        with stoppable(wake):
            for batch in _batches(sources, merge_by_time=merge_by_time):
                for release in engine.feed(batch):
                    emit(release)
                if progress is not None:
                    _report(progress, sources)
        for release in engine.finish():
            emit(release)
        messages, partial = _state(sources, engine)
        messages += places.notices
        record = summary.record([source.capture for source in sources], engine.ledger(), places.databases, catalogue)
        for sink in sinks:
            sink.close(record)
    return Result(record, ExitCode.PARTIAL if partial else ExitCode.OK, messages)


def _draw(bits: int) -> int:
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
