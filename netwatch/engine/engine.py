"""Composes the rooms: decode, flows, names, attribution, places; batches in, records out."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from operator import itemgetter
from typing import Final

import numpy as np

from netwatch.attribution.catalogue import Catalogue
from netwatch.attribution.decide import Attributor
from netwatch.attribution.lookups import Lookups
from netwatch.attribution.memory import DnsMemory
from netwatch.decode.fragments import Fragments
from netwatch.decode.link import reads
from netwatch.decode.packets import decode
from netwatch.engine.devices import Devices
from netwatch.engine.inspection import Inspection
from netwatch.engine.payloads import COUNTED, EVERYTHING
from netwatch.engine.release import Releaser
from netwatch.flows.index import random_multipliers
from netwatch.flows.table import FlowTable
from netwatch.model.arrays import I32, I64, U16
from netwatch.model.batch import PacketBatch
from netwatch.model.ledger import Ledger
from netwatch.model.limits import RELEASE_PACKETS, STREAM_PACKETS, WORDS_MAX
from netwatch.model.packets import STATES, Packets
from netwatch.model.records import FlowBatch, Lookup, Release
from netwatch.places.local import LocalNetworks
from netwatch.places.places import Places

SECOND_NS: Final = 10**9


class Engine:
    """One engine follows one input. feed() takes batches and yields what they let go; finish() gives the rest.

    What comes out depends on the packets and their order alone, not on how they were cut into batches.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        places: Places,
        vendor: Callable[[int], str | None],
        local: LocalNetworks,
        *,
        max_flows: int,
        draw: Callable[[int], int],
        streamed: bool = False,
    ) -> None:
        """Take what an engine needs beside packets.

        draw: gives a random number of so many bits, for the hash of the flow table.
        streamed: the input comes as it happens: records also leave when a second of it has passed.
        """
        self._ledger = Ledger()
        self.unread_links: Counter[int] = Counter()  # frames of link types that are not read
        self.level = EVERYTHING  # how much is read for names (engine/payloads.py): set by who watches the load
        attributor = Attributor(catalogue)
        self._devices = Devices(vendor)
        self._lookups = Lookups(attributor, local)
        self._memory = DnsMemory()
        self._fragments = Fragments()
        self._table = FlowTable(max_flows, random_multipliers(draw))
        self._inspection = Inspection(self._devices, self._lookups, self._memory, local)
        self._releaser = Releaser(attributor, places, self._devices, local, self._memory.ech)
        self._streamed = streamed
        self._from = 0  # frame behind the last release that a second made
        self._second: int | None = None  # and the second of that frame
        self._position = 0  # frames seen
        self._times: list[I64] = []  # of the packets since the last release
        self._tunnels = Words()
        self._interfaces = Words()

    def feed(self, batch: PacketBatch) -> Iterator[Release]:
        """Take a batch; yield records at the fixed points of the input that it reaches."""
        packets = decode(batch)
        self._count(batch, packets)
        packets = self._fragments.apply(packets, batch.time)
        whole = dict(self._fragments.datagrams(packets, batch.data))
        tunnel = self._tunnels.codes(packets.tunnels)[packets.tunnel]
        packets = packets._replace(tunnel=tunnel)
        interface = self._interfaces.codes(batch.interfaces).astype(np.uint16)[batch.interface]
        releases = self._seconds(batch.time) if self._streamed else set()
        if 0 in releases:
            yield from self._release(last=False)
        for lo, hi in pairwise(sorted(self._borders(len(batch.time)) | releases)):
            if self._position % self._table.block == 0:
                self._table.make_room()
            at = np.flatnonzero(packets.in_flow[lo:hi]) + lo
            if len(at):
                self._block(batch, packets, at, interface, whole, lo)
            self._position += hi - lo
            self._times.append(batch.time[lo:hi].copy())
            if self._position % RELEASE_PACKETS == 0 or hi in releases:
                yield from self._release(last=False)

    def tick(self, now: int) -> Iterator[Release]:
        """Let go what is silent for too long at `now` (ns) although no packet says so: for input that comes live.

        now: by the clock of the packets; none of an earlier time may follow, or a flow might be cut in two.
        """
        self._table.sweep(now)
        due = self._lookups.due(now)
        if due or self._table.ended:
            yield from self._let_go(due)

    def reload(self, catalogue: Catalogue, places: Places) -> None:
        """Judge by these from here on: also the flows that are live. What has left stays as it was judged."""
        attributor = Attributor(catalogue)
        self._lookups.judge_by(attributor)
        self._releaser.judge_by(attributor, places)

    def finish(self) -> Iterator[Release]:
        """End every flow and open lookup: the input is over."""
        yield from self._release(last=True)

    def snapshot(self) -> Iterator[FlowBatch]:
        """Yield the live flows as they would be if the input ended now; nothing changes."""
        yield from self._releaser.flows(
            self._table.peek(), self._inspection.peek, self._tunnels.values, self._interfaces.values
        )

    def ledger(self) -> Ledger:
        """Return the counters as they stand."""
        created = self._table.created
        ended = created - self._table.live
        return replace(self._ledger, flows_created=created, flows_ended=ended, anomalies=self._anomalies())

    def _anomalies(self) -> Counter[str]:
        total = Counter(self._ledger.anomalies)
        for part in (self._inspection.inspector, self._memory, self._lookups, self._fragments):
            total.update(part.anomalies)
        total["device_names_evicted"] += self._inspection.hosts_evicted
        total["words_folded"] += self._tunnels.folded + self._interfaces.folded
        return +total

    def _count(self, batch: PacketBatch, packets: Packets) -> None:
        ledger = self._ledger
        wire = batch.wirelen.astype(np.int64)
        for state in range(len(STATES)):
            here = packets.state == state
            if frames := int(np.count_nonzero(here)):
                ledger.states[state] += frames
                ledger.state_bytes[state] += int((wire * here).sum())
        ledger.in_flows += int(np.count_nonzero(packets.in_flow))
        ledger.bytes_in_flows += int((wire * packets.in_flow).sum())
        ledger.anomalies.update(packets.anomalies)
        if not reads(batch.link_type):
            self.unread_links[batch.link_type] += len(wire)

    def _borders(self, count: int) -> set[int]:
        """Cut a batch where the input reaches a multiple of the table's block or of RELEASE_PACKETS."""
        borders = {0, count}
        for step in (self._table.block, RELEASE_PACKETS):
            borders.update(range(-self._position % step, count, step))
        return borders

    def _seconds(self, time: I64) -> set[int]:
        """Find the packets of a stream before which a second has passed, at least STREAM_PACKETS apart."""
        second = time // SECOND_NS
        if self._second is None:
            self._second = int(second[0])
        releases: set[int] = set()
        at = max(0, self._from + STREAM_PACKETS - self._position)
        while at < len(time):
            later = np.flatnonzero(second[at:] != self._second)
            if not len(later):
                break
            at += int(later[0])
            releases.add(at)
            self._second = int(second[at])
            self._from = self._position + at
            at += STREAM_PACKETS
        return releases

    def _block(
        self, batch: PacketBatch, packets: Packets, at: I64, interface: U16, whole: dict[int, bytes], lo: int
    ) -> None:
        inside = {int(np.searchsorted(at, row)): data for row, data in whole.items() if at[0] <= row <= at[-1]}
        n = len(at)
        rows = slice(int(at[0]), int(at[-1]) + 1) if int(at[-1]) - int(at[0]) == n - 1 else at
        part = packets.take(rows)
        time, number = batch.time[rows], batch.number[rows]
        token = at + (self._position - lo)
        added = self._table.add(part, time, batch.wirelen[rows], number, interface[rows], token)
        if self.level < COUNTED:
            looked = self._inspection.look(part, added, batch.data, time, number, inside, level=self.level)
            self._table.watch(*looked)

    def _release(self, *, last: bool) -> Iterator[Release]:
        if self._times:  # one absurd time stamp expires nothing: the median counts
            clock = int(np.median(np.concatenate(self._times)))
            self._times = []
            self._table.sweep(clock)
            due = self._lookups.due(clock)
        else:
            due = []
        if last:
            self._table.finish()
            due += self._lookups.finish()
        yield from self._let_go(due)

    def _let_go(self, due: list[Lookup]) -> Iterator[Release]:
        """Yield the flows that have ended, and these lookups."""
        named = self._named(due)
        self._ledger.lookups += len(named)
        rows = self._table.take()
        for flows in self._releaser.flows(rows, self._inspection.forget, self._tunnels.values, self._interfaces.values):
            yield Release(flows, named)
            named = []

    def _named(self, lookups: list[Lookup]) -> list[Lookup]:
        """Sort lookups, and give their devices the names that are known by now."""
        devices = {one: self._devices.device(one) for one in {lookup.device.device_id for lookup in lookups}}
        named: list[Lookup] = []
        for one in lookups:
            device = devices[one.device.device_id]
            named.append(one if device == one.device else one._replace(device=device))  # most have no name
        named.sort(key=itemgetter(0, 1))  # time, packet
        return named


class Words:
    """Numbers the names of tunnels or interfaces; beyond WORDS_MAX of them further ones count as none."""

    def __init__(self) -> None:
        self.values: list[str | None] = [None]
        self.folded = 0
        self._codes: dict[str | None, int] = {None: 0}

    def codes(self, words: tuple[str | None, ...]) -> I32:
        """Return the number of each word, int32[len(words)]."""
        return np.array([self._code(word) for word in words], np.int32)

    def _code(self, word: str | None) -> int:
        code = self._codes.get(word)
        if code is None:
            if len(self.values) >= WORDS_MAX:
                self.folded += 1
                return 0
            code = self._codes[word] = len(self.values)
            self.values.append(word)
        return code
