"""Names, addresses and the catalogue into one label with its evidence (DESIGN section 5)."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from netwatch.attribution.blindness import DOT_PORT, HTTPS_PORT, nameless_reason, tunnel_reason
from netwatch.attribution.catalogue import STEP_DOWN, Catalogue, Match, NetworkMatch
from netwatch.attribution.normal import is_literal, matchable, normal_form
from netwatch.model.limits import EVIDENCE, LABEL_CACHE
from netwatch.model.reading import Address
from netwatch.model.records import Evidence, Label

# Kinds in the order of DESIGN section 5; the best that shows a name wins.
SNI, HOST, CERTIFICATE, DNS, DNS_OTHER = range(5)
TIERS: Final = {
    "sni": SNI,
    "quic_sni": SNI,
    "http_host": HOST,
    "certificate": CERTIFICATE,
    "dns_answer": DNS,
    "dns_answer_other": DNS_OTHER,
}


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

    protocol:      the word of the flow record, None: not known.   transport: IP protocol number.
    server_local:  the server is in a local network: no network claim is looked for.
    asn:           number of the autonomous system of the server, None: not known.
    ech_offered:   extension 0xfe0d was in the hello.
    ech_answer:    an HTTPS record with `ech=` was answered for a name at the server's address (DnsMemory.ech).
    handshake:     TCP: a SYN was seen; others: True.   hello: a ClientHello was read.
    cut:           the snapshot length took payload away before a name was found.
    undecryptable: a QUIC Initial that could not be opened.   payload: any payload was seen.
    start, packet: time and number of the first packet.   day: of the capture, `2025-11-24` (days.day_of).
    """

    sightings: tuple[Sighting, ...]
    protocol: str | None
    transport: int
    server: Address
    server_port: int
    server_local: bool
    asn: int | None
    ech_offered: bool
    ech_answer: bool
    handshake: bool
    hello: bool
    cut: bool
    undecryptable: bool
    packets: int
    payload: bool
    start: int
    packet: int
    day: str


class Judgement(NamedTuple):
    """The columns of a flow record that attribution fills; evidence: best first."""

    label: Label
    evidence: tuple[Evidence, ...]
    blind: str | None
    ech: str | None


class Named(NamedTuple):
    """A sighting looked up. at: its place in the flow's sightings; name: normal form, else as seen.

    clear: it is a name, no address.   chain: sightings of DNS with the same number are of one answer.
    """

    at: int
    tier: int
    kind: str
    name: str
    clear: bool
    match: Match | None
    chain: int

    @property
    def app(self) -> Match | None:
        """The match where it says more than an operator."""
        return self.match if self.match is not None and self.match.app.kind != "infra" else None


class Verdict(NamedTuple):
    """What is cached: all of a judgement but the times.

    evidence: place of the sighting (-1: the network), kind, value, rule.
    """

    label: Label
    evidence: tuple[tuple[int, str, str, str | None], ...]
    blind: str | None
    ech: str | None


