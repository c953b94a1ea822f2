"""What a check remembers of the records: sums by device and label, and of what each device's traffic hides."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from netwatch.model.address import address, address_text
from netwatch.model.arrays import I64, U8, U64, Bool
from netwatch.model.distinct import Coder, distinct, used
from netwatch.model.limits import CLAIMS, CLIENTS, HOSTS, PROOFS
from netwatch.model.packets import ICMP, ICMP6
from netwatch.model.records import BLIND, Device, Evidence, FlowBatch, Label, Lookup, Place, Release, Talk
from netwatch.policy.rules import Claim

FLOW, LOOKUP, BLOCKED = "flow", "lookup", "blocked_lookup"
HIDING: Final = frozenset(("ech", "doh", "dot", "vpn"))  # blind reasons that say where to
NAMED_PLACES: Final = frozenset(("doh", "dot", "vpn", "httpdns"))  # whose name, where shown, says more than a network
UNREADABLE: Final = frozenset(("mmtls",))  # encrypted in a way of its own: no name, no handshake to read


class Local(Protocol):
    """The local networks."""

    def contains(self, family: U8, hi: U64, lo: U64, /) -> Bool: ...


class Tally:
    """Sums of the flows or lookups of one device that carry one claim; evidence: the first of each kind and value."""

    __slots__ = ("bytes_in", "bytes_out", "evidence", "first", "flows", "last", "lookups")

    def __init__(self) -> None:
        self.flows = self.lookups = self.bytes_out = self.bytes_in = 0
        self.first, self.last = np.iinfo(np.int64).max, np.iinfo(np.int64).min
        self.evidence: dict[tuple[str, str], Evidence] = {}

    @property
    def bytes(self) -> int:
        return self.bytes_out + self.bytes_in

    def span(self, first: int, last: int) -> None:
        self.first, self.last = min(self.first, first), max(self.last, last)

    def prove(self, pieces: Iterable[Evidence]) -> None:
        """Keep up to PROOFS pieces, of each kind and value the first that is given."""
        for piece in pieces:
            if len(self.evidence) >= PROOFS:
                return
            self.evidence.setdefault((piece.kind, piece.value), piece)

    def take(self, group: "_Group") -> None:
        """Take in a group of flows."""
        self.flows += len(group.rows)
        self.bytes_out += group.bytes_out
        self.bytes_in += group.bytes_in
        self.span(group.first, group.last)

    def add(self, other: "Tally") -> None:
        """Take in the sums and the evidence of another one."""
        self.flows += other.flows
        self.lookups += other.lookups
        self.bytes_out += other.bytes_out
        self.bytes_in += other.bytes_in
        self.span(other.first, other.last)
        self.prove(other.evidence.values())


class Seen:
    """What is known of one device beside its claims. outside: it talked to an address beyond the local networks."""

    __slots__ = ("addresses", "device", "outside")

    def __init__(self, device: Device) -> None:
        self.device = device
        self.outside = False
        self.addresses: dict[str, None] = {}

    def copy(self) -> "Seen":
        new = Seen(self.device)
        new.outside, new.addresses = self.outside, dict(self.addresses)
        return new


class Hidden(NamedTuple):
    """Something that could not be seen: what (`doh`, `ech_offered`, `mmtls` ...), and where it went."""

    what: str
    where: str


class Observed:
    """Adds up releases for a check. folded: records whose device or label is beyond the caps, and so kept apart."""

    def __init__(self, local: Local, wanted: Callable[[Claim], bool]) -> None:
        """Take the local networks, and what tells whether a policy asks about a claim."""
        self.folded = 0
        self.devices: dict[str, Seen] = {}
        self.claims: dict[tuple[str, Claim, str], Tally] = {}
        """(device_id, claim, via) -> sums; of labels with an owner alone, the others are nobody's."""
        self.hidden: dict[tuple[str, Hidden], Tally] = {}
        self._local = local
        self.ask(wanted)

    def ask(self, wanted: Callable[[Claim], bool]) -> None:
        """Go by another policy from here on; what neither asked for until now was not kept."""
        self._wanted = lru_cache(maxsize=CLAIMS)(wanted)

    def copy(self) -> "Observed":
        """Return the same sums, to which more can be added."""
        new = Observed(self._local, self._wanted)
        new.folded = self.folded
        new.devices = {key: seen.copy() for key, seen in self.devices.items()}
        new.claims = {key: together(tally) for key, tally in self.claims.items()}
        new.hidden = {key: together(tally) for key, tally in self.hidden.items()}
        return new

    def add(self, release: Release) -> None:
        """Add the records of one release."""
        if len(release.flows):
            self._flows(release.flows)
        for lookup in release.lookups:
            self._lookup(lookup)

    def _flows(self, batch: FlowBatch) -> None:
        self._devices(batch)
        claims = Coder()
        code = np.full(max(len(batch.labels), 1), -1, np.int64)
        for label in used(batch.label):
            claim = _claim(batch.labels[label])
            if claim is not None and self._wanted(claim):
                code[label] = claims[claim]
        chosen = list(claims)
        for group in _groups(batch, code[batch.label]):
            device, claim = batch.devices[group.device].device_id, chosen[group.code]
            tally = self._tally(self.claims, (device, claim, FLOW))
            tally.take(group)
            for row in group.rows[:PROOFS].tolist():
                if len(tally.evidence) >= PROOFS:
                    break
                tally.prove(_deciding(claim, batch.evidence.get(row, ())))
        self._blind(batch)

    def _blind(self, batch: FlowBatch) -> None:
        """Sum what hides names, by where it went."""
        hidden = Coder()
        by_talk = np.array([hidden[_of_talk(talk)] for talk in batch.talks] or [hidden[None]])
        by_label = np.array([label.role == "httpdns" for label in batch.labels] or [False])
        by_blind = np.array([hidden[word] if word in HIDING else -1 for word in BLIND])
        what = by_talk[batch.talk]
        what = np.where(by_label[batch.label], hidden["httpdns"], what)
        what = np.where(by_blind[batch.blind] >= 0, by_blind[batch.blind], what)
        words = list(hidden)
        named = np.array([word in NAMED_PLACES for word in words])[what]
        by_name = np.array([label.name is not None for label in batch.labels] or [False])[batch.label] & named
        place = np.where(what == hidden["ech_offered"], 0, -1 - batch.place.astype(np.int64))
        where = np.where(by_name, batch.label.astype(np.int64) + 1, place)
        code = np.where((what != hidden[None]) & batch.in_coverage, what << 32 | where + (1 << 31), -1)
        for group in _groups(batch, code):
            word, row = words[group.code >> 32], int(group.rows[0])
            goal = "" if word == "ech_offered" else _where(batch, row, by_name=bool(by_name[row]))
            device = batch.devices[group.device].device_id
            self._tally(self.hidden, (device, Hidden(str(word), goal))).take(group)

    def _devices(self, batch: FlowBatch) -> None:
        outside = ~self._local.contains(batch.family, batch.server_hi, batch.server_lo)
        outside |= ~self._local.contains(batch.family, batch.client_hi, batch.client_lo)
        outside &= (batch.transport != ICMP) & (batch.transport != ICMP6)  # neighbours have global addresses too
        away = np.bincount(batch.device[outside], minlength=len(batch.devices)) > 0
        for code in used(batch.device):
            seen = self._seen(batch.devices[code])
            if seen is not None:
                seen.outside |= bool(away[code])
        first, _ = distinct(batch.client_lo, batch.client_hi, batch.device.astype(np.uint64) << np.uint64(1))
        local = self._local.contains(batch.family[first], batch.client_hi[first], batch.client_lo[first])
        for row in first[local].tolist():
            seen = self.devices.get(batch.devices[batch.device[row]].device_id)
            if seen is not None and len(seen.addresses) < CLIENTS:
                value = address(int(batch.family[row]), int(batch.client_hi[row]), int(batch.client_lo[row]))
                seen.addresses[address_text(value)] = None

    def _lookup(self, lookup: Lookup) -> None:
        seen = self._seen(lookup.device)
        if seen is not None and len(seen.addresses) < CLIENTS:
            seen.addresses[address_text(lookup.client)] = None
        if lookup.owner_id is None:
            return
        claim = Claim(
            lookup.app_id, lookup.app_kind, lookup.role, lookup.owner_id, lookup.control_country, lookup.confidence,
            "dns_query",
        )  # fmt: skip
        if not self._wanted(claim):
            return
        via = BLOCKED if lookup.blocked else LOOKUP
        tally = self._tally(self.claims, (lookup.device.device_id, claim, via))
        tally.lookups += 1
        tally.span(lookup.time, lookup.time)
        if len(tally.evidence) < PROOFS:
            tally.prove([Evidence("dns_query", lookup.query, lookup.time, lookup.packet, None)])

    def _seen(self, device: Device) -> Seen | None:
        """Return what is known of a device, None beyond HOSTS of them; the last name that is known wins."""
        seen = self.devices.get(device.device_id)
        if seen is None:
            if len(self.devices) >= HOSTS:
                self.folded += 1
                return None
            seen = self.devices[device.device_id] = Seen(device)
        elif device.device_name is not None and device != seen.device:
            seen.device = device
        return seen

    def _tally(self, table: dict[Any, Tally], key: tuple[Any, ...]) -> Tally:
        tally = table.get(key)
        if tally is None:
            if len(table) >= CLAIMS:  # the device is then unknown, the claim is not
                self.folded += 1
                key = ("", *key[1:])
            tally = table.setdefault(key, Tally())
        return tally


