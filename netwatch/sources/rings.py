"""Reads the rings of several AF_PACKET sockets, and follows their interfaces; needs no privilege and no file."""

import select
import socket
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from netwatch.model.arrays import I32
from netwatch.model.batch import OUTGOING
from netwatch.model.errors import SourceError
from netwatch.model.text import escaped
from netwatch.sources import interfaces
from netwatch.sources.base import Frames
from netwatch.sources.bridges import copies_of, find_ports
from netwatch.sources.live import InterfaceCounts
from netwatch.sources.ring import Ring, RingFrames
from netwatch.sources.tap import RETIRE_MS, Tap

WATCH_S: Final = 0.5  # how often interfaces that are down are looked at, and new ones looked for
EVENTS: Final = 256  # kept until somebody asks
RAW: Final = 101
# ARPHRD number (linux/if_arp.h) -> LINKTYPE number. What is not here is handed over from its network header on, as RAW.
LINKS: Final = {1: 1, interfaces.LOOPBACK: 1, 801: 105, 802: 119, 803: 127}
LINK_TYPES: Final[I32] = np.full(65_536, RAW, np.int32)
LINK_TYPES[list(LINKS)] = list(LINKS.values())


class RingsCapture:
    """Reads the rings of several sockets by turns, and follows their interfaces."""

    def __init__(self, taps: Sequence[Tap], spares: Sequence[Tap], *, follow: bool) -> None:
        """Map the rings. follow: also capture physical interfaces that appear later. Raises SourceError."""
        self._taps = list(taps)
        self._spares = list(spares)
        self._follow = follow
        self._codes: dict[str, int] = {}
        self._counts: list[InterfaceCounts] = []
        self._events: deque[str] = deque(maxlen=EVENTS)
        self._poll = select.poll()
        self._by_fd: dict[int, Tap] = {}
        self._parts: Iterator[Frames] = iter(())
        self._turn = 0
        self._held: Ring | None = None
        self._exhausted = False
        self._watched = time.monotonic()
        self._rest = 0.0  # when the last blocks are closed, of a capture that was stopped
        self._highest = 0
        for tap in self._taps:
            self._listen(tap)
            if not tap.up:
                self._note(tap, "down")
        self._find_ports()

    def poll(self, timeout_ms: int) -> Frames | None:
        """Return frames of one interface and one link type, None where nothing comes for so long."""
        until = max(time.monotonic() + timeout_ms / 1000, self._rest)
        while True:
            part = next(self._parts, None)
            if part is not None:
                return part
            if self._held is not None:
                self._held.release()
                self._held = None
            now = time.monotonic()
            if now - self._watched >= WATCH_S and not self._rest:
                self._watched = now
                self._watch()
            if self._take():
                continue
            left = until - now
            if left <= 0:
                return None
            for fd, what in self._poll.poll(min(left, WATCH_S) * 1000):
                if what & ~select.POLLIN:
                    self._trouble(self._by_fd[fd])

    def counts(self) -> Mapping[str, InterfaceCounts]:
        """Return what was received, and what the kernel dropped, of each interface that was ever bound."""
        for tap in self._taps:
            self._count(tap)
        return {name: self._counts[code] for name, code in self._codes.items()}

    def events(self) -> list[str]:
        """Return the events since the last call."""
        events = list(self._events)
        self._events.clear()
        return events

    def add(self, name: str) -> bool:
        """Bind a spare socket to an interface."""
        for tap in self._taps:
            if tap.name == name:
                self._look(tap)
                return tap.there
        if not self._spares:
            if not self._exhausted:
                self._events.append(f"{escaped(name)}: not captured: every spare socket is in use")
            self._exhausted = True
            return False
        tap = self._spares[-1]
        try:
            tap.bind(name)
            tap.added = True
            self._listen(tap)
        except (OSError, SourceError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._events.append(f"{escaped(name)}: not captured: {reason.lower()}")
            return False
        self._taps.append(self._spares.pop())
        self._note(tap, "added")
        self._find_ports()
        return True

    def stop(self) -> None:
        """Hear nothing more; the rings can be read to their end."""
        for tap in self._taps:
            tap.mute()
        self._rest = time.monotonic() + 2 * RETIRE_MS / 1000

    def close(self) -> None:
        """Close all sockets."""
        self._parts, self._held = iter(()), None
        for tap in (*self._taps, *self._spares):
            if tap.socket.fileno() >= 0:
                self._count(tap)
            tap.close()
        self._taps, self._spares = [], []

    def _listen(self, tap: Tap) -> None:
        tap.map()
        self._name(tap.name)
        self._by_fd[tap.socket.fileno()] = tap
        self._poll.register(tap.socket.fileno(), select.POLLIN)

    def _find_ports(self) -> None:
        """Tell which interfaces are ports of one bridge, so that what it forwards counts once."""
        if not self._taps:
            return
        ports, warnings = find_ports(self._taps[0].socket.fileno(), [tap.name for tap in self._taps])
        for tap in self._taps:
            tap.port = ports.get(tap.name)
        self._events.extend(warnings)

    def _name(self, name: str) -> None:
        if name not in self._codes:
            self._codes[name] = len(self._codes)
            self._counts.append(InterfaceCounts(0, 0, 0, 0))

    def _take(self) -> bool:
        """Take the next full blocks of the sockets, by turns; False where there are none."""
        for _ in range(len(self._taps)):
            tap = self._taps[self._turn % len(self._taps)]
            self._turn += 1
            frames = tap.ring.take() if tap.ring is not None else None
            if frames is not None and tap.ring is not None:
                self._held = tap.ring
                self._parts = self._cut(frames, tap.ring, tap)
                if not tap.up:
                    self._look(tap)
                return True
        return False

    def _cut(self, frames: RingFrames, ring: Ring, tap: Tap) -> Iterator[Frames]:
        """Yield frames by link type, without the copies of frames that are counted elsewhere."""
        code = self._codes[tap.name]
        outgoing = frames.direction == OUTGOING
        copies = outgoing & (frames.hardware == interfaces.LOOPBACK)
        if tap.port is not None:
            copies |= outgoing & copies_of(tap.port, ring.data, frames.offset)
        if copies.any():
            frames = frames.take(np.flatnonzero(~copies))
            before = self._counts[code]
            self._counts[code] = before._replace(taken=before.taken - int(np.count_nonzero(copies)))
        links = LINK_TYPES[frames.hardware]
        changes = [0, *(np.flatnonzero(np.diff(links)) + 1).tolist(), len(links)]
        for start, stop in pairwise(changes):
            if start == stop:
                continue
            link_type = int(links[start])
            part = frames.take(slice(start, stop))
            if link_type == RAW:
                part = part.from_network()
            before = self._counts[code]
            self._counts[code] = before._replace(received=before.received + stop - start)
            yield Frames(
                ring.data,
                part.offset,
                part.caplen,
                part.wirelen,
                part.time,
                np.full(stop - start, code, np.uint16),
                link_type,
                tuple(self._codes),
                part.direction,
            )

    def _count(self, tap: Tap) -> None:
        if not tap.name:
            return
        taken, dropped, full = tap.counted()
        code = self._codes[tap.name]
        before = self._counts[code]
        self._counts[code] = InterfaceCounts(
            before.received, (before.dropped or 0) + dropped, before.full + full, before.taken + taken
        )

    def _note(self, tap: Tap, what: str) -> None:
        self._events.append(f"{escaped(tap.name)}: {what}")

    def _trouble(self, tap: Tap) -> None:
        """Take the error of a socket, which would else end every wait at once, and note what it means."""
        tap.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._look(tap)

    def _watch(self) -> None:
        """Look at interfaces that are down, and for new ones."""
        for tap in list(self._taps):
            if not (tap.up and tap.there):
                self._look(tap)
        if self._follow:
            fd = (self._taps or self._spares)[0].socket.fileno()
            for one in interfaces.interfaces(fd, self._highest):
                self._highest = one.number
                if interfaces.is_physical(one):
                    self.add(one.name)

    def _look(self, tap: Tap) -> None:
        """Compare a socket with its interface as it is now; bind it again where that was made anew."""
        name = tap.bound() if tap.there else ""
        if name:
            if name != tap.name:
                self._note(tap, f"is called {escaped(name)} now")
                tap.name = name
                self._name(name)
            up = interfaces.is_up(tap.socket.fileno(), name)
            if up != tap.up:
                tap.up = up
                self._note(tap, "up" if up else "down")
            return
        if tap.there:
            tap.there = tap.up = False
            self._note(tap, "gone")
        try:
            tap.bind(tap.name)
        except OSError:
            if tap.added and self._follow:  # the socket is free for the next one
                self._count(tap)
                self._poll.unregister(tap.socket.fileno())
                self._taps.remove(tap)
                self._spares.append(tap)
                self._exhausted = False
            return
        self._note(tap, "back" if tap.up else "back, and down")
