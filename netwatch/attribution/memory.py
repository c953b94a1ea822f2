"""Which names a device resolved to an address, for flows that show none themselves (DESIGN section 5, dns_answer)."""

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from netwatch.attribution.decide import Sighting
from netwatch.model.limits import DNS_GRACE_NS, DNS_MEMORY, DNS_NAMES
from netwatch.model.reading import Address, DnsAnswer, DnsMessage, DnsQuestion

SECOND: Final = 10**9
DEVICES_SEEN: Final = 64  # other devices looked at for one address
QUEUED: Final = 4  # places of a pair in the queue, on the average, before all but the last of each are taken out
TTL_MAX: Final = 7 * 86_400  # RFC 8767 section 4: what a resolver caps it to
BINDINGS: Final = frozenset(("HTTPS", "SVCB"))
ALIASES: Final = frozenset(("CNAME", "DNAME"))
POINTERS: Final = frozenset(("NS", "MX", "SRV", "SOA", "PTR", "HTTPS", "SVCB"))  # whose targets' addresses are added

_new: Final = tuple.__new__  # a third of what the constructor of a NamedTuple costs

Chain: TypeAlias = tuple[list[str], int]
"""Names from the asked one on, and the shortest TTL of the steps between them."""


class Known(NamedTuple):
    """A name of an address, as one device was told it.

    since, first: time and packet of the first answer of a row without a gap; time, packet: of the newest.
    until: when the newest answer and its grace end.   asked: the question was seen.   place: in the chain.
    """

    name: str
    since: int
    first: int
    time: int
    packet: int
    until: int
    asked: bool
    place: int


class Pair:
    """What one device was told of one address.

    known: name -> row, the one told longest ago first.   ordered: the rows as they are wanted, () where that changed.
    latest: time of the latest answer of all, from which on every row counts as it stands.
    head: the asked name where one answer told all rows, else None.   uses: its places in the queue of the memory.
    """

    __slots__ = ("address", "device", "head", "known", "latest", "ordered", "uses")

    def __init__(self, address: Address, device: str) -> None:
        self.address = address
        self.device = device
        self.known: dict[str, Known] = {}
        self.latest = 0
        self.ordered: Sequence[Known] = ()
        self.head: str | None = None
        self.uses = 0

    def rows(self, now: int) -> Iterable[Known]:
        """Return the rows of answers before `now`, the newest answer first, the asked name before its chain.

        time, packet: of the first answer where the newest came after `now`.
        """
        if self.head is not None:
            rows: Iterable[Known] = self.known.values()
        else:
            rows = self.ordered = self.ordered or sorted(self.known.values(), key=_newest_first)
        if self.latest <= now:
            return rows
        past = [row for row in rows if row.since <= now]
        return [row if row.time <= now else row._replace(time=row.since, packet=row.first) for row in past]


