"""DNS over UDP and TCP, mDNS, LLMNR (RFC 1035, RFC 7766, RFC 6762, RFC 4795)."""

from collections import Counter
from struct import Struct
from typing import Final

from netwatch.model.address import address_text, from_bytes
from netwatch.model.errors import ParseError
from netwatch.model.limits import DNS_POINTERS, DNS_RECORDS, STRING_MAX
from netwatch.model.reading import Address, DeviceName, DnsAnswer, DnsMessage, DnsQuestion, Reading
from netwatch.model.text import wire_text
from netwatch.names.cursor import Budget, Cursor
from netwatch.names.dnsusual import REMEMBERED_SIZE, Body, Labels, Name, Usual, make_name, remembered
from netwatch.names.dnswords import TYPES, rcode_word, type_word
from netwatch.names.reassembly import Assembler
from netwatch.names.store import Store
from netwatch.names.talk import Datagram, Ports, StreamProtocol, Talk

DNS, MDNS, LLMNR = 53, 5353, 5355
_WORDS: Final = {DNS: "dns", MDNS: "mdns", LLMNR: "llmnr"}
A, NS, CNAME, PTR, MX, AAAA, SRV, DNAME, OPT, SVCB, HTTPS = 1, 2, 5, 12, 15, 28, 33, 39, 41, 64, 65
_ADDRESS_SIZE: Final = {A: 4, AAAA: 16}
_NAME_AT: Final = {NS: 0, CNAME: 0, PTR: 0, DNAME: 0, MX: 2, SRV: 6}  # where the name stands in the data
IN: Final = 1  # updates have records of other classes, without data (RFC 2136 section 2.5)
CLASS_MASK: Final = 0x7FFF  # the top bit of mDNS says: flush the cache (RFC 6762 section 10.2)
OPCODE_MASK: Final = 0x78  # of the third byte
SVC_ECH: Final = 5  # RFC 9848: the parameter `ech`
_WIRE_NAME_MAX: Final = 255
_MESSAGE_STEPS: Final = 4  # a message over TCP costs as much as so many labels
_BROKEN_MAX: Final = 16  # messages of a stream that may be broken: it is no DNS then
_MESSAGE_MAX: Final = 65_535
_new: Final = tuple.__new__  # a third of what the constructor of a NamedTuple costs
_HEADER: Final = Struct(">6H")
_QUESTION: Final = Struct(">HH")  # type, class
_RECORD: Final = Struct(">HHIH")  # type, class, TTL, length of data
_POINTED: Final = Struct(">HHHIH")  # a pointer in front of that
_POINTER: Final = 0xC000  # a pointer is this plus an offset below 0x4000
_REPEATED: Final = 4_096  # messages that an inspector keeps, to know them when they come again; then all are forgotten
_REPEATED_SIZE: Final = 130  # bytes of one, its number among them: with what was read they take less than 8 MiB


def _pointer(cursor: Cursor, at: int, lowest: int) -> int:
    """Return where a pointer leads: further back than any before it, so that no chain is endless."""
    if at + 2 > cursor.end:
        raise ParseError("truncated", at)
    target = (cursor.data[at] & 0x3F) << 8 | cursor.data[at + 1]
    if target >= lowest:
        raise ParseError("dns_pointer_forward", at)
    return target


