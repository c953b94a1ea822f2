"""Names, addresses and the catalogue into one label with its evidence (DESIGN section 5)."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, islice
from operator import ne
from typing import Final, NamedTuple

from netwatch.attribution.blindness import DOT_PORT, HTTPS_PORT, nameless_reason, tunnel_reason
from netwatch.attribution.candidates import CERTIFICATE, DNS, DNS_OTHER, HOST, SNI, Candidate, Candidates, domain
from netwatch.attribution.catalogue import STEP_DOWN, Catalogue, Match, NetworkMatch
from netwatch.model.limits import EVIDENCE, LABEL_CACHE
from netwatch.model.reading import Address
from netwatch.model.records import Evidence, Label

_TELLING_PORTS: Final = frozenset((HTTPS_PORT, DOT_PORT))  # the only ones that a verdict asks for
_new: Final = tuple.__new__  # makes a named tuple as its class does, without a call of Python code


class Sighting(NamedTuple):
    """A name that was seen for a flow.

    kind: sni, quic_sni, http_host, certificate, dns_answer, dns_answer_other.   value: the name as text, as seen.
    time: ns; packet: its number in its capture. DNS names of one packet are one chain, the asked name first.
    Of several of one kind the one to be preferred stands first: the newest answer.
    """

    kind: str
    value: str
    time: int
    packet: int


class FlowFacts(NamedTuple):
    """Everything that a judgement rests on.

    server_local:  the server is in a local network: no network claim is looked for.
    asn:           number of the autonomous system of the server, None: not known.
    start, packet: time and number of the first packet.
    protocol:      the word of the flow record, None: not known.   transport: IP protocol number.
    ech_offered:   extension 0xfe0d was in the hello.
    ech_answer:    an HTTPS record with `ech=` was answered for a name at the server's address (DnsMemory.ech).
    handshake:     TCP: a SYN was seen; others: True.   hello: a ClientHello was read.
    cut:           the snapshot length took payload away before a name was found.
    undecryptable: a QUIC Initial that could not be opened.   payload: any payload was seen.
    day:           of the capture, `2025-11-24` (days.day_of).
    """

    sightings: tuple[Sighting, ...]
    server: Address
    server_port: int
    server_local: bool
    asn: int | None
    start: int
    packet: int
    protocol: str | None
    transport: int
    ech_offered: bool
    ech_answer: bool
    handshake: bool
    hello: bool
    cut: bool
    undecryptable: bool
    payload: bool
    day: str


class Judgement(NamedTuple):
    """The columns of a flow record that attribution fills; evidence: best first."""

    label: Label
    evidence: tuple[Evidence, ...]
    blind: str | None
    ech: str | None


class Verdict(NamedTuple):
    """What is cached: all of a judgement but the evidence. first: place of the winner, 0 without one."""

    label: Label
    first: int
    blind: str | None
    ech: str | None


class Attributor:
    """Judges finished flows and questions by one catalogue; keeps up to LABEL_CACHE answers of each."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue: Final = catalogue
        self._candidates = Candidates(catalogue)
        self._known = self._candidates.known.get
        self._verdicts: dict[tuple[object, ...], Verdict] = {}
        self._labels: dict[tuple[str, str], Label] = {}

    def judge(self, facts: FlowFacts) -> Judgement:
        """Say who stands behind a flow, on what evidence, and what could not be seen."""
        sightings: Sequence[Sighting] = facts.sightings
        seen: Sequence[Candidate] = ()
        deciding: tuple[Candidate, ...] = ()
        chains: tuple[int, ...] = ()
        if sightings:
            seen = self._look_up(sightings)
            tiers = [one.tier for one in seen]
            order: Sequence[int] | None = None
            if tiers != sorted(tiers):
                order = sorted(range(len(tiers)), key=tiers.__getitem__)
                seen = [seen[at] for at in order]
                tiers.sort()
            weakest = _weakest(seen, facts.ech_offered)
            deciding = tuple(seen if tiers[-1] <= weakest else seen[: bisect_right(tiers, weakest)])
            if weakest >= DNS:
                chains = _chains(sightings, order)[: len(deciding)]
            if order is not None:
                sightings = [sightings[at] for at in order]
        network = None if facts.server_local else self.catalogue.network(facts.server, facts.asn)
        port = facts.server_port if facts.server_port in _TELLING_PORTS else 0
        key = (deciding, chains, None if network is None else network.rule, port, facts[7:])  # from protocol on
        verdict = self._verdicts.get(key) or self._verdict(key, facts, deciding, chains, network)
        evidence: tuple[Evidence, ...] = ()
        if sightings or network is not None:
            evidence = _evidence(seen, sightings, verdict.first, network, facts)
        return _new(Judgement, (verdict.label, evidence, verdict.blind, verdict.ech))

    def lookup(self, query: str, day: str) -> Label:
        """Say who stands behind a name that was asked for; name_source is `dns_query`."""
        key = (query, day)
        label = self._labels.get(key)
        if label is None:
            if len(self._labels) >= LABEL_CACHE:
                self._labels.clear()
            name = self._candidates.name(query)
            confidence = name.match.confidence if name.match is not None else None
            label = self._labels[key] = self._with_app(name.text, "dns_query", name.match, confidence, day)
        return label

    def _look_up(self, sightings: Sequence[Sighting]) -> list[Candidate]:
        known, find = self._known, self._candidates.find
        return [known(sighting[:2]) or find(sighting[0], sighting[1]) for sighting in sightings]

    def _verdict(
        self,
        key: tuple[object, ...],
        facts: FlowFacts,
        deciding: tuple[Candidate, ...],
        chains: tuple[int, ...],
        network: NetworkMatch | None,
    ) -> Verdict:
        if len(self._verdicts) >= LABEL_CACHE:
            self._verdicts.clear()
        verdict = self._verdicts[key] = self._decide(facts, deciding, chains, network)
        return verdict

    def _decide(
        self, facts: FlowFacts, seen: Sequence[Candidate], chains: Sequence[int], network: NetworkMatch | None
    ) -> Verdict:
        outer_known = any(one.tier == SNI and one.role == "ech" for one in seen)
        used = facts.ech_offered and (outer_known or facts.ech_answer)
        usable = [at for at, one in enumerate(seen) if one.clear and not (used and _is_outer(one))]
        winner, confidence = self._winner(seen, chains, usable, facts.day)
        conflict = None if used else self._conflict(seen, network, facts.day)
        if winner is not None:
            label = self._label(winner, confidence, network, conflict, facts.day)
        else:
            label = self._outer(seen[0] if seen else None, network, conflict, facts.day)
        blind = _blind(facts, winner, seen, network, hidden=used and winner is None)
        ech = ("used" if used else "offered") if facts.ech_offered else None
        return Verdict(label, 0 if winner is None else seen.index(winner), blind, ech)

    def _winner(
        self, seen: Sequence[Candidate], chains: Sequence[int], usable: Sequence[int], day: str
    ) -> tuple[Candidate | None, str | None]:
        """Return the name that labels the flow and the confidence of its app, None where it has none.

        usable: places in seen, and in chains where a DNS answer may win.
        """
        if not usable:
            return None, None
        tier = seen[usable[0]].tier
        places = [at for at in usable if seen[at].tier == tier]
        names = [seen[at] for at in places]
        if tier in {DNS, DNS_OTHER}:
            winner, several = _of_answers(names, [chains[at] for at in places])
        else:
            winner = max(names, key=_precision)
            several = tier == CERTIFICATE and self._customers(names, day) > 1
        if winner.match is None:
            return winner, None
        if several or tier == DNS_OTHER:
            return winner, "low"
        return winner, winner.match.confidence if tier in {SNI, HOST} else STEP_DOWN[winner.match.confidence]

    def _customers(self, names: Sequence[Candidate], day: str) -> int:
        """Count the parties whose names one certificate holds; operators' own names do not count."""
        parties = set()
        for one in names:
            if one.match is None:
                parties.add(domain(one.name))
            elif one.app is not None:
                parties.add(self._ultimate(one.app.app.owner_id, day))
        return len(parties)

    def _label(
        self, winner: Candidate, confidence: str | None, network: NetworkMatch | None, conflict: str | None, day: str
    ) -> Label:
        if winner.match is None and network is not None and network.dedicated:
            owner_id = network.app.owner_id
            return self._with_owner(winner.name, winner.kind, owner_id, network.confidence, day, conflict)
        return self._with_app(winner.name, winner.kind, winner.match, confidence, day, conflict)

    def _outer(self, shown: Candidate | None, network: NetworkMatch | None, conflict: str | None, day: str) -> Label:
        """Show the best name where none labels the flow: an ECH outer name with its operator, or an address as host."""
        name, kind = (shown.name, shown.kind) if shown is not None else (None, None)
        if shown is not None and shown.match is not None and shown.app is None:
            return self._with_owner(name, kind, shown.match.app.owner_id, shown.match.confidence, day, conflict)
        if network is not None:
            return self._with_owner(name, kind, network.app.owner_id, network.confidence, day, conflict)
        return Label(name, kind, conflict=conflict)

    def _with_app(
        self, name: str, kind: str, match: Match | None, confidence: str | None, day: str, conflict: str | None = None
    ) -> Label:
        if match is None:
            return Label(name, kind, conflict=conflict)
        app = match.app
        label = self._with_owner(name, kind, app.owner_id, confidence, day, conflict)
        return label._replace(app_id=app.id, app=app.name, app_kind=app.kind, role=match.role)

    def _with_owner(
        self,
        name: str | None,
        kind: str | None,
        owner_id: str,
        confidence: str | None,
        day: str,
        conflict: str | None,
    ) -> Label:
        owner = self.catalogue.owner_on(owner_id, day)
        if owner is None:
            return Label(name, kind, owner_id=owner_id, confidence=confidence, conflict=conflict)
        return Label(
            name,
            kind,
            owner_id=owner.owner_id,
            owner=owner.owner,
            control_country=owner.control_country,
            domicile=owner.domicile,
            confidence=confidence,
            conflict=conflict,
        )

    def _conflict(self, seen: Sequence[Candidate], network: NetworkMatch | None, day: str) -> str | None:
        """Tell which evidence names another owner than the SNI does: operators and shared networks name nobody.

        A DNS answer disagrees only where no name of this device at the address is the SNI's or of its owner.
        """
        sni = max((one for one in seen if one.tier == SNI), key=_precision, default=None)
        if sni is None or sni.app is None:
            return None
        ours = self._ultimate(sni.app.app.owner_id, day)
        answers = [one for one in seen if one.tier == DNS]
        owners = {self._ultimate(one.app.app.owner_id, day) for one in answers if one.app}
        if owners and ours not in owners and all(one.name != sni.name for one in answers):
            return "sni_vs_dns"
        owners = {self._ultimate(one.app.app.owner_id, day) for one in seen if one.tier == HOST and one.app}
        if owners - {ours}:
            return "sni_vs_host"
        if network is not None and network.dedicated and network.app.kind != "infra":
            return "sni_vs_network" if self._ultimate(network.app.owner_id, day) != ours else None
        return None

    def _ultimate(self, owner_id: str, day: str) -> str:
        owner = self.catalogue.owner_on(owner_id, day)
        return owner_id if owner is None else owner.ultimate_id


