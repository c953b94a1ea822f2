"""What the report shows and the summary record lacks: time, places as registered, the best evidence of each row."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from netwatch.model.distinct import used
from netwatch.model.records import Device, Evidence, FlowBatch, Label, Lookup, Release
from netwatch.sinks.report.timeline import Timeline
from netwatch.sinks.summary import KINDS

EVIDENCE_ROWS: Final = 4_096  # M3: apps by device whose evidence is kept; the page shows fewer
PIECES: Final = 5  # of each such row
TRIED: Final = 64  # flows of one row that are asked for evidence, each of another name or of another release
PLACES: Final = 4_096  # M3: server places told apart: pairs of countries that occur
RANK: Final = {kind: rank for rank, kind in enumerate(KINDS)}


class Who(NamedTuple):
    """A row of the report's tables: an app (else an owner) on a device."""

    device_id: str
    app_id: str | None
    owner_id: str | None


class Somewhere(NamedTuple):
    """What a place says of countries; all None beyond PLACES of them and for local addresses."""

    server_country: str | None
    registration_country: str | None
    anycast: bool | None


class Pieces:
    """The best evidence of one row."""

    __slots__ = ("best", "tried")

    def __init__(self) -> None:
        self.best: list[Evidence] = []
        self.tried = 0

    def take(self, pieces: Sequence[Evidence]) -> None:
        """Keep what is better than what there is: by kind (DESIGN section 5), then the earliest."""
        there = {(piece.kind, piece.value, piece.rule) for piece in self.best}
        fresh = [piece for piece in pieces if (piece.kind, piece.value, piece.rule) not in there]
        if fresh:
            self.best = sorted(self.best + fresh, key=_worth)[:PIECES]


class Tally:
    """Adds up releases, by columns; its size is bounded by the caps above and those of Timeline."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.places: dict[Somewhere, list[int]] = {}  # flows, bytes out, bytes in
        self.evidence: dict[Who, Pieces] = {}

    def add(self, release: Release) -> None:
        """Add the records of one release."""
        batch = release.flows
        if len(batch):
            self._add_time(batch)
            self._add_places(batch)
            self._add_evidence(batch)
        for lookup in release.lookups:
            if lookup.app_id is not None:
                self._add_lookup(lookup)

    def _add_time(self, batch: FlowBatch) -> None:
        rows = np.zeros(len(batch.labels), np.int64)
        for code in used(batch.label):
            rows[code] = self.timeline.series(batch.labels[code].control_country)
        self.timeline.add(batch.start, batch.end, rows[batch.label], batch.bytes_out, batch.bytes_in)

    def _add_places(self, batch: FlowBatch) -> None:
        flows, out, back = (
            np.bincount(batch.place, weights, len(batch.places)) for weights in (None, batch.bytes_out, batch.bytes_in)
        )
        for code in np.flatnonzero(flows).tolist():
            place = batch.places[code]
            key = Somewhere(place.server_country, place.registration_country, place.anycast)
            if key not in self.places and len(self.places) >= PLACES:
                key = Somewhere(None, None, None)
            sums = self.places.setdefault(key, [0, 0, 0])
            sums[0] += int(flows[code])
            sums[1] += int(out[code])
            sums[2] += int(back[code])

    def _add_evidence(self, batch: FlowBatch) -> None:
        """Ask the first flow of each pair of a device and a label, which is a name, so each has something to say."""
        numbers: dict[tuple[str | None, str | None], int] = {(None, None): 0}
        who = np.zeros(len(batch.labels), np.int64)
        for code in used(batch.label):
            label = batch.labels[code]
            who[code] = numbers.setdefault((label.app_id, label.owner_id), len(numbers))
        rows = np.flatnonzero(who[batch.label])
        device, label_code = batch.device[rows].astype(np.int64), batch.label[rows]
        _, first, group = np.unique(device * len(numbers) + who[label_code], return_index=True, return_inverse=True)
        groups = [self._pieces(batch.devices[device[at]], batch.labels[label_code[at]]) for at in first.tolist()]
        wanted = np.flatnonzero(np.array([kept is not None and kept.tried < TRIED for kept in groups], np.bool_)[group])
        pairs = device[wanted] * len(batch.labels) + label_code[wanted]
        for at in wanted[np.unique(pairs, return_index=True)[1]].tolist():
            kept = groups[group[at]]
            if kept is not None and kept.tried < TRIED:
                kept.tried += 1
                kept.take(batch.evidence.get(int(rows[at]), ()))

    def _add_lookup(self, lookup: Lookup) -> None:
        kept = self._pieces(lookup.device, lookup)
        if kept is not None and not (len(kept.best) == PIECES and RANK[kept.best[-1].kind] <= RANK["dns_query"]):
            kept.take([Evidence("dns_query", lookup.query, lookup.time, lookup.packet, None)])

    def _pieces(self, device: Device, of: Label | Lookup) -> Pieces | None:
        """Return where evidence of a row is kept, None where there are too many rows."""
        who = Who(device.device_id, of.app_id, of.owner_id)
        kept = self.evidence.get(who)
        if kept is None:
            if len(self.evidence) >= EVIDENCE_ROWS:
                return None
            kept = self.evidence[who] = Pieces()
        return kept


def _worth(piece: Evidence) -> tuple[int, int, int, str, str]:
    return RANK.get(piece.kind, len(RANK)), piece.time, piece.packet, piece.value, piece.rule or ""
