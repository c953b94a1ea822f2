"""Make the country, AS and vendor tables of netwatch/data from public packages.

Run in a folder of its own; no part of netwatch does this for the user:

    npm pack @ip-location-db/dbip-country @ip-location-db/asn-country @ip-location-db/asn oui-data
    for each file: mkdir X && tar xzf X.tgz -C X
    apt-get install ieee-data             # Debian: /usr/share/ieee-data/iab.csv, the retired 36-bit blocks
    python -m netwatch.data.make.build_places --country X/package --registration Y/package --asn Z/package \
        --ieee V/package/index.json /usr/share/ieee-data/iab.csv --ieee-date DATE_OF_OUI_DATA \
        --ieee-source "text that names both" --out netwatch/data

Each folder holds `*-ipv4-num.csv`, `*-ipv6-num.csv` and a package.json whose version ends in the date. The result
depends on these inputs alone. Counts go to stdout.
"""

import argparse
import csv
import hashlib
import json
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from netwatch.data.make.compact import disjoint, write_ranges, write_texts

DBIP = "IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0, reformatted"
NRO = "Registration data by the Number Resource Organization (https://www.nro.net), CC BY 4.0, reformatted"
ROUTES = (
    "AS numbers by RouteViews (https://www.routeviews.org), DB-IP (https://db-ip.com) and the "
    "Number Resource Organization (https://www.nro.net), CC BY 4.0, reformatted"
)
IEEE = "MAC address blocks by the IEEE Registration Authority (https://standards.ieee.org), public listing, reformatted"
NAMELESS = {"private", "ieee registration authority", ""}  # an undisclosed holder; a block that is handed out in parts


def clean(text: str) -> str:
    """Return a name on one line, without invisible characters."""
    kept = "".join(
        char for char in text if unicodedata.category(char) not in {"Cf", "Cc", "Co", "Cn", "Cs"} or char.isspace()
    )
    return " ".join(kept.split())


def package(folder: Path) -> tuple[str, str]:
    """Return (`name version`, date) of an npm package."""
    about = json.loads((folder / "package.json").read_text("utf-8"))
    found = re.search(r"(20\d\d)(\d\d)(\d\d)\d*$", about["version"])
    if not found:
        raise ValueError(f"{folder}: version {about['version']} holds no date")
    return f"npm {about['name']} {about['version']}", "-".join(found.groups())


def ranges(folder: Path, family: int) -> Iterator[tuple[int, int, list[str]]]:
    """Yield (first, last, further cells) of the package's file of one family."""
    (path,) = folder.glob(f"*-ipv{family}-num.csv")
    with path.open(newline="", encoding="utf-8") as lines:
        for first, last, *cells in csv.reader(lines):
            yield int(first), int(last), cells


def countries(folder: Path, family: int) -> tuple[bytes, int]:
    """Return a range table of country codes and its number of rows; value 0 is none."""
    rows = disjoint(((first, last, cells[0]) for first, last, cells in ranges(folder, family)), "")
    codes = sorted({code for _, code in rows if code})
    if bad := [code for code in codes if not re.fullmatch("[A-Z]{2}", code)]:
        raise ValueError(f"{folder}: not country codes: {bad}")
    index = {code: at for at, code in enumerate(["", *codes])}
    words = "".join(codes).encode("ascii")
    return write_ranges([(first, index[code]) for first, code in rows], 32 if family == 4 else 128, 1, words), len(rows)


def networks(folder: Path, family: int, names: dict[int, str]) -> tuple[bytes, int]:
    """Return a range table of AS numbers and its number of rows; adds the names met."""

    def numbered() -> Iterator[tuple[int, int, int]]:
        for first, last, (number, name) in ranges(folder, family):
            names.setdefault(int(number), clean(name))
            yield first, last, int(number)

    rows = disjoint(numbered(), 0)
    return write_ranges(rows, 32 if family == 4 else 128, 4), len(rows)


