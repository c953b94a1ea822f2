"""Make netwatch/data/public-suffixes.bin from the Public Suffix List (https://publicsuffix.org, MPL-2.0).

    apt-get install publicsuffix
    python -m netwatch.data.make.build_suffixes /usr/share/publicsuffix/public_suffix_list.dat netwatch/data

The file is zlib-compressed ASCII: the sorted rules of the ICANN section as A-labels, one a line, an empty line, those
of the private section. The result depends on the list alone.
"""

import argparse
import zlib
from pathlib import Path

PRIVATE = "===BEGIN PRIVATE DOMAINS==="


def compact(text: str) -> bytes:
    """Return the compressed rules of a list's text."""
    sections: tuple[set[str], set[str]] = (set(), set())
    section = 0
    for line in text.splitlines():
        if PRIVATE in line:
            section = 1
        rule = line.split()[0] if line.strip() else ""
        if rule and not rule.startswith("//"):
            sections[section].add(rule.encode("idna").decode("ascii"))
    return zlib.compress("\n\n".join("\n".join(sorted(rules)) for rules in sections).encode("ascii"), 9)


def main() -> None:
    """Write the file into the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("list", type=Path)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    (args.folder / "public-suffixes.bin").write_bytes(compact(args.list.read_text("utf-8")))


if __name__ == "__main__":
    main()
