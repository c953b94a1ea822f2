"""A check: captures through a replay, a policy over its records, a verdict at the end."""

from collections.abc import Sequence
from typing import Final

from netwatch.attribution.catalogue import Catalogue, Dated, Match
from netwatch.attribution.days import day_of
from netwatch.engine.probes import Probed, self_test
from netwatch.model.records import FlowBatch, Release
from netwatch.places.local import LocalNetworks
from netwatch.places.places import Places
from netwatch.policy.limitations import limitations
from netwatch.policy.observed import Observed
from netwatch.policy.rules import Claim, Grade, Rules
from netwatch.policy.verdict import Watched, judge
from netwatch.runtime.policies import Loaded, named_apps
from netwatch.runtime.session import End
from netwatch.sinks.verdict import verdict_record

LINES: Final = 8_192  # owners on a day that are at hand


class PolicyJudge:
    """Follows one run for one policy.

    device: the only one to judge.   limited: the watch has a set length.   tested: what `test` found, None: not yet.
    """

    def __init__(
        self, loaded: Loaded, catalogue: Catalogue, places: Places, local_nets: Sequence[str] = (),
        *, device: str | None = None, limited: bool = False, tested: Probed | None = None,
    ) -> None:  # fmt: skip
        self._judge_by(loaded, catalogue, places)
        self._observed = Observed(LocalNetworks(local_nets), self._wanted)
        self._device = device
        self._limited = limited
        self._tested = tested
        self._renewed = False  # what was seen before was not kept for the policy that counts now

    def _judge_by(self, loaded: Loaded, catalogue: Catalogue, places: Places) -> None:
        policy = loaded.policy
        owners = {app_id: app.owner_id for app_id in named_apps(policy) if (app := catalogue.app(app_id)) is not None}
        self._loaded = loaded
        self._catalogue = catalogue
        self._places = places
        self._rules = Rules(policy, owners, self._lineage)
        self._lines: dict[tuple[str, str | None], frozenset[str]] = {}

    def renew(self, loaded: Loaded, catalogue: Catalogue, places: Places) -> None:
        """Go on with another policy and catalogue.

        What the policy before did not ask for was not kept: with another one, no PASS is left, as if of a part.
        """
        self._renewed |= loaded.policy != self._loaded.policy
        self._judge_by(loaded, catalogue, places)
        self._observed.ask(self._wanted)
        self._tested = self.test()

    def add(self, release: Release) -> None:
        """Take the records of one release."""
        self._observed.add(release)

    def prepare(self) -> None:
        """Test the catalogue now: what that takes may be out of reach at the end."""
        if self._tested is None:
            self._tested = self.test()

    def verdict(self, end: End) -> dict[str, object]:
        """Return the verdict as `check --json` prints it."""
        return self._verdict(end, self._observed)

    def preview(self, end: End, live: Sequence[FlowBatch]) -> dict[str, object]:
        """Return the verdict as it would be if the flows that are under way ended now."""
        observed = self._observed.copy()
        for batch in live:
            observed.add(Release(batch, []))
        return self._verdict(end, observed)

    def _verdict(self, end: End, observed: Observed) -> dict[str, object]:
        tested = self.test() if self._tested is None else self._tested
        ledger = end.ledger
        watched = Watched(
            coverage=end.coverage,
            first=end.first,
            last=end.last,
            limited=self._limited,
            dropped=(ledger.kernel_dropped or 0) + ledger.queue_dropped,
            packets=sum(ledger.states),
            partial=end.partial or self._renewed,
            self_test=tested.missed,
        )
        said = judge(self._rules, observed, watched, self._rule_of, self._device)
        limits = limitations(observed, [one.seen.device.device_id for one in said.devices])
        policy, source = self._loaded
        return verdict_record(said, policy, source, watched, limits, end.record, tested.probes)

    def test(self) -> Probed:
        """Test that every row of the policy meets names of the catalogue, and that an engine knows these."""
        met: set[int] = set()

        def asked(match: Match) -> bool:
            rows = self._met(match)
            met.update(rows)
            return bool(rows)

        probes, missed = self_test(self._catalogue, self._places, asked)
        rows = range(1, len(self._loaded.policy.forbid) + 1)
        idle = [f"[[forbid]] {number} meets no name in the catalogue" for number in rows if number - 1 not in met]
        return Probed(probes, (*missed, *idle))

    def _met(self, match: Match) -> list[int]:
        """Return the rows of the policy that an endpoint is wholly what they forbid, on some day."""
        app = match.app
        countries: set[str | None] = {row.country for row in self._controls(app.owner_id)}
        return [
            number
            for number in range(len(self._loaded.policy.forbid))
            if any(
                self._rules.grade(
                    number,
                    Claim(app.id, app.kind, match.role, app.owner_id, country, match.confidence, "sni"),
                    None,
                )
                is Grade.FULL
                for country in countries or {None}
            )
        ]

    def _controls(self, owner_id: str) -> list[Dated]:
        """Return the rows of control of an owner and of every company that was above it."""
        owners = (self._catalogue.owner(one) for one in self._lineage(owner_id, None))
        return [row for owner in owners if owner is not None for row in owner.control]

    def _wanted(self, claim: Claim) -> bool:
        """Tell whether any row asks about a claim, whoever its owner belonged to on the day."""
        rows = range(len(self._loaded.policy.forbid))
        return any(self._rules.grade(number, claim, None) is not Grade.NONE for number in rows)

    def _lineage(self, owner_id: str, time: int | None) -> frozenset[str]:
        """Return an owner and the companies above it on the day of a time, ever for None."""
        day = None if time is None else day_of(time)
        known = self._lines.get((owner_id, day))
        if known is None:
            if day is None:
                known = self._catalogue.ever_above(owner_id)
            else:
                owner = self._catalogue.owner_on(owner_id, day)
                known = frozenset((owner_id, *(owner.ancestors if owner is not None else ())))
            if len(self._lines) >= LINES:
                self._lines.clear()
            self._lines[owner_id, day] = known
        return known

    def _rule_of(self, name: str) -> str | None:
        match = self._catalogue.match(name)
        return None if match is None else match.rule
