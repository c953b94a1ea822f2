"""What leaves the engine: finished flows as columns, lookups, and the words that they use (DESIGN section 4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final, NamedTuple

import numpy as np

from netwatch.model.arrays import I16, I32, I64, U8, U64, Bool
from netwatch.model.reading import Address

SCHEMA: Final = 1

END_REASONS: Final = ("idle", "active", "end", "forced", "lack_of_resources")
IDLE, ACTIVE, END, FORCED, LACK = range(5)

BLIND: Final = (
    None,
    "ech",
    "doh",
    "dot",
    "vpn",
    "no_handshake",
    "no_name_offered",
    "snaplen_cut",
    "encrypted_unknown",
    "ip_only",
    "undecryptable",
)

FLOW_FIELDS: Final = (
    *("flow_id", "community_id", "start", "end", "device_id", "device_name", "device_vendor"),
    *("client_ip", "client_port", "server_ip", "server_port", "transport", "vlan", "tunnel", "interface"),
    *("packets_out", "packets_in", "bytes_out", "bytes_in", "wire_bytes_out", "wire_bytes_in"),
    *("tcp_flags_out", "tcp_flags_in", "end_reason", "protocol", "name", "name_source"),
    *("alpn", "tls_version", "ja4", "ech", "app_id", "app", "app_kind", "role"),
    *("owner_id", "owner", "control_country", "domicile", "confidence", "evidence", "conflict", "blind"),
    *("server_country", "registration_country", "asn", "as_name", "anycast", "process"),
)

LOOKUP_FIELDS: Final = (
    *("time", "device_id", "client_ip", "resolver_ip", "transport", "query", "type", "rcode", "answers", "blocked"),
    *("app_id", "owner_id", "control_country", "confidence"),
)


class Evidence(NamedTuple):
    """One reason for a label.

    time: nanoseconds; packet: its number in its capture, from 1; rule: `signatures/<company>/<app>.toml#<endpoint>`.
    """

    kind: str
    value: str
    time: int
    packet: int
    rule: str | None


class Label(NamedTuple):
    """Who stands behind a flow; None where unknown. Every field is one of the flow record, by its name there."""

    name: str | None = None
    name_source: str | None = None
    app_id: str | None = None
    app: str | None = None
    app_kind: str | None = None
    role: str | None = None
    owner_id: str | None = None
    owner: str | None = None
    control_country: str | None = None
    domicile: str | None = None
    confidence: str | None = None
    conflict: str | None = None


class Talk(NamedTuple):
    """What the handshake showed; every field is one of the flow record."""

    protocol: str | None = None
    alpn: str | None = None
    tls_version: str | None = None
    ja4: str | None = None
    ech: str | None = None


class Device(NamedTuple):
    """The local side of a flow."""

    device_id: str
    device_name: str | None
    device_vendor: str | None


class Place(NamedTuple):
    """Where a server seems to be; every field is one of the flow record."""

    server_country: str | None = None
    registration_country: str | None = None
    asn: int | None = None
    as_name: str | None = None
    anycast: bool | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FlowBatch:
    """Finished flows as columns of length N, sorted by (start, flow_id).

    flow_id:        uint64.   start, end: int64, ns.
    family:         uint8, 4 or 6; client_hi/lo, server_hi/lo: uint64 halves of the addresses (IPv4: hi 0).
    client_port, server_port: int32, -1 for null.   transport: uint8, IP protocol number.
    vlan:           int32, -1 for null.
    packets_* bytes_* wire_bytes_*: int64.   tcp_flags_*: int16, -1 for null.
    end_reason:     uint8, index into END_REASONS.   blind: uint8, index into BLIND.
    device, tunnel, interface, talk, label, place: int32, indices into the lists of distinct values beside them.
    evidence:       rows with evidence -> pieces, best first.
    in_coverage:    bool, between a device and an address outside the local networks, and of a protocol that has a name.
    process:        int32, index into processes; None where nobody looked for programs.
    """

    flow_id: U64
    start: I64
    end: I64
    family: U8
    client_hi: U64
    client_lo: U64
    client_port: I32
    server_hi: U64
    server_lo: U64
    server_port: I32
    transport: U8
    vlan: I32
    packets_out: I64
    packets_in: I64
    bytes_out: I64
    bytes_in: I64
    wire_bytes_out: I64
    wire_bytes_in: I64
    tcp_flags_out: I16
    tcp_flags_in: I16
    end_reason: U8
    blind: U8
    device: I32
    devices: Sequence[Device]
    tunnel: I32
    tunnels: Sequence[str | None]
    interface: I32
    interfaces: Sequence[str | None]
    talk: I32
    talks: Sequence[Talk]
    label: I32
    labels: Sequence[Label]
    place: I32
    places: Sequence[Place]
    evidence: Mapping[int, tuple[Evidence, ...]]
    in_coverage: Bool
    process: I32 | None = None
    processes: Sequence[str | None] = (None,)

    def __len__(self) -> int:
        return len(self.flow_id)

    def select(self, keep: Bool) -> "FlowBatch":
        """Return the rows where `keep` is true, in their order."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        columns |= {name: c[keep] for name, c in columns.items() if isinstance(c, np.ndarray)}
        place = np.cumsum(keep) - 1
        evidence = {int(place[row]): pieces for row, pieces in self.evidence.items() if keep[row]}
        return FlowBatch(**{**columns, "evidence": evidence})


class LookupAnswer(NamedTuple):
    """A record of any section of an answer, as text."""

    name: str
    type: str
    data: str
    ttl: int


class Lookup(NamedTuple):
    """One question and what was answered; packet is the number of the question's (else the answer's) packet.

    rcode is None without an answer in LOOKUP_WAIT_NS.
    """

    time: int
    packet: int
    device: Device
    client: Address
    resolver: Address
    transport: str
    query: str
    type: str
    rcode: str | None
    answers: tuple[LookupAnswer, ...]
    blocked: bool
    app_id: str | None
    app: str | None
    app_kind: str | None
    role: str | None
    owner_id: str | None
    owner: str | None
    control_country: str | None
    domicile: str | None
    confidence: str | None


class Release(NamedTuple):
    """What the engine lets go at one point of the input."""

    flows: FlowBatch
    lookups: Sequence[Lookup]
