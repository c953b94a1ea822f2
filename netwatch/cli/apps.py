"""`netwatch apps`: the catalogue, one line an app."""

import argparse
import sys

from netwatch.model.errors import ExitCode, UsageError
from netwatch.model.text import display

KINDS = ("app", "sdk", "platform", "infra")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.set_defaults(command=run)
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="only apps whose name, id or owner has one of the words"
    )
    parser.add_argument("--control", metavar="CC", help="only apps under this country's control today, such as CN")
    parser.add_argument("--kind", choices=KINDS, help="only this kind")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> ExitCode:
    """List the apps of the catalogue."""
    import json
    from datetime import UTC, datetime

    from netwatch.runtime import signatures

    if args.control is not None and not (len(args.control) == 2 and args.control.isalpha()):
        raise UsageError(f"--control: {args.control} is no country code such as CN")
    today = datetime.now(UTC).date().isoformat()
    catalogue = signatures.load()
    rows = []
    for app in catalogue.apps():
        owner = catalogue.owner_on(app.owner_id, today)
        rows.append(
            {
                "app_id": app.id,
                "app": app.name,
                "kind": app.kind,
                "owner_id": app.owner_id,
                "owner": owner.owner if owner else None,
                "ultimate_owner": owner.ultimate_owner if owner else None,
                "control_country": owner.control_country if owner else None,
                "domicile": owner.domicile if owner else None,
            }
        )
    words = [word.lower() for word in args.words]
    control = args.control.upper() if args.control else None
    chosen = [
        row
        for row in rows
        if (not words or any(word in f"{row['app_id']} {row['app']} {row['owner']}".lower() for word in words))
        and (control is None or row["control_country"] == control)
        and (args.kind is None or row["kind"] == args.kind)
    ]
    for row in chosen:
        if args.json:
            sys.stdout.write(json.dumps(row, separators=(",", ":")) + "\n")
        else:
            owner_text = f"{display(str(row['owner']))} → {row['control_country'] or '?'}"
            sys.stdout.write(f"{row['app_id']:<26} {display(str(row['app'])):<34} {row['kind']:<9} {owner_text}\n")
    if not args.json:
        counts = catalogue.counts
        print(
            f"{len(chosen)} of {len(rows)} entries; catalogue {catalogue.version}: {counts.apps} apps and SDKs, "
            f"{counts.owners} owners, {counts.endpoints} endpoints",
            file=sys.stderr,
        )
    return ExitCode.OK
