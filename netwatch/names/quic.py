"""QUIC: the ClientHello in a client's Initial packets (RFC 9000, RFC 9001, RFC 9369, drafts 22 to 34)."""

import re
from collections import Counter
from typing import Final, NamedTuple

from netwatch.model.errors import ParseError
from netwatch.model.limits import HELLO_MAX, QUIC_INITIALS, QUIC_RATE, QUIC_RATE_SOURCE
from netwatch.model.reading import Reading
from netwatch.model.text import wire_text
from netwatch.names.buckets import Buckets
from netwatch.names.cursor import Budget, Cursor
from netwatch.names.gquic import PUBLIC_FLAGS, parse_chlo, public_version
from netwatch.names.hello import CLIENT_HELLO, parse_client_hello
from netwatch.names.initial import VERSIONS, Keys, QuicVersion, derive, open_initial, version_of
from netwatch.names.reassembly import Assembler
from netwatch.names.store import Store
from netwatch.names.talk import Datagram, DatagramReader

LONG = 0x80
PADDING, PING, ACK, ACK_ECN, CRYPTO, CONNECTION_CLOSE = 0x00, 0x01, 0x02, 0x03, 0x06, 0x1C
DOQ_PORT: Final = 853
DATAGRAM_MIN: Final = 1_200  # RFC 9000 section 14.1, of those with a client's Initial
_CID_MAX: Final = 20  # RFC 9000 section 17.2
_COALESCED: Final = 16  # packets read in one datagram
_WAIT_PACKETS: Final = 16  # packets of a flow that are waited for without an Initial among them
FIRSTS: Final = frozenset(range(LONG, 256)) | PUBLIC_FLAGS
_ZEROS: Final = re.compile(rb"\0*")


class Header(NamedTuple):
    """A long header. number_at: where the packet number stands, of Initials; end: where the next packet starts."""

    initial: bool
    dcid: bytes
    start: int
    number_at: int
    end: int


def looks_like(payload: bytes) -> bool:
    """Whether bytes begin with a long header of a version that is read, a negotiation of versions, or gQUIC."""
    if len(payload) < 20:
        return False
    if payload[0] & LONG:
        version = int.from_bytes(payload[1:5], "big")
        return version in VERSIONS or version == 0 or _greased(version) or payload[1:3] == b"Q0"
    return public_version(payload) is not None


def _greased(version: int) -> bool:
    return version & 0x0F0F_0F0F == 0x0A0A_0A0A  # RFC 9000 section 15


def parse_header(packet: Cursor, known: QuicVersion) -> Header:
    """Read a long header (RFC 9000 section 17.2; RFC 9369 section 3.2 for the types of version 2).

    Raises ParseError: truncated, quic_connection_id.
    """
    start = packet.at
    packet.skip(5)
    kind = packet.data[start] >> 4 & 3
    dcid, source = packet.bytes_block(1), packet.bytes_block(1)
    if len(dcid) > _CID_MAX or len(source) > _CID_MAX:
        raise ParseError("quic_connection_id", start + 5)
    if kind == known.retry:
        return Header(False, dcid, start, packet.at, packet.end)
    if kind == known.initial:
        packet.skip(packet.varint())
    length = packet.varint()
    number_at = packet.at
    packet.skip(length)
    return Header(kind == known.initial, dcid, start, number_at, packet.at)


class _Attempt:
    """One connection of a flow: the keys of a destination id and the CRYPTO stream read with them."""

    __slots__ = ("crypto", "keys")

    def __init__(self, keys: Keys, anomalies: Counter[str]) -> None:
        self.keys = keys
        self.crypto = Assembler(anomalies)


class _Flow:
    """What is known of one flow. client: the side whose Initials could be opened, None before."""

    __slots__ = ("attempts", "client", "done", "opened", "waited")

    def __init__(self) -> None:
        self.attempts: dict[bytes, _Attempt] = {}
        self.client: int | None = None
        self.opened = 0
        self.waited = 0
        self.done = False

    @property
    def size(self) -> int:
        size = 512
        for attempt in self.attempts.values():
            size += 512 + attempt.crypto.size
        return size


