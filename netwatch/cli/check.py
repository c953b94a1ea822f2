"""`netwatch check`: PASS, FAIL or INCONCLUSIVE for a policy, with the evidence and what could not be seen."""

import argparse
import sys
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from netwatch.cli.options import (
    add_capture_options,
    add_colour_options,
    add_data_options,
    add_rotation_options,
    colour,
    local_nets,
    rotation,
)
from netwatch.cli.watch import Lines, capture, length, means_of, opener, records
from netwatch.model.errors import ExitCode, UsageError
from netwatch.model.text import display, escaped

if TYPE_CHECKING:
    from netwatch.attribution.catalogue import Catalogue
    from netwatch.cli.verdicts.words import Names

EXAMPLES = """\
examples:
  netwatch check phone.pcap --policy us-eo-2020
  netwatch check phone.pcap --policy control-cn --device Ana-iPhone -w report.html
  ssh root@router "tcpdump -i br-lan -U -s 2048 -w - 'not port 22'" | netwatch check - --policy us-eo-2020 --for 10m
  sudo netwatch check -i wlan0 --for 10m --policy us-eo-2020
  netwatch check phone.pcap --policy mine.toml --json | jq '.devices[] | select(.verdict != "PASS")'

exit codes: 0 PASS, 1 FAIL, 2 usage or unknown policy, 3 unreadable input or policy, 4 INCONCLUSIVE
"""

LINE_S = 60  # how often a live check says how it stands
WIDTH_MAX = 120  # longer lines are hard to read
FORMATS = ("text", "json", "sarif", "junit", "github", "md")
VERDICTS = {"PASS": ExitCode.OK, "FAIL": ExitCode.FAIL, "INCONCLUSIVE": ExitCode.PARTIAL}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.epilog = EXAMPLES
    parser.set_defaults(command=run)
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="pcap or pcapng, also .gz or .zst; - reads standard input"
    )
    parser.add_argument("-r", dest="more", action="append", default=[], metavar="FILE", help="the same, as in tcpdump")
    parser.add_argument("--policy", metavar="ID_OR_FILE", help="what to check for; --policy list shows what is there")
    parser.add_argument("--device", metavar="D", help="judge only this device: its identifier, address or name")
    parser.add_argument(
        "--for", dest="duration", metavar="TIME", help="end after so much time of the capture, such as 90s, 10m or 2h"
    )
    parser.add_argument(
        "-w", dest="writes", action="append", default=[], metavar="OUT",
        help="write a report to OUT.html, records to OUT.jsonl or OUT.csv, and, with -i, packets to OUT.pcapng; may be "
        "repeated",
    )  # fmt: skip
    add_rotation_options(parser)
    parser.add_argument("--merge", action="store_true", help="read several captures as one, in order of time")
    parser.add_argument("--format", choices=FORMATS, default="text", help="what stdout carries (default text)")
    parser.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    add_capture_options(parser)
    add_data_options(parser)
    add_colour_options(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> ExitCode:
    """Check captures against a policy."""
    from netwatch.runtime import datafiles, policies, signatures

    if args.policy == "list":
        return _list()
    paths = [*args.files, *args.more]
    if args.policy is None:
        raise UsageError("no policy given: --policy ID or FILE.toml; netwatch check --policy list shows what is there")
    if bool(paths) == bool(args.interfaces):
        raise UsageError("give captures (FILE, - for standard input) or interfaces (-i IFACE)")
    if paths.count("-") > 1:
        raise UsageError("standard input (-) can be read once only")
    if any(write in ("-", "csv:-") for write in args.writes):
        raise UsageError("-w -: stdout carries the verdict; name a file")
    seconds = length(args.duration, "--for")
    turn = rotation(args)
    if turn is not None and not args.interfaces:
        raise UsageError("--rotate: for a live capture (-i IFACE); what is read from files is written as one")
    if args.interfaces:
        args.local_net = local_nets(args)
    catalogue = signatures.load()
    loaded = policies.load(args.policy, catalogue)

    from netwatch.cli.progress import progress_bar
    from netwatch.cli.verdicts import FORMATS as SHOWN
    from netwatch.runtime.checking import PolicyJudge
    from netwatch.runtime.session import replay

    places = datafiles.places(args.geo)
    limited = args.duration is not None or bool(args.interfaces)
    judge = PolicyJudge(loaded, catalogue, places, args.local_net, device=args.device, limited=limited)
    if args.interfaces:
        from netwatch.runtime.live.reload import Again
        from netwatch.runtime.live.session import watch

        means = means_of(args, catalogue, places, judge, seconds)._replace(
            sinks=opener(args.writes, turn),
            records=records(args.writes, turn),
            again=Again(args.geo, None, args.policy),
        )
        result = watch(capture(args), means, Lines(LINE_S, quiet=args.quiet))
    else:
        with progress_bar(quiet=args.quiet) as progress:
            result = replay(
                paths,
                writes=args.writes,
                merge_by_time=args.merge,
                max_flows=args.max_flows,
                local_nets=args.local_net,
                progress=progress,
                duration=seconds,
                catalogue=catalogue,
                places=places,
                judge=judge,
            )
    verdict = result.verdict or {}
    options: dict[str, object] = {} if args.format == "json" else {"names": _names(catalogue)}
    if args.format == "text":
        width = min(get_terminal_size().columns, WIDTH_MAX)
        options |= {"colour": colour(args, sys.stdout), "width": width if sys.stdout.isatty() else 80}
    elif args.format == "sarif":
        options |= {"captures": paths, "forbids": [row.said() for row in loaded.policy.forbid]}
    _write(SHOWN[args.format](verdict, **options))
    for line in result.messages:
        print(f"netwatch: {escaped(line)}", file=sys.stderr)
    return VERDICTS[str(verdict["verdict"])]


def _names(catalogue: "Catalogue") -> "Names":
    """Return what apps and owners are called."""
    from netwatch.cli.verdicts.words import Names

    return Names({app.id: app.name for app in catalogue.apps()}, {one.id: one.name for one in catalogue.owners()})


def _write(text: str) -> None:
    """Write to stdout; what its encoding cannot say is written by its number."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


def _list() -> ExitCode:
    """Print the policies that are there, one a line."""
    from netwatch.runtime import policies

    for loaded in policies.every():
        policy = loaded.policy
        print(f"{policy.id:<20} {policy.date:<11} {display(policy.title)}")
    return ExitCode.OK
