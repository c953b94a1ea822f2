"""What every format says of a verdict, in the same words."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from netwatch.model.errors import ExitCode
from netwatch.model.figures import size
from netwatch.model.text import display

Verdict: TypeAlias = Mapping[str, Any]
"""What `check --json` prints (DESIGN section 7); `limits` beside it: what was not seen and changed no verdict."""
Row: TypeAlias = Mapping[str, Any]

EXIT_CODES: Final = {"PASS": ExitCode.OK, "FAIL": ExitCode.FAIL, "INCONCLUSIVE": ExitCode.PARTIAL}
NOT_SEEN: Final = 'Not seen is never "not installed".'
WHOLE: Final = "the capture as a whole"
FURTHER: Final = "further devices"  # beyond the number that is kept apart
EVIDENCE: Final = {
    "sni": "SNI",
    "quic_sni": "QUIC SNI",
    "http_host": "HTTP host",
    "certificate": "certificate of",
    "dns_answer": "DNS answer",
    "dns_answer_other": "another's or an expired DNS answer",
    "dns_query": "DNS question",
    "network": "network",
}
EVIDENCE_SHOWN: Final = 3  # pieces a violation; JSON and SARIF hold all of them


class Names(NamedTuple):
    """What apps and owners are called, by id; an id that is not here stands for itself."""

    apps: Mapping[str, str]
    owners: Mapping[str, str]


NO_NAMES: Final = Names({}, {})


class Group(NamedTuple):
    """A device, or what is no device's, with all that is said of it. row: None for what was never seen.

    verdict: of the device; INCONCLUSIVE where a reason names no judged device.
    """

    label: str
    verdict: str
    row: Row | None
    reasons: list[Row]
    limits: list[Row]


def shown(text: str) -> str:
    """Make a text of any length fit for a screen: each of its words is as `display` has it."""
    return " ".join(display(word) for word in text.split(" "))


def exit_code(verdict: Verdict) -> int:
    """Return what `check` ends with."""
    return int(EXIT_CODES[verdict["verdict"]])


def title(verdict: Verdict) -> str:
    """Return the title of the policy, else its id."""
    return shown(verdict["policy"].get("title") or verdict["policy"]["id"])


def source(verdict: Verdict) -> str:
    """Say which policy it is, of what day, from which file."""
    policy = verdict["policy"]
    of = f" of {display(policy['date'])}" if policy.get("date") else ""
    return f"policy {display(policy['id'])}{of}, {shown(policy['source'])}"


def span(verdict: Verdict) -> str:
    """Say what was looked at, and for how long."""
    row, ledger = verdict["span"], verdict["ledger"]
    dropped = sum(ledger.get(key) or 0 for key in ("kernel_dropped", "queue_dropped"))
    packets = f"{ledger['seen']:,} packets" + (f" and {dropped:,} dropped" if dropped else "")
    if row["first"] is None:
        return f"seen: {packets}"
    first, last = stamp(row["first"], dated=True)[:19], stamp(row["last"], dated=True)[:19]
    last = last[11:] if first[:10] == last[:10] else last
    return f"seen: {packets}, {first} to {last} UTC ({duration(row['seconds'])})"


def duration(seconds: float) -> str:
    """Write seconds as `14.5 s`, `12 m 41 s` or `3 h 5 m`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} m {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} m"


def stamp(time: str, *, dated: bool) -> str:
    """Write an RFC 3339 time to the millisecond, with its day where that is not clear."""
    return f"{time[:10]} {time[11:23]}" if dated else time[11:23]


def several_days(verdict: Verdict) -> bool:
    """Tell whether times need their day."""
    row = verdict["span"]
    return row["first"] is not None and row["first"][:10] != row["last"][:10]


def device(row: Row) -> str:
    """Say which device: its name and its id."""
    identifier = display(row["device_id"] or FURTHER)
    return f"{display(row['device_name'])} ({identifier})" if row.get("device_name") else identifier


def who(violation: Row, names: Names) -> str:
    """Say whose traffic broke the policy: app, owner and the country that controls it."""
    owner = violation["owner_id"]
    owned = f"{display(names.owners.get(owner, owner))} → {violation['control_country'] or '?'}" if owner else ""
    app = violation["app_id"]
    if not app:
        return f"no app known of {owned}" if owned else "no app known"
    called = display(names.apps.get(app, app))
    return f"{called} ({owned})" if owned else called


