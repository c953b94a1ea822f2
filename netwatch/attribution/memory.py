"""Which names a device resolved to an address, for flows that show none themselves (DESIGN section 5, dns_answer)."""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from netwatch.attribution.decide import Sighting
from netwatch.model.limits import DNS_GRACE_NS, DNS_MEMORY, DNS_NAMES
from netwatch.model.reading import Address, DnsAnswer, DnsMessage, DnsQuestion

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

    __slots__ = ("address", "device", "known", "latest", "ordered")

    def __init__(self, address: Address, device: str) -> None:
        self.address = address
        self.device = device
        self.known: dict[str, Known] = {}
        self.latest = 0
        self.ordered: Sequence[Known] = ()

    def rows(self, now: int) -> Sequence[Known]:
        """Return the rows of answers before `now`, the newest answer first, the asked name before its chain.

        time, packet: of the first answer where the newest came after `now`.
        """
        rows = self.ordered
        if not rows:
            rows = list(self.known.values())
            if len(rows) > 1:
                rows.sort(key=_newest_first)
            self.ordered = rows
        if self.latest <= now:
            return rows
        past = [row for row in rows if row.since <= now]
        return [row if row.time <= now else row._replace(time=row.since, packet=row.first) for row in past]


class Host:
    """What all devices were told of one address.

    pairs: by device, the one told first first.   names: each name of theirs, with the number of pairs that have it.
    """

    __slots__ = ("names", "pairs")

    def __init__(self) -> None:
        self.pairs: dict[str, Pair] = {}
        self.names: dict[str, int] = {}

    def add(self, name: str) -> None:
        """Count a name that one more pair has."""
        self.names[name] = self.names.get(name, 0) + 1

    def drop(self, name: str) -> None:
        """Count a name that one pair less has."""
        left = self.names[name] - 1
        if left:
            self.names[name] = left
        else:
            del self.names[name]


class DnsMemory:
    """The newest DNS_MEMORY pairs of device and address, with up to DNS_NAMES names each; the oldest go first.

    anomalies: what was evicted (`dns_memory_evicted`, `dns_names_evicted`, `dns_ech_evicted`) and refused
    (`dns_answer_other_name`).
    """

    def __init__(self) -> None:
        self.anomalies: Counter[str] = Counter()
        self._pairs: OrderedDict[Pair, None] = OrderedDict()  # the one told longest ago first
        self._hosts: dict[Address, Host] = {}
        self._ech: OrderedDict[str, tuple[int, int]] = OrderedDict()  # name -> (answered, until)

    def __contains__(self, address: Address) -> bool:
        return address in self._hosts

    def __len__(self) -> int:
        return len(self._pairs)

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
                if chain is not None and ech and kind in BINDINGS:
                    self._bind(chain[0], ttl, now)
            elif chain is not None:
                names, shortest = chain
                self._keep(device, address, names, ttl if ttl < shortest else shortest, now, packet, asked)
            else:
                refused += 1
        if refused and _closed(message):
            self.anomalies["dns_answer_other_name"] += refused

    def names(self, device: str, address: Address, now: int) -> tuple[Sighting, ...]:
        """Return what an address was called before `now`, the newest answer first, the asked name before its chain.

        dns_answer: this device was told, within TTL + DNS_GRACE_NS; dns_answer_other: another device, unasked, expired.
        Of another device's answer to a name that is listed already, the chain is left out.
        """
        host = self._hosts.get(address)
        if host is None:
            return ()
        out: dict[str, Sighting] = {}
        own = host.pairs.get(device)
        if own is not None:
            for name, _, _, time, told, until, asked, _ in own.rows(now):
                kind = "dns_answer" if asked and now <= until else "dns_answer_other"
                out[name] = Sighting(kind, name, time, told)
        wanted = len(host.names)
        if wanted > DNS_NAMES:
            wanted = DNS_NAMES
        if len(out) < wanted:
            self._add_hints(out, host, own, wanted, now)
        return tuple(out.values())

    def _add_hints(self, out: dict[str, Sighting], host: Host, own: Pair | None, wanted: int, now: int) -> None:
        """Add what other devices were told of an address, until there are as many names as wanted."""
        for pair in islice(reversed(host.pairs.values()), DEVICES_SEEN):
            if pair is own or pair.known.keys() <= out.keys():
                continue
            listed = -1  # packet of an answer to a name that is listed already: its chain says nothing new
            for name, _, _, time, packet, _, _, place in pair.rows(now):
                if name in out:
                    if place == 0:
                        listed = packet
                elif packet != listed:
                    out[name] = Sighting("dns_answer_other", name, time, packet)
                    if len(out) >= wanted:
                        return

    def ech(self, address: Address, now: int) -> bool:
        """Tell whether an HTTPS or SVCB record with `ech=` was answered before `now` for a name at this address."""
        host = self._hosts.get(address)
        if host is None or not self._ech:
            return False
        for pair in islice(reversed(host.pairs.values()), DEVICES_SEEN):
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
        host, pair = self._pair(device, address)
        pair.ordered = ()
        if now > pair.latest:
            pair.latest = now
        known = pair.known
        until = _until(ttl, now)
        for place, name in enumerate(chain[:DNS_NAMES]):
            before = known.pop(name, None)
            if before is None:
                host.add(name)
            if before is None or before.asked != asked or now > before.until:
                known[name] = Known(name, now, packet, now, packet, until, asked, place)
            else:
                known[name] = Known(name, before.since, before.first, now, packet, until, asked, place)
        while len(known) > DNS_NAMES:
            oldest = next(iter(known))
            del known[oldest]
            host.drop(oldest)
            self.anomalies["dns_names_evicted"] += 1

    def _pair(self, device: str, address: Address) -> tuple[Host, Pair]:
        """Return the pair, which is the newest now, and its host."""
        host = self._hosts.get(address)
        pair = None if host is None else host.pairs.get(device)
        if host is not None and pair is not None:
            self._pairs.move_to_end(pair)
            return host, pair
        if len(self._pairs) >= DNS_MEMORY:
            self._evict()
        host = self._hosts.setdefault(address, Host())
        pair = host.pairs[device] = Pair(address, device)
        self._pairs[pair] = None
        return host, pair

    def _evict(self) -> None:
        pair, _ = self._pairs.popitem(last=False)
        host = self._hosts[pair.address]
        del host.pairs[pair.device]
        for name in pair.known:
            host.drop(name)
        if not host.pairs:
            del self._hosts[pair.address]
        self.anomalies["dns_memory_evicted"] += 1


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
