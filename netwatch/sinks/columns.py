"""Records as columns of Python values, in the order of the contract."""

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from netwatch.model.address import V6, address_text
from netwatch.model.arrays import I32, U8, U64
from netwatch.model.distinct import distinct
from netwatch.model.records import BLIND, END_REASONS, FlowBatch, Label, Lookup
from netwatch.sinks.community import community_ids
from netwatch.sinks.encode import answer_texts, evidence_texts, time_texts

Value: TypeAlias = str | int | None  # truth values are numbers to the type checker

TRANSPORTS: Final = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6", 132: "sctp"}


_QUESTION: Final = ("transport", "query", "type", "rcode")


class Coded(NamedTuple):
    """Neighbouring fields that share one dictionary: record i has rows[codes[i]] from `first` on.

    Rows without a code are not read.
    """

    fields: tuple[str, ...]
    codes: NDArray[np.integer[Any]]
    rows: Sequence[tuple[Value, ...]]
    first: int = 0

    @property
    def cut(self) -> slice:
        """Where the values of the fields stand in a row."""
        return slice(self.first, self.first + len(self.fields))


class Number(NamedTuple):
    """Whole numbers; None only where `nulls` is true."""

    field: str
    values: Sequence[int | None]
    nulls: bool = False


class Plain(NamedTuple):
    """Strings that no format has to escape: times, addresses, identifiers."""

    field: str
    values: Sequence[str]


class Free(NamedTuple):
    """Any strings."""

    field: str
    values: Sequence[str | None]


class Listed(NamedTuple):
    """Lists, as JSON text."""

    field: str
    values: Sequence[str]


Column: TypeAlias = Coded | Number | Plain | Free | Listed


def flow_columns(batch: FlowBatch) -> list[Column]:
    """Return the columns of FLOW_FIELDS."""
    flow_ids = batch.flow_id.astype(">u8").tobytes().hex()
    talks, labels = batch.talks, batch.labels
    get, none = batch.evidence.get, ()
    evidence = evidence_texts([get(row, none) for row in range(len(batch))]) if batch.evidence else ["[]"] * len(batch)
    return [
        Plain("flow_id", [flow_ids[at : at + 16] for at in range(0, len(flow_ids), 16)]),
        Plain("community_id", community_ids(batch)),
        Plain("start", time_texts(batch.start)),
        Plain("end", time_texts(batch.end)),
        Coded(("device_id", "device_name", "device_vendor"), batch.device, batch.devices),
        Plain("client_ip", addresses(batch.family, batch.client_hi, batch.client_lo)),
        _port("client_port", batch.client_port),
        Plain("server_ip", addresses(batch.family, batch.server_hi, batch.server_lo)),
        _port("server_port", batch.server_port),
        _coded(("transport", "vlan", "tunnel", "interface"), *paths(batch)),
        *(
            Number(name, getattr(batch, name).tolist())
            for name in ("packets_out", "packets_in", "bytes_out", "bytes_in", "wire_bytes_out", "wire_bytes_in")
        ),
        _coded(("tcp_flags_out", "tcp_flags_in", "end_reason"), *endings(batch)),
        Coded(("protocol",), batch.talk, talks),
        Coded(("name", "name_source"), batch.label, labels),
        Coded(("alpn", "tls_version", "ja4", "ech"), batch.talk, talks, 1),
        Coded(Label._fields[2:11], batch.label, labels, 2),
        Listed("evidence", evidence),
        Coded(("conflict",), batch.label, labels, 11),
        Coded(("blind",), batch.blind, [(reason,) for reason in BLIND]),
        Coded(("server_country", "registration_country", "asn", "as_name", "anycast"), batch.place, batch.places),
        Coded(("process",), programs(batch), [(program,) for program in batch.processes]),
    ]


def programs(batch: FlowBatch) -> I32:
    """Return `process`, also where nobody looked for programs."""
    return np.zeros(len(batch), np.int32) if batch.process is None else batch.process


