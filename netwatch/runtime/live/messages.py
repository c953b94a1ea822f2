"""What the worker tells: plain data, checked when it comes, since senders of packets may have their way there."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias

import numpy as np
from msgspec import DecodeError, EncodeError, Meta, Struct, msgpack
from numpy.typing import NDArray

from netwatch.model.address import V6
from netwatch.model.errors import NetwatchError
from netwatch.model.records import (
    BLIND,
    END_REASONS,
    Device,
    Evidence,
    FlowBatch,
    Label,
    Lookup,
    LookupAnswer,
    Place,
    Release,
    Talk,
)

ADDRESS_BYTES: Final = 17  # an address has up to 129 bits
# column -> its dtype, little-endian, as both ends are one machine
COLUMNS: Final[dict[str, str]] = {
    "flow_id": "u8", "start": "i8", "end": "i8", "family": "u1", "client_hi": "u8", "client_lo": "u8",
    "client_port": "i4", "server_hi": "u8", "server_lo": "u8", "server_port": "i4", "transport": "u1", "vlan": "i4",
    "packets_out": "i8", "packets_in": "i8", "bytes_out": "i8", "bytes_in": "i8", "wire_bytes_out": "i8",
    "wire_bytes_in": "i8", "tcp_flags_out": "i2", "tcp_flags_in": "i2", "end_reason": "u1", "blind": "u1",
    "device": "i4", "tunnel": "i4", "interface": "i4", "talk": "i4", "label": "i4", "place": "i4", "in_coverage": "?",
}  # fmt: skip
CODED: Final = {
    "device": "devices", "tunnel": "tunnels", "interface": "interfaces", "talk": "talks", "label": "labels",
    "place": "places",
}  # fmt: skip

Count: TypeAlias = Annotated[int, Meta(ge=0)]


class MessageError(NetwatchError):
    """What came from the other process is no message: it is not to be trusted any further."""


class Flows(Struct, array_like=True, frozen=True):
    """A FlowBatch: columns as bytes in the order of COLUMNS, and the words that they point at."""

    count: Count
    columns: list[bytes]
    devices: list[Device]
    tunnels: list[str | None]
    interfaces: list[str | None]
    talks: list[Talk]
    labels: list[Label]
    places: list[Place]
    evidence: dict[int, list[Evidence]]


class Asked(Struct, array_like=True, frozen=True):
    """A Lookup, its addresses as bytes."""

    time: int
    packet: int
    device: Device
    client: bytes
    resolver: bytes
    words: tuple[str, str, str, str | None]  # transport, query, type, rcode
    answers: list[LookupAnswer]
    blocked: bool
    label: tuple[
        str | None, str | None, str | None, str | None, str | None, str | None, str | None, str | None, str | None
    ]


class Released(Struct, array_like=True, frozen=True, tag=1):
    """A Release."""

    flows: Flows
    lookups: list[Asked]


class Snapshot(Struct, array_like=True, frozen=True, tag=2):
    """The live flows as they stand: what is known of them if the worker goes."""

    flows: list[Flows]


class Beat(Struct, array_like=True, frozen=True, tag=3):
    """The worker is well. Sent once a second at least.

    ledger: as in a summary.   taken, dropped: packets, by the kernel's count, in this worker's time.   lost: flows
    and lookups that nobody took.   live: flows.   level: 0, or how much was given up under load.   first, clock: time
    of the first and the last packet, ns, 0 without one.   events: lines for the user.   unread: frames by link type.
    """

    ledger: dict[str, Any]
    taken: int
    dropped: Count
    lost: Count
    live: Count
    level: Annotated[int, Meta(ge=0, le=3)]
    first: int
    clock: int
    events: list[str]
    unread: dict[int, int]


class Finished(Struct, array_like=True, frozen=True, tag=4):
    """The last message: all flows ended."""

    beat: Beat


class Ready(Struct, array_like=True, frozen=True, tag=5):
    """The first message: the process has given up its privileges. missing: what of the sandbox is not there."""

    missing: list[str]


class Recorded(Struct, array_like=True, frozen=True, tag=6):
    """How far the process is that writes packets.

    packets: in its files.   lost: that a full disk did not take.   dropped: by the kernel.   problem: why nothing is
    written, None: it is.   done: this was the last message.
    """

    packets: Count
    lost: Count
    dropped: Count
    problem: str | None
    done: bool


class Reload(Struct, array_like=True, frozen=True, tag=7):
    """What flows are judged by from here on.

    catalogue: in its compiled form.   tables: shipped files by their names.   own: databases of the user's.
    """

    catalogue: bytes
    tables: dict[str, bytes]
    own: list[bytes]


Message: TypeAlias = Released | Snapshot | Beat | Finished | Ready | Recorded | Reload

_ENCODER: Final = msgpack.Encoder()
_DECODER: Final = msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """Write a message."""
    return _ENCODER.encode(message)


def decode(data: bytes) -> Message:
    """Read a message. Raises MessageError."""
    try:
        message: Message = _DECODER.decode(data)
    except (DecodeError, EncodeError) as error:
        raise MessageError(f"the capture process sent no message: {error}") from error
    return message


def flows_message(batch: FlowBatch) -> Flows:
    """Make the message of a batch."""
    return Flows(
        len(batch),
        [np.ascontiguousarray(getattr(batch, name), dtype).tobytes() for name, dtype in COLUMNS.items()],
        list(batch.devices),
        list(batch.tunnels),
        list(batch.interfaces),
        list(batch.talks),
        list(batch.labels),
        list(batch.places),
        {row: list(pieces) for row, pieces in batch.evidence.items()},
    )


def flow_batch(message: Flows) -> FlowBatch:
    """Make the batch of a message. Raises MessageError where columns and words do not fit together."""
    if len(message.columns) != len(COLUMNS):
        raise MessageError("the capture process sent flows with other columns")
    columns: dict[str, NDArray[Any]] = {}
    for (name, dtype), data in zip(COLUMNS.items(), message.columns, strict=True):
        if len(data) != message.count * np.dtype(dtype).itemsize:
            raise MessageError(f"the capture process sent a column {name} of another length")
        columns[name] = np.frombuffer(data, dtype)
    words: dict[str, Sequence[Any]] = {name: getattr(message, name) for name in CODED.values()}
    limits = {name: len(words[dictionary]) for name, dictionary in CODED.items()}
    limits |= {"end_reason": len(END_REASONS), "blind": len(BLIND)}
    for name, limit in limits.items():
        column = columns[name]
        if message.count and not 0 <= int(column.min()) <= int(column.max()) < limit:
            raise MessageError(f"the capture process sent a column {name} that points at nothing")
    if message.evidence and not 0 <= min(message.evidence) <= max(message.evidence) < message.count:
        raise MessageError("the capture process sent evidence of no flow")
    evidence: Mapping[int, tuple[Evidence, ...]] = {row: tuple(pieces) for row, pieces in message.evidence.items()}
    values: dict[str, Any] = {**columns, **words, "evidence": evidence}
    return FlowBatch(**values)


def released(release: Release) -> Released:
    """Make the message of a release."""
    return Released(flows_message(release.flows), [_asked(lookup) for lookup in release.lookups])


def release(message: Released) -> Release:
    """Make the release of a message. Raises MessageError."""
    return Release(flow_batch(message.flows), [_lookup(one) for one in message.lookups])


def _asked(one: Lookup) -> Asked:
    return Asked(
        one.time,
        one.packet,
        one.device,
        one.client.to_bytes(ADDRESS_BYTES, "big"),
        one.resolver.to_bytes(ADDRESS_BYTES, "big"),
        (one.transport, one.query, one.type, one.rcode),
        list(one.answers),
        one.blocked,
        one[11:20],
    )


def _lookup(one: Asked) -> Lookup:
    return Lookup(
        one.time, one.packet, one.device, _address(one.client), _address(one.resolver), *one.words,
        tuple(one.answers), one.blocked, *one.label,
    )  # fmt: skip


def _address(data: bytes) -> int:
    value = int.from_bytes(data, "big")
    if value >= 2 * V6:
        raise MessageError("the capture process sent an address that is none")
    return value
