"""Whether a label is what a policy forbids, and how surely (DESIGN section 7, the settled readings)."""

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from netwatch.model.records import Device
from netwatch.policy.documents import Match, Policy

RANK: Final = {None: 0, "low": 1, "medium": 2, "high": 3}
APPS: Final = frozenset(("app", "sdk"))  # what counts as an app where a policy names no kind

Lineage: TypeAlias = Callable[[str, int | None], frozenset[str]]
"""lineage(owner_id, time): the owner and the companies above it on that day, on any day for None."""


class Grade(IntEnum):
    """How far a label meets a rule.

    OWNER: it says no more than whose the other end is: a network, an operator, a name that several products share.
    """

    NONE = 0
    OWNER = 1
    FULL = 2


class Claim(NamedTuple):
    """What of a label a policy asks about; source: kind of the evidence that the label rests on, None for a network."""

    app_id: str | None
    app_kind: str | None
    role: str | None
    owner_id: str | None
    control_country: str | None
    confidence: str | None
    source: str | None


class Rules:
    """The rows of one policy. owners: app id -> owner id, of every app that the policy names."""

    def __init__(self, policy: Policy, owners: Mapping[str, str], lineage: Lineage) -> None:
        self.policy: Final = policy
        self._owners = owners
        self._lineage = lineage
        self._minimum = RANK[policy.min_confidence]
        self._forbid = [_Row(row, APPS) for row in policy.forbid]
        self._allow = [_Row(row, None) for row in policy.allow]

    def grade(self, number: int, claim: Claim, time: int | None) -> Grade:
        """Tell how far a label meets `[[forbid]]` number `number`, from 0, whatever the device."""
        return self._grade(self._forbid[number], claim, time)

    def concerns(self, number: int, device: Device, addresses: frozenset[str]) -> bool:
        """Tell whether `[[forbid]]` number `number` is about a device, and nothing allows it everything."""
        if not self._forbid[number].is_about(device, addresses):
            return False
        return not any(row.is_bare and row.is_about(device, addresses) for row in self._allow)

    def allowed(self, claim: Claim, grade: Grade, time: int, device: Device, addresses: frozenset[str]) -> bool:
        """Tell whether an `[[allow]]` takes out what a `[[forbid]]` met with this grade."""
        return any(row.is_about(device, addresses) and self._grade(row, claim, time) >= grade for row in self._allow)

    def proves(self, claim: Claim) -> bool:
        """Tell whether the evidence of a label is enough for a violation.

        Another device's answer never is, nor a label that several names weakened: an answer or a certificate that is
        shared says `low`, whatever the policy asks for.
        """
        if RANK[claim.confidence] < self._minimum or claim.source in {None, "network", "dns_answer_other"}:
            return False
        return claim.confidence != "low" or claim.source not in {"dns_answer", "certificate"}

    def _grade(self, row: "_Row", claim: Claim, time: int | None) -> Grade:
        if row.is_bare:
            return Grade.FULL
        if claim.owner_id is None:
            return Grade.NONE
        lineage = self._lineage(claim.owner_id, time)
        if not row.holds("control_country", claim.control_country):
            return Grade.NONE
        if row.owner is not None and not row.owner & lineage:
            return Grade.NONE
        if claim.app_id is None:
            return self._owner_alone(row, lineage, time)
        if not (row.holds("app", claim.app_id) and row.holds("role", claim.role)):
            return Grade.NONE
        if row.kind is None or claim.app_kind in row.kind:
            return Grade.FULL
        return Grade.OWNER if row.by_default and row.app is None and row.names_owner else Grade.NONE

    def _owner_alone(self, row: "_Row", lineage: frozenset[str], time: int | None) -> Grade:
        """Grade a label without an app: its owner may be the one of an app that the row names."""
        if row.app is not None:
            families = (self._lineage(self._owners[app], time) for app in row.app if app in self._owners)
            return Grade.OWNER if any(family & lineage for family in families) else Grade.NONE
        return Grade.OWNER if row.names_owner else Grade.NONE


class _Row:
    """A row with its words as sets; kinds: what holds where it names none, None for any."""

    def __init__(self, row: Match, kinds: frozenset[str] | None) -> None:
        self.app = row.words("app")
        self.owner = row.words("owner")
        self.control_country = row.words("control_country")
        self.role = row.words("role")
        kind = row.words("kind")
        self.by_default = kind is None
        self.kind = (kinds if self.app is None else None) if kind is None else kind
        devices = row.words("devices")
        self._devices = None if devices is None else frozenset(word.casefold() for word in devices)
        given = (self.app, self.owner, self.control_country, self.role, kind)
        self.is_bare = kinds is None and all(words is None for words in given)  # it names devices alone
        self.names_owner = self.owner is not None or self.control_country is not None

    def holds(self, key: str, value: str | None) -> bool:
        words: frozenset[str] | None = getattr(self, key)
        return words is None or value in words

    def is_about(self, device: Device, addresses: frozenset[str]) -> bool:
        if self._devices is None:
            return True
        identifier = device.device_id.casefold()
        words = {identifier, identifier.partition(":")[2], (device.device_name or "").casefold(), *addresses}
        return bool(self._devices & words)
