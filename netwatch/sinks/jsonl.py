"""JSON Lines: one object a line, ASCII, no spaces (DESIGN section 4).

Fields that stand together and have few distinct values are written once for each; what is left of a record is one
f-string. The field order is that of FLOW_FIELDS and LOOKUP_FIELDS.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from netwatch.model.address import address_text
from netwatch.model.arrays import I32
from netwatch.model.limits import STRING_MAX
from netwatch.model.records import BLIND, FlowBatch, Label, Lookup
from netwatch.sinks.base import Growth, RowFormat, Sink
from netwatch.sinks.columns import Value, addresses, endings, paths
from netwatch.sinks.community import DIGEST, community_digests
from netwatch.sinks.encode import TIME, WORDS, answer_texts, evidence_texts, json_value, time_cells, time_texts
from netwatch.sinks.recording import Recording

KEPT: Final = 4_096  # texts of each kind kept from one batch to the next; 4 MB where each is as long as it may be
LINES_AT_ONCE: Final = 256  # what is put together at a time: more falls out of the cache

Values: TypeAlias = tuple[Value, ...]

_HEAD_TEXTS: Final = {
    "open": b'{"flow_id":"',
    "then": b'","community_id":"1:',
    "from": b'","start":"',
    "to": b'","end":"',
    "close": b'",',
}
_HEAD: Final = np.dtype(
    [
        *(("open", "S12"), ("flow_id", "S16"), ("then", "S20"), ("community_id", f"S{DIGEST}")),
        *(("from", "S11"), ("start", TIME), ("to", "S9"), ("end", TIME), ("close", "S2")),
    ]
)


class Kept(dict[Values, tuple[str, ...]]):
    """Texts of neighbouring fields by their values, at most KEPT; what is longer than STRING_MAX is not kept."""

    def __init__(self, write: Callable[[Values], tuple[str, ...]]) -> None:
        super().__init__()
        self._write = write

    def __missing__(self, values: Values) -> tuple[str, ...]:
        texts = self._write(values)
        if sum(map(len, texts)) <= STRING_MAX:
            if len(self) >= KEPT:
                self.clear()
            self[values] = texts
        return texts


def _kept(*groups: Sequence[str], tail: str = ",") -> Kept:
    """Keep one text for each group of fields, which follow one another in the values."""
    fields = [field for group in groups for field in group]
    ends = np.cumsum([len(group) for group in groups]).tolist()

    def write(values: Values) -> tuple[str, ...]:
        cells = [f'"{field}":{json_value(value)}' for field, value in zip(fields, values, strict=True)]
        return tuple([",".join(cells[end - len(group) : end]) + tail for end, group in zip(ends, groups, strict=True)])

    return Kept(write)


_DEVICES: Final = _kept(("device_id", "device_name", "device_vendor"))
_PATHS: Final = _kept(("transport", "vlan", "tunnel", "interface"))
_ENDINGS: Final = _kept(("tcp_flags_out", "tcp_flags_in", "end_reason"))
_TALKS: Final = _kept(("protocol",), ("alpn", "tls_version", "ja4", "ech"))
_LABELS: Final = _kept(Label._fields[:2], Label._fields[2:11], Label._fields[11:])
_BLIND: Final = [f'"blind":{json_value(reason)},' for reason in BLIND]
_PLACE: Final = ("server_country", "registration_country", "asn", "as_name", "anycast")
_PLACES: Final = _kept(_PLACE, tail=',"process":null}\n')
_ENDS: Final = _kept((*_PLACE, "process"), tail="}\n")
_ASKED_FIELDS: Final = ("app_id", "owner_id", "control_country", "confidence")
_ASKED: Final = _kept(_ASKED_FIELDS, tail="}\n")


# fmt: off
def flow_lines(batch: FlowBatch) -> bytes:
    """Return one line for each flow."""
    texts = (
        f'{head}{device}"client_ip":"{client}","client_port":{client_port},'
        f'"server_ip":"{server}","server_port":{server_port},{path}'
        f'"packets_out":{packets_out},"packets_in":{packets_in},"bytes_out":{bytes_out},"bytes_in":{bytes_in},'
        f'"wire_bytes_out":{wire_out},"wire_bytes_in":{wire_in},{ending}{protocol}{name}{hello}{owner}'
        f'"evidence":{evidence},{conflict}{blind}{place}'
        for (
            head, (device,), client, client_port, server, server_port, (path,),
            packets_out, packets_in, bytes_out, bytes_in, wire_out, wire_in,
            (ending,), (protocol, hello), (name, owner, conflict), evidence, blind, (place,),
        ) in zip(
            _heads(batch),
            _each(_DEVICES, batch.devices, batch.device),
            addresses(batch.family, batch.client_hi, batch.client_lo), _ports(batch.client_port),
            addresses(batch.family, batch.server_hi, batch.server_lo), _ports(batch.server_port),
            _each(_PATHS, *paths(batch)),
            batch.packets_out.tolist(), batch.packets_in.tolist(), batch.bytes_out.tolist(), batch.bytes_in.tolist(),
            batch.wire_bytes_out.tolist(), batch.wire_bytes_in.tolist(),
            _each(_ENDINGS, *endings(batch)),
            _each(_TALKS, batch.talks, batch.talk),
            _each(_LABELS, batch.labels, batch.label),
            evidence_texts([batch.evidence.get(row, ()) for row in range(len(batch))]),
            map(_BLIND.__getitem__, batch.blind.tolist()),
            _ends(batch),
            strict=True,
        )
    )
    parts: list[bytes] = []
    while part := "".join(islice(texts, LINES_AT_ONCE)):
        parts.append(part.encode("ascii"))
    return b"".join(parts)
# fmt: on


def lookup_lines(lookups: Sequence[Lookup]) -> bytes:
    """Return one line for each lookup."""
    if not lookups:
        return b""
    of = dict(zip(Lookup._fields, zip(*lookups, strict=True), strict=True))
    words = WORDS
    times = time_texts(np.array(of["time"], np.int64))
    texts = [
        f'{{"time":"{time}","device_id":{words[device.device_id]},"client_ip":"{address_text(client)}",'
        f'"resolver_ip":"{address_text(resolver)}","transport":{words[transport]},"query":{words[query]},'
        f'"type":{words[kind]},"rcode":{words[rcode]},"answers":{answers},'
        f'"blocked":{"true" if blocked else "false"},{asked}'
        for time, device, client, resolver, transport, query, kind, rcode, answers, blocked, (asked,) in zip(
            times,
            *(of[field] for field in ("device", "client", "resolver", "transport", "query", "type", "rcode")),
            answer_texts(of["answers"]),
            of["blocked"],
            map(_ASKED.__getitem__, zip(*(of[field] for field in _ASKED_FIELDS), strict=True)),
            strict=True,
        )
    ]
    return "".join(texts).encode("ascii")


def _heads(batch: FlowBatch) -> list[str]:
    """Return the beginning of each line, all of one size: identifiers and times."""
    heads = np.empty(len(batch), _HEAD)
    for field, text in _HEAD_TEXTS.items():
        heads[field] = text
    heads["flow_id"] = np.frombuffer(batch.flow_id.astype(">u8").tobytes().hex().encode("ascii"), "S16")
    heads["community_id"] = community_digests(batch)
    heads["start"], heads["end"] = time_cells(batch.start), time_cells(batch.end)
    joined, size = heads.tobytes().decode("ascii"), _HEAD.itemsize
    return [joined[at : at + size] for at in range(0, len(joined), size)]


def _ends(batch: FlowBatch) -> Iterable[tuple[str, ...]]:
    """Return the end of each line: the place of the server and the program."""
    if batch.process is None:
        return _each(_PLACES, batch.places, batch.place)
    pairs = zip(batch.place.tolist(), batch.process.tolist(), strict=True)
    return [_ENDS[(*batch.places[place], batch.processes[program])] for place, program in pairs]


def _each(kept: Kept, values: Sequence[Values], codes: NDArray[np.integer[Any]]) -> Iterable[tuple[str, ...]]:
    """Return the texts of each record: those of values[codes[i]]; values without a code are not read."""
    used = np.flatnonzero(np.bincount(codes)).tolist()
    return map({code: kept[values[code]] for code in used}.__getitem__, codes.tolist())


def _ports(ports: I32) -> Sequence[int | str]:
    numbers: list[int] = ports.tolist()
    return ["null" if number < 0 else number for number in numbers] if min(numbers, default=0) < 0 else numbers


JSONL = RowFormat(
    name="jsonl",
    flow_head=b"",
    lookup_head=b"",
    flows=flow_lines,
    lookups=lookup_lines,
    flow_start=b'{"flow_id":"',
    lookup_start=b'{"time":"',
)


def open_jsonl(path: Path, grow: Growth) -> Sink:
    """Open the files of a recording; with `grow` they are continued, whole lines at a time."""
    return Recording(path, JSONL, grow=grow)
