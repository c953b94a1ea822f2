"""Finds names in the payloads of one engine's flows: the packet boundary of every parser."""

from collections import Counter
from typing import Final

from netwatch.model.errors import ParseError
from netwatch.model.limits import INSPECT_PACKETS
from netwatch.model.reading import Address, DnsMessage, Reading
from netwatch.names import DATAGRAMS, PORTS, STREAMS
from netwatch.names.dns import Messages
from netwatch.names.http import whole_request
from netwatch.names.reassembly import OVERHEAD, Stream
from netwatch.names.store import Store
from netwatch.names.talk import Datagram, Ports, Talk
from netwatch.names.tls import TlsTalk, hello_reading, is_hello_start, protocol_on, whole_hello

_HEAD: Final = 32  # first bytes of a stream that tell its protocol
_NEAR: Final = 1 << 16  # a segment further from the stream's first byte than this is taken for one of the middle
_BY_FIRST: Final = [  # the protocols that a stream with this first byte may be of
    tuple(protocol for protocol in STREAMS.values() if first in protocol.firsts) for first in range(256)
]
_PLACES: Final = [  # the same of datagrams, by their places in the table
    tuple(place for place, protocol in enumerate(DATAGRAMS.values()) if first in protocol.firsts)
    for first in range(256)
]


def _may_begin(head: bytes, ports: Ports) -> bool:
    """Whether a stream with these first bytes is of a known protocol, as far as they tell."""
    for protocol in _BY_FIRST[head[0]]:  # noqa: SIM110 a generator costs more than what it asks
        if protocol.starts(head, ports) is not False:
            return True
    return False


class _Conversation:
    """What is known of one TCP flow.

    talk: its protocol, once known.   asked: the last reading said `more`.
    dead: sides that are read no more; where a stream's start was not seen, its bytes stay: that may still come.
    """

    __slots__ = ("asked", "dead", "packets", "streams", "talk")

    def __init__(self) -> None:
        self.streams: list[Stream | None] = [None, None]
        self.dead = [False, False]
        self.talk: Talk | None = None
        self.packets = 0
        self.asked = False

    @property
    def size(self) -> int:
        size = OVERHEAD if self.talk is None else OVERHEAD + self.talk.size
        for stream in self.streams:
            if stream is not None:
                size += stream.pieces.size
        return size

    def close(self) -> None:
        """Let go of all bytes; only a new hello opens it again."""
        self.streams = [None, None]
        self.dead = [True, True]
        self.talk = None
        self.asked = False


