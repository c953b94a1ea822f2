"""Live frames through scapy, where there is no AF_PACKET: macOS, the BSDs, Windows. Slower, and it tells no drops."""

import fcntl
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from netwatch.model.errors import SourceError, UsageError
from netwatch.model.limits import PAD
from netwatch.model.text import escaped
from netwatch.sources.base import Frames
from netwatch.sources.live import InterfaceCounts, no_permission

# scapy's class for the first header -> LINKTYPE number
LINKS: Final = {
    "Ether": 1, "Dot3": 1, "PPP": 9, "IP": 101, "IPv6": 101, "Raw": 101, "Dot11": 105, "CookedLinux": 113,
    "PrismHeader": 119, "RadioTap": 127, "Loopback": 0, "CookedLinuxV2": 276,
}  # fmt: skip
SO_RCVBUFFORCE: Final = 33
BUFFER: Final = 16 * 1024 * 1024
LOOPBACK: Final = 772  # ARPHRD_LOOPBACK
SOL_PACKET: Final = 263
IGNORE_OUTGOING: Final = 23
GATHER_FRAMES: Final = 4_096  # of a batch
GATHER_S: Final = 0.05  # how long one waits for more


class PortableSockets:
    """Opened: one socket of scapy for each interface."""

    def __init__(self, names: tuple[str, ...], sockets: list[Any], snaplen: int) -> None:
        self._names = names
        self._sockets = sockets
        self._snaplen = snaplen

    @property
    def names(self) -> tuple[str, ...]:
        return self._names

    @property
    def fds(self) -> tuple[int, ...]:
        return tuple(one.fileno() for one in self._sockets)

    def move(self, lowest: int) -> None:
        """Move the sockets; on other systems nothing tells descriptors by their number, and they stay."""
        if not hasattr(socket, "AF_PACKET"):
            return
        for one in self._sockets:
            old = one.ins
            number = fcntl.fcntl(old.fileno(), fcntl.F_DUPFD_CLOEXEC, lowest)
            one.ins = socket.socket(old.family, old.type, old.proto, number)
            if one.outs is old:
                one.outs = one.ins
            old.close()

    def capture(self) -> "PortableCapture":
        return PortableCapture(self._names, self._sockets, self._snaplen)

    def close(self) -> None:
        for one in self._sockets:
            one.close()


def open_portable(names: Sequence[str], *, snaplen: int, promiscuous: bool, program: bytes | None) -> PortableSockets:
    """Do what live.open_live() says, without spare sockets. "any-physical" is the interface of the default route.

    Raises UsageError for a filter: what is compiled for Linux fits no other system.
    """
    if program is not None:
        raise UsageError("-f: this source takes no filter in the kernel; filter the records instead")
    try:
        import scapy.arch  # without it the configuration knows no sockets
        import scapy.layers.inet
        import scapy.layers.inet6  # noqa: F401 and no link types
        from scapy.config import conf
    except ImportError as error:
        raise SourceError("--source scapy: scapy is not there; install it with: pip install scapy") from error
    from scapy.error import Scapy_Exception

    wanted = tuple(dict.fromkeys(str(conf.iface) if name == "any-physical" else name for name in names))
    sockets: list[Any] = []
    try:
        conf.ifaces.reload()
        there = sorted(one.name for one in conf.ifaces.values())
        for name in wanted:
            _check(name, there)
            sockets.append(conf.L2listen(iface=name, promisc=promiscuous))
            if hasattr(socket, "AF_PACKET"):
                _suit_linux(sockets[-1].ins)
    except BaseException as error:
        for one in sockets:
            one.close()
        if isinstance(error, PermissionError):
            raise no_permission(wanted[len(sockets)]) from None
        if isinstance(error, (OSError, Scapy_Exception)):
            raise SourceError(f"{escaped(wanted[len(sockets)])}: cannot be captured: {error}") from error
        raise
    return PortableSockets(wanted, sockets, snaplen)


