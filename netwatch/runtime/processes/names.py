"""Finds the program of a flow: the one whose socket had the flow's local end at that time."""

from collections import Counter, deque
from dataclasses import replace
from typing import Final

import numpy as np

from netwatch.model.address import V6, address
from netwatch.model.limits import IDLE_TCP_NS
from netwatch.model.reading import Address
from netwatch.model.records import FlowBatch
from netwatch.runtime.processes.sockets import TCP, UDP
from netwatch.runtime.processes.watcher import Changes
from netwatch.runtime.processes.watcher import address as read_address

KEPT_NS: Final = 2 * IDLE_TCP_NS  # a flow is told at the latest when nothing came for so long; then its socket is gone
CLOSED_MAX: Final = 32_768  # sockets that are gone: 16 MB
ADDRESSES_MAX: Final = 4_096  # of this host; a privacy address of IPv6 lasts a day
ANY: Final = 0

NOT_HERE = "no address of this host"
OTHER_USER = "another user's"
HIDDEN = "no process shows it"
SHORT = "short-lived, or passed on by this host"
SHARED = "several programs share the port"
NO_PORT = "neither TCP nor UDP"

Place = tuple[int, Address, int, Address, int]  # transport, local address and port, remote address and port


class _Entry:
    """One socket at a place. until: ns, None: it is there.   program: None, and why."""

    __slots__ = ("place", "program", "since", "until", "why")

    def __init__(self, place: Place, since: int, program: str | None, why: str) -> None:
        self.place, self.since, self.program, self.why = place, since, program, why
        self.until: int | None = None


class Names:
    """What is known of this host's sockets. unknown: flows without a program, by reason.   named: flows with one."""

    def __init__(self) -> None:
        self.unknown: Counter[str] = Counter()
        self.named = 0
        self._own: dict[Address, None] = {}
        self._open: dict[int, _Entry] = {}
        self._closed: deque[_Entry] = deque()
        self._at: dict[Place, list[_Entry]] = {}

    def take(self, changes: Changes) -> None:
        """Learn what changed. Raises MessageError."""
        for raw in changes.addresses:
            self._own.setdefault(read_address(raw))
        while len(self._own) > ADDRESSES_MAX:
            self._own.pop(next(iter(self._own)))
        for number in changes.gone:
            entry = self._open.pop(number, None)
            if entry is not None:
                entry.until = changes.at
                self._closed.append(entry)
        for one in changes.seen:
            remote = read_address(one.remote) if one.remote_port else ANY
            place = (one.transport, read_address(one.local), one.local_port, remote, one.remote_port)
            entry = _Entry(place, one.since, one.program, HIDDEN if one.ours else OTHER_USER)
            self._open[one.number] = entry
            self._at.setdefault(place, []).append(entry)
        while self._closed and (len(self._closed) > CLOSED_MAX or (self._closed[0].until or 0) < changes.at - KEPT_NS):
            self._forget(self._closed.popleft())

    def flows(self, batch: FlowBatch) -> FlowBatch:
        """Return the flows with the names of their programs, as far as they can be known."""
        columns = (
            batch.family, batch.client_hi, batch.client_lo, batch.client_port, batch.server_hi, batch.server_lo,
            batch.server_port, batch.transport, batch.start, batch.end,
        )  # fmt: skip
        words: dict[str | None, int] = {None: 0}
        codes = []
        for family, c_hi, c_lo, c_port, s_hi, s_lo, s_port, transport, start, end in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            client, server = (address(family, c_hi, c_lo), c_port), (address(family, s_hi, s_lo), s_port)
            program, why = self._find(transport, client, server, start, end)
            if program is None:
                self.unknown[why] += 1
            else:
                self.named += 1
            codes.append(words.setdefault(program, len(words)))
        return replace(batch, process=np.array(codes, np.int32), processes=list(words))

    def report(self) -> str:
        """Say in one line how many flows have a program, and why others have none."""
        why = ", ".join(f"{reason} {count:,}" for reason, count in self.unknown.most_common())
        return f"programs: {self.named:,} flows named" + (f"; unknown: {why}" if why else "")

    def _find(
        self, transport: int, client: tuple[Address, int], server: tuple[Address, int], start: int, end: int
    ) -> tuple[str | None, str]:
        """Return the program, or None and why."""
        accepted = client[0] not in self._own
        local, remote = (server, client) if accepted else (client, server)
        if local[0] not in self._own:
            return None, NOT_HERE
        if transport not in (TCP, UDP) or local[1] < 0:
            return None, NO_PORT
        exact: Place = (transport, *local, *remote)
        wide: list[Place] = []
        if transport == UDP or accepted:  # of who accepts, the socket that listens tells it as well
            wild = (ANY, V6) if local[0] < V6 else (V6,)  # a socket of IPv6 hears IPv4 too
            wide = [(transport, one, local[1], ANY, 0) for one in (local[0], *wild)]
        for place in (exact, *wide):
            entries = [
                one for one in self._at.get(place, ()) if one.since <= end and (one.until is None or start <= one.until)
            ]
            if entries:
                return _said(entries)
        return None, SHORT

    def _forget(self, entry: _Entry) -> None:
        there = self._at[entry.place]
        there.remove(entry)
        if not there:
            del self._at[entry.place]


def _said(entries: list[_Entry]) -> tuple[str | None, str]:
    programs = {one.program for one in entries}
    if len(programs) > 1:
        return None, SHARED
    return entries[0].program, entries[0].why