class Inspector:
    """Finds names in the payloads of one engine's flows.

    Calls come in packet order. Nothing is raised: a broken rule is counted in `anomalies` by its name, a parser's own
    failure as `parser_bug`.
    """

    def __init__(self) -> None:
        self.anomalies: Counter[str] = Counter()
        self._store = Store(self.anomalies)
        made = {make: make(self._store, self.anomalies) for make in PORTS.values()}
        self._messages = next(reader for reader in made.values() if isinstance(reader, Messages))
        self._readers = tuple(protocol.reader(self._store, self.anomalies) for protocol in DATAGRAMS.values())
        self._ports = {port: (made[make], *self._readers) for port, make in PORTS.items()}
        self._open_ports = frozenset().union(*(protocol.ports for protocol in DATAGRAMS.values()))
        groups = {places: tuple(self._readers[place] for place in places) for places in set(_PLACES)}
        self._by_first = [groups[places] for places in _PLACES]

    def segment(
        self,
        flow: int,
        side: int,
        seq: int,
        first: int | None,
        payload: bytes,
        cut: bool,
        src_port: int,
        dst_port: int,
        now_ns: int,  # noqa: ARG002 the same for both transports
    ) -> Reading | None:
        """Read one TCP payload; None: nothing was learnt.

        flow: any number that is unique among live flows.   side: 0 or 1, which end sent it.
        seq: sequence number of the payload's first byte (in a SYN: that of the SYN plus one).
        first: sequence number of the first byte behind this side's SYN, None where that was not seen.
        cut: the snapshot length took bytes away at the end of this payload.
        """
        if not payload:
            return None
        try:
            return self._segment(flow, side, seq, first, payload, cut, (src_port, dst_port))
        except ParseError as error:
            self.anomalies[error.anomaly] += 1
            return self._give_up(flow)
        except Exception:  # noqa: BLE001 the boundary: a parser's bug costs one flow its name, not the run
            self.anomalies["parser_bug"] += 1
            return self._give_up(flow)

    def datagram(
        self,
        flow: int,
        side: int,
        payload: bytes,
        cut: bool,
        src_port: int,
        dst_port: int,
        source: Address,
        now_ns: int,
    ) -> Reading | None:
        """Read one UDP payload; None: nothing was learnt.

        source: the sender's address.   now_ns: capture time of the packet, ns.   The rest as for `segment`.
        """
        if not payload:
            return None
        ports = src_port, dst_port
        readers = self._ports.get(dst_port) or self._ports.get(src_port)
        if readers is None:
            in_doubt = flow in self._store or not self._open_ports.isdisjoint(ports)
            readers = self._readers if in_doubt else self._by_first[payload[0]]
            if not readers:  # most of what is not known ends here
                return None
        datagram = Datagram(flow, side, payload, cut, ports, source, now_ns)
        for reader in readers:
            try:
                reading = reader(datagram)
            except ParseError as error:
                self.anomalies[error.anomaly] += 1
            except Exception:  # noqa: BLE001 as above
                self.anomalies["parser_bug"] += 1
            else:
                if reading is not None:
                    return reading
        return None

    def usual_dns(self, payload: bytes) -> DnsMessage | None:
        """Read a payload that is plain DNS by its ports (select.py); None: `datagram` has to read it."""
        try:
            return self._messages.usual(payload)
        except Exception:  # noqa: BLE001 as above
            self.anomalies["parser_bug"] += 1
            return None

    def forget(self, flow: int) -> None:
        """Drop what is kept of a flow that ended."""
        self._store.drop(flow)

    def _give_up(self, flow: int) -> Reading | None:
        """Stop reading a flow; its protocol, where known, is all that is told."""
        conversation = self._store.get(flow)
        if not isinstance(conversation, _Conversation):
            return None
        protocol = conversation.talk.protocol if conversation.talk is not None else None
        asked = conversation.asked
        conversation.close()
        self._store.put(flow, conversation)
        return Reading(protocol) if protocol is not None or asked else None

    def _segment(
        self, flow: int, side: int, seq: int, first: int | None, payload: bytes, cut: bool, ports: Ports
    ) -> Reading | None:
        state = self._store.get(flow)
        conversation = state if isinstance(state, _Conversation) else None
        opens = is_hello_start(payload)
        if opens and (conversation is None or conversation.talk is None):
            reading = self._at_once(payload, ports)
            if reading is not None:
                self._store.drop(flow)
                return reading
        if conversation is None:
            if first is None or first == seq:
                reading = whole_request(payload)
                if reading is not None:
                    return reading
            conversation = _Conversation()
            self._store.put(flow, conversation)
        conversation.packets += 1
        if opens and not isinstance(conversation.talk, TlsTalk):
            self._open(conversation, side, seq, ports)
        reading = self._read(conversation, side, seq, first, payload, cut, ports)
        if reading is None and conversation.asked:
            reading = Reading()  # no more than the first packets is wanted again
        conversation.asked = reading is not None and reading.more
        if reading is not None and reading.done:
            self._store.drop(flow)
            return reading
        if conversation.packets >= INSPECT_PACKETS and conversation.talk is None and not conversation.asked:
            conversation.close()
        self._store.put(flow, conversation)
        return reading

    def _at_once(self, payload: bytes, ports: Ports) -> Reading | None:
        """Read a hello that is whole in one segment, and has a name or is broken, without any state: the usual case."""
        try:
            found = whole_hello(payload)
        except ParseError as error:
            self.anomalies[error.anomaly] += 1
            return Reading(protocol_on(ports), from_client=True, done=True)
        if found is None or found[0].server_name is None:
            return None
        hello, body = found
        if body.budget.broken:
            self.anomalies.update(body.budget.broken)
        return hello_reading(hello, protocol_on(ports))

    def _open(self, conversation: _Conversation, side: int, seq: int, ports: Ports) -> None:
        """Begin anew at a hello in the middle: behind STARTTLS, CONNECT, or junk where the stream began."""
        conversation.talk = TlsTalk(ports)
        before = conversation.streams[side]
        conversation.streams = [None, None]
        conversation.dead = [False, False]
        conversation.streams[side] = (
            Stream(self.anomalies, seq) if before is None else before.restarted(seq, keep_data=before.before(seq) > 0)
        )

    def _read(
        self,
        conversation: _Conversation,
        side: int,
        seq: int,
        first: int | None,
        payload: bytes,
        cut: bool,
        ports: Ports,
    ) -> Reading | None:
        stream = conversation.streams[side]
        if conversation.dead[side]:
            if stream is None or not stream.before(seq):
                if stream is not None and stream.takes(seq, len(payload)):
                    stream.add(seq, payload)
                return None
            conversation.dead[side] = False
        if stream is None and seq == first and conversation.talk is None and not _may_begin(payload[:_HEAD], ports):
            conversation.dead[side] = True  # most of what is not known ends here
            return None
        if stream is None:
            near = first is not None and (seq - first) & 0xFFFF_FFFF < _NEAR
            stream = Stream(self.anomalies, first if near and first is not None else seq)
            conversation.streams[side] = stream
        if first is None and conversation.talk is None and stream.before(seq):
            stream = conversation.streams[side] = stream.restarted(seq, keep_data=True)
        grown = stream.add(seq, payload)
        talk = conversation.talk
        if not grown:
            waits = bool(stream.pieces.held)
            return Reading(talk.protocol if talk is not None else None, more=True) if waits else None
        if talk is None:
            talk = self._identify(conversation, side, ports, keep=first is None)
            if talk is None:
                return None if conversation.dead[side] else Reading(more=not cut)
        reading = talk.feed(side, stream.pieces, ports)
        if cut and not (reading is not None and reading.done):
            return (reading or Reading(talk.protocol))._replace(more=False, done=True)
        return reading

    @staticmethod
    def _identify(conversation: _Conversation, side: int, ports: Ports, *, keep: bool) -> Talk | None:
        """Find the protocol that a side's first bytes begin; where none can, stop reading the side.

        keep: what was read may turn out to be the second part of something.
        """
        stream = conversation.streams[side]
        if stream is None:
            return None
        head = bytes(stream.pieces.data[:_HEAD])
        undecided = False
        for protocol in _BY_FIRST[head[0]]:
            starts = protocol.starts(head, ports)
            if starts:
                conversation.talk = protocol.talk(ports)
                return conversation.talk
            undecided |= starts is None
        if not undecided:
            conversation.dead[side] = True
            if not keep:
                conversation.streams[side] = None
        return None
