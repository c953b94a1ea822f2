"""`netwatch watch`: live, with what happens as lines; `netwatch check -i` runs the same capture."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any

from netwatch.cli.options import (
    add_capture_options,
    add_data_options,
    add_output_options,
    add_rotation_options,
    colour,
    local_nets,
    rotation,
)
from netwatch.model.errors import ExitCode, UsageError
from netwatch.model.text import display, escaped

if TYPE_CHECKING:
    from netwatch.attribution.catalogue import Catalogue
    from netwatch.places.places import Places
    from netwatch.runtime.live.recorder import Record
    from netwatch.runtime.live.session import Capture, Means, State
    from netwatch.runtime.session import Judge
    from netwatch.sinks.base import Sink
    from netwatch.sinks.rotation import Rotation, Standing

TOP = 3  # apps that a line names

EXAMPLES = """\
examples:
  sudo netwatch watch -i wlan0 --headless
  sudo netwatch watch --headless -w home.jsonl            records as flows end
  sudo netwatch watch --headless -w home.pcapng --rotate 100MB --rotate 1h --keep 24
  sudo netwatch watch -i any-physical --headless -f 'control:CN' --json
  sudo tcpdump -i wlan0 -U -w - | netwatch replay -       needs no privilege for netwatch

exit codes: 0 until it was stopped, 2 usage, 3 nothing can be captured, 5 no sandbox (--sandbox strict)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.epilog = EXAMPLES
    parser.set_defaults(command=run)
    add_capture_options(parser)
    parser.add_argument("--headless", action="store_true", help="lines instead of a screen")
    parser.add_argument("--for", dest="duration", metavar="TIME", help="end after so much time, such as 90s, 10m or 2h")
    parser.add_argument("--every", default="10s", metavar="TIME", help="how often a line says how it stands")
    parser.add_argument("--policy", metavar="ID_OR_FILE", help="show the verdict on a policy; changes no exit code")
    parser.add_argument(
        "--hook", metavar="COMMAND", help="run a command, the verdict as JSON on its input, when the verdict turns"
    )
    parser.add_argument(
        "-w", dest="writes", action="append", default=[], metavar="OUT",
        help="write records to OUT.jsonl as flows end, to OUT.csv or OUT.html at the end, packets to OUT.pcapng; may "
        "be repeated",
    )  # fmt: skip
    add_rotation_options(parser)
    parser.add_argument("-f", dest="filter", metavar="EXPR", help="keep only flows and lookups that match EXPR")
    add_data_options(parser)
    add_output_options(parser)


def run(args: argparse.Namespace) -> ExitCode:
    """Capture until Ctrl+C."""
    from netwatch.policy.documents import duration
    from netwatch.runtime import datafiles, policies, signatures
    from netwatch.runtime.checking import PolicyJudge
    from netwatch.runtime.filtering import Filter
    from netwatch.runtime.kernel_filter import KernelFilter, kernel_filter
    from netwatch.runtime.live.reload import Again
    from netwatch.runtime.live.session import watch

    seconds = length(args.duration, "--for")
    every = duration(args.every)
    if not every:
        raise UsageError(f"--every {display(args.every)}: no length of time such as 10s or 1m")
    writes = list(args.writes)
    if args.format in ("jsonl", "csv"):
        writes.append("-" if args.format == "jsonl" else "csv:-")
    args.local_net = local_nets(args)
    asked = KernelFilter(None, None)
    if args.filter is not None:
        takes = sys.platform == "linux" and args.source != "scapy"  # and a policy has to see everything
        asked = kernel_filter(args.filter, args.snaplen, kernel=takes and args.policy is None)
    catalogue, places = signatures.load(), datafiles.places(args.geo)
    judge = None
    if args.hook is not None and args.policy is None:
        raise UsageError("--hook: a verdict needs a policy: --policy ID")
    if args.policy is not None:
        loaded = policies.load(args.policy, catalogue)
        judge = PolicyJudge(loaded, catalogue, places, args.local_net, limited=seconds is not None)
    chosen = Filter(asked.expression, catalogue) if asked.expression is not None else None
    means = means_of(args, catalogue, places, judge, seconds)._replace(
        chosen=chosen, sinks=opener(writes, rotation(args)), hook=args.hook, records=records(writes, rotation(args)),
        again=Again(args.geo, args.filter if chosen is not None else None, args.policy),
    )  # fmt: skip
    if asked.said:
        print(f"netwatch: {asked.said}", file=sys.stderr)
    result = watch(capture(args, asked.program), means, Lines(every, quiet=args.quiet))
    alone = any(write in ("-", "csv:-") for write in writes)
    if args.format == "json" and not alone:
        sys.stdout.write(result.json() + "\n")
    elif not alone:
        from netwatch.cli.table import print_summary

        print_summary(result.summary, sys.stdout, colour=colour(args, sys.stdout))
        if result.verdict is not None:
            from netwatch.cli.verdicts import FORMATS

            sys.stdout.write("\n" + FORMATS["text"](result.verdict, colour=colour(args, sys.stdout)))
    sys.stdout.flush()
    for line in result.messages:
        print(f"netwatch: {escaped(line)}", file=sys.stderr)
    return result.exit_code


