"""Which names a device resolved to an address, for flows that show none themselves (DESIGN section 5, dns_answer)."""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from netwatch.attribution.decide import Sighting
from netwatch.model.limits import DNS_GRACE_NS, DNS_MEMORY, DNS_NAMES
from netwatch.model.reading import Address, DnsAnswer, DnsMessage

SECOND: Final = 10**9
DEVICES_SEEN: Final = 64  # other devices looked at for one address
TTL_MAX: Final = 7 * 86_400  # RFC 8767 section 4: what a resolver caps it to
BINDINGS: Final = frozenset(("HTTPS", "SVCB"))
ALIASES: Final = frozenset(("CNAME", "DNAME"))
POINTERS: Final = frozenset(("NS", "MX", "SRV", "SOA", "PTR", "HTTPS", "SVCB"))  # whose targets' addresses are added

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
    """

    __slots__ = ("known", "latest", "ordered")

    def __init__(self) -> None:
        self.known: dict[str, Known] = {}
        self.latest = 0
        self.ordered: Sequence[Known] = ()

    def rows(self, now: int) -> Sequence[Known]:
        """Return the rows of answers before `now`, the newest answer first, the asked name before its chain.

        time, packet: of the first answer where the newest came after `now`.
        """
        rows = self.ordered
        if not rows:
            rows = self.ordered = sorted(self.known.values(), key=_newest_first)
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
        self._pairs: OrderedDict[tuple[Address, str], Pair] = OrderedDict()
        self._devices: dict[Address, dict[str, Pair]] = {}
        self._ech: OrderedDict[str, tuple[int, int]] = OrderedDict()  # name -> (answered, until)

    def __contains__(self, address: Address) -> bool:
        return address in self._devices

    def __len__(self) -> int:
        return len(self._pairs)

    def learn(self, device: str, message: DnsMessage, now: int, packet: int, asked: bool = True) -> None:
        """Take the addresses of an answer.

        Only names on the chain from a question of the message are taken; one without a question (mDNS) may tell names
        below `.local` alone. asked: the question was seen on its way; an answer that nobody was seen to ask for is
        kept as doubtful as another device's.
        """
        if not message.response or message.rcode != "NOERROR" or not message.answers:
            return
        chains = _chains(message)
        refused = 0
        for answer in message.answers:
            chain = chains.get(answer.name)
            if answer.address is None:
                if chain is not None and answer.ech and answer.type in BINDINGS:
                    self._bind(chain[0], answer.ttl, now)
            elif chain is not None:
                names, ttl = chain
                self._keep(device, answer.address, names, min(answer.ttl, ttl), now, packet, asked=asked)
            else:
                refused += 1
        if refused and _closed(message):
            self.anomalies["dns_answer_other_name"] += refused

    def names(self, device: str, address: Address, now: int) -> tuple[Sighting, ...]:
        """Return what an address was called before `now`, the newest answer first, the asked name before its chain.

        dns_answer: this device was told, within TTL + DNS_GRACE_NS; dns_answer_other: another device, unasked, expired.
        Of another device's answer to a name that is listed already, the chain is left out.
        """
        devices = self._devices.get(address)
        if devices is None:
            return ()
        out: dict[str, Sighting] = {}
        own = devices.get(device)
        if own is not None:
            for row in own.rows(now):
                kind = "dns_answer" if row.asked and now <= row.until else "dns_answer_other"
                out[row.name] = Sighting(kind, row.name, row.time, row.packet)
        for pair in islice(reversed(devices.values()), DEVICES_SEEN):
            if len(out) >= DNS_NAMES:
                break
            if pair is own:
                continue
            told = -1  # packet of an answer to a name that is listed already: its chain says nothing new
            for row in pair.rows(now):
                if row.name in out:
                    if row.place == 0:
                        told = row.packet
                elif row.packet != told:
                    out[row.name] = Sighting("dns_answer_other", row.name, row.time, row.packet)
        return tuple(islice(out.values(), DNS_NAMES))

    def ech(self, address: Address, now: int) -> bool:
        """Tell whether an HTTPS or SVCB record with `ech=` was answered before `now` for a name at this address."""
        for pair in islice(reversed(self._devices.get(address, {}).values()), DEVICES_SEEN):
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
        self, device: str, address: Address, chain: Sequence[str], ttl: int, now: int, packet: int, *, asked: bool
    ) -> None:
        pair = self._pair(device, address)
        pair.ordered = ()
        pair.latest = max(pair.latest, now)
        known = pair.known
        until = _until(ttl, now)
        for place, name in enumerate(chain[:DNS_NAMES]):
            before = known.pop(name, None)
            if before is None or before.asked != asked or now > before.until:
                known[name] = Known(name, now, packet, now, packet, until, asked, place)
            else:
                known[name] = Known(name, before.since, before.first, now, packet, until, asked, place)
        while len(known) > DNS_NAMES:
            del known[next(iter(known))]
            self.anomalies["dns_names_evicted"] += 1

    def _pair(self, device: str, address: Address) -> Pair:
        """Return the pair, which is the newest now."""
        key = (address, device)
        pair = self._pairs.get(key)
        if pair is not None:
            self._pairs.move_to_end(key)
            return pair
        if len(self._pairs) >= DNS_MEMORY:
            self._evict()
        pair = self._pairs[key] = self._devices.setdefault(address, {})[device] = Pair()
        return pair

    def _evict(self) -> None:
        (address, device), _ = self._pairs.popitem(last=False)
        devices = self._devices[address]
        del devices[device]
        if not devices:
            del self._devices[address]
        self.anomalies["dns_memory_evicted"] += 1


def _closed(message: DnsMessage) -> bool:
    """Tell whether an answer may hold addresses of the asked names alone: nothing in it points to further hosts."""
    return bool(message.questions) and not any(answer.type in POINTERS for answer in message.answers)


def _until(ttl: int, now: int) -> int:
    return now + min(ttl, TTL_MAX) * SECOND + DNS_GRACE_NS


def _newest_first(row: Known) -> tuple[int, int, int]:
    return (-row.time, -row.packet, row.place)


def _chains(message: DnsMessage) -> dict[str, Chain]:
    """Return the chain of names to each name that a question leads to, with the shortest TTL of its steps."""
    if not message.questions:
        local = [answer.name for answer in message.answers if answer.name.endswith(".local")]
        return {name: ([name], TTL_MAX) for name in local}
    aliases: dict[str, DnsAnswer] = {}
    for answer in message.answers:
        if answer.type in ALIASES:
            aliases.setdefault(answer.name, answer)
    chains: dict[str, Chain] = {}
    for question in message.questions:
        name = question.name
        chain, ttl = [name], TTL_MAX
        while name not in chains:
            chains[name] = (chain, ttl)
            step = aliases.get(name)
            if step is None:
                break
            name = step.data
            chain, ttl = [*chain, name], min(ttl, step.ttl)
    return chains
