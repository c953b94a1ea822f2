"""Live capture: opened with privileges, read without any; what reads it is chosen by what the system has."""

import socket
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from netwatch.model.batch import PacketBatch
from netwatch.model.errors import SourceError, UsageError
from netwatch.sources.base import CaptureInfo, Frames, hand_over

SNAPLEN: Final = 65_535  # bytes of a frame that are kept: a hello of several segments, merged by the card, is whole
RING_BLOCKS: Final = 32  # of 1 MiB each, for all named interfaces together
SPARES: Final = 8  # C3: sockets for interfaces that appear later
ANY_PHYSICAL: Final = "any-physical"
KINDS: Final = ("auto", "afpacket", "scapy")


class InterfaceCounts(NamedTuple):
    """Frames of one interface.

    received: handed over, so without those that were dropped.
    dropped: lost since there was no room, None where the system does not say.   full: how often a ring was found full.
    taken: by the system's own count, those that are handed over sooner or later.
    """

    received: int
    dropped: int | None
    full: int
    taken: int


class LiveCounts(NamedTuple):
    """Frames of a whole capture, and of each interface by its name."""

    received: int
    dropped: int | None
    taken: int
    interfaces: Mapping[str, InterfaceCounts]


class Live(Protocol):
    """Packets as they come; for the meaning of each call see LiveSource."""

    def poll(self, timeout_ms: int) -> PacketBatch | None: ...

    def counts(self) -> LiveCounts: ...

    def events(self) -> list[str]: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


class Capture(Protocol):
    """What reads frames of one kind of socket; for the meaning of each call see LiveSource."""

    def poll(self, timeout_ms: int) -> Frames | None: ...

    def counts(self) -> Mapping[str, InterfaceCounts]: ...

    def events(self) -> list[str]: ...

    def add(self, name: str) -> bool: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


class Opened(Protocol):
    """Sockets that were opened with privileges and are not read yet; they outlive a fork.

    names: the interfaces.   fds: the descriptors of all sockets, spare ones too.
    """

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def fds(self) -> tuple[int, ...]: ...

    def move(self, lowest: int) -> None:
        """Have all descriptors at `lowest` or above, so that a seccomp filter can tell them by their number."""

    def capture(self) -> Capture:
        """Return what reads them, in the process that will do so; needs no privilege and no file."""

    def close(self) -> None: ...


def open_live(
    names: Sequence[str],
    *,
    snaplen: int = SNAPLEN,
    ring_blocks: int = RING_BLOCKS,
    promiscuous: bool = False,
    program: bytes | None = None,
    spares: int = SPARES,
    kind: str = "auto",
) -> Opened:
    """Open the sockets of a live capture; the one step that needs privileges.

    names: interfaces; "any-physical" stands for all that carry frames of their own (interfaces.is_physical), also those
        that appear later.
    snaplen: bytes of a frame that are kept.   ring_blocks: MiB of frames that can wait, for all interfaces together.
    program: cBPF, instructions of 8 bytes in the machine's order (struct sock_filter), for every interface.
    spares: sockets opened beside these, for interfaces that appear later.
    kind: one of KINDS; "auto" takes AF_PACKET where there is such a thing.
    Raises SourceError: no such interface, no permission, no memory. UsageError: a kind that is not known, or not here.
    """
    if kind not in KINDS:
        raise UsageError(f"--source {kind}: not known; give {', '.join(KINDS)}")
    linux = hasattr(socket, "AF_PACKET")
    if kind == "scapy" or (kind == "auto" and not linux):
        from netwatch.sources.portable import open_portable

        return open_portable(names, snaplen=snaplen, promiscuous=promiscuous, program=program)
    if not linux:
        raise UsageError("--source afpacket: only Linux has it; leave the option out")
    from netwatch.sources.afpacket import open_sockets

    return open_sockets(
        names, snaplen=snaplen, ring_blocks=ring_blocks, promiscuous=promiscuous, program=program, spares=spares
    )


class LiveSource:
    """The packets of a live capture as batches; works without privileges, and in a process that was forked off.

    capture: what is known of it so far, as of a file.
    """

    def __init__(self, opened: Opened) -> None:
        """Begin to read. Raises SourceError where there is no memory for the rings."""
        self._source = opened.capture()
        self.capture = CaptureInfo(",".join(opened.names), "live")

    def poll(self, timeout_ms: int) -> PacketBatch | None:
        """Return the next batch, None where nothing comes for so long.

        The arrays of a batch hold until the next call. The packets of one interface are in order; those of several
        come one interface after the other. Frames that loopback shows twice come once.
        """
        frames = self._source.poll(timeout_ms)
        return None if frames is None else hand_over(frames, self.capture)

    def counts(self) -> LiveCounts:
        """Return the counters as they stand; the kernel's are asked for."""
        each = self._source.counts()
        known = [one.dropped for one in each.values() if one.dropped is not None]
        received, taken = sum(one.received for one in each.values()), sum(one.taken for one in each.values())
        return LiveCounts(received, sum(known) if known else None, taken, each)

    def events(self) -> list[str]:
        """Return what happened to interfaces since the last call, one line each: down, up, gone, bound again, added."""
        return self._source.events()

    def add(self, name: str) -> bool:
        """Listen on one more interface, with a spare socket; False, and an event, where that cannot be."""
        return self._source.add(name)

    def stop(self) -> None:
        """Hear nothing more: poll() gives what came before, and None when that was all (within a quarter second)."""
        self._source.stop()

    def close(self) -> None:
        """Let go of the sockets; batches that were handed over stay readable. May be called twice."""
        self._source.close()


def no_permission(what: str) -> SourceError:
    """Return what to raise where the system does not let us capture."""
    return SourceError(
        f"{what}: capturing needs the right to (CAP_NET_RAW); run it with sudo, or pipe: "
        f"sudo tcpdump -i {what} -w - | netwatch replay -"
    )