def together(*parts: Tally) -> Tally:
    """Return the sums and the evidence of several, the evidence of the first one first."""
    whole = Tally()
    for part in parts:
        whole.add(part)
    return whole


def _claim(label: Label) -> Claim | None:
    if label.owner_id is None:
        return None
    return Claim(
        label.app_id, label.app_kind, label.role, label.owner_id, label.control_country, label.confidence,
        label.name_source,
    )  # fmt: skip


def _deciding(claim: Claim, pieces: tuple[Evidence, ...]) -> Iterable[Evidence]:
    """Return the pieces that a claim rests on: those of its kind, the winner first; of a network its own."""
    if claim.app_id is None:
        return [piece for piece in pieces if piece.kind == "network"] or pieces[:1]
    return pieces[:1]


def _of_talk(talk: Talk) -> str | None:
    if talk.protocol in UNREADABLE:
        return talk.protocol
    return None if talk.ech is None else f"ech_{talk.ech}"


def _where(batch: FlowBatch, row: int, *, by_name: bool) -> str:
    """Say where a flow went: its name where that is to be said, else whose network its server is in."""
    label: Label = batch.labels[batch.label[row]]
    if by_name and label.name is not None:
        return label.name
    place: Place = batch.places[batch.place[row]]
    return place.as_name or label.owner or "an unknown network"


