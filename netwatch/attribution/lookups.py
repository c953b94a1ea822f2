"""Questions and their answers as lookup records, one for each question seen (DESIGN section 4)."""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from operator import itemgetter
from typing import Final, Protocol, TypeAlias

from netwatch.attribution.days import DAY_NS, day_of
from netwatch.attribution.decide import Attributor
from netwatch.model.address import V6
from netwatch.model.limits import LOOKUP_WAIT_NS, LOOKUPS_OPEN
from netwatch.model.reading import Address, DnsAnswer, DnsMessage
from netwatch.model.records import Device, Label, Lookup, LookupAnswer

UNSPECIFIED: Final = frozenset((0, V6))  # what a blocking resolver answers: 0.0.0.0 and ::

# A lookup ends with these fields of its label, in their order.
APP_ID: Final = Label._fields.index("app_id")
CONFLICT: Final = Label._fields.index("conflict")
SHARED: Final = len(LookupAnswer._fields)  # a DnsAnswer begins with the fields of a LookupAnswer
ADDRESS: Final = DnsAnswer._fields.index("address")
_new: Final = tuple.__new__  # a third of what the constructor of a NamedTuple costs
LABELS: Final = 4_096  # names of one day whose labels are at hand; then all are forgotten

Key: TypeAlias = tuple[str | int, ...]

Reply: TypeAlias = tuple[str | None, tuple[LookupAnswer, ...], bool]
"""rcode, records, and whether it refuses: NXDOMAIN, or an address that stands for none."""


class Local(Protocol):
    """The local networks."""

    def contains_one(self, value: Address, /) -> bool: ...


Asked: TypeAlias = tuple[int, int, Device, Address, Address, str, str, str]
"""A question, or an answer to a question that was not seen: time, packet, device, client, resolver, transport, name,
type, as a Lookup begins."""

MULTICAST: Final = frozenset(("mdns", "llmnr"))
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
        self._labels: dict[str, tuple[str | None, ...]] = {}  # by name, of one day
        self._day = 0  # that day, counted from the epoch
        self._ready: list[Lookup] = []

    def judge_by(self, attributor: Attributor) -> None:
        """Ask this one from here on."""
        self._attributor = attributor
        self._labels.clear()

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
        for name, kind in message.questions:
            key = _key(transport, client, port, resolver, message.ident, name, kind)
            first = [(time, packet, device, client, resolver, transport, name, kind)]
            waiting = self._open.setdefault(key, first)
            if waiting is not first:
                waiting += first
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
        ident, _, rcode, questions, records = message
        seen = False
        reply = _reply(rcode, records)
        for name, kind in questions:
            key = _key(transport, client, port, resolver, ident, name, kind)
            if self._settle(key, reply, time) or 0 <= time - self._settled.get(key, time + 1) <= LOOKUP_WAIT_NS:
                seen = True
            else:
                asked = (time, packet, device, client, resolver, transport, name, kind)
                self._ready.append(self._record(asked, reply))
        return seen

    def due(self, now: int) -> list[Lookup]:
        """Return the answered ones, and the questions that waited for more than LOOKUP_WAIT_NS."""
        oldest = now - LOOKUP_WAIT_NS
        for key in [key for key, waiting in self._open.items() if waiting[0][0] < oldest]:
            waiting = self._open[key]
            old = [asked for asked in waiting if asked[0] < oldest]
            self._ready += [self._record(asked, NO_REPLY) for asked in old]
            self._waiting -= len(old)
            waiting[:] = [asked for asked in waiting if asked[0] >= oldest]
            if not waiting:
                del self._open[key]
        for key in [key for key, time in self._settled.items() if time < oldest]:
            del self._settled[key]
        out, self._ready = self._ready, []
        out.sort(key=itemgetter(0, 1))  # time, packet
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
        if len(waiting) == 1:  # as usual
            mine = waiting if 0 <= time - waiting[0][0] <= LOOKUP_WAIT_NS else []
        else:
            mine = [asked for asked in waiting if 0 <= time - asked[0] <= LOOKUP_WAIT_NS]
        if not mine:
            return False
        for asked in mine:
            self._ready.append(self._record(asked, reply))
        if len(mine) == len(waiting):
            del self._open[key]
        else:
            waiting[:] = [asked for asked in waiting if not 0 <= time - asked[0] <= LOOKUP_WAIT_NS]
        self._waiting -= len(mine)
        self._keep_settled(key, mine[-1][0])
        return True

    def _keep_settled(self, key: Key, time: int) -> None:
        """Remember the time of an answered question, as the one answered last."""
        settled = self._settled
        before = len(settled)
        settled[key] = time
        if len(settled) == before:  # it was there, and stands where it stood
            settled.move_to_end(key)
        elif before >= LOOKUPS_OPEN:
            settled.popitem(last=False)

    def _multicast(self, message: DnsMessage, time: int) -> bool:
        kinds = {(answer.name, kind) for answer in message.answers for kind in (answer.type, "ANY", "*")}
        keys = [_key("mdns", 0, 0, 0, 0, name, kind) for name, kind in sorted(kinds)]
        reply = _reply(message.rcode, message.answers)
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
        time, _, _, _, resolver, _, name, _ = asked
        day = time // DAY_NS
        if day != self._day:
            self._labels.clear()
            self._day = day
        label = self._labels.get(name)
        if label is None:
            label = self._label(name, time)
        blocked = refused and label[0] is not None and self._local.contains_one(resolver)
        return _new(Lookup, asked + (rcode, answers, blocked) + label)  # noqa: RUF005 unpacking costs twice as much

    def _label(self, name: str, time: int) -> tuple[str | None, ...]:
        """Return the fields of its label that a Lookup ends with, of a name on the day of a time."""
        if len(self._labels) >= LABELS:
            self._labels.clear()
        label = self._labels[name] = self._attributor.lookup(name, day_of(time))[APP_ID:CONFLICT]
        return label


def _reply(rcode: str, records: Sequence[DnsAnswer]) -> Reply:
    """Make what all records of one answer share."""
    answers = []
    refused = rcode == "NXDOMAIN"
    for record in records:
        answers.append(_new(LookupAnswer, record[:SHARED]))
        if record[ADDRESS] in UNSPECIFIED:
            refused = True
    return rcode, tuple(answers), refused


def _key(transport: str, client: Address, port: int, resolver: Address, ident: int, name: str, kind: str) -> Key:
    """Return what a question and its answer have in common: multicast answers come from whoever knows."""
    if transport not in MULTICAST:
        return (transport, client, port, resolver, ident, name, kind)
    return (transport, name, kind) if transport == "mdns" else (transport, client, port, ident, name, kind)
