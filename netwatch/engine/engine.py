"""Composes the rooms: decode, flows, names, attribution, places; batches in, records out."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise

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
from netwatch.engine.release import Releaser
from netwatch.flows.index import random_multipliers
from netwatch.flows.table import FlowTable
from netwatch.model.arrays import I32, I64, U16
from netwatch.model.batch import PacketBatch
from netwatch.model.ledger import Ledger
from netwatch.model.limits import RELEASE_PACKETS
from netwatch.model.packets import STATES, Packets
from netwatch.model.records import Release
from netwatch.places.local import LocalNetworks
from netwatch.places.places import Places


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
    ) -> None:
        self._ledger = Ledger()
        self.unread_links: Counter[int] = Counter()  # frames of link types that are not read
        attributor = Attributor(catalogue)
        self._devices = Devices(vendor)
        self._lookups = Lookups(attributor, local)
        self._memory = DnsMemory()
        self._fragments = Fragments()
        self._table = FlowTable(max_flows, random_multipliers(draw))
        self._inspection = Inspection(self._devices, self._lookups, self._memory, local)
        self._releaser = Releaser(attributor, places, self._devices, local, self._memory.ech)
        self._position = 0  # frames seen
        self._clock = 0  # median time of the last block: one absurd time stamp expires nothing
        self._tunnels: list[str | None] = [None]
        self._interfaces: list[str | None] = [None]

    def feed(self, batch: PacketBatch) -> Iterator[Release]:
        """Take a batch; yield records at the fixed points of the input that it reaches."""
        packets = decode(batch)
        self._count(batch, packets)
        packets = self._fragments.apply(packets, batch.time)
        whole = dict(self._fragments.datagrams(packets, batch.data))
        tunnel = _codes(self._tunnels, packets.tunnels)[packets.tunnel]
        packets = packets._replace(tunnel=tunnel)
        interface = _codes(self._interfaces, batch.interfaces).astype(np.uint16)[batch.interface]
        for lo, hi in pairwise(self._borders(len(batch.time))):
            if self._position % self._table.block == 0:
                self._table.make_room()
            at = np.flatnonzero(packets.in_flow[lo:hi]) + lo
            if len(at):
                self._block(batch, packets, at, interface, whole, lo)
            self._position += hi - lo
            if hi > lo:
                self._clock = int(np.median(batch.time[lo:hi]))
            if self._position % RELEASE_PACKETS == 0:
                self._table.sweep(self._clock)
                yield from self._release(last=False)

    def finish(self) -> Iterator[Release]:
        """End every flow and open lookup: the input is over."""
        self._table.sweep(self._clock)
        self._table.finish()
        yield from self._release(last=True)

    def ledger(self) -> Ledger:
        """Return the counters as they stand."""
        ledger = self._ledger
        ledger.flows_created = self._table.created
        ledger.flows_ended = self._table.created - self._table.live
        return ledger

    def anomalies(self) -> Counter[str]:
        """Return how often each rule of model/anomalies.py was broken."""
        total = Counter(self._ledger.anomalies)
        for part in (self._inspection.inspector, self._memory, self._lookups, self._fragments):
            total.update(part.anomalies)
        if self._inspection.hosts_evicted:
            total["device_names_evicted"] += self._inspection.hosts_evicted
        return total

    def _count(self, batch: PacketBatch, packets: Packets) -> None:
        ledger = self._ledger
        wire = batch.wirelen.astype(np.int64)
        for state in range(len(STATES)):
            here = packets.state == state
            ledger.states[state] += int(here.sum())
            ledger.state_bytes[state] += int(wire[here].sum())
        ledger.in_flows += int(packets.in_flow.sum())
        ledger.bytes_in_flows += int(wire[packets.in_flow].sum())
        ledger.anomalies.update(packets.anomalies)
        if not reads(batch.link_type):
            self.unread_links[batch.link_type] += len(wire)

    def _borders(self, count: int) -> list[int]:
        """Cut a batch where the input reaches a multiple of the table's block or of RELEASE_PACKETS."""
        borders = {0, count}
        for step in (self._table.block, RELEASE_PACKETS):
            borders.update(range(-self._position % step, count, step))
        return sorted(borders)

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
        self._table.watch(*self._inspection.look(part, added, batch.data, time, number, inside))

    def _release(self, *, last: bool) -> Iterator[Release]:
        lookups = self._lookups.finish() if last else self._lookups.due(self._clock)
        named = [one._replace(device=self._devices.device(one.device.device_id)) for one in lookups]
        named.sort(key=lambda one: (one.time, one.packet))
        self._ledger.lookups += len(named)
        rows = self._table.take()
        for flows in self._releaser.flows(rows, self._inspection.forget, self._tunnels, self._interfaces):
            yield Release(flows, named)
            named = []


def _codes(known: list[str | None], values: tuple[str | None, ...]) -> I32:
    """Number values by their place in `known`, which grows."""
    for value in values:
        if value not in known:
            known.append(value)
    return np.array([known.index(value) for value in values], np.int32)
