"""`netwatch signatures`: work on the signature files."""

import argparse
import sys
from pathlib import Path

from netwatch.model.errors import ExitCode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.set_defaults(command=run)
    parser.add_argument("action", choices=("test",), help="test: check every file, and its own [test] table")
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="the signatures folder of a clone")


def run(args: argparse.Namespace) -> ExitCode:
    """Check the signatures: those of a folder, else the ones that netwatch uses."""
    from netwatch.runtime import signatures

    problems = signatures.self_test(args.folder) if args.folder else signatures.self_test()
    for problem in problems:
        print(problem, file=sys.stderr)
    catalogue = signatures.load()
    counts = catalogue.counts
    state = f"{len(problems)} problems" if problems else "no problem"
    print(f"{counts.apps} apps and SDKs, {counts.owners} owners, {counts.endpoints} endpoints: {state}")
    return ExitCode.FAIL if problems else ExitCode.OK