def _chains(sightings: Sequence[Sighting], order: Sequence[int] | None) -> tuple[int, ...]:
    """Number the answers as they were given: neighbours of one packet have the same number.

    order: places of the sightings in the order of the result, None: as they are.
    """
    packets = [sighting.packet for sighting in sightings]
    numbers = tuple(accumulate(map(ne, packets, islice(packets, 1, None)), initial=0))
    return numbers if order is None else tuple([numbers[at] for at in order])


def _weakest(seen: Sequence[Candidate], ech_offered: bool) -> int:
    """Return the last tier that can change the verdict; what is behind it is evidence alone.

    seen: best kind first. A clear name of the best kind wins over all others. Beside it an HTTP host may be a DoH
    service's, and where an SNI names an app, all but the hints of other devices may disagree with it.
    """
    best = seen[0]
    if ech_offered or not best.clear:
        return DNS_OTHER
    if best.tier != SNI:
        return best.tier
    for one in seen:
        if one.tier != SNI:
            break
        if one.app is not None:
            return DNS
    return HOST


def _is_outer(one: Candidate) -> bool:
    """Tell whether a name is one that an encrypted hello hides behind, where ECH is used."""
    return one.tier == SNI or one.role == "ech"


def _precision(one: Candidate) -> tuple[bool, bool, bool, int]:
    """Order names of one kind: an app before an operator before none, exact before suffix, then the longest match."""
    match = one.match
    return (False, False, False, 0) if match is None else (one.app is not None, True, match.exact, len(match.endpoint))


