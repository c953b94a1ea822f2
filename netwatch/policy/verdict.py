"""The verdict: PASS has to be earned, FAIL to be proved, and all else is INCONCLUSIVE with its reasons."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from netwatch.model.blind import EXPLAINED
from netwatch.model.records import Evidence
from netwatch.policy.documents import duration
from netwatch.policy.observed import BLOCKED, FLOW, LOOKUP, Observed, Seen, Tally, together
from netwatch.policy.rules import RANK, Claim, Grade, Rules

PASS, FAIL, INCONCLUSIVE = "PASS", "FAIL", "INCONCLUSIVE"
VIAS: Final = (FLOW, LOOKUP, BLOCKED)  # the strongest first
LIVE_WATCH: Final = 600  # seconds that a watch of a set length takes, where the policy says nothing

Coverage: TypeAlias = Mapping[str, Any]


class Watched(NamedTuple):
    """What was watched, and how well.

    coverage: of one device by its id, of all of them for None, as in the summary.   first, last: ns, None without a
    packet.   limited: live or with a set length, where `min_watch` has a default.   dropped, packets: lost, and seen.
    partial: a part of the input could not be read.   self_test: what the catalogue's own probes did not find.
    """

    coverage: Callable[[str | None], Coverage]
    first: int | None
    last: int | None
    limited: bool
    dropped: int
    packets: int
    partial: bool
    self_test: Sequence[str]

    @property
    def seconds(self) -> float:
        if self.first is None or self.last is None:
            return 0.0
        return (self.last - self.first) / 10**9


class Violation(NamedTuple):
    """What one device did against one `[[forbid]]`, from 1; evidence: best first."""

    forbid: int
    app_id: str | None
    owner_id: str | None
    control_country: str | None
    via: str
    confidence: str | None
    tally: Tally
    evidence: tuple[Evidence, ...]


class Reason(NamedTuple):
    """Why nothing firm can be said; device_id None: of all."""

    reason: str
    device_id: str | None
    bytes: int

    @property
    def text(self) -> str:
        return EXPLAINED[self.reason][0]

    @property
    def settle(self) -> str:
        return EXPLAINED[self.reason][1]


class DeviceVerdict(NamedTuple):
    """The verdict on one device."""

    seen: Seen
    verdict: str
    violations: tuple[Violation, ...]
    coverage: Coverage


class Verdict(NamedTuple):
    """The verdict on all of them; reasons: those of all devices together, then by device."""

    verdict: str
    devices: tuple[DeviceVerdict, ...]
    reasons: tuple[Reason, ...]


def judge(
    rules: Rules, observed: Observed, watched: Watched, rule_of: Callable[[str], str | None], device: str | None = None
) -> Verdict:
    """Judge what was observed by one policy.

    rule_of(name): the signature that a name meets.   device: the only one to judge, by identifier, address or name.
    """
    general = list(_general(rules, watched))
    if observed.folded:  # more devices or labels than a check tells apart
        general.append(Reason("partial_input", None, 0))
    judged: list[DeviceVerdict] = []
    reasons: list[Reason] = []
    claims: dict[str, list[tuple[Claim, str, Tally]]] = {}
    for (device_id, claim, via), tally in observed.claims.items():
        claims.setdefault(device_id, []).append((claim, via, tally))
    for device_id, seen in sorted(observed.devices.items(), key=lambda item: _rank(item[0], watched)):
        addresses = frozenset(seen.addresses)
        concerned = [n for n in range(len(rules.policy.forbid)) if rules.concerns(n, seen.device, addresses)]
        if not concerned or (device is not None and not _is(seen, device)):
            continue
        violations, weak = _device(rules, seen, concerned, claims.get(device_id, []), rule_of)
        if not seen.outside and not violations and weak is None:
            continue
        coverage = watched.coverage(device_id)
        own = list(_reasons(rules, device_id, coverage, weak))
        verdict = FAIL if violations else INCONCLUSIVE if own or general else PASS
        judged.append(DeviceVerdict(seen, verdict, tuple(violations), coverage))
        reasons += own
    if not judged:
        general.insert(0, Reason("inactive", None, 0))
    verdicts = {one.verdict for one in judged}
    whole = FAIL if FAIL in verdicts else INCONCLUSIVE if general or INCONCLUSIVE in verdicts else PASS
    return Verdict(whole, tuple(judged), (*general, *reasons))


def _rank(device_id: str, watched: Watched) -> tuple[int, str]:
    return -int(watched.coverage(device_id)["bytes"]), device_id


def _is(seen: Seen, word: str) -> bool:
    word = word.casefold()
    identifier = seen.device.device_id.casefold()
    return word in {identifier, identifier.partition(":")[2], (seen.device.device_name or "").casefold()} or (
        word in seen.addresses
    )


def _general(rules: Rules, watched: Watched) -> Iterator[Reason]:
    """Yield what keeps every device from a PASS."""
    needs = rules.policy.coverage
    if watched.self_test:
        yield Reason("self_test", None, 0)
    if watched.partial:
        yield Reason("partial_input", None, 0)
    if watched.dropped and watched.dropped > needs.max_drop * (watched.packets + watched.dropped):
        yield Reason("dropped", None, 0)
    wanted = LIVE_WATCH if watched.limited else 0
    if needs.min_watch is not None:
        wanted = duration(needs.min_watch)
    if wanted and watched.seconds < wanted:
        yield Reason("short_watch", None, 0)


def _reasons(rules: Rules, device_id: str, coverage: Coverage, weak: Tally | None) -> Iterator[Reason]:
    """Yield what keeps one device from a PASS."""
    needs = rules.policy.coverage
    if weak is not None:
        yield Reason("weak_evidence", device_id, weak.bytes)
    if not coverage["bytes"]:
        if needs.require_active:
            yield Reason("inactive", device_id, 0)
        return
    if coverage["named_bytes"] >= needs.min_named_bytes * coverage["bytes"]:
        return
    blind = sorted(coverage["by_blind"].items(), key=lambda item: (-item[1]["bytes"], item[0]))
    for reason, sums in blind:
        yield Reason(reason, device_id, sums["bytes"])
    doubtful = coverage["by_evidence"].get("dns_answer_other")
    if weak is None and doubtful is not None:  # named by what another device was told: that names nothing for sure
        yield Reason("weak_evidence", device_id, doubtful["bytes"])


def _device(
    rules: Rules, seen: Seen, concerned: Sequence[int], claims: Sequence[tuple[Claim, str, Tally]],
    rule_of: Callable[[str], str | None],
) -> tuple[list[Violation], Tally | None]:  # fmt: skip
    """Return the violations of one device, and the sums of what points to one without proving it."""
    proved: dict[tuple[int, str | None, str | None, str | None], list[tuple[Claim, str, Tally]]] = {}
    weak: dict[int, Tally] = {}
    addresses = frozenset(seen.addresses)
    for at, (claim, via, tally) in enumerate(claims):
        if via != FLOW and not rules.policy.attempts:
            continue
        for number in concerned:
            grade = rules.grade(number, claim, tally.first)
            if grade is Grade.NONE or rules.allowed(claim, grade, tally.first, seen.device, addresses):
                continue
            if grade is Grade.FULL and rules.proves(claim):
                key = (number, claim.app_id, claim.owner_id, claim.control_country)
                proved.setdefault(key, []).append((claim, via, tally))
            elif via == FLOW or grade is Grade.FULL:
                weak[at] = tally
    violations = [_violation(key, parts, rule_of) for key, parts in proved.items()]
    violations.sort(key=lambda one: (one.forbid, -one.tally.bytes, one.app_id or "", one.owner_id or ""))
    return violations, together(*weak.values()) if weak else None


def _violation(
    key: tuple[int, str | None, str | None, str | None], parts: list[tuple[Claim, str, Tally]],
    rule_of: Callable[[str], str | None],
) -> Violation:  # fmt: skip
    """Join what one device did against one row: the strongest way and evidence first."""
    parts.sort(key=lambda part: (VIAS.index(part[1]), -RANK[part[0].confidence], part[2].first))
    best, via, _ = parts[0]
    number, app_id, owner_id, control = key
    tally = together(*(tally for _, _, tally in parts))
    evidence = tuple(
        piece._replace(rule=rule_of(piece.value)) if piece.kind == "dns_query" else piece
        for piece in tally.evidence.values()
    )
    return Violation(number + 1, app_id, owner_id, control, via, best.confidence, tally, evidence)
