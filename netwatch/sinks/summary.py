"""The summary record: what a run saw, by app, owner, country and device (DESIGN section 4)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

import numpy as np

from netwatch.model.arrays import I64
from netwatch.model.distinct import Coder, used
from netwatch.model.ledger import Ledger
from netwatch.model.limits import HOSTS, SUMMARY_CELLS
from netwatch.model.records import SCHEMA, Device, FlowBatch, Label, Lookup, Release
from netwatch.sinks.cells import DEVICE_AT, Cell, joined, split
from netwatch.sinks.coverage import CLEAR, coverages
from netwatch.sinks.encode import time_text, time_texts

KINDS: Final = (None, *CLEAR, "dns_answer_other", "dns_query", "network")  # in the order of DESIGN section 5

Identity: TypeAlias = tuple[str | None, ...]


class Capture(Protocol):
    """What a source knows of one capture; first, last: ns, None without a packet."""

    name: str
    format: str
    packets: int
    first: int | None
    last: int | None
    complete: bool


class Counts(Protocol):
    """How much the catalogue knows."""

    @property
    def apps(self) -> int: ...
    @property
    def owners(self) -> int: ...
    @property
    def endpoints(self) -> int: ...


class Known(Protocol):
    """The catalogue, as far as the summary names it."""

    @property
    def version(self) -> str: ...
    @property
    def counts(self) -> Counts: ...


class _Class(NamedTuple):
    """What of a label the summary keeps apart."""

    app_id: str | None
    app: str | None
    app_kind: str | None
    role: str | None
    owner_id: str | None
    owner: str | None
    control_country: str | None
    domicile: str | None


_LOOKUP_CLASS: Final = slice(Lookup._fields.index("app_id"), Lookup._fields.index("domicile") + 1)
"""Where the fields of _Class stand in a lookup, in the same order."""


class _Totals:
    """The seven keys in which each row ends."""

    __slots__ = ("bytes_in", "bytes_out", "evidence", "first", "flows", "last", "lookups")

    def __init__(self) -> None:
        self.flows = self.lookups = self.bytes_out = self.bytes_in = 0
        self.first, self.last = np.iinfo(np.int64).max, np.iinfo(np.int64).min
        self.evidence: dict[int, int] = {}

    def record(self, first: str, last: str, kinds: Sequence[str | None]) -> dict[str, object]:
        return {
            "flows": self.flows,
            "lookups": self.lookups,
            "bytes_out": self.bytes_out,
            "bytes_in": self.bytes_in,
            "first": first,
            "last": last,
            "evidence": {str(kinds[kind]): flows for kind, flows in sorted(self.evidence.items())},
        }


class Summary:
    """Adds up releases. Its size is bounded by HOSTS, SUMMARY_CELLS and what the catalogue knows."""

    def __init__(self) -> None:
        self._devices = Coder()  # device_id -> index; 0 stands for all beyond the cap
        self._devices[None]
        self._names: list[list[str | None]] = [[None, None]]
        self._labels = Coder()
        self._countries = Coder()
        self._kinds = Coder()
        for kind in KINDS:
            self._kinds[kind]
        self._cells: dict[int, list[int]] = {}  # Cell as one number -> flows, bytes out, bytes in, first, last
        self._asked: dict[tuple[int, int], list[int]] = {}  # device, label -> lookups, first, last
        self._folded = 0

    def copy(self) -> "Summary":
        """Return the same sums, to which more can be added."""
        new = Summary()
        for name in ("_devices", "_labels", "_countries", "_kinds"):
            getattr(new, name).update(getattr(self, name))
        new._names = [list(names) for names in self._names]
        new._cells = {key: list(sums) for key, sums in self._cells.items()}
        new._asked = {key: list(sums) for key, sums in self._asked.items()}
        new._folded = self._folded
        return new

    def add(self, release: Release) -> None:
        """Add the records of one release."""
        if len(release.flows):
            self._add_flows(release.flows)
        devices: dict[Device, int] = {}  # a release gives all lookups of a device the same names
        for lookup in release.lookups:
            index = devices.get(lookup.device)
            if index is None:
                index = devices[lookup.device] = self._device(*lookup.device)
            self._add_lookup(lookup, index)

    def _add_flows(self, batch: FlowBatch) -> None:
        last_row = np.full(len(batch.devices), -1, np.int64)
        np.maximum.at(last_row, batch.device, np.arange(len(batch)))
        devices = np.zeros(len(batch.devices), np.int64)
        for code in sorted(np.flatnonzero(last_row >= 0).tolist(), key=last_row.__getitem__):
            devices[code] = self._device(*batch.devices[code])
        named, labels = (np.zeros(len(batch.labels), np.int64) for _ in range(2))
        for code in used(batch.label):
            label = batch.labels[code]
            labels[code] = self._labels[_class(label)]
            named[code] = self._kinds[label.name_source if label.name is not None else None]
        countries = np.zeros(len(batch.places), np.int64)
        for code in used(batch.place):
            countries[code] = self._countries[batch.places[code].server_country]
        source = named[batch.label]
        kind = source.copy()
        self._unnamed_kinds(batch, kind)
        fields = (
            devices[batch.device],
            labels[batch.label],
            countries[batch.place],
            kind,
            source > 0,
            batch.in_coverage,
            batch.blind,
        )
        self._fold(joined(fields), batch, devices[batch.device])

    def _unnamed_kinds(self, batch: FlowBatch, kind: I64) -> None:
        """Fill in the kind of the best evidence where that is not of a name: an owner's network."""
        rows = np.fromiter(batch.evidence.keys(), np.int64, len(batch.evidence))
        for row in rows[kind[rows] == 0].tolist():
            pieces = batch.evidence[row]
            if pieces:
                kind[row] = self._kinds[pieces[0].kind]

    def _fold(self, keys: I64, batch: FlowBatch, device: I64) -> None:
        """Add the flows to their cells: sums of int64 over the runs of a sorted key."""
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        columns = zip(
            ordered[starts].tolist(),
            np.diff(starts, append=len(ordered)).tolist(),
            np.add.reduceat(batch.bytes_out[order], starts).tolist(),
            np.add.reduceat(batch.bytes_in[order], starts).tolist(),
            np.minimum.reduceat(batch.start[order], starts).tolist(),
            np.maximum.reduceat(batch.end[order], starts).tolist(),
            strict=True,
        )
        self._folded += int(np.count_nonzero(device == 0))
        for key, flows, out, back, first, last in columns:
            cell = self._cells.get(key)
            if cell is None and len(self._cells) >= SUMMARY_CELLS and key >> DEVICE_AT:
                self._folded += flows
                key &= (1 << DEVICE_AT) - 1  # noqa: PLW2901 the same cell, of no device
                cell = self._cells.get(key)
            if cell is None:
                self._cells[key] = [flows, out, back, first, last]
                continue
            cell[0] += flows
            cell[1] += out
            cell[2] += back
            cell[3] = min(cell[3], first)
            cell[4] = max(cell[4], last)

    def _add_lookup(self, lookup: Lookup, device: int) -> None:
        label = self._labels.get(lookup[_LOOKUP_CLASS])
        key = device, self._labels[_class(lookup)] if label is None else label
        asked = self._asked.get(key)
        if asked is None and len(self._asked) >= SUMMARY_CELLS:
            device, key = 0, (0, key[1])
            asked = self._asked.get(key)
        self._folded += device == 0
        if asked is None:
            self._asked[key] = [1, lookup.time, lookup.time]
            return
        asked[0] += 1
        asked[1] = min(asked[1], lookup.time)
        asked[2] = max(asked[2], lookup.time)

    def _device(self, device_id: str, name: str | None, vendor: str | None) -> int:
        """Return the index of a device, 0 beyond HOSTS of them; the last name that is known wins."""
        index = self._devices.get(device_id)
        if index is None:
            if len(self._devices) > HOSTS:
                return 0
            index = self._devices[device_id]
            self._names.append([None, None])
        names = self._names[index]
        if name is not None:
            names[0] = name
        if vendor is not None:
            names[1] = vendor
        return index

    def record(
        self,
        captures: Iterable[Capture],
        ledger: Ledger,
        databases: Iterable[Mapping[str, object]],
        catalogue: Known,
    ) -> dict[str, object]:
        """Return the summary record, keys in the order of the contract.

        Flows and lookups of devices beyond the caps stand in one row with device_id null; the ledger counts them as
        the anomaly `devices_folded`.
        """
        cells = [(split(key), sums) for key, sums in self._cells.items()]
        labels = list(self._labels)
        countries = list(self._countries)
        devices = list(self._devices)

        def device(at: int, _label: int, _country: int | None) -> Identity:
            return devices[at], *self._names[at]

        def app(_device: int, at: int, _country: int | None) -> Identity | None:
            label: _Class = labels[at]
            if label.app_id is None:
                return None
            return label.app_id, label.app, label.app_kind, label.owner_id, label.owner, label.control_country

        def owner(_device: int, at: int, _country: int | None) -> Identity | None:
            label: _Class = labels[at]
            return None if label.owner_id is None else (label.owner_id, label.owner, *label[6:])

        def country(_device: int, _label: int, at: int | None) -> Identity | None:
            return None if at is None or countries[at] is None else (countries[at],)

        def cross(at: int, label_at: int, country_at: int | None) -> Identity:
            label: _Class = labels[label_at]
            place = None if country_at is None else countries[country_at]
            return devices[at], label.app_id, label.role, label.owner_id, label.control_country, place

        whole = ledger.record()
        if self._folded:
            anomalies = {**ledger.anomalies, "devices_folded": self._folded}
            whole["anomalies"] = dict(sorted(anomalies.items()))
        counts = catalogue.counts
        return {
            "schema": SCHEMA,
            "captures": [_capture(capture) for capture in captures],
            "apps": self._rows(cells, ("app_id", "app", "app_kind", "owner_id", "owner", "control_country"), app),
            "owners": self._rows(cells, ("owner_id", "owner", "control_country", "domicile"), owner),
            "countries": self._rows(cells, ("server_country",), country),
            "devices": self._rows(cells, ("device_id", "device_name", "device_vendor"), device),
            "cross": self._rows(
                cells, ("device_id", "app_id", "role", "owner_id", "control_country", "server_country"), cross
            ),
            "coverage": self.coverages()(None),
            "ledger": whole,
            "databases": [dict(entry) for entry in databases],
            "catalogue": {
                "version": catalogue.version,
                "apps": counts.apps,
                "owners": counts.owners,
                "endpoints": counts.endpoints,
            },
        }

    def coverages(self) -> Callable[[str | None], dict[str, object]]:
        """Return how much of what needs a name has one: of all devices for None, of one (zeros for one not seen)."""
        return coverages(self._cells, self._devices, list(self._kinds))

    def apps(self) -> dict[str, int]:
        """Return the bytes both ways of each app, by its name."""
        octets: dict[str, int] = {}
        labels = list(self._labels)
        for key, (_, out, back, _, _) in self._cells.items():
            label: _Class = labels[split(key).label]
            if label.app is not None and label.app_kind in {"app", "sdk"}:
                octets[label.app] = octets.get(label.app, 0) + out + back
        return octets

    def _rows(
        self,
        cells: Sequence[tuple[Cell, list[int]]],
        names: tuple[str, ...],
        identity: Callable[[int, int, int | None], Identity | None],
    ) -> list[dict[str, object]]:
        """Return the rows of one array: bytes both ways, falling, then by what the row is of, null last."""
        rows: dict[Identity, _Totals] = {}
        for cell, (flows, out, back, first, last) in cells:
            of = identity(cell.device, cell.label, cell.country)
            if of is None:
                continue
            row = _row(rows, of, first, last)
            row.flows += flows
            row.bytes_out += out
            row.bytes_in += back
            if cell.kind:
                row.evidence[cell.kind] = row.evidence.get(cell.kind, 0) + flows
        for (device, label), (lookups, first, last) in self._asked.items():
            of = identity(device, label, None)
            if of is not None:
                _row(rows, of, first, last).lookups += lookups
        kinds = list(self._kinds)
        ranked = sorted(rows.items(), key=_rank)
        firsts = time_texts(np.array([row.first for _, row in ranked], np.int64))
        lasts = time_texts(np.array([row.last for _, row in ranked], np.int64))
        return [
            {**dict(zip(names, of, strict=True)), **row.record(first, last, kinds)}
            for (of, row), first, last in zip(ranked, firsts, lasts, strict=True)
        ]


def _class(of: Label | Lookup) -> _Class:
    return _Class(of.app_id, of.app, of.app_kind, of.role, of.owner_id, of.owner, of.control_country, of.domicile)


def _row(rows: dict[Identity, _Totals], of: Identity, first: int, last: int) -> _Totals:
    row = rows.get(of)
    if row is None:
        row = rows[of] = _Totals()
    row.first = min(row.first, first)
    row.last = max(row.last, last)
    return row


def _rank(item: tuple[Identity, _Totals]) -> tuple[int, list[tuple[bool, str]]]:
    of, row = item
    return -row.bytes_out - row.bytes_in, [(part is None, part or "") for part in of]


def _capture(capture: Capture) -> dict[str, object]:
    return {
        "name": capture.name,
        "format": capture.format,
        "packets": capture.packets,
        "first": None if capture.first is None else time_text(capture.first),
        "last": None if capture.last is None else time_text(capture.last),
        "complete": capture.complete,
    }