def _of_answers(names: Sequence[Candidate], numbers: Sequence[int]) -> tuple[Candidate, bool]:
    """Choose among the answers for one address; tell whether names of several parties share it.

    Of a chain the asked name counts, unless it leads to an SDK: a first-party name in front of a third party's host.
    Of several chains an app's goes first, then the newest. Chains of operators' names alone are no party.
    """
    chains: dict[int, list[Candidate]] = {}
    for one, number in zip(names, numbers, strict=True):
        chains.setdefault(number, []).append(one)
    heads = [_head(chain) for chain in chains.values()]
    parties = {head.app.app.id if head.app else domain(head.name) for head in heads if head.app or not head.match}
    return next((head for head in heads if head.app), heads[0]), len(parties) > 1


def _head(chain: Sequence[Candidate]) -> Candidate:
    apps = [one for one in chain if one.app]
    sdk = next((one for one in apps if one.app and one.app.app.kind == "sdk"), None)
    return sdk or (apps[0] if apps else chain[0])


def _evidence(
    seen: Sequence[Candidate],
    sightings: Sequence[Sighting],
    first: int,
    network: NetworkMatch | None,
    facts: FlowFacts,
) -> tuple[Evidence, ...]:
    """Return all that was seen, the winner first, then the network; EVIDENCE pieces at most.

    seen, sightings: of equal length, best kind first.
    """
    pieces = [
        _new(Evidence, (kind, one.name, time, packet, one.rule))
        for one, (kind, _, time, packet) in zip(seen, sightings, strict=True)
    ]
    if first:
        pieces.insert(0, pieces.pop(first))
    if network is not None:
        pieces[EVIDENCE - 1 :] = [Evidence("network", network.text, facts.start, facts.packet, network.rule)]
    return tuple(pieces if len(pieces) <= EVIDENCE else pieces[:EVIDENCE])


def _blind(
    facts: FlowFacts,
    winner: Candidate | None,
    seen: Sequence[Candidate],
    network: NetworkMatch | None,
    *,
    hidden: bool,
) -> str | None:
    shown = [one for one in seen if one.tier in {SNI, HOST}] or ([winner] if winner else [])
    tunnel = tunnel_reason(
        facts.protocol,
        facts.transport,
        facts.server_port,
        doh_name=any(one.role == "doh" for one in shown),
        resolver=network is not None and network.claim == "resolver",
    )
    if tunnel is not None or hidden:
        return tunnel or "ech"
    if winner is not None:
        return None
    return nameless_reason(
        facts.protocol,
        facts.transport,
        cut=facts.cut,
        undecryptable=facts.undecryptable,
        handshake=facts.handshake,
        hello=facts.hello,
        payload=facts.payload,
    )
