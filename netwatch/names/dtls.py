"""DTLS 1.0, 1.2, 1.3: the ClientHello, in fragments and sent again (RFC 6347, RFC 9147)."""

from collections import Counter
from typing import Final

from netwatch.model.errors import ParseError
from netwatch.model.limits import HELLO_MAX
from netwatch.model.reading import Hello, Reading
from netwatch.names.cursor import Cursor
from netwatch.names.hello import CLIENT_HELLO, parse_client_hello
from netwatch.names.reassembly import Assembler
from netwatch.names.store import Store
from netwatch.names.talk import Datagram, DatagramReader
from netwatch.names.tls import hello_reading

HANDSHAKE: Final = 22
SERVER_HELLO, HELLO_VERIFY_REQUEST = 2, 3
FIRSTS: Final = range(20, 26)  # content types of plaintext
_VERSIONS: Final = (b"\xfe\xff", b"\xfe\xfd", b"\x01\x00")
_FRAGMENT_STEPS: Final = 8  # a fragment costs as much as so many steps of others
_MESSAGES: Final = 4  # hellos under way: the first, that with the cookie, and a retry


def looks_like(payload: bytes) -> bool:
    """Whether bytes begin with a DTLS record of the plaintext epoch."""
    return len(payload) > 13 and payload[0] in FIRSTS and payload[1:3] in _VERSIONS and payload[3:5] == b"\0\0"


class _Hellos:
    """The hellos of one flow that are not whole, by message_seq."""

    __slots__ = ("parts",)

    def __init__(self) -> None:
        self.parts: dict[int, Assembler] = {}

    @property
    def size(self) -> int:
        return 256 + sum(part.size for part in self.parts.values())


def datagrams(store: Store, anomalies: Counter[str]) -> DatagramReader:
    """Make the reader; anything else than a record of epoch 0 is None."""

    def read(datagram: Datagram) -> Reading | None:
        if not looks_like(datagram.payload):
            return None
        if datagram.payload[0] != HANDSHAKE:
            return Reading("dtls")
        try:
            return _records(datagram, store, anomalies)
        except ParseError as error:
            if not (datagram.cut and error.anomaly == "truncated"):
                anomalies[error.anomaly] += 1
            return Reading("dtls")

    return read


def _records(datagram: Datagram, store: Store, anomalies: Counter[str]) -> Reading:
    """Read the handshake records of one datagram. Raises ParseError: truncated, dtls_*, tls_*, step_budget_spent."""
    records = Cursor.over(datagram.payload)
    reading = Reading("dtls")
    while records.left >= 13 and records.peek() == HANDSHAKE:
        records.step()
        records.skip(11)
        record = records.block(2)
        while record.left >= 12:
            record.step(_FRAGMENT_STEPS)
            reading = _message(record, datagram, store, anomalies)
            if reading.hello is not None:
                return reading
    return reading


def _message(record: Cursor, datagram: Datagram, store: Store, anomalies: Counter[str]) -> Reading:
    """Read one handshake message or fragment of one (RFC 6347 section 4.2.2)."""
    kind, length, sequence, offset = record.uint(1), record.uint(3), record.uint(2), record.uint(3)
    fragment = record.block(3)
    if kind != CLIENT_HELLO:
        return Reading("dtls", from_client=False if kind in (SERVER_HELLO, HELLO_VERIFY_REQUEST) else None)
    if length > HELLO_MAX or offset + fragment.left > length:
        raise ParseError("dtls_fragment", fragment.at)
    if offset == 0 and fragment.left == length:
        return _hello(fragment, datagram, store, anomalies)
    state = store.get(datagram.flow)
    if not isinstance(state, _Hellos):
        state = _Hellos()
    parts = state.parts.get(sequence)
    if parts is None:
        if len(state.parts) >= _MESSAGES:
            raise ParseError("dtls_messages", fragment.at)
        parts = state.parts[sequence] = Assembler(anomalies)
    parts.add(offset, fragment.rest())
    store.put(datagram.flow, state)
    if len(parts.data) < length:
        return Reading("dtls", from_client=True, more=True)
    return _hello(Cursor.over(bytes(parts.data)), datagram, store, anomalies)


def _hello(body: Cursor, datagram: Datagram, store: Store, anomalies: Counter[str]) -> Reading:
    hello: Hello = parse_client_hello(body, "d")
    if body.budget.broken:
        anomalies.update(body.budget.broken)
    store.drop(datagram.flow)
    return hello_reading(hello, "dtls")
