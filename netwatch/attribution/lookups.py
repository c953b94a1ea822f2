"""Questions and their answers as lookup records, one for each question seen (DESIGN section 4)."""

from collections import Counter, OrderedDict
from typing import Final, NamedTuple, Protocol, TypeAlias

from netwatch.attribution.days import day_of
from netwatch.attribution.decide import Attributor
from netwatch.model.address import V6
from netwatch.model.limits import LOOKUP_WAIT_NS, LOOKUPS_OPEN
from netwatch.model.reading import Address, DnsMessage
from netwatch.model.records import Device, Label, Lookup, LookupAnswer

UNSPECIFIED: Final = frozenset((0, V6))  # what a blocking resolver answers: 0.0.0.0 and ::

# A lookup ends with these fields of its label, in their order.
APP_ID: Final = Label._fields.index("app_id")
CONFLICT: Final = Label._fields.index("conflict")

Key: TypeAlias = tuple[str | int, ...]

Reply: TypeAlias = tuple[str | None, tuple[LookupAnswer, ...], bool]
"""rcode, records, and whether it refuses: NXDOMAIN, or an address that stands for none."""


class Local(Protocol):
    """The local networks."""

    def contains_one(self, value: Address, /) -> bool: ...


class Asked(NamedTuple):
    """A question, or an answer to a question that was not seen; the first fields of a Lookup, in their order."""

    time: int
    packet: int
    device: Device
    client: Address
    resolver: Address
    transport: str
    name: str
    type: str


NO_REPLY: Final = (None, (), False)


class Lookups:
    """Pairs questions with answers; at most LOOKUPS_OPEN wait, the oldest go first as unanswered.

    anomalies: `lookups_evicted`.
    """

    def __init__(self, attributor: Attributor, local: Local) -> None:
        self.anomalies: Counter[str] = Counter()
        self._attributor = attributor
        self._local = local
        self._open: OrderedDict[Key, list[Asked]] = OrderedDict()
        self._settled: OrderedDict[Key, int] = OrderedDict()  # key -> time of its newest answered question
        self._waiting = 0
        self._ready: list[Lookup] = []

    def query(
        self,
        device: Device,
        client: Address,
        port: int,
        resolver: Address,
        transport: str,
        message: DnsMessage,
        time: int,
        packet: int,
    ) -> None:
        """Take a question. One that is sent again is a question of its own.

        port: the client's.   transport: udp, tcp, mdns, llmnr.   time: ns.
        """
        if transport == "mdns" and message.answers and not message.questions:
            return
        for question in message.questions:
            key = _key(transport, client, port, resolver, message.ident, question.name, question.type)
            asked = Asked(time, packet, device, client, resolver, transport, question.name, question.type)
            waiting = self._open.get(key)
            if waiting is None:
                self._open[key] = [asked]
            else:
                waiting.append(asked)
            self._waiting += 1
            if self._waiting > LOOKUPS_OPEN:
                self._evict()

    def answer(
        self,
        device: Device,
        client: Address,
        port: int,
        resolver: Address,
        transport: str,
        message: DnsMessage,
        time: int,
        packet: int,
    ) -> bool:
        """Take an answer to `client`; return whether its question was seen in the 10 s before.

        It settles every open question of its key. One whose question was not seen is a record of its own, at the
        answer's time; a second answer to a settled question is none. mDNS: only what was asked.
        """
        if transport == "mdns":
            return self._multicast(message, time)
        seen = False
        reply = _reply(message)
        for question in message.questions:
            key = _key(transport, client, port, resolver, message.ident, question.name, question.type)
            if self._settle(key, reply, time) or 0 <= time - self._settled.get(key, time + 1) <= LOOKUP_WAIT_NS:
                seen = True
            else:
                asked = Asked(time, packet, device, client, resolver, transport, question.name, question.type)
                self._ready.append(self._record(asked, reply))
        return seen

    def due(self, now: int) -> list[Lookup]:
        """Return the answered ones, and the questions that waited for more than LOOKUP_WAIT_NS."""
        for key in [key for key, waiting in self._open.items() if waiting[0].time < now - LOOKUP_WAIT_NS]:
            waiting = self._open[key]
            old = [asked for asked in waiting if asked.time < now - LOOKUP_WAIT_NS]
            self._ready += [self._record(asked, NO_REPLY) for asked in old]
            self._waiting -= len(old)
            waiting[:] = [asked for asked in waiting if asked.time >= now - LOOKUP_WAIT_NS]
            if not waiting:
                del self._open[key]
        for key in [key for key, time in self._settled.items() if time < now - LOOKUP_WAIT_NS]:
            del self._settled[key]
        out, self._ready = self._ready, []
        out.sort(key=lambda lookup: (lookup.time, lookup.packet))
        return out

    def finish(self) -> list[Lookup]:
        """Return all that is left, unanswered questions too."""
        self._ready += [self._record(asked, NO_REPLY) for waiting in self._open.values() for asked in waiting]
        self._open.clear()
        self._settled.clear()
        self._waiting = 0
        return self.due(0)

    def _settle(self, key: Key, reply: Reply, time: int) -> bool:
        waiting = self._open.get(key)
        if waiting is None:
            return False
        mine = [asked for asked in waiting if 0 <= time - asked.time <= LOOKUP_WAIT_NS]
        if not mine:
            return False
        self._ready += [self._record(asked, reply) for asked in mine]
        if len(mine) == len(waiting):
            del self._open[key]
        else:
            waiting[:] = [asked for asked in waiting if not 0 <= time - asked.time <= LOOKUP_WAIT_NS]
        self._waiting -= len(mine)
        self._settled[key] = mine[-1].time
        self._settled.move_to_end(key)
        if len(self._settled) > LOOKUPS_OPEN:
            self._settled.popitem(last=False)
        return True

    def _multicast(self, message: DnsMessage, time: int) -> bool:
        kinds = {(answer.name, kind) for answer in message.answers for kind in (answer.type, "ANY", "*")}
        keys = [_key("mdns", 0, 0, 0, 0, name, kind) for name, kind in sorted(kinds)]
        reply = _reply(message)
        settled = [self._settle(key, reply, time) for key in keys]
        return True in settled

    def _evict(self) -> None:
        waiting = next(iter(self._open.values()))
        self._ready.append(self._record(waiting.pop(0), NO_REPLY))
        if not waiting:
            self._open.popitem(last=False)
        self._waiting -= 1
        self.anomalies["lookups_evicted"] += 1

    def _record(self, asked: Asked, reply: Reply) -> Lookup:
        rcode, answers, refused = reply
        label = self._attributor.lookup(asked.name, day_of(asked.time))
        blocked = refused and label.app_id is not None and self._local.contains_one(asked.resolver)
        return Lookup(*asked, rcode, answers, blocked, *label[APP_ID:CONFLICT])


def _reply(message: DnsMessage) -> Reply:
    """Make what all records of one answer share."""
    answers = []
    refused = message.rcode == "NXDOMAIN"
    for answer in message.answers:
        answers.append(LookupAnswer(answer.name, answer.type, answer.data, answer.ttl))
        if answer.address in UNSPECIFIED:
            refused = True
    return message.rcode, tuple(answers), refused


def _key(transport: str, client: Address, port: int, resolver: Address, ident: int, name: str, kind: str) -> Key:
    """Return what a question and its answer have in common: multicast answers come from whoever knows."""
    if transport == "mdns":
        return (transport, name, kind)
    if transport == "llmnr":
        return (transport, client, port, ident, name, kind)
    return (transport, client, port, resolver, ident, name, kind)
