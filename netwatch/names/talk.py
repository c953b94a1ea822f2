"""What a protocol's file offers to the inspector."""

from collections import Counter
from collections.abc import Callable, Container
from typing import NamedTuple, Protocol

from netwatch.model.reading import Address, Reading
from netwatch.names.reassembly import Assembler
from netwatch.names.store import Store

Ports = tuple[int, int]
"""Source and destination port of a packet."""


class Talk(Protocol):
    """A conversation over TCP whose protocol is known."""

    @property
    def protocol(self) -> str:
        """The word of the flow record."""

    @property
    def size(self) -> int:
        """Bytes in memory beside the streams."""

    def feed(self, side: int, pieces: Assembler, ports: Ports) -> Reading | None:
        """Read on in the bytes that one side sent, now that there are more of them. Raises ParseError."""


class StreamProtocol(NamedTuple):
    """starts: whether a stream with these first bytes is of the protocol; None: more bytes are needed to say.

    talk: makes the conversation.   firsts: the bytes that such a stream may begin with.
    """

    starts: Callable[[bytes, Ports], bool | None]
    talk: Callable[[Ports], Talk]
    firsts: Container[int] = range(256)


class Datagram(NamedTuple):
    """One UDP payload, as Inspector.datagram was given it."""

    flow: int
    side: int
    payload: bytes
    cut: bool
    ports: Ports
    source: Address
    now_ns: int


class DatagramReader(Protocol):
    """A protocol over UDP. Raises ParseError; None: not this protocol."""

    def __call__(self, datagram: Datagram) -> Reading | None: ...


MakeReader = Callable[[Store, Counter[str]], DatagramReader]


class DatagramProtocol(NamedTuple):
    """reader: makes the reader of one inspector, which keeps states of flows in the store.

    firsts: bytes that a datagram may begin with; it is asked about others only on its ports and in flows with a state.
    """

    reader: MakeReader
    firsts: Container[int]
    ports: frozenset[int] = frozenset()
