"""Records out, one file a format; a format is one line in SINKS."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from netwatch.model.errors import UsageError
from netwatch.model.text import display
from netwatch.sinks.base import Growth, Sink
from netwatch.sinks.csv import CSV, open_csv
from netwatch.sinks.html import open_html
from netwatch.sinks.jsonl import JSONL, open_jsonl
from netwatch.sinks.recording import Stream
from netwatch.sinks.rotation import Rotating, Rotation, Standing

# name, which is also the ending -> how its files are opened; True where a file that can grow has to
SINKS: Final[dict[str, Callable[[Path, Growth], Sink]]] = {
    "csv": open_csv,
    "html": open_html,
    "jsonl": open_jsonl,
}


STREAMS: Final = {"csv": CSV, "jsonl": JSONL}  # what stdout can carry


class Turns(NamedTuple):
    """How outputs go from one set of files to the next. now: gives the time, ns since 1970 UTC."""

    rotation: Rotation
    standing: Standing
    now: Callable[[], int]


def open_sink(spec: str, *, grow: Growth = Growth.NO, turns: Turns | None = None) -> Sink:
    """Open what `-w` names: a path by its ending, `NAME:PATH` by the name.

    `-` puts flow records on stdout as JSONL, `csv:-` as CSV.
    grow: the input may never end (`watch`, `replay -`): JSONL grows by whole lines.   turns: None: one set of files.
    Raises UsageError for a format that does not exist, SinkError for a file that cannot be written.
    """
    if spec == "-":
        return Stream(JSONL)
    name, colon, rest = spec.partition(":")
    if rest == "-" and name in STREAMS:
        return Stream(STREAMS[name])
    path = Path(spec)
    if colon and rest and name in SINKS:
        path, opener = Path(rest), SINKS[name]
    else:
        opener = _by_ending(path, spec)
    if turns is None:
        return opener(path, grow)
    return Rotating(path, lambda part: opener(part, grow), turns.rotation, turns.standing, turns.now)


def _by_ending(path: Path, spec: str) -> Callable[[Path, Growth], Sink]:
    opener = SINKS.get(path.suffix[1:].lower())
    if opener is None:
        known = " ".join(f".{ending}" for ending in SINKS)
        what = f"no format has the ending {display(path.suffix)}" if path.suffix else "the name has no ending"
        raise UsageError(f"-w {display(spec)}: {what}; there are {known}, NAME:PATH with such a name, and - for stdout")
    return opener