def _check(name: str, there: Sequence[str]) -> None:
    if name not in there:
        raise SourceError(f"{escaped(name)}: no such interface; there are {escaped(', '.join(there))}")


def _suit_linux(sock: socket.socket) -> None:
    """Have room for more than scapy's few frames, and each frame of loopback once."""
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    if sock.getsockname()[3] == LOOPBACK:
        sock.setsockopt(SOL_PACKET, IGNORE_OUTGOING, 1)


class PortableCapture:
    """Reads frames one by one, without a look at what is in them, and makes batches of them."""

    def __init__(self, names: tuple[str, ...], sockets: Sequence[Any], snaplen: int) -> None:
        self._names = names
        self._sockets = list(sockets)
        self._snaplen = snaplen
        self._received = [0] * len(names)
        self._events: list[str] = []
        self._waiting: deque[tuple[int, int, bytes, int]] = deque()  # interface, link type, frame, time

    def poll(self, timeout_ms: int) -> Frames | None:
        """Return frames of one link type, None where nothing comes for so long."""
        if not self._waiting:
            self._gather(timeout_ms / 1000)
        if not self._waiting:
            return None
        link_type = self._waiting[0][1]
        rows = []
        while self._waiting and self._waiting[0][1] == link_type:
            rows.append(self._waiting.popleft())
        return self._columns(rows, link_type)

    def counts(self) -> Mapping[str, InterfaceCounts]:
        """Return what was received of each interface; drops are not known."""
        return {
            name: InterfaceCounts(count, None, 0, count)
            for name, count in zip(self._names, self._received, strict=True)
        }

    def events(self) -> list[str]:
        """Return the events since the last call."""
        events, self._events = self._events, []
        return events

    def add(self, name: str) -> bool:
        """Return False: there are no spare sockets."""
        self._events.append(f"{escaped(name)}: not captured: this source cannot add interfaces")
        return False

    def stop(self) -> None:
        """Take what waits, and close all sockets."""
        self._gather(0)
        self.close()

    def close(self) -> None:
        """Close all sockets."""
        for one in self._sockets:
            one.close()
        self._sockets = []

    def _gather(self, timeout: float) -> None:
        """Wait for a first frame, and then a little for more; what is there already is taken in any case."""
        until = time.monotonic() + timeout
        while self._sockets and len(self._waiting) < GATHER_FRAMES:
            left = max(until - time.monotonic(), 0.0)
            ready = self._sockets[0].select(self._sockets, left)
            if not ready and left == 0:
                return
            if ready and not self._waiting:
                until = min(until, time.monotonic() + GATHER_S)
            for one in ready:
                self._receive(one)

    def _receive(self, one: Any) -> None:
        code = self._sockets.index(one)
        try:
            kind, frame, seconds = one.recv_raw()
        except OSError as error:  # the interface is down or gone
            self._note(f"{escaped(self._names[code])}: {(error.strerror or str(error)).lower()}")
            time.sleep(GATHER_S)  # should it say so again and again
            return
        if not frame:
            return
        when = time.time_ns() if seconds is None else round(float(seconds) * 10**9)
        self._waiting.append((code, LINKS.get(getattr(kind, "__name__", ""), 1), frame, when))
        self._received[code] += 1

    def _note(self, event: str) -> None:
        if event not in self._events:
            self._events.append(event)

    def _columns(self, rows: Sequence[tuple[int, int, bytes, int]], link_type: int) -> Frames:
        codes, _, frames, times = zip(*rows, strict=True)
        wirelen = np.array([len(frame) for frame in frames], np.uint32)
        caplen = np.minimum(wirelen, self._snaplen).astype(np.int32)
        offset = np.zeros(len(rows), np.int64)
        np.cumsum(wirelen[:-1], out=offset[1:])
        data = np.frombuffer(b"".join((*frames, bytes(PAD))), np.uint8)
        return Frames(
            data,
            offset,
            caplen,
            wirelen,
            np.array(times, np.int64),
            np.array(codes, np.uint16),
            link_type,
            self._names,
        )
