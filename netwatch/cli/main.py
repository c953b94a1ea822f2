"""Parse a command line, run one command, turn errors into exit codes."""

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final, NoReturn

from netwatch import __version__
from netwatch.model.errors import ExitCode, NetwatchError, UsageError
from netwatch.model.text import escaped

# one line a command: name -> (module, what it does)
COMMANDS: Final = {
    "replay": ("netwatch.cli.replay", "read captures: which apps talked, whose they are, and how we know"),
    "watch": ("netwatch.cli.watch", "capture live: which apps talk, as it happens"),
    "check": ("netwatch.cli.check", "judge captures by a policy: PASS, FAIL or INCONCLUSIVE, each with its evidence"),
    "explain": ("netwatch.cli.explain", "say what is known of a name or an address"),
    "apps": ("netwatch.cli.apps", "list the apps of the catalogue, with owner and country of control"),
    "interfaces": ("netwatch.cli.interfaces", "list what can be captured here"),
    "doctor": ("netwatch.cli.doctor", "look whether all is there that a verdict and a live capture rest on"),
    "signatures": ("netwatch.cli.signatures", "lint, test and begin signature files and policies"),
}

WELCOME: Final = """\
netwatch says which apps on a network send data, whose they are, and on what evidence. Worth trying:

  netwatch replay capture.pcap                       which apps talked, controlled from where, on what evidence
  netwatch check capture.pcap --policy us-eo-2020    is anything here still talking to TikTok or WeChat
  netwatch explain log-sg.tiktokv.com                what is known of a name or an address
"""


FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO))  # nothing more can be written


class Parser(argparse.ArgumentParser):
    """argparse whose errors are UsageError, so that one place turns errors into exit codes."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError instead of leaving the process."""
        raise UsageError(f"{message}; see {self.prog} --help")


def _formatter() -> type[argparse.HelpFormatter]:
    if not {"-h", "--help"} & set(sys.argv[1:]):  # rich is heavy: only where help is shown
        return argparse.RawDescriptionHelpFormatter
    try:
        from rich_argparse import RawDescriptionRichHelpFormatter
    except ImportError:
        return argparse.RawDescriptionHelpFormatter
    return RawDescriptionRichHelpFormatter


def build_parser(command: str | None) -> Parser:
    """Build the parser; only the module of the command that is run is imported.

    command: the first word of the command line, where it is one of COMMANDS.
    """
    formatter = _formatter()
    parser = Parser(prog="netwatch", description=WELCOME, formatter_class=formatter, allow_abbrev=False)
    parser.add_argument("--version", action="store_true", help="print the version; with -v also data and licences")
    parser.add_argument("-v", "--verbose", action="store_true", help=argparse.SUPPRESS)
    commands = parser.add_subparsers(metavar="COMMAND", dest="command_name")
    for name, (module, text) in COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".",
                                  formatter_class=formatter, allow_abbrev=False)  # fmt: skip
        if name == command:
            import_module(module).add_arguments(sub)
    return parser


def main(argv: Sequence[str] | None = None) -> ExitCode:
    """Run one command; the only place where an error turns into an exit code."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: its threads cost start-up time and are not used
    _fill_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(words)
        sys.stdout.flush()  # what fails here would else fail behind every handler
    except NetwatchError as error:
        print(f"netwatch: {escaped(str(error))}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:  # stdout is what failed
            _close_stdout()
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # the reader went away (`| head`): nothing is wrong, and nothing more can be said
        _close_stdout()
        return ExitCode.OK
    except Exception as error:  # noqa: BLE001 a bug: Python's own exit code 1 would read as "check failed"
        if isinstance(error, OSError) and error.errno in FULL:  # of a file it is a SinkError by now
            _close_stdout()
            print(f"netwatch: stdout: {error.strerror}; what it holds is not whole", file=sys.stderr)
            return ExitCode.UNREADABLE
        import traceback

        traceback.print_exc()
        print("netwatch: this is a bug; please report the lines above with the command", file=sys.stderr)
        return ExitCode.INTERNAL
    return code


def _fill_streams() -> None:
    """Let a standard stream that the caller closed (`>&-`) lead nowhere."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 as long as the process


def _close_stdout() -> None:
    """Let what is still buffered go nowhere, so that the end of the process does not fail on it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(words: list[str]) -> ExitCode:
    named = next((word for word in words if not word.startswith("-")), None)
    parser = build_parser(named if named in COMMANDS else None)
    if not words:
        print(WELCOME, end="")
        return ExitCode.OK
    args = parser.parse_args(words)
    if args.version:
        return _version(verbose=args.verbose)
    if args.command_name is None:
        raise UsageError("no command; see netwatch --help")
    command: Callable[[argparse.Namespace], ExitCode] = args.command
    return command(args)


def _version(*, verbose: bool) -> ExitCode:
    print(f"netwatch {__version__}")
    if verbose:
        from netwatch.runtime.datafiles import attributions

        for line in attributions():
            print(line)
    return ExitCode.OK
