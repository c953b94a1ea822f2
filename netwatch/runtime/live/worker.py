"""The capture process: packets in, messages out. It has no file, no terminal and no privilege."""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

from netwatch.attribution.catalogue import Catalogue
from netwatch.engine.engine import Engine
from netwatch.model.batch import PacketBatch
from netwatch.model.errors import NetwatchError
from netwatch.model.records import Release
from netwatch.runtime.datafiles import places_from
from netwatch.runtime.live.link import Link
from netwatch.runtime.live.load import Load
from netwatch.runtime.live.messages import (
    Beat,
    Finished,
    Reload,
    Snapshot,
    decode,
    encode,
    flows_message,
    released,
)
from netwatch.sources.live import Live

WAIT_MS: Final = 100  # how long a quiet interface is waited for at a time
BEAT_S: Final = 0.5
TICK_S: Final = 0.25
SNAPSHOT_S: Final = 0.5
SNAPSHOT_SHARE: Final = 0.05  # of the time that may go into snapshots
SETTLED_NS: Final = 500 * 10**6  # older packets are no longer on their way: a block of the ring leaves after 100 ms
STOP: Final = b"stop"
NEWS_S: Final = 0.5  # how long a message of some MB is waited for: packets lie in the ring meanwhile
FLUSH_MS: Final = 1_000  # how long the end of a run waits at a time for who reads it


class Worker:
    """Runs one engine on one live source, and tells over one link."""

    def __init__(
        self, link: Link, source: Live, make: Callable[[], Engine], *, alive: Callable[[], object] = lambda: None,
        said: Sequence[bytes] = (),
    ) -> None:  # fmt: skip
        """Take what a worker needs.

        alive: is called each time round, at least every few WAIT_MS.   said: what it was told before it was made.
        """
        self._said = list(said)
        self._alive = alive
        self._link = link
        self._source = source
        self._engine = make()
        self._load = Load()
        self._lost = 0
        self._first = self._clock = 0  # time of the first and the last packet, ns
        self._seen_at = monotonic()  # when that came
        self._events: list[str] = []

    def run(self) -> None:
        """Work until the other side says stop, or is gone."""
        self._beat()
        beat = tick = snapshot = monotonic()
        while not self._stopped():
            self._alive()
            batch = self._source.poll(WAIT_MS)
            now = monotonic()
            if batch is not None and len(batch.time):
                self._feed(batch, now)
            if now - tick >= TICK_S:
                tick = now
                self._tick(now)
            if now - beat >= BEAT_S:
                beat = now
                self._beat()
            if now >= snapshot:
                took = self._snapshot()
                snapshot = monotonic() + max(SNAPSHOT_S, took / SNAPSHOT_SHARE)
        self._finish()

    def _stopped(self) -> bool:
        self._link.flush(0)
        said, self._said = [*self._said, *self._link.receive()], []
        until = monotonic() + NEWS_S
        while self._link.begun and not self._link.closed and monotonic() < until:
            self._link.wait(WAIT_MS)
            said += self._link.receive()
        for news in said:
            if news != STOP:
                self._reload(news)
        return STOP in said or self._link.closed

    def _reload(self, news: bytes) -> None:
        """Judge by what was sent from here on."""
        try:
            match decode(news):
                case Reload(catalogue, tables, own):
                    self._engine.reload(Catalogue.from_bytes(catalogue), places_from(tables, own))
                case _:
                    pass
        except NetwatchError as error:
            self._events.append(f"what was read again is not used: {error}")

    def _feed(self, batch: PacketBatch, now: float) -> None:
        self._first = self._first or int(batch.time[0])
        self._clock, self._seen_at = int(batch.time[-1]), now
        for one in self._engine.feed(batch):
            self._release(one)

    def _tick(self, now: float) -> None:
        """Let go what has been silent: by the clock of the packets, and what has passed since the last of them."""
        if self._clock:
            passed = round((now - self._seen_at) * 10**9) - SETTLED_NS
            for one in self._engine.tick(self._clock + max(0, passed)):
                self._release(one)

    def _release(self, one: Release) -> None:
        count = len(one.flows) + len(one.lookups)
        if count and not self._link.send(encode(released(one))):
            self._lost += count

    def _snapshot(self) -> float:
        begun = monotonic()
        self._link.send(encode(Snapshot([flows_message(batch) for batch in self._engine.snapshot()])))
        return monotonic() - begun

    def _beat(self) -> None:
        self._link.send(encode(self._state()))

    def _state(self) -> Beat:
        counts = self._source.counts()  # the kernel's start anew: what is read has to be told
        changed = self._load.level_for(counts, monotonic())
        if changed is not None:
            self._engine.level = self._load.level
            self._events.append(changed)
        events = [*self._events, *self._source.events()]
        self._events = []
        ledger = self._engine.ledger()
        return Beat(
            ledger=ledger.record(),
            taken=counts.taken,
            dropped=counts.dropped or 0,
            lost=self._lost,
            live=ledger.flows_created - ledger.flows_ended,
            level=self._load.level,
            first=self._first,
            clock=self._clock,
            events=events,
            unread=dict(self._engine.unread_links),
        )

    def _finish(self) -> None:
        """Read what still lies in the ring, end every flow, and say good-bye."""
        self._source.stop()
        while (batch := self._source.poll(0)) is not None:
            self._alive()
            if len(batch.time):
                self._feed(batch, monotonic())
        for one in self._engine.finish():
            self._alive()
            self._link.flush(FLUSH_MS)
            self._release(one)
        self._link.send(encode(Finished(self._state())))
        while not self._link.flush(FLUSH_MS):
            self._alive()
        self._source.close()