def lookup_columns(lookups: Sequence[Lookup]) -> list[Column]:
    """Return the columns of LOOKUP_FIELDS."""
    of = dict(zip(Lookup._fields, zip(*lookups, strict=True), strict=True))
    return [
        Plain("time", time_texts(np.array(of["time"], np.int64))),
        Free("device_id", [device.device_id for device in of["device"]]),
        Plain("client_ip", list(map(address_text, of["client"]))),
        Plain("resolver_ip", list(map(address_text, of["resolver"]))),
        *(Free(name, of[name]) for name in _QUESTION),
        Listed("answers", answer_texts(of["answers"])),
        Coded(("blocked",), np.array(of["blocked"], np.uint8), [(False,), (True,)]),
        *(Free(name, of[name]) for name in ("app_id", "owner_id", "control_country", "confidence")),
    ]


def dicts(columns: Sequence[Column]) -> list[dict[str, object]]:
    """Return each record as what its JSON line says: for tests and small uses."""
    fields: list[str] = []
    parts: list[list[tuple[object, ...]]] = []
    for column in columns:
        match column:
            case Coded(names, codes, rows):
                fields += names
                parts.append([rows[code][column.cut] for code in codes.tolist()])
            case Listed(name, texts):
                fields.append(name)
                parts.append([(json.loads(text),) for text in texts])
            case Number(name, values) | Plain(name, values) | Free(name, values):
                fields.append(name)
                parts.append([(value,) for value in values])
    return [
        dict(zip(fields, (value for part in row for value in part), strict=True)) for row in zip(*parts, strict=True)
    ]


def _coded(fields: tuple[str, ...], rows: Sequence[tuple[Value, ...]], codes: I32) -> Coded:
    return Coded(fields, codes, rows)


def addresses(family: U8, hi: U64, lo: U64) -> list[str]:
    """Return addresses, given as in FlowBatch, as text."""
    values: list[int] = lo.tolist()
    for row in np.flatnonzero(family == 6).tolist():
        values[row] |= V6 | int(hi[row]) << 64
    return list(map(address_text, values))


def _port(name: str, ports: I32) -> Number:
    values: list[int | None] = ports.tolist()
    missing = np.flatnonzero(ports < 0).tolist()
    for row in missing:
        values[row] = None
    return Number(name, values, bool(missing))


def paths(batch: FlowBatch) -> tuple[list[tuple[Value, ...]], I32]:
    """Join four fields of few values: transport, vlan, tunnel, interface.

    Returns the distinct rows, and which of them each flow has.
    """
    key = batch.transport.astype(np.int64) << 13 | batch.vlan + 1
    key = (key * len(batch.tunnels) + batch.tunnel) * len(batch.interfaces) + batch.interface
    first, codes = distinct(key.view(np.uint64))
    rows: list[tuple[Value, ...]] = [
        (
            TRANSPORTS.get(transport, str(transport)),
            None if vlan < 0 else vlan,
            batch.tunnels[tunnel],
            batch.interfaces[interface],
        )
        for transport, vlan, tunnel, interface in zip(
            batch.transport[first].tolist(),
            batch.vlan[first].tolist(),
            batch.tunnel[first].tolist(),
            batch.interface[first].tolist(),
            strict=True,
        )
    ]
    return rows, codes


def endings(batch: FlowBatch) -> tuple[list[tuple[Value, ...]], I32]:
    """Join three fields of few values: the flags of both ways and the end reason. Returns what `paths` returns."""
    out, back = batch.tcp_flags_out, batch.tcp_flags_in
    key = ((out + 1).astype(np.int64) << 9 | back + 1) << 3 | batch.end_reason
    first, codes = distinct(key.view(np.uint64))
    rows: list[tuple[Value, ...]] = [
        (None if sent < 0 else sent, None if got < 0 else got, END_REASONS[reason])
        for sent, got, reason in zip(
            out[first].tolist(), back[first].tolist(), batch.end_reason[first].tolist(), strict=True
        )
    ]
    return rows, codes