def means_of(
    args: argparse.Namespace, catalogue: "Catalogue", places: "Places", judge: "Judge | None", seconds: int | None
) -> "Means":
    """Return what the options of a capture are judged and written with."""
    from netwatch.runtime.live.session import Means

    return Means(
        catalogue=catalogue,
        places=places,
        local_nets=args.local_net,
        judge=judge,
        sinks=opener(args.writes, None),
        records=records(args.writes, None),
        folders=folders(args.writes),
        sandbox=args.sandbox,
        duration=seconds,
        processes=args.processes,
    )


def length(text: str | None, option: str) -> int | None:
    """Return the seconds of a length of time. Raises UsageError for what is none."""
    from netwatch.policy.documents import duration

    if text is None:
        return None
    seconds = duration(text)
    if not seconds:
        raise UsageError(f"{option} {display(text)}: no length of time such as 90s, 10m or 2h")
    return seconds


def capture(args: argparse.Namespace, program: bytes | None = None) -> "Capture":
    """Return what the options of a capture say. program: for the kernel, None: everything passes."""
    from netwatch.runtime.interfaces import default_interface, refuse_missing
    from netwatch.runtime.live.session import Capture

    default = None if args.interfaces else default_interface()
    names = args.interfaces or ([default] if default is not None else [])
    if not names:
        raise UsageError("no default route, so no interface to begin with: name one with -i; see netwatch interfaces")
    refuse_missing(names)
    return Capture(names, program, args.snaplen, args.ring, args.promiscuous, args.source, args.max_flows)


def opener(writes: Sequence[str], turn: "Rotation | None") -> "Callable[[ExitStack, Standing], Sequence[Sink]]":
    """Return what opens the outputs of records, each of which leaves nothing half-written."""

    def opened(stack: ExitStack, standing: "Standing") -> "Sequence[Sink]":
        from netwatch.sinks import Turns, open_sink
        from netwatch.sinks.base import Growth

        turns = None if turn is None else Turns(turn, standing, time_ns)
        sinks = []
        for spec in writes:
            if packet_path(spec) is not None:
                continue
            sink = open_sink(spec, grow=Growth.HELD, turns=turns)
            stack.callback(sink.abort)
            sinks.append(sink)
        return sinks

    return opened


def packet_path(spec: str) -> Path | None:
    """Return the path of an output of packets, None for another one."""
    name, colon, rest = spec.partition(":")
    if colon and name == "pcapng":
        return Path(rest)
    return Path(spec) if Path(spec).suffix.lower() == ".pcapng" else None


def records(writes: Sequence[str], turn: "Rotation | None") -> "list[Record]":
    """Return where packets are written to."""
    from netwatch.runtime.live.recorder import Record
    from netwatch.sinks.rotation import Rotation

    paths = [path for spec in writes if (path := packet_path(spec)) is not None]
    return [Record(path.absolute(), turn or Rotation()) for path in paths]


def folders(writes: Sequence[str]) -> list[Path]:
    """Return the folders that records are written to."""
    plain = [write for write in writes if write not in ("-", "csv:-") and packet_path(write) is None]
    paths = [Path(write.partition(":")[2] or write) for write in plain]
    return sorted({path.resolve().parent for path in paths})


class Lines:
    """Tells on stderr what happens, and every so many seconds how it stands."""

    def __init__(self, every: int, *, quiet: bool) -> None:
        self._every = every
        self._quiet = quiet
        self._deaf = False  # nobody reads stderr any more
        self._next = monotonic() + every

    def event(self, text: str) -> None:
        """Say what happened."""
        self._say(f"netwatch: {escaped(text)}")

    def verdict(self, verdict: Mapping[str, object]) -> None:
        """Say how the verdict turned."""
        from netwatch.cli.verdicts.words import headline

        self._say(f"netwatch: {escaped(headline(verdict))}")

    def state(self, state: "State") -> None:
        """Say how it stands, if it is time."""
        now = monotonic()
        if self._quiet or now < self._next:
            return
        self._next = now + self._every
        self._say(line(state))

    def _say(self, text: str) -> None:
        """Write a line; a terminal or a reader that has gone is no reason to stop."""
        if self._deaf:
            return
        try:
            print(text, file=sys.stderr, flush=True)
        except OSError:
            from netwatch.runtime.live.terminal import lead_nowhere

            self._deaf = True
            lead_nowhere(sys.stderr.fileno())


def line(state: "State") -> str:
    """Write how a capture stands in one line."""
    from netwatch.model.figures import size
    from netwatch.model.records import Release
    from netwatch.sinks.summary import Summary

    ledger, live = state.ledger, Summary()
    for batch in state.live:
        live.add(Release(batch, []))
    covered: list[dict[str, Any]] = [one.coverages()(None) for one in (state.summary, live)]
    octets, known = (sum(one[key] for one in covered) for key in ("bytes", "named_bytes"))
    named = f"{known / octets:.0%} of bytes named" if octets else "nothing to name yet"
    apps = Counter(state.summary.apps()) + Counter(live.apps())
    top = ", ".join(f"{display(app)} {size(count)}" for app, count in apps.most_common(TOP)) or "no app yet"
    lost = (ledger.kernel_dropped or 0) + ledger.queue_dropped
    return (
        f"{round(state.seconds)} s: {sum(ledger.states):,} packets, {lost:,} lost; "
        f"{ledger.flows_created - ledger.flows_ended:,} flows live, {ledger.flows_ended:,} ended; {named}; {top}"
    )