class _Group(NamedTuple):
    """The flows of one device that carry one code; rows: where they stand, in order."""

    device: int
    code: int
    rows: I64
    bytes_out: int
    bytes_in: int
    first: int
    last: int


def _groups(batch: FlowBatch, codes: I64) -> Iterable[_Group]:
    """Yield the groups by device and code; codes below 0 are of none."""
    rows = np.flatnonzero(codes >= 0)
    if not len(rows):
        return
    of, device = codes[rows], batch.device[rows]
    order = np.lexsort((of, device))
    rows, of, device = rows[order], of[order], device[order]
    new = np.ones(len(rows), bool)
    new[1:] = (of[1:] != of[:-1]) | (device[1:] != device[:-1])
    starts = np.flatnonzero(new)
    columns = (
        device[starts].tolist(),
        of[starts].tolist(),
        starts.tolist(),
        [*starts[1:].tolist(), len(rows)],
        np.add.reduceat(batch.bytes_out[rows], starts).tolist(),
        np.add.reduceat(batch.bytes_in[rows], starts).tolist(),
        np.minimum.reduceat(batch.start[rows], starts).tolist(),
        np.maximum.reduceat(batch.end[rows], starts).tolist(),
    )
    for at, code, lo, hi, out, back, first, last in zip(*columns, strict=True):
        yield _Group(at, code, rows[lo:hi], out, back, first, last)
