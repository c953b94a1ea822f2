"""What a run saw, as all sections of the page ask for it."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeAlias

from netwatch.places.device import is_random
from netwatch.sinks.report.markup import NOTHING, Html, joined, plain, wire
from netwatch.sinks.report.tally import Tally, Who

Record: TypeAlias = Mapping[str, Any]

DEVICES_SHOWN: Final = 100
ROWS_SHOWN: Final = 500  # of all devices together
ROWS_OF_DEVICE: Final = 60
OWNERS_SHOWN: Final = 100
NAME_WIDTH: Final = 60  # cells of a device's name or vendor
COUNTED: Final = frozenset(("app", "sdk"))  # kinds that count as apps (DESIGN section 4)


class Group(NamedTuple):
    """An app, else an owner, else all that nothing is known of, on one device: rows of `cross`."""

    who: Who
    app: Record | None
    owner: Record | None
    rows: list[Record]
    flows: int
    lookups: int
    out: int
    back: int

    @property
    def nameless(self) -> bool:
        return self.app is None and self.owner is None


class Facts:
    """The summary record, the tally and the verdict (None: nobody asked), put in order for the page."""

    def __init__(self, summary: Record, tally: Tally, verdict: Record | None) -> None:
        self.summary, self.tally, self.verdict = summary, tally, verdict
        self.apps = {row["app_id"]: row for row in summary["apps"]}
        self.owners = {row["owner_id"]: row for row in summary["owners"]}
        self.owner_rows = sorted(summary["owners"], key=_sent)
        self.owner_at = {row["owner_id"]: at for at, row in enumerate(self.owner_rows[:OWNERS_SHOWN])}
        self.devices = {row["device_id"]: row for row in summary["devices"]}
        self.out = sum(row["bytes_out"] for row in summary["devices"])
        self.back = sum(row["bytes_in"] for row in summary["devices"])
        self.violations: dict[Who, list[Record]] = {}
        for device in verdict["devices"] if verdict else ():
            for one in device["violations"]:
                who = Who(device["device_id"], one["app_id"], one["owner_id"])
                self.violations.setdefault(who, []).append(one)
        self.groups = self._groups()
        self.shown, self.cut = self._shown()

    def _groups(self) -> dict[str | None, list[Group]]:
        """Return the groups of each device: what the policy forbids first, then by bytes sent; the nameless last."""
        found: dict[Who, list[Record]] = {}
        for row in self.summary["cross"]:
            found.setdefault(Who(row["device_id"], row["app_id"], row["owner_id"]), []).append(row)
        groups: dict[str | None, list[Group]] = {device_id: [] for device_id in self.devices}
        for who, rows in found.items():
            groups.setdefault(who.device_id, []).append(
                Group(
                    who,
                    self.apps.get(who.app_id),
                    self.owners.get(who.owner_id),
                    rows,
                    *(sum(row[key] for row in rows) for key in ("flows", "lookups", "bytes_out", "bytes_in")),
                )
            )
        for some in groups.values():
            some.sort(key=self._rank)
        return groups

    def _rank(self, group: Group) -> tuple[bool, bool, int, int, int, str, str]:
        who = group.who
        forbidden = who in self.violations
        sums = (-group.out, -group.back, -group.lookups)
        return not forbidden, group.nameless, *sums, who.app_id or "", who.owner_id or ""

    def _shown(self) -> tuple[dict[str | None, list[Group]], int]:
        """Return the groups that the page has room for, devices that break the policy first, and how many are cut."""
        order = sorted(self.groups, key=lambda device: not any(g.who in self.violations for g in self.groups[device]))
        shown: dict[str | None, list[Group]] = {}
        room = ROWS_SHOWN
        for device_id in order[:DEVICES_SHOWN]:
            if room:
                shown[device_id] = self.groups[device_id][: min(room, ROWS_OF_DEVICE)]
                room -= len(shown[device_id])
        cut = sum(len(some) for some in self.groups.values()) - sum(len(some) for some in shown.values())
        return shown, cut

    def device(self, device_id: str | None) -> Html:
        """Return a device's name, or its identifier where it has none."""
        row = self.devices.get(device_id)
        if device_id is None:
            return plain("further devices")
        name = row["device_name"] if row is not None else None
        return wire(name or device_id, NAME_WIDTH)

    def device_about(self, device_id: str | None) -> Html:
        """Return what stands beside the name: identifier, vendor or that the address is a random one."""
        row = self.devices.get(device_id)
        if row is None or device_id is None:
            return NOTHING
        about = [wire(device_id, NAME_WIDTH)] if row["device_name"] else []
        if _random(device_id):
            about.append(plain("randomised address"))
        elif row["device_vendor"]:
            about.append(wire(row["device_vendor"], NAME_WIDTH))
        return joined(about, ", ")

    def who(self, who: Who) -> Html:
        """Return the name of an app, else of an owner's network, else that nothing is known."""
        app, owner = self.apps.get(who.app_id), self.owners.get(who.owner_id)
        if app is not None:
            return wire(app["app"], NAME_WIDTH)
        if owner is not None:
            return joined((wire(owner["owner"], NAME_WIDTH), plain(" (owner only)")))
        return plain("Not in the catalogue")


def _sent(row: Record) -> tuple[int, int, str]:
    return -row["bytes_out"], -row["bytes_in"], row["owner_id"] or ""


def _random(device_id: str) -> bool:
    if device_id.startswith("mac:"):
        with suppress(ValueError):
            return is_random(int(device_id[4:].replace(":", ""), 16))
    return False
