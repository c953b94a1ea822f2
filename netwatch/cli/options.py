"""Options that several commands share: the same letters with the same meaning."""

import argparse
import os
from typing import TextIO


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Declare what is known beside the packets: databases and local networks."""
    parser.add_argument(
        "--geo", action="append", default=[], metavar="FILE.mmdb",
        help="country or ASN database (MaxMind format) to use instead of the one shipped; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--local-net", action="append", default=[], metavar="CIDR",
        help="a local network beside the private ranges; may be repeated",
    )  # fmt: skip


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
