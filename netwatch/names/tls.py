"""TLS over TCP: the ClientHello's name, else the server's certificate (RFC 8446, RFC 5246, RFC 6101)."""

from typing import Final

from netwatch.model.errors import ParseError
from netwatch.model.limits import HELLO_EXTENSIONS, HELLO_MAX
from netwatch.model.reading import Hello, Reading
from netwatch.model.text import wire_text
from netwatch.names.certificate import parse_certificate_message
from netwatch.names.cursor import Budget, Cursor
from netwatch.names.hello import CLIENT_HELLO, SUPPORTED_VERSIONS, VERSIONS, fingerprint, parse_client_hello
from netwatch.names.reassembly import Assembler
from netwatch.names.talk import Ports, StreamProtocol, Talk

SERVER_HELLO, CERTIFICATE, SERVER_HELLO_DONE = 2, 11, 14
CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, HEARTBEAT = range(20, 25)
RECORD_MAX: Final = 16_384 + 2_048  # RFC 5246 section 6.2.3
_RECORDS: Final = 2_048  # P4: of one side; a hello of 2 kB is still read with one byte in each
_MESSAGES: Final = 32  # P4: of one side; a server sends five or six
TLS13: Final = 0x0304
DOT_PORT: Final = 853


def is_hello_start(payload: bytes) -> bool:
    """Whether bytes look like the first record of a ClientHello."""
    return payload[:2] == b"\x16\x03" and len(payload) > 5 and payload[5] == CLIENT_HELLO and payload[2] <= 4


def starts(head: bytes, _ports: Ports) -> bool | None:
    """Tell by the first record's header; application data alone count where a whole header says so."""
    if head[0] == HANDSHAKE or head[0] in (APPLICATION_DATA, ALERT, CHANGE_CIPHER_SPEC):
        if head[1:2] not in (b"", b"\x03") or head[2:3] > b"\x04":
            return False
        if len(head) < 6:
            return None
        length = head[3] << 8 | head[4]
        return 0 < length <= RECORD_MAX and (head[0] != HANDSHAKE or head[5] in (CLIENT_HELLO, SERVER_HELLO, 0))
    if head[0] & 0x80 and (len(head) < 3 or head[2] == CLIENT_HELLO):
        if len(head) < _SSL2_HEADER:
            return None if head[3:5] in _SSL2_VERSIONS or len(head) < 5 else False
        return _is_ssl2(head)
    return False


_SSL2_HEADER: Final = 11  # length, type, version, three lengths
_SSL2_VERSIONS: Final = (b"\x00\x02", b"\x03\x00", b"\x03\x01", b"\x03\x02", b"\x03\x03")


def _is_ssl2(head: bytes) -> bool:
    """A version 2 CLIENT-HELLO, as RFC 5246 appendix E.2 has it: its three lengths fill the record."""
    ciphers, session, challenge = (head[at] << 8 | head[at + 1] for at in (5, 7, 9))
    length = (head[0] & 0x7F) << 8 | head[1]
    return head[3:5] in _SSL2_VERSIONS and ciphers % 3 == 0 and 9 + ciphers + session + challenge == length


class _Records:
    """The handshake messages in the records of one direction.

    ended: a record came that is not plaintext handshake: nothing can be read behind it.
    """

    __slots__ = ("at", "ended", "message", "messages", "records")

    def __init__(self) -> None:
        self.at = self.messages = self.records = 0
        self.ended = False
        self.message = bytearray()

    def read(self, data: bytearray) -> None:
        """Take the whole records that are there. Raises ParseError: tls_record_*, tls_records."""
        while not self.ended and len(data) >= self.at + 5:
            at = self.at
            kind, length = data[at], data[at + 3] << 8 | data[at + 4]
            if data[at + 1] != 3:
                raise ParseError("tls_record_version", at + 1)
            if length > RECORD_MAX:
                raise ParseError("tls_record_length", at + 3)
            if kind in (CHANGE_CIPHER_SPEC, APPLICATION_DATA, HEARTBEAT):
                self.ended = True
            elif kind not in (HANDSHAKE, ALERT):
                raise ParseError("tls_record_type", at)
            if self.ended or len(data) < at + 5 + length:
                return
            self.records += 1
            if self.records > _RECORDS:
                raise ParseError("tls_records", at)
            if kind == HANDSHAKE:
                self.message += data[at + 5 : at + 5 + length]
            self.at = at + 5 + length

    def next_message(self) -> tuple[int, Cursor] | None:
        """Return the type and body of the next whole message. Raises ParseError: tls_message_too_long, tls_messages."""
        message = self.message
        if len(message) < 4:
            return None
        length = int.from_bytes(message[1:4], "big")
        if length > HELLO_MAX:
            raise ParseError("tls_message_too_long", 1)
        if len(message) < 4 + length:
            return None
        self.messages += 1
        if self.messages > _MESSAGES:
            raise ParseError("tls_messages")
        body = bytes(message[4 : 4 + length])
        kind = message[0]
        del message[: 4 + length]
        return kind, Cursor.over(body)


