"""`netwatch signatures`: work on the signature files and the policies."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.cli.apps import KINDS
from netwatch.model.errors import DataError, ExitCode, SinkError
from netwatch.model.text import escaped

if TYPE_CHECKING:
    from netwatch.attribution.catalogue import Catalogue

EXAMPLES = """\
examples:
  netwatch signatures new acme/acme_chat --suffix chat.acme.example -o signatures
  netwatch signatures lint signatures && netwatch signatures test signatures
  netwatch signatures new-policy --forbid-app tiktok --forbid-app wechat > mine.toml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's actions and their options."""
    parser.epilog = EXAMPLES
    parser.set_defaults(command=run)
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)

    def action(name: str, text: str, command: Callable[[argparse.Namespace], ExitCode]) -> argparse.ArgumentParser:
        sub = actions.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            formatter_class=parser.formatter_class,
            allow_abbrev=False,
        )
        sub.set_defaults(work=command)
        return sub

    for name, text, command in (
        ("test", "check every file, and prove each by the names of its test table", _test),
        ("lint", "name every rule that a file breaks, and warn of what looks unfinished", _lint),
        ("page", "print the catalogue as a page of Markdown", _page),
    ):
        sub = action(name, text, command)
        sub.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="the signatures folder of a clone")
    new = action("new", "print a signature file to fill in, and its company's where that is new", _new)
    new.add_argument("name", metavar="COMPANY/APP", help="ids of a-z, 0-9 and _, such as acme/acme_chat")
    new.add_argument("--kind", choices=KINDS, default="app", help="what it is (default %(default)s)")
    new.add_argument("--suffix", action="append", default=[], metavar="NAME", help="a host name; may be repeated")
    new.add_argument("-o", dest="out", type=Path, metavar="FOLDER", help="write below FOLDER; no file is overwritten")
    policy = action("new-policy", "print a policy file", _new_policy)
    for key, word, text in (
        ("app", "ID", "apps that netwatch apps lists"),
        ("owner", "ID", "owners, with all below them"),
        ("control", "CC", "countries of control, such as CN"),
    ):
        policy.add_argument(
            f"--forbid-{key}", nargs="+", action="extend", default=[], metavar=word, help=f"{text}; may be repeated"
        )
    policy.add_argument(
        "--device", action="append", default=[], metavar="NAME", help="forbid it on this device only; may be repeated"
    )
    policy.add_argument("--title", metavar="T", help="what the verdict is called")
    policy.add_argument("--id", metavar="ID", help="its short name, of a-z, 0-9, - and _")


def run(args: argparse.Namespace) -> ExitCode:
    """Do one of the actions."""
    work: Callable[[argparse.Namespace], ExitCode] = args.work
    return work(args)


def _test(args: argparse.Namespace) -> ExitCode:
    from netwatch.runtime import signatures
    from netwatch.runtime.signature_lint import policy_problems

    folder = _folder(args)
    problems = signatures.self_test(folder)
    catalogue = None if problems else _catalogue(folder)
    problems += policy_problems(folder, catalogue)
    for problem in problems:
        print(escaped(problem), file=sys.stderr)
    if problems or catalogue is None:
        print(f"{len(problems)} problems")
        return ExitCode.FAIL
    counts = catalogue.counts
    print(f"{counts.apps} apps and SDKs, {counts.owners} owners, {counts.endpoints} endpoints: no problem")
    return ExitCode.OK


def _lint(args: argparse.Namespace) -> ExitCode:
    from netwatch.runtime.signature_lint import lint
    from netwatch.runtime.signatures import CLONE

    folder = _folder(args)
    if folder is None and not CLONE.is_dir():
        raise DataError(
            "signatures lint: an installed netwatch has no files to read; name the signatures folder of a clone"
        )
    findings = lint(folder or CLONE)
    for finding in findings:
        print(escaped(finding.text), file=sys.stderr)
    errors = sum(finding.is_error for finding in findings)
    print(f"{errors} errors, {len(findings) - errors} warnings")
    return ExitCode.FAIL if errors else ExitCode.OK


def _page(args: argparse.Namespace) -> ExitCode:
    from netwatch.cli.catalogue_page import page

    sys.stdout.write(page(_catalogue(_folder(args))))
    return ExitCode.OK


def _new(args: argparse.Namespace) -> ExitCode:
    from netwatch.runtime import signatures
    from netwatch.runtime.skeletons import skeleton

    files = skeleton(signatures.load(), args.name, args.kind, args.suffix)
    if args.out is None:
        sys.stdout.write("\n".join(f"# signatures/{path}\n{text}" for path, text in files.items()))
        return ExitCode.OK
    *_, last = files
    if (args.out / last).exists():
        raise SinkError(f"{args.out / last}: is there already; nothing was written")
    for path, text in files.items():
        target: Path = args.out / path
        if path != last and target.exists():  # the company's: it may be newer than the catalogue
            continue
        try:
            target.parent.mkdir(exist_ok=True)
            with target.open("x", encoding="utf-8") as stream:
                stream.write(text)
        except OSError as error:
            raise SinkError(f"{target}: {error.strerror}") from error
        print(
            escaped(f"netwatch: wrote {target}; fill in what is marked, then: netwatch signatures lint"),
            file=sys.stderr,
        )
    return ExitCode.OK


def _new_policy(args: argparse.Namespace) -> ExitCode:
    from datetime import UTC, datetime

    from netwatch.runtime import signatures
    from netwatch.runtime.skeletons import policy

    forbid = {"app": args.forbid_app, "owner": args.forbid_owner, "control_country": args.forbid_control}
    today = datetime.now(UTC).date().isoformat()
    sys.stdout.write(policy(signatures.load(), today, forbid, args.device, args.title, args.id))
    return ExitCode.OK


def _folder(args: argparse.Namespace) -> Path | None:
    folder: Path | None = args.folder
    if folder is not None and not folder.is_dir():
        raise DataError(f"{folder}: no such folder; name the signatures folder of a clone")
    return folder


def _catalogue(folder: Path | None) -> "Catalogue":
    from netwatch.runtime import signatures

    return signatures.load() if folder is None else signatures.read_folder(folder)
