"""`netwatch interfaces`: what can be captured here."""

import argparse
import sys

from netwatch.model.errors import ExitCode
from netwatch.model.text import escaped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.set_defaults(command=run)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> ExitCode:
    """List the interfaces; `*` marks the default route's, `+` the others of any-physical."""
    from netwatch.decode.link import link_name
    from netwatch.runtime.interfaces import list_interfaces, local_networks

    found = list_interfaces()
    if args.json:
        import json

        for one in found:
            sys.stdout.write(json.dumps(one._asdict(), separators=(",", ":")) + "\n")
        return ExitCode.OK
    width = max([8, *(len(escaped(one.name)) for one in found)])
    for one in found:
        mark = "*" if one.default else "+" if one.captured else " "
        state = "" if one.up is None else "up" if one.up else "down"
        link = "" if one.link_type is None else link_name(one.link_type)
        speed = "" if one.speed is None else f"{one.speed} Mbit/s"
        head = f"{mark} {escaped(one.name):<{width}} {one.kind or '':<8} {state:<4} {link:<9} {speed:<12}"
        print(f"{head} {one.mac or '':<17} {' '.join(one.addresses)}".rstrip())
    print("\n* default route   * and +: what `-i any-physical` captures")
    print(f"local beside the private ranges: {', '.join(local_networks()) or 'nothing'}")
    return ExitCode.OK
