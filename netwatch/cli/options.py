"""Options that several commands share: the same letters with the same meaning."""

import argparse
import os
from typing import TYPE_CHECKING, Final, TextIO

from netwatch.model.errors import UsageError
from netwatch.model.text import display

if TYPE_CHECKING:
    from netwatch.sinks.rotation import Rotation

SIZES: Final = {
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Declare what is known beside the packets: databases and local networks."""
    parser.add_argument(
        "--geo", action="append", default=[], metavar="FILE.mmdb",
        help="country or ASN database (MaxMind format) to use instead of the one shipped; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--local-net", action="append", default=[], metavar="CIDR",
        help="a local network beside the private ranges and, live, this machine's own; may be repeated",
    )  # fmt: skip


def add_capture_options(parser: argparse.ArgumentParser) -> None:
    """Declare where and how is captured."""
    parser.add_argument(
        "-i", dest="interfaces", action="append", default=[], metavar="IFACE",
        help="interface; may be repeated; any-physical: all that carry frames of their own; default: that of the route "
        "to the outside",
    )  # fmt: skip
    parser.add_argument(
        "-s",
        dest="snaplen",
        type=int,
        default=65_535,
        metavar="BYTES",
        help="bytes of each frame (default %(default)s)",
    )
    parser.add_argument(
        "--ring", type=int, default=32, metavar="MIB", help="memory for frames that wait (default %(default)s MiB)"
    )
    parser.add_argument("--promiscuous", action="store_true", help="see frames of others on the wire, too")
    parser.add_argument(
        "--processes", action="store_true", help="name the programs of this machine's own flows (field process)"
    )
    parser.add_argument("--source", choices=("auto", "afpacket", "scapy"), default="auto", help="how frames are read")
    parser.add_argument(
        "--max-flows", type=int, default=262_144, metavar="N",
        help="live flows kept at a time; beyond them the oldest leave early (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--sandbox", choices=("strict", "auto", "off"), default="auto",
        help="strict: end with 5 where the system lacks a part of the sandbox; auto: say so",
    )  # fmt: skip


def local_nets(args: argparse.Namespace) -> list[str]:
    """Return the local networks of a live capture: what --local-net adds, and this machine's own.

    To be asked for before the sandbox shuts files off; networks that come later are not known.
    """
    from netwatch.runtime.interfaces import local_networks

    return list(dict.fromkeys([*args.local_net, *local_networks()]))


def add_rotation_options(parser: argparse.ArgumentParser) -> None:
    """Declare when files end and others begin."""
    parser.add_argument(
        "--rotate", action="append", default=[], metavar="SIZE_OR_TIME",
        help="begin new files, named by the time of their first record, at a size (100MB) or each full span of time "
        "(1h); may be given twice",
    )  # fmt: skip
    parser.add_argument(
        "--keep", type=int, metavar="N", help="with --rotate: remove all finished files but the N newest of each output"
    )


def rotation(args: argparse.Namespace) -> "Rotation | None":
    """Return what --rotate and --keep say, None without --rotate. Raises UsageError."""
    from netwatch.policy.documents import duration
    from netwatch.sinks.rotation import Rotation

    if not args.rotate:
        if args.keep is not None:
            raise UsageError("--keep: removes what --rotate leaves behind; give that, too")
        return None
    if args.keep is not None and args.keep < 1:
        raise UsageError(f"--keep {args.keep}: at least 1 finished file stays")
    given: dict[str, int] = {}
    for word in args.rotate:
        octets, seconds = size(word), duration(word)
        if not octets and not seconds:
            raise UsageError(f"--rotate {display(word)}: no size such as 100MB, and no length of time such as 1h")
        name = "size" if octets else "seconds"
        if name in given:
            raise UsageError(f"--rotate {display(word)}: a {'size' if octets else 'time'} was given already")
        given[name] = octets or seconds
    return Rotation(given.get("size"), given.get("seconds"), args.keep)


def size(text: str) -> int:
    """Return the bytes of a size such as 100MB or 1GiB, 0 for what is none."""
    number = text.rstrip("".join(SIZES))
    unit = text[len(number) :]
    return int(number) * SIZES[unit] if number.isascii() and number.isdigit() and unit in SIZES else 0


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Declare what stdout carries, and how."""
    parser.add_argument(
        "--format", choices=("table", "json", "jsonl", "csv"), default="table",
        help="what stdout carries: the summary as a table or as JSON, or the flow records (default table)",
    )  # fmt: skip
    parser.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    add_colour_options(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")


def add_colour_options(parser: argparse.ArgumentParser) -> None:
    """Declare when colour is used."""
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="colour (default: on a terminal)"
    )
    parser.add_argument("--no-color", dest="color", action="store_const", const="never", help=argparse.SUPPRESS)


def colour(args: argparse.Namespace, out: TextIO) -> bool:
    """Whether to write colour: never with NO_COLOR (unless --color always), else on a terminal."""
    if args.color != "auto":
        return bool(args.color == "always")
    return not os.environ.get("NO_COLOR") and out.isatty()
