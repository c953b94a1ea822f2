"""`netwatch signatures`: work on the signature files."""

import argparse
import sys
from pathlib import Path

from netwatch.model.errors import DataError, ExitCode
from netwatch.model.text import escaped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.set_defaults(command=run)
    parser.add_argument("action", choices=("test",), help="test: check every file, and its own [test] table")
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="the signatures folder of a clone")


def run(args: argparse.Namespace) -> ExitCode:
    """Check the signatures: those of a folder, else the ones that netwatch uses."""
    from netwatch.runtime import signatures

    folder: Path | None = args.folder
    if folder is not None and not folder.is_dir():
        raise DataError(f"{folder}: no such folder; name the signatures folder of a clone")
    problems = signatures.self_test(folder)
    for problem in problems:
        print(escaped(problem), file=sys.stderr)
    if problems:
        print(f"{len(problems)} problems")
        return ExitCode.FAIL
    counts = (signatures.load() if folder is None else signatures.read_folder(folder)).counts
    print(f"{counts.apps} apps and SDKs, {counts.owners} owners, {counts.endpoints} endpoints: no problem")
    return ExitCode.OK