class Attributor:
    """Judges finished flows and questions by one catalogue; keeps up to LABEL_CACHE answers of each."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue: Final = catalogue
        self._verdicts: dict[tuple[object, ...], Verdict] = {}
        self._labels: dict[tuple[str, str], Label] = {}

    def judge(self, facts: FlowFacts) -> Judgement:
        """Say who stands behind a flow, on what evidence, and what could not be seen."""
        seen, last = [], -1
        for kind, value, _, packet in facts.sightings:
            seen.append((kind, value, packet == last))
            last = packet
        network = None if facts.server_local else self.catalogue.network(facts.server, facts.asn)
        port = facts.server_port if facts.server_port in {HTTPS_PORT, DOT_PORT} else 0
        rule = None if network is None else network.rule
        key = (tuple(seen), rule, facts.protocol, facts.transport, port, facts.payload, facts.day, *facts[7:13])
        verdict = self._verdicts.get(key)
        if verdict is None:
            if len(self._verdicts) >= LABEL_CACHE:
                self._verdicts.clear()
            verdict = self._verdicts[key] = self._decide(facts, network)
        if not verdict.evidence:
            return Judgement(verdict.label, (), verdict.blind, verdict.ech)
        sightings, first = facts.sightings, (None, None, facts.start, facts.packet)
        evidence = []
        for at, kind, value, shown_rule in verdict.evidence:
            _, _, time, packet = sightings[at] if at >= 0 else first
            evidence.append(Evidence(kind, value, time, packet, shown_rule))
        return Judgement(verdict.label, tuple(evidence), verdict.blind, verdict.ech)

    def lookup(self, query: str, day: str) -> Label:
        """Say who stands behind a name that was asked for; name_source is `dns_query`."""
        key = (query, day)
        label = self._labels.get(key)
        if label is None:
            if len(self._labels) >= LABEL_CACHE:
                self._labels.clear()
            normal = normal_form(query)
            label = Label(name=normal or query, name_source="dns_query")
            match = self.catalogue.match_normal(normal) if normal is not None and matchable(normal) else None
            if match is not None:
                label = self._with_app(label, match, match.confidence, day)
            self._labels[key] = label
        return label

    def _decide(self, facts: FlowFacts, network: NetworkMatch | None) -> Verdict:
        named = self._look_up(facts.sightings)
        outer_known = any(item.tier == SNI and item.match and item.match.role == "ech" for item in named)
        used = facts.ech_offered and (outer_known or facts.ech_answer)
        usable = [item for item in named if item.clear and not (used and _is_outer(item))]
        winner, confidence = self._winner(usable, facts.day)
        hidden = used and winner is None
        label = self._label(winner, confidence, network, facts.day)
        if winner is None:  # the outer name or an address is shown where nothing better is there, and names no app
            label = self._outer(label, next((item for item in named), None), facts.day)
        if not used:
            label = label._replace(conflict=self._conflict(named, network, facts.day))
        blind = _blind(facts, winner, named, network, hidden=hidden)
        ech = ("used" if used else "offered") if facts.ech_offered else None
        return Verdict(label, _evidence(named, winner, network), blind, ech)

    def _look_up(self, sightings: Iterable[Sighting]) -> list[Named]:
        """Look every name up, best kind first, in the order given within a kind."""
        out: list[Named] = []
        chain, last = 0, -1
        for at, (kind, value, _, packet) in enumerate(sightings):
            chain += packet != last
            last = packet
            normal = normal_form(value)
            match, clear = None, bool(value) and value[0] != "["
            if normal is not None:
                clear = not is_literal(normal)
                match = self.catalogue.match_normal(normal) if matchable(normal) else None
            out.append(Named(at, TIERS[kind], kind, normal or value, clear, match, chain))
        out.sort(key=lambda item: item.tier)
        return out

    def _winner(self, usable: list[Named], day: str) -> tuple[Named | None, str]:
        """Return the name that labels the flow and the confidence of its app, "" where it has none."""
        if not usable:
            return None, ""
        tier = usable[0].tier
        items = [item for item in usable if item.tier == tier]
        if tier in {DNS, DNS_OTHER}:
            winner, several = _of_answers(items)
        else:
            winner = max(items, key=_precision)
            several = tier == CERTIFICATE and self._customers(items, day) > 1
        if winner.match is None:
            return winner, ""
        if several or tier == DNS_OTHER:
            return winner, "low"
        return winner, winner.match.confidence if tier in {SNI, HOST} else STEP_DOWN[winner.match.confidence]

    def _customers(self, items: list[Named], day: str) -> int:
        """Count the parties whose names one certificate holds; operators' own names do not count."""
        parties = set()
        for item in items:
            if item.match is None:
                parties.add(_domain(item.name))
            elif item.app is not None:
                parties.add(self._ultimate(item.app.app.owner_id, day))
        return len(parties)

    def _label(self, winner: Named | None, confidence: str, network: NetworkMatch | None, day: str) -> Label:
        label = Label() if winner is None else Label(name=winner.name, name_source=winner.kind)
        if winner is not None and winner.match is not None:
            return self._with_app(label, winner.match, confidence, day)
        if network is not None and (winner is None or network.dedicated):
            return self._with_owner(label, network.app.owner_id, network.confidence, day)
        return label

    def _outer(self, label: Label, shown: Named | None, day: str) -> Label:
        """Show the best name where none labels the flow: an ECH outer name with its operator, or an address as host."""
        if shown is None:
            return label
        label = label._replace(name=shown.name, name_source=shown.kind)
        if shown.match is not None and shown.match.app.kind == "infra":
            return self._with_owner(label, shown.match.app.owner_id, shown.match.confidence, day)
        return label

    def _with_app(self, label: Label, match: Match, confidence: str, day: str) -> Label:
        app = match.app
        label = label._replace(app_id=app.id, app=app.name, app_kind=app.kind, role=match.role)
        return self._with_owner(label, app.owner_id, confidence, day)

    def _with_owner(self, label: Label, owner_id: str, confidence: str, day: str) -> Label:
        owner = self.catalogue.owner_on(owner_id, day)
        if owner is None:
            return label._replace(owner_id=owner_id, confidence=confidence)
        return label._replace(
            owner_id=owner.owner_id,
            owner=owner.owner,
            control_country=owner.control_country,
            domicile=owner.domicile,
            confidence=confidence,
        )

    def _conflict(self, named: list[Named], network: NetworkMatch | None, day: str) -> str | None:
        """Tell which evidence names another owner than the SNI does: operators and shared networks name nobody.

        A DNS answer disagrees only where no name of this device at the address is the SNI's or of its owner.
        """
        sni = max((item for item in named if item.tier == SNI), key=_precision, default=None)
        if sni is None or sni.app is None:
            return None
        ours = self._ultimate(sni.app.app.owner_id, day)
        answers = [item for item in named if item.tier == DNS]
        owners = {self._ultimate(item.app.app.owner_id, day) for item in answers if item.app}
        if owners and ours not in owners and all(item.name != sni.name for item in answers):
            return "sni_vs_dns"
        owners = {self._ultimate(item.app.app.owner_id, day) for item in named if item.tier == HOST and item.app}
        if owners - {ours}:
            return "sni_vs_host"
        if network is not None and network.dedicated and network.app.kind != "infra":
            return "sni_vs_network" if self._ultimate(network.app.owner_id, day) != ours else None
        return None

    def _ultimate(self, owner_id: str, day: str) -> str:
        owner = self.catalogue.owner_on(owner_id, day)
        return owner_id if owner is None else owner.ultimate_id


