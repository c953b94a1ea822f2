"""One AF_PACKET socket with its ring, and the interface that it listens on (packet(7))."""

import contextlib
import errno
import fcntl
import socket
import struct
from typing import Final

from netwatch.sources import interfaces
from netwatch.sources.bridges import Port
from netwatch.sources.ring import Ring

SOL_PACKET: Final = 263
ADD_MEMBERSHIP, RX_RING, STATISTICS, VERSION, IGNORE_OUTGOING = 1, 5, 6, 10, 23
TPACKET_V3: Final = 2
PROMISCUOUS: Final = 1  # PACKET_MR_PROMISC
ETH_P_ALL: Final = 3
NOTHING: Final = 0xFFFF  # an Ethernet type that no frame has (RFC 1701, reserved); 0 would leave all as it is
FRAME_BYTES: Final = 2_048  # the kernel wants a number; blocks take frames of any size
RETIRE_MS: Final = 100  # a block that is not full is handed over after this: its frames are late by as much


class Tap:
    """A socket, and the interface that it listens on, if any.

    name: of the interface, "" for a spare socket.   up: frames can come.   there: the interface exists.
    added: bound later than the capture was opened.   port: what makes a frame a copy, where the interface is one of
    several captured ports of a bridge.
    """

    def __init__(self, sock: socket.socket, blocks: int, block_bytes: int, *, promiscuous: bool) -> None:
        self.socket = sock
        self.blocks = blocks
        self.block_bytes = block_bytes
        self.name = ""
        self.port: Port | None = None
        self.up = self.there = self.added = False
        self.ring: Ring | None = None
        self._promiscuous = promiscuous
        self._has_ring = False

    def bind(self, name: str) -> None:
        """Listen on an interface; needs no privilege. Raises OSError: there is none, or no memory for the ring."""
        sock = self.socket
        if not self._has_ring:  # a spare socket costs no memory before it is used
            sock.setsockopt(SOL_PACKET, VERSION, TPACKET_V3)
            frames = self.blocks * (self.block_bytes // FRAME_BYTES)
            sock.setsockopt(
                SOL_PACKET,
                RX_RING,
                struct.pack("=7I", self.block_bytes, self.blocks, FRAME_BYTES, frames, RETIRE_MS, 0, 0),
            )
            self._has_ring = True
        self.there = self.up = False
        index = interfaces.index_of(sock.fileno(), name)
        if index is None:
            raise OSError(errno.ENODEV, "no such interface")
        sock.bind((name, ETH_P_ALL))
        hardware = sock.getsockname()[3]
        if hardware == interfaces.LOOPBACK:
            with contextlib.suppress(OSError):  # before Linux 4.20: then each frame is here twice, and is dropped later
                sock.setsockopt(SOL_PACKET, IGNORE_OUTGOING, 1)
        if self._promiscuous:
            with contextlib.suppress(OSError):  # tunnels have no such mode
                sock.setsockopt(SOL_PACKET, ADD_MEMBERSHIP, struct.pack("=iHH8x", index, PROMISCUOUS, 0))
        self.name, self.there = name, True
        self.up = interfaces.is_up(sock.fileno(), name)

    def mute(self) -> None:
        """Hear nothing more; what is in the ring stays there, and the kernel closes its last block by itself."""
        if self.there:
            with contextlib.suppress(OSError):  # the interface is gone: silent enough
                self.socket.bind((self.name, NOTHING))

    def map(self) -> Ring | None:
        """Return the ring of a socket that has one, mapped in this process. Raises SourceError."""
        if self.ring is None and self._has_ring:
            self.ring = Ring(self.socket.fileno(), self.blocks, self.block_bytes)
        return self.ring

    def bound(self) -> str:
        """Return the name that its interface has now, "" where that is gone."""
        return str(self.socket.getsockname()[0])

    def counted(self) -> tuple[int, int, int]:
        """Return (frames taken into the ring, frames dropped, times the ring was full) since the last call."""
        arrived, dropped, full = struct.unpack("=III", self.socket.getsockopt(SOL_PACKET, STATISTICS, 12))
        return arrived - dropped, dropped, full

    def move(self, lowest: int) -> None:
        """Have the descriptor at `lowest` or above."""
        old = self.socket
        number = fcntl.fcntl(old.fileno(), fcntl.F_DUPFD_CLOEXEC, lowest)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0, number)
        old.close()

    def close(self) -> None:
        self.ring = None
        self.socket.close()
