"""The ring of blocks that the kernel fills with frames (TPACKET_V3, linux/if_packet.h), walked in columns."""

import ctypes
import mmap
import os
import struct
import sys
import weakref
from typing import Any, Final, NamedTuple

import numpy as np

from netwatch.model.arrays import I32, I64, U8, U16, U32
from netwatch.model.errors import SourceError
from netwatch.model.limits import BATCH_BYTES, BATCH_PACKETS
from netwatch.sources.walk import WORD, Chain, walk

STATUS: Final = 8  # where in a block the word is that says whose it is: the kernel's, or ours
USER: Final = 1
BLOCK: Final = struct.Struct("=IIIIQ")  # status, packets, first packet, bytes, sequence number
VLAN_VALID: Final = 1 << 4
TPID_VALID: Final = 1 << 6
VLAN_TYPE: Final = 0x8100
ADDRESSES: Final = 12  # bytes of an Ethernet header that stand before a tag
TAG: Final = 4
MAP_FIXED: Final = 0x10
HEADER: Final = np.dtype(  # struct tpacket3_hdr, and struct sockaddr_ll 48 bytes in
    {
        "names": ["sec", "nsec", "caplen", "wirelen", "status", "frame", "network", "tci", "tpid", "hardware", "kind"],
        "formats": ["u4", "u4", "u4", "u4", "u4", "u2", "u2", "u4", "u2", "u2", "u1"],
        "offsets": [4, 8, 12, 16, 20, 24, 26, 32, 36, 56, 58],
        "itemsize": 60,
    }
)
CHAIN: Final = Chain(48, 0, 0, WORD["<" if sys.byteorder == "little" else ">"])


class RingFrames(NamedTuple):
    """Frames of some blocks, as the kernel describes them; columns of one length, see PacketBatch.

    offset, network: int64, where the frame and its network header start in the ring.
    hardware: uint16, ARPHRD number of the interface.   direction: uint8.
    """

    offset: I64
    network: I64
    caplen: I32
    wirelen: U32
    time: I64
    hardware: U16
    direction: U8

    def take(self, rows: slice | I64) -> "RingFrames":
        """Return these rows of every column; a slice copies nothing."""
        return RingFrames._make([column[rows] for column in self])

    def from_network(self) -> "RingFrames":
        """Return the same frames without what stands before their network header."""
        ahead = np.minimum(np.maximum(self.network - self.offset, 0), self.caplen).astype(np.int32)
        return self._replace(
            offset=self.offset + ahead, caplen=self.caplen - ahead, wirelen=self.wirelen - ahead.astype(np.uint32)
        )


