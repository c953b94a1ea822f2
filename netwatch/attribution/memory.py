"""Which names a device resolved to an address, for flows that show none themselves (DESIGN section 5, dns_answer)."""

from collections import Counter, OrderedDict
from itertools import islice
from typing import Final, NamedTuple

from netwatch.attribution.decide import Sighting
from netwatch.model.limits import DNS_GRACE_NS, DNS_MEMORY, DNS_NAMES
from netwatch.model.reading import Address, DnsAnswer, DnsMessage

SECOND: Final = 10**9
DEVICES_SEEN: Final = 64  # other devices looked at for one address
TTL_MAX: Final = 7 * 86_400  # RFC 8767 section 4: what a resolver caps it to
BINDINGS: Final = frozenset(("HTTPS", "SVCB"))
ALIASES: Final = frozenset(("CNAME", "DNAME"))
POINTERS: Final = frozenset(("NS", "MX", "SRV", "SOA", "PTR", "HTTPS", "SVCB"))  # whose targets' addresses are added


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


class DnsMemory:
    """The newest DNS_MEMORY pairs of device and address, with up to DNS_NAMES names each; the oldest go first.

    anomalies: what was evicted (`dns_memory_evicted`, `dns_names_evicted`, `dns_ech_evicted`) and refused
    (`dns_answer_other_name`).
    """

    def __init__(self) -> None:
        self.anomalies: Counter[str] = Counter()
        self._pairs: OrderedDict[tuple[Address, str], dict[str, Known]] = OrderedDict()
        self._devices: dict[Address, dict[str, None]] = {}
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
        loose = message.questions and not any(answer.type in POINTERS for answer in message.answers)
        for answer in message.answers:
            if answer.address is None:
                if answer.ech and answer.type in BINDINGS and answer.name in chains:
                    self._bind(chains[answer.name], answer.ttl, now)
                continue
            chain = chains.get(answer.name)
            if chain is None:
                if loose:
                    self.anomalies["dns_answer_other_name"] += 1
                continue
            ttl = min(answer.ttl, *(ttl for _, ttl in chain))
            self._keep(device, answer.address, [name for name, _ in chain], ttl, now, packet, asked=asked)

    def names(self, device: str, address: Address, now: int) -> tuple[Sighting, ...]:
        """Return what an address was called before `now`, the newest answer first, the asked name before its chain.

        dns_answer: this device was told, within TTL + DNS_GRACE_NS; dns_answer_other: another device, unasked, expired.
        """
        devices = self._devices.get(address)
        if devices is None:
            return ()
        out: list[Sighting] = []
        taken = set()
        for other in (device, *(other for other in islice(reversed(devices), DEVICES_SEEN) if other != device)):
            known = self._pairs.get((address, other), {}).values()
            for item in sorted(known, key=lambda item: (-item.time, -item.packet, item.place)):
                if item.since > now or item.name in taken:
                    continue
                taken.add(item.name)
                own = other == device and item.asked and now <= item.until
                time, packet = (item.time, item.packet) if item.time <= now else (item.since, item.first)
                out.append(Sighting("dns_answer" if own else "dns_answer_other", item.name, time, packet))
            if len(out) >= DNS_NAMES:
                break
        return tuple(out[:DNS_NAMES])

    def ech(self, address: Address, now: int) -> bool:
        """Tell whether an HTTPS or SVCB record with `ech=` was answered before `now` for a name at this address."""
        for device in islice(reversed(self._devices.get(address, {})), DEVICES_SEEN):
            for name in self._pairs[address, device]:
                answered, until = self._ech.get(name, (now + 1, 0))
                if answered <= now <= until:
                    return True
        return False

    def _bind(self, chain: list[tuple[str, int]], ttl: int, now: int) -> None:
        for name, _ in chain:
            since, until = self._ech.pop(name, (now, now))
            self._ech[name] = (since if now <= until else now, _until(ttl, now))
        while len(self._ech) > DNS_MEMORY:
            self._ech.popitem(last=False)
            self.anomalies["dns_ech_evicted"] += 1

    def _keep(
        self, device: str, address: Address, chain: list[str], ttl: int, now: int, packet: int, *, asked: bool
    ) -> None:
        pair = (address, device)
        known = self._pairs.get(pair)
        if known is None:
            if len(self._pairs) >= DNS_MEMORY:
                self._evict()
            known = self._pairs[pair] = {}
            self._devices.setdefault(address, {})[device] = None
        else:
            self._pairs.move_to_end(pair)
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

    def _evict(self) -> None:
        (address, device), _ = self._pairs.popitem(last=False)
        devices = self._devices[address]
        del devices[device]
        if not devices:
            del self._devices[address]
        self.anomalies["dns_memory_evicted"] += 1


def _until(ttl: int, now: int) -> int:
    return now + min(ttl, TTL_MAX) * SECOND + DNS_GRACE_NS


def _chains(message: DnsMessage) -> dict[str, list[tuple[str, int]]]:
    """Return for each name that a question leads to the chain of names to it, each with the TTL of its step."""
    if not message.questions:
        local = [answer.name for answer in message.answers if answer.name.endswith(".local")]
        return {name: [(name, TTL_MAX)] for name in local}
    aliases: dict[str, DnsAnswer] = {}
    for answer in message.answers:
        if answer.type in ALIASES:
            aliases.setdefault(answer.name, answer)
    chains: dict[str, list[tuple[str, int]]] = {}
    for question in message.questions:
        name, chain = question.name, [(question.name, TTL_MAX)]
        while name not in chains:
            chains[name] = list(chain)
            step = aliases.get(name)
            if step is None:
                break
            name = step.data
            chain.append((name, step.ttl))
    return chains