def did(violation: Row) -> str:
    """Say what it did: sent bytes, or asked for its name."""
    via = violation["via"]
    if via == "blocked_lookup":
        return "asked for its name, the local resolver refused"
    if via == "lookup":
        return "asked for its name, no flow seen"
    sent, received = size(violation["bytes_out"]), size(violation["bytes_in"])
    return f"sent {sent} in {counted(violation['flows'])}, received {received}"


def counted(flows: int) -> str:
    """Write `1 flow` or `12 flows`."""
    return f"{flows:,} {'flow' if flows == 1 else 'flows'}"


def circumstances(violation: Row, *, dated: bool) -> str:
    """Say which rule of the policy is broken, how sure that is, and when."""
    first, last = (stamp(violation[end], dated=dated)[:-4] for end in ("first", "last"))
    when = first if first == last else f"{first} to {last}"
    return f"forbid {violation['forbid']}, confidence {violation['confidence'] or 'unknown'}, {when}"


def evidence(violation: Row, *, dated: bool) -> Iterator[str]:
    """Say how that is known: the best pieces of evidence, and how many more there are."""
    pieces = violation["evidence"]
    for piece in pieces[:EVIDENCE_SHOWN]:
        where = [f"packet {piece['packet']}"] if piece["packet"] is not None else []
        kind = EVIDENCE.get(piece["kind"], display(piece["kind"]))
        rule = [f"rule {shown(piece['rule'])}"] if piece["rule"] else []
        yield ", ".join([*where, stamp(piece["time"], dated=dated), f"{kind} {display(piece['value'])}", *rule])
    more = len(pieces) - EVIDENCE_SHOWN
    if more > 0:
        yield f"and {more} more {'piece' if more == 1 else 'pieces'} of evidence"


def named(coverage: Row) -> str:
    """Say how much of what left the local network has a name."""
    if coverage["named_share"] is None:
        return "nothing to or from the outside"
    return f"{coverage['named_share']:.1%} of {size(coverage['bytes'])} to and from the outside named"


def hidden(coverage: Row) -> list[tuple[str, int, int]]:
    """Return what hid the rest: (reason, flows, bytes), the most bytes first."""
    rows = [(reason, row["flows"], row["bytes"]) for reason, row in coverage["by_blind"].items()]
    return sorted(rows, key=lambda row: (-row[2], row[0]))


def reason(row: Row) -> str:
    """Say what is not settled, and why."""
    size_text = f" ({size(row['bytes'])})" if row["bytes"] else ""
    return f"{display(row['reason'])}{size_text}: {shown(row['text'])}"


def limit(row: Row) -> str:
    """Say what was not seen and changed no verdict."""
    size_text = f" ({size(row['bytes'])})" if row["bytes"] else ""
    return f"{display(row['limit'])}{size_text}: {shown(row['text'])}"


def headline(verdict: Verdict) -> str:
    """Say in a sentence how many devices fail and how many could not be judged."""
    counts = dict.fromkeys(EXIT_CODES, 0)
    for row in verdict["devices"]:
        counts[row["verdict"]] += 1
    return f"{counts['FAIL']} fail, {counts['INCONCLUSIVE']} inconclusive, {counts['PASS']} pass"


def groups(verdict: Verdict) -> list[Group]:
    """Sort what is said by device; what is no judged device's stands at the end.

    There is always one group whose verdict is that of the whole, so that no reader of groups alone sees a PASS where
    none was earned.
    """
    reasons, limits = _by_device(verdict["reasons"]), _by_device(verdict.get("limits") or ())
    out = []
    for row in verdict["devices"]:
        key = row["device_id"]
        found = Group(device(row), row["verdict"], row, reasons.pop(key, []), limits.pop(key, []))
        out.append(found)
    for key in dict.fromkeys([*reasons, *limits]):
        label = WHOLE if key is None else display(key) or FURTHER
        word = "INCONCLUSIVE" if key in reasons else ""
        out.append(Group(label, word, None, reasons.get(key, []), limits.get(key, [])))
    if verdict["verdict"] not in {group.verdict for group in out}:
        out.append(Group(WHOLE, verdict["verdict"], None, [], []))
    return out


def _by_device(rows: Any) -> dict[str | None, list[Row]]:
    out: dict[str | None, list[Row]] = {}
    for row in rows:
        out.setdefault(row["device_id"], []).append(row)
    return out