def protocol_on(ports: Ports) -> str:
    """Return the word for TLS on these ports (RFC 7858 section 3.1)."""
    return "dot" if DOT_PORT in ports else "tls"


class TlsTalk:
    """Waits for the ClientHello; where that has no name, for the server's certificate."""

    __slots__ = ("_client", "_records", "protocol")

    def __init__(self, ports: Ports) -> None:
        self.protocol = protocol_on(ports)
        self._records = (_Records(), _Records())
        self._client: int | None = None

    @property
    def size(self) -> int:
        one, other = self._records
        return OVERHEAD + len(one.message) + len(other.message)

    def feed(self, side: int, pieces: Assembler, ports: Ports) -> Reading | None:
        """Raises ParseError: truncated, tls_*, der_*, step_budget_spent."""
        data = pieces.data
        records = self._records[side]
        if records.at == 0 and data[0] & 0x80:
            version_2 = starts(bytes(data[:_SSL2_HEADER]), ports)
            if version_2 is not False:
                return self._ssl2(data) if version_2 else Reading(self.protocol, more=True)
        records.read(data)
        reading = None
        while (message := records.next_message()) is not None:
            reading = self._message(side, *message, pieces)
            if reading is not None and reading.done:
                return reading
        if records.ended:
            return (reading or Reading(self.protocol))._replace(more=False, done=True)
        return reading or Reading(self.protocol, more=True)

    def _message(self, side: int, kind: int, body: Cursor, pieces: Assembler) -> Reading | None:
        if kind == CLIENT_HELLO:
            self._client = side
            hello = parse_client_hello(body, "t")
            if body.budget.broken:
                pieces.anomalies.update(body.budget.broken)
            if hello.server_name is None:
                return Reading(self.protocol, hello=hello, from_client=True, more=True)
            return hello_reading(hello, self.protocol)
        if side == self._client:  # its own certificate, say
            return None
        if kind == SERVER_HELLO:
            self._client = 1 - side
            done = is_tls13(body)
            return Reading(self.protocol, from_client=False, more=not done, done=done)
        if kind == CERTIFICATE:
            names = tuple(map(wire_text, parse_certificate_message(body)))
            return Reading(self.protocol, "certificate" if names else None, names, from_client=False, done=True)
        if kind == SERVER_HELLO_DONE:
            return Reading(self.protocol, from_client=False, done=True)
        return None

    def _ssl2(self, data: bytearray) -> Reading | None:
        length = (data[0] & 0x7F) << 8 | data[1]
        if len(data) < 2 + length:
            return Reading(self.protocol, more=True)
        hello = parse_ssl2_hello(Cursor.over(bytes(data[: 2 + length]), 3))
        return Reading(self.protocol, hello=hello, from_client=True, done=True)


OVERHEAD: Final = 512


def hello_reading(hello: Hello, protocol: str) -> Reading:
    """Return what a ClientHello with a name tells; the alpn `dot` (RFC 7858) names the protocol."""
    if hello.alpn == (b"dot",):
        protocol = "dot"
    names = (wire_text(hello.server_name),) if hello.server_name is not None else ()
    return Reading(protocol, "sni" if names else None, names, hello, True, (), None, False, False, True)


def whole_hello(payload: bytes) -> tuple[Hello, Cursor] | None:
    """Read a ClientHello that fills the first record of a payload, the usual case.

    Returns None where it goes on elsewhere. Raises ParseError as parse_client_hello.
    """
    record_end = 5 + (payload[3] << 8 | payload[4])
    end = 9 + int.from_bytes(payload[6:9], "big")
    if record_end > len(payload) or record_end < 9 or end > record_end:
        return None
    body = Cursor(payload, 9, end, Budget())
    return parse_client_hello(body, "t"), body


def is_tls13(body: Cursor) -> bool:
    """Whether a ServerHello chose TLS 1.3, where the certificate is encrypted (RFC 8446 section 4.1.3)."""
    body.skip(34)
    body.block(1)
    body.skip(3)
    if body.left:
        for kind, start, end in body.block(2).typed(HELLO_EXTENSIONS, "tls_extensions"):
            if kind == SUPPORTED_VERSIONS:
                return body.within(start, end).uint(2) == TLS13
    return False


def parse_ssl2_hello(body: Cursor) -> Hello:
    """Read a version 2 CLIENT-HELLO behind its type (RFC 5246 appendix E.2). Raises ParseError: truncated."""
    version = body.uint(2)
    ciphers, session, challenge = body.uint(2), body.uint(2), body.uint(2)
    specs = body.take(ciphers)
    body.skip(session + challenge)
    listed = [specs[at + 1] << 8 | specs[at + 2] for at in range(0, len(specs) - 2, 3) if specs[at] == 0]
    ja4 = fingerprint("t", version, named=False, ciphers=listed, types=[], alpn=[], signatures=[])
    return Hello(None, (), VERSIONS.get(version), ja4, ech=False)


def _talk(ports: Ports) -> Talk:
    return TlsTalk(ports)


FIRSTS: Final = frozenset((CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, *range(0x80, 0x100)))

TLS: Final = StreamProtocol(starts, _talk, FIRSTS)
