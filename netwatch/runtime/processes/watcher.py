"""Follows a host's sockets from look to look, and says which came, whose they are, and which went."""

from collections.abc import Callable
from time import monotonic, time_ns
from typing import Annotated, Final

from msgspec import DecodeError, Meta, Struct, msgpack

from netwatch.model.address import V6
from netwatch.model.reading import Address
from netwatch.runtime.live.messages import MessageError
from netwatch.runtime.processes.sockets import Socket, Sockets

LOOK_S: Final = 0.5  # at the soonest, from one look at the sockets to the next
WALK_S: Final = 2.0  # and from one walk through all processes to the next
SHARE: Final = 0.01  # of the time that may go into either
TRIES: Final = 2  # walks, until it is said that no process shows a socket
ADDRESS_BYTES: Final = 17  # an address has up to 129 bits

Port = Annotated[int, Meta(ge=0, le=65_535)]
Bytes = Annotated[bytes, Meta(max_length=ADDRESS_BYTES)]


class Seen(Struct, array_like=True, frozen=True):
    """A socket. since: ns, it was not there before.   program: None where it cannot be seen.   ours: it could be."""

    number: int
    transport: int
    local: Bytes
    local_port: Port
    remote: Bytes
    remote_port: Port
    since: int
    program: str | None
    ours: bool


class Changes(Struct, array_like=True, frozen=True):
    """What is new since the last message.

    at: ns.   addresses: of this host.   seen: sockets that came.   gone: numbers of those that went.
    missing: in the first message alone, what of the sandbox is not there.   refused: why there is no other message.
    """

    at: int
    addresses: list[Bytes]
    seen: list[Seen]
    gone: list[int]
    missing: list[str] = []
    refused: str | None = None


_ENCODER: Final = msgpack.Encoder()
_DECODER: Final = msgpack.Decoder(Changes)


def encode(changes: Changes) -> bytes:
    """Write a message."""
    return _ENCODER.encode(changes)


def decode(data: bytes) -> Changes:
    """Read a message. Raises MessageError."""
    try:
        return _DECODER.decode(data)
    except DecodeError as error:
        raise MessageError(f"the process that looks at sockets sent no message: {error}") from error


def address(data: bytes) -> Address:
    """Read an address. Raises MessageError."""
    value = int.from_bytes(data, "big")
    if value >= 2 * V6:
        raise MessageError("the process that looks at sockets sent an address that is none")
    return value


class _Known:
    """A socket that is there. number: as it is told.   since: ns.   tries: walks that did not find it."""

    __slots__ = ("number", "since", "told", "tries")

    def __init__(self, number: int, since: int) -> None:
        self.number, self.since = number, since
        self.told = False
        self.tries = 0


class Watcher:
    """Looks when asked to. pause: seconds until it is worth while to ask again."""

    def __init__(
        self, sockets: Sockets, clock: Callable[[], float] = monotonic, wall: Callable[[], int] = time_ns
    ) -> None:
        """Take a way to look. clock: seconds.   wall: ns since 1970, as packets are stamped."""
        self.pause = LOOK_S
        self._sockets = sockets
        self._clock, self._wall = clock, wall
        self._known: dict[Socket, _Known] = {}
        self._addresses: set[Address] = set()
        self._count = 0
        self._looked_at = 0  # ns; what is there in the first look was there for who knows how long
        self._walk_at = clock()

    def look(self) -> Changes:
        """Look once."""
        begun, at = self._clock(), self._wall()
        found = set(self._sockets.look())
        gone = [known.number for one in self._known.keys() - found if (known := self._known.pop(one)).told]
        for one in found - self._known.keys():
            self._count += 1
            self._known[one] = _Known(self._count, self._looked_at)
        self._looked_at = at
        addresses = set(self._sockets.addresses())
        new, self._addresses = addresses - self._addresses, addresses
        changes = Changes(at, [_bytes(one) for one in new], self._name(), gone)
        self.pause = max(LOOK_S, (self._clock() - begun) / SHARE)
        return changes

    def _name(self) -> list[Seen]:
        """Tell what is new, once it is known whose it is."""
        new = {one: known for one, known in self._known.items() if not known.told}
        begun = self._clock()
        if not new or begun < self._walk_at:
            return []
        wanted = [one for one in new if one.ours]
        programs = self._sockets.programs(wanted) if wanted else {}
        self._walk_at = self._clock() + max(WALK_S, (self._clock() - begun) / SHARE)
        seen = []
        for one, known in new.items():
            program = programs.get(one) or None
            known.tries += 1
            if program is None and one.ours and known.tries < TRIES:
                continue
            known.told = True
            place = (one.transport, _bytes(one.local), one.local_port, _bytes(one.remote), one.remote_port)
            seen.append(Seen(known.number, *place, known.since, program, one.ours))
        return seen


def _bytes(value: Address) -> bytes:
    return value.to_bytes(ADDRESS_BYTES, "big")
