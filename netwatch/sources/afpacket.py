"""Opens the live capture of Linux: AF_PACKET sockets, the one thing here that needs CAP_NET_RAW (packet(7))."""

import ctypes
import errno
import socket
import struct
from collections.abc import Sequence
from typing import Final

from netwatch.model.errors import SourceError
from netwatch.model.text import escaped
from netwatch.sources import interfaces
from netwatch.sources.live import ANY_PHYSICAL, no_permission
from netwatch.sources.rings import RingsCapture
from netwatch.sources.tap import Tap

SO_ATTACH_FILTER: Final = 26
SO_LOCK_FILTER: Final = 44
RETURN: Final = 0x06  # BPF_RET | BPF_K
INSTRUCTION: Final = struct.Struct("=HBBI")
BLOCK_BYTES: Final = 1024 * 1024
BLOCKS_MIN: Final = 8  # of a ring, where several share


class AfPacketSockets:
    """Opened: the sockets of a capture, and the spare ones."""

    def __init__(self, taps: list[Tap], spares: list[Tap], *, follow: bool) -> None:
        self.taps = taps
        self.spares = spares
        self.follow = follow

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(tap.name for tap in self.taps)

    @property
    def fds(self) -> tuple[int, ...]:
        return tuple(tap.socket.fileno() for tap in (*self.taps, *self.spares))

    def move(self, lowest: int) -> None:
        for tap in (*self.taps, *self.spares):
            tap.move(lowest)

    def capture(self) -> RingsCapture:
        return RingsCapture(self.taps, self.spares, follow=self.follow)

    def close(self) -> None:
        for tap in (*self.taps, *self.spares):
            tap.close()


def open_sockets(
    names: Sequence[str],
    *,
    snaplen: int,
    ring_blocks: int,
    promiscuous: bool,
    program: bytes | None,
    spares: int,
    block_bytes: int = BLOCK_BYTES,
) -> AfPacketSockets:
    """Do what live.open_live() says. block_bytes: of one block of a ring, a multiple of the page size."""
    program = _cut_to(program, snaplen)
    made: list[Tap] = []

    def tap(blocks: int) -> Tap:
        one = Tap(_socket(program), blocks, block_bytes, promiscuous=promiscuous)
        made.append(one)
        return one

    try:
        wanted = list(dict.fromkeys(names))
        follow = ANY_PHYSICAL in wanted
        extra = [tap(BLOCKS_MIN) for _ in range(max(spares, 1))]
        if follow:
            present = [
                one.name for one in interfaces.interfaces(made[0].socket.fileno()) if interfaces.is_physical(one)
            ]
            wanted = list(
                dict.fromkeys(name for word in wanted for name in (present if word == ANY_PHYSICAL else [word]))
            )
        blocks = max(ring_blocks // max(len(wanted), 1), min(BLOCKS_MIN, ring_blocks))
        taps = []
        for name in wanted:
            one = tap(blocks)
            _bind(one, name)
            taps.append(one)
    except PermissionError:
        _close(made)
        raise no_permission(names[0] if names else ANY_PHYSICAL) from None
    except BaseException:
        _close(made)
        raise
    for one in extra[spares:]:
        one.close()
    return AfPacketSockets(taps, extra[:spares], follow=follow)


def _bind(tap: Tap, name: str) -> None:
    try:
        tap.bind(name)
    except PermissionError:
        raise
    except OSError as error:
        if error.errno in (errno.ENODEV, errno.EINVAL) and interfaces.index_of(tap.socket.fileno(), name) is None:
            there = ", ".join(one.name for one in interfaces.interfaces(tap.socket.fileno()))
            raise SourceError(f"{escaped(name)}: no such interface; there are {escaped(there)}") from None
        reason = (error.strerror or str(error)).lower()
        raise SourceError(f"{escaped(name)}: cannot be captured: {reason}; a smaller ring may help") from error


def _close(taps: list[Tap]) -> None:
    for tap in taps:
        tap.close()


def _socket(program: bytes) -> socket.socket:
    """Open a socket that hears nothing yet, with a filter that nobody can change."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    code = ctypes.create_string_buffer(program, len(program))
    sock.setsockopt(
        socket.SOL_SOCKET,
        SO_ATTACH_FILTER,
        struct.pack("@HP", len(program) // INSTRUCTION.size, ctypes.addressof(code)),
    )
    sock.setsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER, 1)
    return sock


def _cut_to(program: bytes | None, snaplen: int) -> bytes:
    """Return a filter that keeps at most `snaplen` bytes of what it takes: what it returns is their number."""
    if program is None:
        return INSTRUCTION.pack(RETURN, 0, 0, snaplen)
    steps = INSTRUCTION.iter_unpack(program)
    return b"".join(
        INSTRUCTION.pack(code, yes, no, min(value, snaplen) if code == RETURN else value)
        for code, yes, no, value in steps
    )