class _Quic:
    def __init__(self, store: Store, anomalies: Counter[str]) -> None:
        self._store = store
        self._anomalies = anomalies
        self._buckets = Buckets(QUIC_RATE, QUIC_RATE_SOURCE)

    def __call__(self, datagram: Datagram) -> Reading | None:
        """Read one datagram; a rule that it breaks is counted here: that it is QUIC stays known."""
        number, _, payload, cut, _, _, _ = datagram
        state = self._store.get(number)
        if not looks_like(payload):
            return self._other(state, datagram) if isinstance(state, _Flow) else None
        flow = state if isinstance(state, _Flow) else _Flow()
        try:
            if not payload[0] & LONG or (payload[1:3] == b"Q0" and payload[1:5] != b"Q050"):
                return _gquic(Cursor.over(payload))
            return self._packets(flow, datagram)
        except ParseError as error:
            if not (cut and error.anomaly == "truncated"):
                self._anomalies[error.anomaly] += 1
            return self._other(flow, datagram)
        finally:
            self._store.put(number, flow)

    def _packets(self, flow: _Flow, datagram: Datagram) -> Reading:
        _, _, payload, cut, _, _, _ = datagram
        packets = Cursor.over(payload)  # its budget is that of the frames of all packets
        seen = initials = 0
        while packets.left > 6 and packets.peek() & LONG and seen < _COALESCED:
            version = int.from_bytes(payload[packets.at + 1 : packets.at + 5], "big")
            known = version_of(version)
            if known is None:
                if seen == 0:
                    return Reading("quic", from_client=False if version == 0 else None)
                break
            seen += 1
            header = parse_header(packets, known)
            if header[0] and self._is_client(flow, datagram):
                if not initials and len(payload) < DATAGRAM_MIN and not (known.google or cut):
                    self._anomalies["quic_small_datagram"] += 1  # read all the same: a server may answer it
                initials += 1
                reading = self._initial(flow, datagram, header, known, packets.budget)
                if reading is not None:
                    return reading
        return self._other(flow, datagram)

    def _other(self, flow: _Flow, datagram: Datagram, *, undecryptable: bool = False) -> Reading:
        """Tell what is wanted after a datagram that did not complete a hello."""
        flow.waited += 1
        waiting = not flow.done and flow.attempts and flow.opened < QUIC_INITIALS and flow.waited < _WAIT_PACKETS
        from_client = None if flow.client is None else flow.client == datagram.side
        return Reading("quic", from_client=from_client, undecryptable=undecryptable, more=bool(waiting))

    def _is_client(self, flow: _Flow, datagram: Datagram) -> bool:
        """Only the client's Initials can be opened from the destination id that they show."""
        if flow.client is not None:
            return flow.client == datagram.side
        source, destination = datagram.ports
        return not (source in (443, DOQ_PORT) and destination not in (443, DOQ_PORT))

    def _initial(
        self, flow: _Flow, datagram: Datagram, header: Header, known: QuicVersion, budget: Budget
    ) -> Reading | None:
        _, side, payload, cut, _, source, now_ns = datagram
        if flow.done or cut:
            return None
        _, dcid, start, number_at, end = header
        attempt = flow.attempts.get(dcid)
        if flow.opened >= QUIC_INITIALS or not self._buckets.take(source, now_ns):
            self._anomalies["quic_skipped"] += 1
            return None
        flow.opened += 1
        plain = None
        if attempt is None:
            keys = derive(known, dcid)
            if keys is None:
                self._anomalies["quic_no_cryptography"] += 1
                flow.done = True
                return self._other(flow, datagram, undecryptable=True)
            plain = open_initial(keys, payload, start, number_at, end)
            if plain is not None:
                attempt = flow.attempts[dcid] = _Attempt(keys, self._anomalies)
            else:  # after the server's first answer the id changes and the keys stay
                attempt = next(iter(flow.attempts.values()), None)
        if plain is None and attempt is not None:
            plain = open_initial(attempt.keys, payload, start, number_at, end)
        if plain is None or attempt is None:
            self._anomalies["quic_not_authentic"] += 1
            return self._other(flow, datagram, undecryptable=True)
        flow.client = side
        flow.waited = 0
        return self._frames(flow, datagram, attempt.crypto, Cursor.over(plain, budget=budget), known)

    def _frames(
        self, flow: _Flow, datagram: Datagram, crypto: Assembler, frames: Cursor, known: QuicVersion
    ) -> Reading | None:
        if known.google and (name := parse_chlo(frames.within(0, frames.end))) is not None:
            flow.done = True
            flow.attempts.clear()
            return Reading("quic", "quic_sni", (wire_text(name),), from_client=True, done=True)
        read_crypto(frames, crypto, google=known.google)
        message = crypto.data
        if len(message) < 4:
            return None
        if message[0] != CLIENT_HELLO:
            raise ParseError("quic_no_hello")
        length = message[1] << 16 | message[2] << 8 | message[3]
        if length > HELLO_MAX:
            raise ParseError("tls_message_too_long")
        if len(message) < 4 + length:
            return None
        body = Cursor(bytes(message), 4, 4 + length, Budget())
        hello = parse_client_hello(body, "q")
        if body.budget.broken:
            self._anomalies.update(body.budget.broken)
        flow.done = True
        flow.attempts.clear()
        names = (wire_text(hello.server_name),) if hello.server_name is not None else ()
        protocol = "doq" if DOQ_PORT in datagram.ports or hello.alpn == (b"doq",) else "quic"
        return Reading(protocol, "quic_sni" if names else None, names, hello, True, (), None, False, False, True)