class DnsMemory:
    """The newest DNS_MEMORY pairs of device and address, with up to DNS_NAMES names each; the oldest go first.

    anomalies: what was evicted (`dns_memory_evicted`, `dns_names_evicted`, `dns_ech_evicted`) and refused
    (`dns_answer_other_name`).
    """

    def __init__(self) -> None:
        self.anomalies: Counter[str] = Counter()
        self._devices: dict[Address, dict[str, Pair]] = {}
        self._count = 0  # pairs
        self._queue: deque[Pair] = deque()  # as they were told; one goes when its last place here is the first of all
        self._ech: OrderedDict[str, tuple[int, int]] = OrderedDict()  # name -> (answered, until)

    def __contains__(self, address: Address) -> bool:
        return address in self._devices

    def __len__(self) -> int:
        return self._count

    def learn(self, device: str, message: DnsMessage, now: int, packet: int, asked: bool = True) -> None:
        """Take the addresses of an answer.

        Only names on the chain from a question of the message are taken; one without a question (mDNS) may tell names
        below `.local` alone. asked: the question was seen on its way; an answer that nobody was seen to ask for is
        kept as doubtful as another device's.
        """
        _, response, rcode, questions, answers = message
        if not response or rcode != "NOERROR" or not answers:
            return
        chains = _chains(questions, answers)
        refused = 0
        for name, kind, _, ttl, address, ech in answers:
            chain = chains.get(name)
            if address is None:
                if ech and chain is not None and kind in BINDINGS:
                    self._bind(chain[0], ttl, now)
            elif chain is not None:
                names, shortest = chain
                self._keep(device, address, names, min(shortest, ttl), now, packet, asked)
            else:
                refused += 1
        if refused and _closed(message):
            self.anomalies["dns_answer_other_name"] += refused

    def names(self, device: str, address: Address, now: int) -> tuple[Sighting, ...]:
        """Return what an address was called before `now`, the newest answer first, the asked name before its chain.

        dns_answer: this device was told, within TTL + DNS_GRACE_NS; dns_answer_other: another device, unasked, expired.
        Others are asked only where this device was told nothing that still holds; of their answers to a name that is
        listed already, the chain is left out.
        """
        devices = self._devices.get(address)
        if devices is None:
            return ()
        own = devices.get(device)
        told: list[Sighting] = []
        if own is not None:
            holds = False
            for name, _, _, time, packet, until, asked, _ in own.rows(now):
                fresh = asked and now <= until
                holds = holds or fresh
                told.append(_new(Sighting, ("dns_answer" if fresh else "dns_answer_other", name, time, packet)))
            if holds or len(devices) == 1:
                return tuple(told)
        out = {sighting.value: sighting for sighting in told}
        for pair in islice(reversed(devices.values()), DEVICES_SEEN):
            if len(out) >= DNS_NAMES:
                break
            if pair is not own and not (pair.head in out and pair.latest <= now):  # else it has nothing to add
                _add_hints(out, pair, now)
        return tuple(islice(out.values(), DNS_NAMES))

    def ech(self, address: Address, now: int) -> bool:
        """Tell whether an HTTPS or SVCB record with `ech=` was answered before `now` for a name at this address."""
        devices = self._devices.get(address)
        if devices is None or not self._ech:
            return False
        for pair in islice(reversed(devices.values()), DEVICES_SEEN):
            for name in pair.known:
                answered, until = self._ech.get(name, (now + 1, 0))
                if answered <= now <= until:
                    return True
        return False

    def _bind(self, chain: Sequence[str], ttl: int, now: int) -> None:
        for name in chain:
            since, until = self._ech.pop(name, (now, now))
            self._ech[name] = (since if now <= until else now, _until(ttl, now))
        while len(self._ech) > DNS_MEMORY:
            self._ech.popitem(last=False)
            self.anomalies["dns_ech_evicted"] += 1

    def _keep(
        self, device: str, address: Address, chain: Sequence[str], ttl: int, now: int, packet: int, asked: bool
    ) -> None:
        devices = self._devices.get(address)
        pair = None if devices is None else devices.get(device)
        if pair is None:
            pair = self._pair(device, address)
        queue = self._queue
        if not queue or queue[-1] is not pair:  # which is the newest now
            queue.append(pair)
            pair.uses += 1
            if len(queue) > QUEUED * DNS_MEMORY:
                self._shorten()
        pair.ordered = ()
        if now > pair.latest:
            pair.latest = now
        known = pair.known
        until = _until(ttl, now)
        names = chain if len(chain) <= DNS_NAMES else chain[:DNS_NAMES]
        for place, name in enumerate(names):
            since, first = now, packet
            if name in known:
                _, earlier, earliest, _, _, ended, was_asked, _ = known.pop(name)
                if was_asked == asked and now <= ended:
                    since, first = earlier, earliest
            known[name] = _new(Known, (name, since, first, now, packet, until, asked, place))
        pair.head = names[0] if len(known) == len(names) else None
        while len(known) > DNS_NAMES:
            del known[next(iter(known))]
            self.anomalies["dns_names_evicted"] += 1

    def _pair(self, device: str, address: Address) -> Pair:
        """Make a pair."""
        if self._count >= DNS_MEMORY:
            self._evict()
        pair = self._devices.setdefault(address, {})[device] = Pair(address, device)
        self._count += 1
        return pair

    def _shorten(self) -> None:
        """Leave each pair only its last place in the queue."""
        last = list(dict.fromkeys(reversed(self._queue)))
        for pair in last:
            pair.uses = 1
        self._queue = deque(reversed(last))

    def _evict(self) -> None:
        """Let the pair go that was told of longest ago."""
        pair = self._queue.popleft()
        while pair.uses > 1:
            pair.uses -= 1
            pair = self._queue.popleft()
        devices = self._devices[pair.address]
        del devices[pair.device]
        if not devices:
            del self._devices[pair.address]
        self._count -= 1
        self.anomalies["dns_memory_evicted"] += 1


def _add_hints(out: dict[str, Sighting], pair: Pair, now: int) -> None:
    """Add what another device was told."""
    told = -1  # packet of an answer to a name that is listed already: its chain says nothing new
    for name, _, _, time, packet, _, _, place in pair.rows(now):
        if name in out:
            if place == 0:
                told = packet
        elif packet != told:
            out[name] = Sighting("dns_answer_other", name, time, packet)


def _closed(message: DnsMessage) -> bool:
    """Tell whether an answer may hold addresses of the asked names alone: nothing in it points to further hosts."""
    return bool(message.questions) and not any(answer.type in POINTERS for answer in message.answers)


def _until(ttl: int, now: int) -> int:
    return now + min(ttl, TTL_MAX) * SECOND + DNS_GRACE_NS


def _newest_first(row: Known) -> tuple[int, int, int]:
    return (-row.time, -row.packet, row.place)


def _chains(questions: Sequence[DnsQuestion], answers: Sequence[DnsAnswer]) -> dict[str, Chain]:
    """Return the chain of names to each name that a question leads to, with the shortest TTL of its steps."""
    if not questions:
        local = [answer.name for answer in answers if answer.name.endswith(".local")]
        return {name: ([name], TTL_MAX) for name in local}
    aliases: dict[str, tuple[str, int]] = {}
    for name, kind, data, ttl, _, _ in answers:
        if kind in ALIASES:
            aliases.setdefault(name, (data, ttl))
    if not aliases and len(questions) == 1:  # as usual
        asked = questions[0][0]
        return {asked: ([asked], TTL_MAX)}
    chains: dict[str, Chain] = {}
    for name, _ in questions:
        chain, shortest = [name], TTL_MAX
        while chain[-1] not in chains:
            chains[chain[-1]] = (chain, shortest)
            step = aliases.get(chain[-1])
            if step is None:
                break
            chain = [*chain, step[0]]
            shortest = min(step[1], shortest)
    return chains
