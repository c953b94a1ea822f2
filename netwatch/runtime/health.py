"""What `netwatch doctor` looks at: one finding a check, each with the next step where something is wrong."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Final

from netwatch.engine.probes import self_test
from netwatch.model.errors import NetwatchError
from netwatch.runtime import datafiles, host, policies, signatures
from netwatch.runtime.finding import Finding

OLD_DAYS: Final = 400  # owners change hands, and addresses are handed on: older data say so


def findings(only: str | None = None, today: date | None = None) -> Iterator[Finding]:
    """Run every check, or only one. today: for tests; None: the day it is."""
    day = datetime.now(UTC).date() if today is None else today
    for name, check in CHECKS.items():
        if only not in {None, name}:
            continue
        try:
            yield from check(day)
        except (NetwatchError, OSError) as error:
            yield Finding(name, "bad", str(error), "mend what the line names, or install netwatch again")


def _catalogue(day: date) -> Iterator[Finding]:
    catalogue = signatures.load()
    counts = catalogue.counts
    known = f"{counts.apps} apps and SDKs, {counts.owners} owners, {counts.endpoints} endpoints"
    text = f"catalogue {catalogue.version}: {known}"
    yield _aged("catalogue", text, catalogue.version.replace(".", "-").partition("+")[0], day)


def _self_test(_day: date) -> Iterator[Finding]:
    tested = self_test(signatures.load(), datafiles.places())
    matched = tested.probes - len(tested.missed)
    if tested.missed:
        for line in tested.missed:
            yield Finding("self_test", "bad", line, "netwatch signatures test")
        return
    yield Finding("self_test", "ok", f"{matched} of {tested.probes} probes came back as their own app")


def _databases(day: date) -> Iterator[Finding]:
    missing = {entry.file for entry in datafiles.verify()}
    for entry in datafiles.data_files():
        if entry.file in missing:
            text, step = f"{entry.file} is missing: {entry.use} stays unknown", datafiles.MENDING
            yield Finding("databases", "bad", text, step)
        else:
            yield _aged("databases", f"{entry.name} ({entry.file}) of {entry.date}: {entry.use}", entry.date, day)


def _policies(_day: date) -> Iterator[Finding]:
    catalogue = signatures.load()
    ids = []
    for path in policies.shipped():
        policy, file = policies.load_policy(path)
        policies.check_words(policy, file, catalogue)
        ids.append(policy.id)
    if ids:
        yield Finding("policies", "ok", f"{len(ids)} policies: {', '.join(ids)}")
    else:
        yield Finding("policies", "bad", "no policy is shipped", datafiles.MENDING)


def _aged(check: str, text: str, since: str, day: date) -> Finding:
    """Say that data are old. since: `2026-06-01`, or a month."""
    try:
        made = date.fromisoformat(since if len(since) > 7 else f"{since}-01")
    except ValueError:
        return Finding(check, "old", f"{text}; its age is not known", "install the newest netwatch")
    days = (day - made).days
    if days > OLD_DAYS:
        return Finding(check, "old", f"{text}; {days} days old", "install the newest netwatch")
    return Finding(check, "ok", text)


CHECKS: Final[dict[str, Callable[[date], Iterator[Finding]]]] = {
    "catalogue": _catalogue,
    "self_test": _self_test,
    "databases": _databases,
    "policies": _policies,
    "permissions": host.permissions,
    "interface": host.interface,
    "kernel": host.sandbox,
    "clock": host.clock,
    "memory": host.memory,
}