class Ring:
    """The memory of a socket's ring.

    data: uint8, read-only; behind the last block stand PAD bytes more. Stays mapped as long as an array shows it.
    """

    def __init__(self, fd: int, blocks: int, block_bytes: int) -> None:
        """Map it, and begin where the kernel, or who read before, stopped. Raises SourceError."""
        self._count = blocks
        self._block_bytes = block_bytes
        memory = _map(fd, blocks * block_bytes)
        self._raw = memoryview(memory).cast("B")
        self._memory: U8 = np.frombuffer(memory, np.uint8)
        self.data = self._memory.view()
        self.data.flags.writeable = False
        self._headers = _records(self._memory, HEADER)
        self._addresses = _records(self._memory, np.dtype(f"V{ADDRESSES}"))
        self._tags = _records(self._memory, np.dtype([("tpid", ">u2"), ("tci", ">u2")]))
        self._at = self._oldest()
        self._held = 0  # blocks from there on whose frames were handed over

    def take(self) -> RingFrames | None:
        """Return the frames of the next full blocks, None where there are none; they hold until release()."""
        starts: list[int] = []
        most = min(max(BATCH_BYTES // self._block_bytes, 1), max(self._count // 4, 1), self._count - self._at)
        while self._held < most:
            base = (self._at + self._held) * self._block_bytes
            status, packets, first, _, _ = BLOCK.unpack_from(self._raw, base + STATUS)
            if not status & USER or (starts and len(starts) + packets > BATCH_PACKETS):
                break
            starts += walk(self._raw, base + first, base + self._block_bytes, packets, CHAIN)[0]
            self._held += 1
        if not starts:
            self.release()
            return None
        return self._columns(np.fromiter(starts, np.int64, len(starts)))

    def release(self) -> None:
        """Give the blocks whose frames were handed over back to the kernel."""
        for block in range(self._at, self._at + self._held):
            struct.pack_into("=I", self._raw, block * self._block_bytes + STATUS, 0)
        self._at = (self._at + self._held) % self._count
        self._held = 0

    def _oldest(self) -> int:
        """Return the block that is filled first: of those that wait the oldest, else the one that the kernel fills."""
        blocks = [BLOCK.unpack_from(self._raw, at * self._block_bytes + STATUS) for at in range(self._count)]
        waiting = [at for at, block in enumerate(blocks) if block[0] & USER]
        if waiting:
            return min(waiting, key=lambda at: blocks[at][4])
        return max(range(self._count), key=lambda at: blocks[at][4])

    def _columns(self, starts: I64) -> RingFrames:
        headers = self._headers[starts]
        frame = headers["frame"].astype(np.int64)
        time = headers["sec"].astype(np.int64)
        time *= 10**9
        time += headers["nsec"]
        frames = RingFrames(
            starts + frame,
            starts + headers["network"],
            headers["caplen"].astype(np.int32),
            headers["wirelen"].copy(),
            time,
            headers["hardware"].copy(),
            headers["kind"].copy(),
        )
        tagged = np.flatnonzero(headers["status"] & VLAN_VALID)
        if len(tagged):
            self._put_tags_back(frames, headers, starts, tagged)
        return frames

    def _put_tags_back(self, frames: RingFrames, headers: Any, starts: I64, rows: I64) -> None:
        """Have the tag that the kernel took out of each row's frame where it was on the wire.

        Between the kernel's header and the frame at least 14 bytes are free (TPACKET_ALIGN of both headers). The header
        is changed too: after a crash the next reader of these blocks finds the tag in its place.
        """
        rows = rows[frames.caplen[rows] >= ADDRESSES]
        offset = frames.offset[rows]
        self._addresses[offset - TAG] = self._addresses[offset]
        place = offset - TAG + ADDRESSES
        known = headers["status"][rows] & TPID_VALID != 0
        self._tags["tpid"][place] = np.where(known, headers["tpid"][rows], VLAN_TYPE)
        self._tags["tci"][place] = headers["tci"][rows]
        frames.offset[rows] -= TAG
        frames.caplen[rows] += TAG
        frames.wirelen[rows] += np.uint32(TAG)
        at = starts[rows]
        self._headers["status"][at] = headers["status"][rows] & ~np.uint32(VLAN_VALID)
        self._headers["frame"][at] = headers["frame"][rows] - np.uint16(TAG)
        self._headers["caplen"][at] = frames.caplen[rows]
        self._headers["wirelen"][at] = frames.wirelen[rows]


def _records(memory: U8, form: "np.dtype[Any]") -> Any:
    """Show a record at every byte."""
    return np.ndarray((len(memory) - form.itemsize + 1,), form, buffer=memory.data, strides=(1,))


def _map(fd: int, size: int) -> Any:
    """Map the ring of a socket with a page of zeros behind it; unmapped when nothing shows it any more.

    mmap.mmap() cannot: a second mapping must follow the first one without a gap. Raises SourceError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    access = mmap.PROT_READ | mmap.PROT_WRITE
    failed = ctypes.c_void_p(-1).value
    whole = size + mmap.PAGESIZE
    address = libc.mmap(None, whole, access, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    if address == failed or libc.mmap(address, size, access, mmap.MAP_SHARED | MAP_FIXED, fd, 0) == failed:
        reason = os.strerror(ctypes.get_errno()).lower()
        if address != failed:
            libc.munmap(address, whole)
        raise SourceError(f"the capture ring of {size} bytes cannot be mapped: {reason}; make it smaller")
    shape: Any = type("Memory", (ctypes.c_ubyte * whole,), {})  # unlike its base, a subclass can be weakly referenced
    memory = shape.from_address(address)
    weakref.finalize(memory, libc.munmap, address, whole).atexit = False
    return memory