def read_crypto(frames: Cursor, crypto: Assembler, *, google: bool = False) -> None:
    """Put the CRYPTO frames of an Initial into their stream (RFC 9000 sections 12.4 and 19).

    google: a TLS version of Google's, whose CRYPTO frame has another type.
    Raises ParseError: truncated, quic_frame, reassembly_*, step_budget_spent; what came before stays in the stream.
    """
    crypto_type = 0x08 if google else CRYPTO
    data, end = frames.data, frames.end
    while frames.at < end:
        kind = data[frames.at]
        frames.at += 1
        frames.step(2 if kind == crypto_type else 1)
        if kind == PADDING:
            if data[frames.at : end] == bytes(end - frames.at):  # to the end, as usual
                frames.at = end
            else:
                padding = _ZEROS.match(data, frames.at, end)
                frames.at = padding.end() if padding is not None else frames.at
        elif kind == crypto_type:
            offset, length = frames.varint(), frames.varint()
            if offset + length > HELLO_MAX:
                raise ParseError("quic_crypto_offset", frames.at)
            crypto.add(offset, frames.take(length))
        elif kind in (ACK, ACK_ECN):
            _skip_ack(frames, ecn=kind == ACK_ECN)
        elif kind == CONNECTION_CLOSE:
            return
        elif kind != PING:
            raise ParseError("quic_frame", frames.at - 1)


def _skip_ack(frames: Cursor, *, ecn: bool) -> None:
    frames.varint()
    frames.varint()
    ranges = frames.varint()
    frames.varint()
    frames.step(min(ranges, frames.left + 1))
    for _ in range(2 * ranges + (3 if ecn else 0)):
        frames.varint()


def _gquic(payload: Cursor) -> Reading:
    name = parse_chlo(payload)
    if name is None:
        return Reading("quic")
    return Reading("quic", "quic_sni", (wire_text(name),), from_client=True, done=True)


def datagrams(store: Store, anomalies: Counter[str]) -> DatagramReader:
    """Make the reader of one inspector."""
    return _Quic(store, anomalies)