def _is_outer(item: Named) -> bool:
    """Tell whether a name is one that an encrypted hello hides behind, where ECH is used."""
    return item.tier == SNI or (item.match is not None and item.match.role == "ech")


def _precision(item: Named) -> tuple[bool, bool, bool, int]:
    """Order names of one kind: an app before an operator before none, exact before suffix, then the longest match."""
    match = item.match
    return (False, False, False, 0) if match is None else (item.app is not None, True, match.exact, len(match.endpoint))


def _of_answers(items: list[Named]) -> tuple[Named, bool]:
    """Choose among the answers for one address; tell whether names of several parties share it.

    Of a chain the asked name counts, unless it leads to an SDK: a first-party name in front of a third party's host.
    Of several chains an app's goes first, then the newest. Chains of operators' names alone are no party.
    """
    chains: dict[int, list[Named]] = {}
    for item in items:
        chains.setdefault(item.chain, []).append(item)
    heads = [_head(chain) for chain in chains.values()]
    parties = {head.app.app.id if head.app else _domain(head.name) for head in heads if head.app or not head.match}
    return next((head for head in heads if head.app), heads[0]), len(parties) > 1


def _head(chain: list[Named]) -> Named:
    apps = [item for item in chain if item.app]
    sdk = next((item for item in apps if item.app and item.app.app.kind == "sdk"), None)
    return sdk or (apps[0] if apps else chain[0])


def _domain(name: str) -> str:
    """Return the last two labels, three under a short second level (`co.uk`): near enough to tell parties apart."""
    labels = name.split(".")
    short = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3
    return ".".join(labels[-3 if short else -2 :])


def _evidence(
    named: list[Named], winner: Named | None, network: NetworkMatch | None
) -> tuple[tuple[int, str, str, str | None], ...]:
    ordered = named if winner is None else [winner, *(item for item in named if item is not winner)]
    rows = [(item.at, item.kind, item.name, item.match.rule if item.match else None) for item in ordered]
    if network is not None:
        rows = [*rows[: EVIDENCE - 1], (-1, "network", network.text, network.rule)]
    return tuple(rows[:EVIDENCE])


def _blind(
    facts: FlowFacts, winner: Named | None, named: list[Named], network: NetworkMatch | None, *, hidden: bool
) -> str | None:
    shown = [item for item in named if item.tier in {SNI, HOST}] or ([winner] if winner else [])
    tunnel = tunnel_reason(
        facts.protocol,
        facts.transport,
        facts.server_port,
        doh_name=any(item.match is not None and item.match.role == "doh" for item in shown),
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
