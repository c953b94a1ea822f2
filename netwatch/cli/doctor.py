"""`netwatch doctor`: whether everything that a verdict and a live capture rest on is there and works."""

import argparse
import sys

from netwatch.model.errors import ExitCode
from netwatch.model.text import escaped

MARKS = {"ok": "ok ", "old": "old", "no": "no ", "bad": "BAD"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.set_defaults(command=run)
    parser.add_argument(
        "--self-test", action="store_true", help="only this: the catalogue's own names, as packets, through the engine"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> ExitCode:
    """Run the checks; 1 where one of them is bad."""
    import json

    from netwatch.runtime.health import findings

    bad = False
    for finding in findings(only="self_test" if args.self_test else None):
        bad |= finding.state == "bad"
        if args.json:
            sys.stdout.write(json.dumps(finding._asdict(), separators=(",", ":")) + "\n")
            continue
        step = f"\n    next: {escaped(finding.step)}" if finding.step else ""
        print(f"{MARKS[finding.state]} {finding.check:<11} {escaped(finding.text)}{step}")
    return ExitCode.FAIL if bad else ExitCode.OK
