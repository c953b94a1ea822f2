"""DNS messages as most are, read at once: one question, and answers whose names point at it or at a target before.

Everything else is left to the reader of dns.py, and what this one reads that one reads alike
(tests/names/test_dnsusual.py).
"""

from struct import Struct
from typing import Final, NamedTuple

from netwatch.model.address import address_text, from_bytes
from netwatch.model.reading import DnsAnswer, DnsQuestion
from netwatch.model.text import dns_text
from netwatch.names.dnswords import rcode_word, type_word

A, CNAME, AAAA, OPT = 1, 5, 28, 41
HEADER: Final = 12
POINTER: Final = 0xC000  # a pointer is this plus an offset below 0x4000
SIZE: Final = 512  # bytes of a message, and
RECORDS: Final = 16  # records: so many cannot spend a step budget
QUESTIONS: Final = 2_048  # that are kept at hand; then all are forgotten
_COUNTS: Final = Struct(">5H").unpack_from  # flags and the four counts
_QUESTION: Final = Struct(">HH")  # type, class
_POINTED: Final = Struct(">HHHIH").unpack_from  # a pointer, type, class, TTL, length of data
_POINTED_SIZE: Final = 12
_ROOT: Final = Struct(">BHHIH").unpack_from  # the same of a record of the root
_ROOT_SIZE: Final = 11
_ADDRESSES: Final = {(A, 4): "A", (AAAA, 16): "AAAA"}  # by type and length
_NOTHING: Final = (), b"\0"  # what stands behind the labels of a name without a pointer: the root
_new: Final = tuple.__new__  # a third of what the constructor of a NamedTuple costs

Labels = tuple[bytes, ...]
Name = tuple[Labels, str, bytes]
"""A name: its labels as sent, as text, and in wire format without pointers."""

Body = tuple[bool, str, tuple[DnsQuestion, ...], tuple[DnsAnswer, ...]]
"""A DnsMessage without its number."""


REMEMBERED: Final = 4_096  # names kept over messages; then all of them are forgotten
REMEMBERED_SIZE: Final = 80  # bytes of one: whatever is sent, they take less than 9 MiB

remembered: Final[dict[bytes, Name]] = {}
"""By wire format: a network asks for the same few all day."""


def make_name(labels: Labels, wire: bytes) -> Name:
    """Write a name as text; remember it if it is short."""
    name = labels, dns_text(labels), wire
    if len(wire) <= REMEMBERED_SIZE:
        if len(remembered) >= REMEMBERED:
            remembered.clear()
        remembered[wire] = name
    return name


class _Question(NamedTuple):
    """name: as text.   suffixes: labels and wire format of each name that a pointer into the question may mean."""

    questions: tuple[DnsQuestion, ...]
    name: str
    suffixes: dict[int, tuple[Labels, bytes]]


class Usual:
    """Reads messages of the usual shape; keeps the questions."""

    __slots__ = ("_questions",)

    def __init__(self) -> None:
        self._questions: dict[bytes, _Question] = {}  # by their bytes

    def read(self, message: bytes) -> Body | None:
        """Return what a message says, None where it is not of the usual shape. Raises nothing."""
        end = len(message)
        zero = message.find(0, HEADER) + 1  # behind the first zero: of a remembered name, its end
        at = zero + _QUESTION.size
        if not zero or not at <= end <= SIZE:
            return None
        flags, asked, answered, authorities, additional = _COUNTS(message, 2)
        records = answered + authorities + additional
        if asked != 1 or flags & 0x7800 or records > RECORDS:
            return None
        raw = message[HEADER:at]
        question = self._questions.get(raw) or self._question(raw)
        if question is None:
            return None
        questions, name, suffixes = question
        names = {POINTER + HEADER: name}
        rcode = flags & 0x0F
        answers: list[DnsAnswer] = []
        for _ in range(records):
            start = at + _POINTED_SIZE
            if start > end or not message[at]:
                if at + _ROOT_SIZE > end:
                    return None
                root, kind, _, ttl, length = _ROOT(message, at)
                at += _ROOT_SIZE + length
                if root or kind != OPT or at > end:
                    return None
                rcode |= (ttl >> 24) << 4  # RFC 6891 section 6.1.3
                continue
            pointer, kind, _, ttl, length = _POINTED(message, at)
            owner = names.get(pointer)
            at = start + length
            if owner is None or at > end:
                return None
            word = _ADDRESSES.get((kind, length))
            if word is not None:
                address = from_bytes(message[start:at])
                answers.append(_new(DnsAnswer, (owner, word, address_text(address), ttl, address, False)))
            elif kind == CNAME and (target := _name(message, start, at, suffixes)) is not None:
                names[POINTER + start] = target[1]
                answers.append(_new(DnsAnswer, (owner, "CNAME", target[1], ttl, None, False)))
            else:
                return None
        return flags >= 0x8000, rcode_word(rcode), questions, tuple(answers)

    def _question(self, raw: bytes) -> _Question | None:
        """Read the bytes of a question, None where they are no name without a pointer, or one that is too long."""
        end = len(raw) - _QUESTION.size
        name = _name(raw, 0, end, {}) if end <= REMEMBERED_SIZE else None
        if name is None:
            return None
        labels, text, wire = name
        suffixes = {POINTER + HEADER: (labels, wire)}
        at = 0
        for place, label in enumerate(labels, 1):
            at += 1 + len(label)
            suffixes[POINTER + HEADER + at] = labels[place:], wire[at:]
        kind, _ = _QUESTION.unpack_from(raw, end)
        if len(self._questions) >= QUESTIONS:
            self._questions.clear()
        question = self._questions[raw] = _Question((DnsQuestion(text, type_word(kind)),), text, suffixes)
        return question


def _name(message: bytes, start: int, end: int, suffixes: dict[int, tuple[Labels, bytes]]) -> Name | None:
    """Return the name that fills the bytes from `start` to `end`: labels, and the root or a pointer to a suffix."""
    at = start
    labels: list[bytes] = []
    while at < end and 0 < (size := message[at]) < 0x40:
        label = at + 1
        at = label + size
        labels.append(message[label:at])
    if at == end - 1 and not message[at]:
        behind: tuple[Labels, bytes] | None = _NOTHING
    elif at == end - 2:
        behind = suffixes.get(message[at] << 8 | message[at + 1])
    else:
        return None
    if behind is None:
        return None
    wire = message[start:at] + behind[1]
    return remembered.get(wire) or (make_name((*labels, *behind[0]), wire) if len(wire) <= REMEMBERED_SIZE else None)
