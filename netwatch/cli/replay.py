"""`netwatch replay`: read captures, print the summary, write records."""

import argparse
import sys

from netwatch.cli.options import add_data_options, add_output_options, colour
from netwatch.model.errors import ExitCode, UsageError
from netwatch.model.limits import MAX_FLOWS, UNPACK_TOTAL
from netwatch.model.text import escaped

EXAMPLES = """\
examples:
  netwatch replay phone.pcap
  netwatch replay monday.pcapng.zst tuesday.pcap.gz -w week.jsonl
  netwatch replay phone.pcap -f 'control:CN and not device:laptop' --json
  ssh root@router "tcpdump -i br-lan -U -s 2048 -w - 'not port 22'" | netwatch replay -

exit codes: 0 all was read, 2 usage, 3 unreadable input or unwritable output, 4 only a part could be read
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.epilog = EXAMPLES
    parser.set_defaults(command=run)
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="pcap or pcapng, also .gz or .zst; - reads standard input"
    )
    parser.add_argument("-r", dest="more", action="append", default=[], metavar="FILE", help="the same, as in tcpdump")
    parser.add_argument(
        "-w", dest="writes", action="append", default=[], metavar="OUT",
        help="write flow records to OUT.jsonl or OUT.csv, lookups and summary beside it; - is JSON Lines on stdout",
    )  # fmt: skip
    parser.add_argument("-f", dest="filter", metavar="EXPR", help="keep only flows and lookups that match EXPR")
    parser.add_argument("--merge", action="store_true", help="read several captures as one, in order of time")
    parser.add_argument(
        "--max-flows", type=int, default=MAX_FLOWS, metavar="N",
        help="live flows kept at a time; beyond them the oldest leave early (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--max-bytes", type=int, default=UNPACK_TOTAL, metavar="N",
        help="stop reading a compressed capture after N unpacked bytes (default 64 GiB)",
    )  # fmt: skip
    add_data_options(parser)
    add_output_options(parser)


def run(args: argparse.Namespace) -> ExitCode:
    """Replay the captures of the command line."""
    paths = [*args.files, *args.more]
    if not paths:
        raise UsageError("no capture given; try: netwatch replay FILE, or - for standard input")
    if paths.count("-") > 1:
        raise UsageError("standard input (-) can be read once only")
    for option, value in (("--max-flows", args.max_flows), ("--max-bytes", args.max_bytes)):
        if value < 1:
            raise UsageError(f"{option}: at least 1")
    output = args.format
    writes = list(args.writes)
    if output in ("jsonl", "csv"):
        writes.append("-" if output == "jsonl" else "csv:-")
    alone = any(write in ("-", "csv:-") for write in writes)  # flow records have stdout to themselves

    from netwatch.cli.progress import progress_bar
    from netwatch.runtime.session import replay

    with progress_bar(quiet=args.quiet) as progress:
        result = replay(
            paths,
            writes=writes,
            merge_by_time=args.merge,
            filter_text=args.filter,
            max_flows=args.max_flows,
            max_bytes=args.max_bytes,
            geo=args.geo,
            local_nets=args.local_net,
            progress=progress,
        )
    if output == "json" and not alone:
        sys.stdout.write(result.json() + "\n")
    elif not alone:
        from netwatch.cli.table import print_summary

        print_summary(result.summary, sys.stdout, colour=colour(args, sys.stdout))
    sys.stdout.flush()
    for line in result.messages:
        print(f"netwatch: {escaped(line)}", file=sys.stderr)
    return result.exit_code