class _Names:
    """Reads the names of one message; those that a pointer may mean again are kept, by that pointer."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[int, Name] = {}

    def head(self, cursor: Cursor) -> tuple[Name, int, int, int, int]:
        """Read a record up to its data: name, type, class, TTL, length. Raises ParseError as `read`."""
        if cursor.end - cursor.at >= _POINTED.size:
            pointer, kind, family, ttl, length = _POINTED.unpack_from(cursor.data, cursor.at)
            name = self._known.get(pointer)
            if name is not None:  # as most answers begin
                cursor.at += _POINTED.size
                cursor.step()
                return name, kind, family, ttl, length
        name = self.read(cursor)
        kind, family, ttl, length = cursor.unpack(_RECORD)
        return name, kind, family, ttl, length

    def short(self, cursor: Cursor) -> DnsAnswer | None:
        """Read an address whose name is a known pointer, None where another record stands there: as most answers are.

        Raises ParseError: step_budget_spent.
        """
        at = cursor.at
        start = at + _POINTED.size
        if start > cursor.end:
            return None
        pointer, kind, _, ttl, length = _POINTED.unpack_from(cursor.data, at)
        name = self._known.get(pointer)
        if name is None or length != _ADDRESS_SIZE.get(kind) or length > cursor.end - start:
            return None
        cursor.at = start + length
        cursor.step()
        address = from_bytes(cursor.part(start, start + length))
        return DnsAnswer(name[1], TYPES[kind], address_text(address), ttl, address, False)

    def target(self, cursor: Cursor, start: int, end: int) -> Name | None:
        """Return the name from `start` to `end` that is made of labels and a known pointer, if it is remembered.

        Raises ParseError: step_budget_spent.
        """
        if end - start > REMEMBERED_SIZE:
            return None
        data, at, labels = cursor.data, start, 0
        while at < end - 2 and data[at]:
            at += 1 + data[at]
            labels += 1
        if at != end - 2 or not labels:
            return None
        known = self._known.get(data[at] << 8 | data[at + 1])
        name = None if known is None else remembered.get(data[start:at] + known[2])
        if name is not None:
            self._known[_POINTER + start] = name
            cursor.step(1 + labels)
        return name

    def read(self, cursor: Cursor) -> Name:
        """Read a name (RFC 1035 sections 3.1, 4.1.4).

        Raises ParseError: truncated, dns_label_type, dns_pointer_forward, dns_pointer_chain, dns_name_too_long,
        step_budget_spent.
        """
        raw = cursor.string_at(cursor.at, REMEMBERED_SIZE)
        name = remembered.get(raw)
        if name is None:
            return self._walk(cursor)
        self._known[_POINTER + cursor.at] = name
        cursor.at += len(raw)
        cursor.step(len(name[0]))
        return name

    def _walk(self, cursor: Cursor) -> Name:
        """Read a name label by label."""
        data, end, first = cursor.data, cursor.end, cursor.at
        at = lowest = first
        behind = -1  # offset behind the first pointer
        size = jumps = 0
        labels: list[bytes] = []
        while True:
            if at >= end:
                raise ParseError("truncated", at)
            length = data[at]
            if length >= 0xC0:
                target = _pointer(cursor, at, lowest)
                behind = at + 2 if behind < 0 else behind
                jumps += 1
                known = self._known.get(_POINTER + target)
                if jumps == 1 and labels and (name := self._joined(cursor, at, target, known)) is not None:
                    cursor.step(1 + (len(labels) if known is not None else len(name[0])))
                    cursor.at = behind
                    return name
                if known is not None:
                    cursor.step(len(labels) + jumps)
                    cursor.at = behind
                    return self._keep(first, (*labels, *known[0]), size + len(known[2]) - 1) if labels else known
                if jumps > DNS_POINTERS:
                    raise ParseError("dns_pointer_chain", at)
                at = lowest = target
                continue
            if length >= 0x40:
                raise ParseError("dns_label_type", at)
            start, at = at + 1, at + 1 + length
            if at > end:
                raise ParseError("truncated", start)
            if length == 0:
                break
            labels.append(data[start:at])
            size += length + 1
            if size >= _WIRE_NAME_MAX:
                break
        cursor.step(len(labels) + jumps)
        cursor.at = at if behind < 0 else behind
        return self._keep(first, tuple(labels), size)

    def _joined(self, cursor: Cursor, at: int, target: int, known: Name | None) -> Name | None:
        """Return the name of the labels up to the pointer at `at` and those behind its target, if it is remembered."""
        behind = known[2] if known is not None else cursor.string_at(target, REMEMBERED_SIZE)
        name = remembered.get(cursor.part(cursor.at, at) + behind)
        if name is not None:
            self._known[_POINTER + cursor.at] = name
        return name

    def _keep(self, first: int, labels: Labels, size: int) -> Name:
        if size >= _WIRE_NAME_MAX:
            raise ParseError("dns_name_too_long", first)
        wire = b"".join([bytes((len(label),)) + label for label in labels]) + b"\0"
        name = self._known[_POINTER + first] = make_name(labels, wire)
        return name


def parse_message(message: Cursor, source: Address | None = None) -> tuple[DnsMessage, DeviceName | None]:
    """Read a message; where a record is broken, what stood before it is kept and the rule noted in the budget.

    source: who sent an mDNS message: the device name is the one whose address that is, if any.
    Raises ParseError: truncated, where there is no whole header; the rule that was broken, where nothing was read.
    """
    ident, flags, asked, answered, authorities, additional = message.unpack(_HEADER)
    names = _Names()
    questions: list[DnsQuestion] = []
    answers: list[DnsAnswer] = []
    rcode = flags & 0x0F
    device: DeviceName | None = None
    try:
        for _ in range(asked):
            message.step()
            text = names.read(message)[1]
            questions.append(DnsQuestion(text, type_word(message.unpack(_QUESTION)[0])))
        for number in range(answered + authorities + additional):
            if number >= DNS_RECORDS:
                message.note("dns_records")
                break
            if source is None and (short := names.short(message)) is not None:
                answers.append(short)
                continue
            (labels, text, _), kind, family, ttl, length = names.head(message)
            if kind == OPT:
                rcode |= (ttl >> 24) << 4  # RFC 6891 section 6.1.3
                message.skip(length)
                continue
            if kind in _ADDRESS_SIZE and (length or family & CLASS_MASK == IN):
                answer = _address(message, text, kind, ttl, length)
                if source is not None and answer.address == source and device is None:
                    device = _device(labels, source)
            else:
                answer = _other(message, names, text, kind, ttl, length)
            answers.append(answer)
    except ParseError as error:
        if not questions and not answers:
            raise
        message.note(error.anomaly)
    response = bool(flags & 0x8000)
    return DnsMessage(ident, response, rcode_word(rcode), tuple(questions), tuple(answers)), device


def _address(message: Cursor, name: str, kind: int, ttl: int, length: int) -> DnsAnswer:
    """Read the data of A or AAAA."""
    start = message.at
    raw = message.take(length)
    if length != _ADDRESS_SIZE[kind]:
        raise ParseError("dns_address_length", start)
    address = from_bytes(raw)
    return DnsAnswer(name, type_word(kind), address_text(address), ttl, address, ech=False)


def _other(message: Cursor, names: _Names, name: str, kind: int, ttl: int, length: int) -> DnsAnswer:
    """Read the data of another type: a name, else bytes."""
    start, whole = message.at, message.end
    message.skip(length)
    if kind in _NAME_AT and length:
        found = names.target(message, start + _NAME_AT[kind], start + length)
        if found is not None:
            return DnsAnswer(name, TYPES[kind], found[1], ttl, None, False)
        message.at, message.end = start + _NAME_AT[kind], start + length
        try:
            _, target, _ = names.read(message)
        finally:
            message.at, message.end = start + length, whole
        return DnsAnswer(name, type_word(kind), target, ttl, None, ech=False)
    ech = kind in (HTTPS, SVCB) and _has_ech(message.within(start, start + length))
    text = message.part(start, start + min(length, STRING_MAX // 2)).hex()
    return DnsAnswer(name, type_word(kind), text, ttl, None, ech)


def _has_ech(data: Cursor) -> bool:
    """Whether a service binding has the parameter `ech` (RFC 9460 section 2.2; its target is never compressed)."""
    data.skip(2)
    while (length := data.uint(1)) != 0:
        data.step()
        data.skip(length)
    return any(key == SVC_ECH for key, _, _ in data.typed(DNS_RECORDS, "dns_svc_params"))


def _device(labels: Labels, source: Address) -> DeviceName | None:
    if len(labels) == 2 and labels[1].lower() == b"local":
        return DeviceName(wire_text(labels[0]), None, source)
    return None


def _word(ports: Ports) -> str:
    return _WORDS.get(ports[0]) or _WORDS.get(ports[1]) or "dns"


def _reading(message: Cursor, ports: Ports, source: Address | None) -> Reading:
    protocol = _word(ports)
    read, device = parse_message(message, source if protocol == "mdns" else None)
    from_client = None if protocol == "mdns" and read.response else not read.response
    if message.data[2] & OPCODE_MASK:  # an update or a notice: no question is asked
        return Reading(protocol, from_client=from_client)
    return Reading(protocol, None, (), None, from_client, (read,), device)


class Messages:
    """The reader of messages over UDP, on the ports of DNS, mDNS and LLMNR."""

    __slots__ = ("_anomalies", "_repeated", "_usual")

    def __init__(self, _store: Store, anomalies: Counter[str]) -> None:
        self._anomalies = anomalies
        self._repeated: dict[bytes, Body] = {}  # by all behind the number: a network asks the same all day
        self._usual = Usual()

    def usual(self, payload: bytes) -> DnsMessage | None:
        """Read a message of DNS or LLMNR that came before or is of the usual shape; None: another, or a broken one."""
        short = payload[2:_REPEATED_SIZE]
        body = self._repeated.get(short)
        if body is None or len(payload) > _REPEATED_SIZE:
            body = self._usual.read(payload)
            if body is None:
                return None
            if len(payload) <= _REPEATED_SIZE:
                self._keep(short, body)
        return _new(DnsMessage, (payload[0] << 8 | payload[1], *body))

    def __call__(self, datagram: Datagram) -> Reading | None:
        """Read one datagram. Raises ParseError as parse_message."""
        _, _, payload, cut, ports, source, _ = datagram
        word = _word(ports)
        if word != "mdns" and (message := self.usual(payload)) is not None:  # in mDNS it matters who sent it
            return Reading(word, None, (), None, not message.response, (message,))
        cursor = Cursor.over(payload)
        try:
            reading = _reading(cursor, ports, source)
        except ParseError:
            if not cut:
                raise
            return Reading(word)
        if cursor.budget.broken:
            if not cut:  # else that it ends too early is no fault of the sender
                self._anomalies.update(cursor.budget.broken)
        elif reading.messages and len(payload) <= _REPEATED_SIZE:
            self._keep(payload[2:], reading.messages[0][1:])
        return reading

    def _keep(self, short: bytes, body: Body) -> None:
        if len(self._repeated) >= _REPEATED:
            self._repeated.clear()
        self._repeated[short] = body


def starts(_head: bytes, ports: Ports) -> bool | None:
    """Tell by the port: any two bytes are a length."""
    return ports[0] in _WORDS or ports[1] in _WORDS


class _DnsTalk:
    """Messages behind 16-bit lengths (RFC 7766 section 8)."""

    __slots__ = ("_broken", "_needed", "protocol")

    def __init__(self) -> None:
        self.protocol = "dns"
        self._needed = [-1, -1]  # length of the message that is under way
        self._broken = 0

    @property
    def size(self) -> int:
        return 256

    def feed(self, side: int, pieces: Assembler, ports: Ports) -> Reading | None:
        """Read the whole messages; those of one segment share a budget, what is beyond it is passed over.

        Raises ParseError: the rule that the last of _BROKEN_MAX messages broke.
        """
        pieces.limit = 2 * (_MESSAGE_MAX + 2)
        budget = Budget()
        readings: list[Reading] = []
        at, data, passed = 0, pieces.data, False
        while True:
            if self._needed[side] < 0:
                if len(data) < at + 2:
                    break
                self._needed[side] = data[at] << 8 | data[at + 1]
                at += 2
            needed = self._needed[side]
            if len(data) < at + needed:
                break
            self._needed[side] = -1
            if budget.steps <= 0:
                passed = True
                at += needed
                continue
            try:
                message = Cursor.over(bytes(data[at : at + needed]), budget=budget)
                message.step(_MESSAGE_STEPS)
                readings.append(_reading(message, ports, None))
                pieces.anomalies.update(budget.broken)
                budget.broken.clear()
            except ParseError as error:
                self._broken += error.anomaly != "step_budget_spent"
                if self._broken >= _BROKEN_MAX:
                    raise
                pieces.anomalies[error.anomaly] += 1
            at += needed
        pieces.drop(at)
        if passed:
            pieces.anomalies["dns_tcp_passed"] += 1
        messages = tuple(message for reading in readings for message in reading.messages)
        more = bool(data) or self._needed[side] >= 0
        return Reading(
            self.protocol, from_client=readings[-1].from_client if readings else None, messages=messages, more=more
        )


def _talk(_ports: Ports) -> Talk:
    return _DnsTalk()


DNS_STREAM: Final = StreamProtocol(starts, _talk)