def registry(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (hex digits of the prefix, holder) of a listing: IEEE's own .csv, or .json of prefix -> holder, address."""
    if path.suffix == ".json":
        for digits, lines in json.loads(path.read_text("utf-8")).items():
            yield digits, lines.partition("\n")[0]
        return
    with path.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            yield row["Assignment"], row["Organization Name"]


def vendors(paths: list[Path]) -> tuple[bytes, bytes, dict[int, int]]:
    """Return (range table of 48-bit addresses, text table, blocks by their prefix length); the first listing wins."""
    blocks: dict[tuple[int, int], str] = {}
    for path in paths:
        for digits, holder in registry(path):
            first = int(digits, 16) << 48 - 4 * len(digits)
            blocks.setdefault((first, 4 * len(digits)), clean(holder))
    holders = sorted({name for name in blocks.values() if name.lower() not in NAMELESS})
    index = {name: at for at, name in enumerate(holders, 1)}
    spans = (
        (first, first + (1 << 48 - bits) - 1, index.get(name, 0)) for (first, bits), name in sorted(blocks.items())
    )
    counts: dict[int, int] = {}
    for _, bits in blocks:
        counts[bits] = counts.get(bits, 0) + 1
    rows = disjoint(spans, 0)
    return write_ranges(rows, 64, 2), write_texts({at: name for name, at in index.items()}), counts


def say(line: str) -> None:
    """Write a line to stdout."""
    sys.stdout.write(line + "\n")


def main() -> None:
    """Write the files and their manifest."""
    parser = argparse.ArgumentParser(description="make the tables of netwatch/data")
    for name in ("country", "registration", "asn"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="unpacked npm package")
    parser.add_argument("--ieee", type=Path, nargs="+", required=True, help="IEEE listings, the newest first")
    parser.add_argument("--ieee-date", required=True, help="date of the newest listing")
    parser.add_argument("--ieee-source", required=True, help="where the listings are from")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    files: list[dict[str, object]] = []

    def put(name: str, content: bytes, about: dict[str, str]) -> None:
        (args.out / name).write_bytes(content)
        checksum = hashlib.sha256(content).hexdigest()
        files.append({"file": name, "size": len(content), "sha256": checksum, "schema": 1} | about)

    for stem, use, folder, attribution in (
        ("dbip-country", "server_country", args.country, DBIP),
        ("nro-registration", "registration_country", args.registration, NRO),
    ):
        source, date = package(folder)
        about = {
            "name": stem,
            "use": use,
            "date": date,
            "licence": "CC BY 4.0",
            "attribution": attribution,
            "source": source,
        }
        for family in (4, 6):
            content, rows = countries(folder, family)
            put(f"{stem}-v{family}.bin", content, about)
            say(f"{stem}-v{family}: {rows} rows, {len(content)} bytes")

    source, date = package(args.asn)
    about = {"name": "asn", "use": "asn", "date": date, "licence": "CC BY 4.0", "attribution": ROUTES, "source": source}
    names: dict[int, str] = {}
    for family in (4, 6):
        content, rows = networks(args.asn, family, names)
        put(f"asn-v{family}.bin", content, about)
        say(f"asn-v{family}: {rows} rows, {len(content)} bytes")
    content = write_texts(names)
    put("asn-names.bin", content, about)
    say(f"asn-names: {len(names)} names, {len(content)} bytes")

    about = {"name": "ieee-oui", "use": "device_vendor", "date": args.ieee_date, "licence": "public listing"}
    about |= {"attribution": IEEE, "source": args.ieee_source}
    table, texts, counts = vendors(args.ieee)
    put("vendor.bin", table, about)
    put("vendor-names.bin", texts, about)
    say(f"vendor: {counts} blocks by prefix length, {len(table)} + {len(texts)} bytes")

    manifest = json.dumps({"schema": 1, "files": files}, indent=1)
    (args.out / "manifest.json").write_text(manifest + "\n", "ascii")
    say(f"all: {sum(int(str(entry['size'])) for entry in files)} bytes")


if __name__ == "__main__":
    main()
