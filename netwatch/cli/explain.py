"""`netwatch explain`: what is known of a name or an address, and from which rule."""

import argparse
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from netwatch.attribution.catalogue import Catalogue
from netwatch.cli.options import add_data_options
from netwatch.model.errors import ExitCode, UsageError
from netwatch.model.text import display

if TYPE_CHECKING:
    from netwatch.places.places import Places

Answer = dict[str, object]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.set_defaults(command=run)
    parser.add_argument("names", nargs="+", metavar="NAME_or_IP", help="what to explain; - reads one a line from stdin")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, in the order of the input")
    parser.add_argument("--date", metavar="DAY", help="owners as of this day, such as 2021-06-30 (default: today)")
    add_data_options(parser)


def run(args: argparse.Namespace) -> ExitCode:
    """Explain each name."""
    from netwatch.attribution.explain import explain
    from netwatch.runtime import signatures

    day = _day(args.date)
    catalogue = signatures.load()
    place = _Place(args.geo)
    for text in _inputs(args.names):
        answer = explain(catalogue, text, day, place)
        if args.json:
            import json

            sys.stdout.write(json.dumps(answer, separators=(",", ":")) + "\n")
        else:
            sys.stdout.write("\n".join(_lines(catalogue, answer, day)) + "\n")
    return ExitCode.OK


class _Place:
    """Looks a place up; the databases are opened for the first address."""

    def __init__(self, geo: list[str]) -> None:
        self._geo = geo
        self._places = None if not geo else self._open()  # a database that the user names is opened at once

    def __call__(self, address: int) -> tuple[str | None, int | None]:
        places = self._places = self._places or self._open()
        found = places.describe([address])[0]
        return found.server_country, found.asn

    def _open(self) -> "Places":
        from netwatch.runtime.datafiles import places

        return places(self._geo)


def _day(text: str | None) -> str:
    if text is None:
        from datetime import UTC, datetime

        return datetime.now(UTC).date().isoformat()
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", text):
        raise UsageError(f"--date: {text} is no day such as 2025-11-24")
    return text


def _inputs(names: list[str]) -> Iterator[str]:
    for name in names:
        if name == "-":
            yield from filter(None, (line.strip() for line in sys.stdin))
        else:
            yield name


def _lines(catalogue: Catalogue, answer: Answer, day: str) -> Iterator[str]:
    """Write one answer for a person."""
    yield display(str(answer["input"]))
    owner_id = answer["owner_id"]
    if answer["app_id"] is None and owner_id is None:
        yield "  not in the catalogue: nothing is claimed about it"
    if answer["app_id"] is not None:
        yield f"  app       {display(str(answer['app']))} ({answer['kind']}), {answer['role']}"
    if isinstance(owner_id, str):
        yield from _owner(catalogue, owner_id, answer, day)
    if answer["rule"] is not None:
        yield f"  rule      {answer['rule']}, confidence {answer['confidence']}"
    if isinstance(answer["app_id"], str):
        yield from _collects(catalogue, answer["app_id"])
    if answer["server_country"] is not None or answer["asn"] is not None:
        network = f"AS{answer['asn']}, " if answer["asn"] is not None else ""
        country = answer["server_country"]
        where = "no place known" if country is None else f"estimated in {country} (not the owner's country)"
        yield f"  server    {network}{where}"


def _owner(catalogue: Catalogue, owner_id: str, answer: Answer, day: str) -> Iterator[str]:
    top = "" if answer["ultimate_owner"] == answer["owner"] else f", part of {display(str(answer['ultimate_owner']))}"
    yield f"  owner     {display(str(answer['owner']))}{top}"
    yield f"  control   {answer['control_country'] or 'unknown'} (as of {day})"
    company = catalogue.documents.companies.get(owner_id)
    for row in company.control if company else ():
        if row.region == "*":
            until = f" to {row.until}" if row.until else ""
            basis = f"{row.basis} [{', '.join(row.sources)}]"
            yield f"            from {row.since}{until}: {row.control_country}, {display(row.entity)}: {display(basis)}"
    for row in catalogue.regional(owner_id, day):
        share = f", {row.share}" if row.share else ""
        who = display(row.entity + share)
        yield f"            in {row.region} from {row.since}: {who} (the answer stays as above)"
    for stake in catalogue.investors(owner_id, day):
        yield f"  investor  {display(stake.name)}: {display(stake.share)} since {stake.since}" + (
            f", as of {stake.as_of}" if stake.as_of else ""
        )


def _collects(catalogue: Catalogue, app_id: str) -> Iterator[str]:
    document = catalogue.documents.apps.get(app_id)
    for row in document[1].app.data if document else ():
        yield f"  collects  {row.category}: {display(row.basis)} [{display(', '.join(row.sources))}]"
