"""The maker of netwatch/data: from small packages to tables that the rooms read."""

import hashlib
import json
import sys
from pathlib import Path

import pytest

from netwatch.data.make import build_places
from netwatch.model.records import Place
from netwatch.places.cidr import parse_address
from netwatch.runtime import datafiles

CELLS = {
    "country": ('5.0.0.0,5.0.0.255,"SG"', "5.0.2.0,5.0.2.255,RU", "2a00::,2a00::3,SG", "2a00::4,2a00::ffff,RU"),
    "registration": ("5.0.0.0,5.0.255.255,CN", "2a00::,2a00:ffff::,CN"),
    "asn": (
        '5.0.0.0,5.0.0.127,64500,"One, Ltd \xad  and\xa0more"',
        "5.0.0.128,5.0.0.255,13335,CDN",
        "2a00::,2a00::9,64500,x",
    ),
}
NAMES = {"country": "dbip-country", "registration": "asn-country", "asn": "asn"}


def numeric(line: str) -> tuple[int, str]:
    first, last, rest = line.split(",", 2)
    low, high = (parse_address(text) for text in (first, last))
    assert low is not None
    assert high is not None
    mask = (1 << 128) - 1
    return (6 if ":" in first else 4), f"{low & mask},{high & mask},{rest}\n"


@pytest.fixture
def sources(tmp_path: Path) -> list[str]:
    arguments = []
    for kind, lines in CELLS.items():
        folder = tmp_path / kind
        folder.mkdir()
        about = {"name": f"@ip-location-db/{NAMES[kind]}", "version": "2.3.2026060120"}
        (folder / "package.json").write_text(json.dumps(about))
        for family in (4, 6):
            text = "".join(line for number, line in map(numeric, lines) if number == family)
            (folder / f"{NAMES[kind]}-ipv{family}-num.csv").write_text(text, encoding="utf-8")
        arguments += [f"--{kind}", str(folder)]
    oui, iab = tmp_path / "index.json", tmp_path / "iab.csv"
    oui.write_text(
        json.dumps({"0050C2": "IEEE Registration Authority\nPiscataway", "00AABB": "Acme\nTown", "00AABC": "Private"})
    )
    iab.write_text("Registry,Assignment,Organization Name,Organization Address\nIAB,0050C27D5,Small GmbH,Town\n")
    return [*arguments, "--ieee", str(oui), str(iab), "--ieee-date", "2026-08-26", "--ieee-source", "test"]


def make(sources: list[str], out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out.mkdir()
    monkeypatch.setattr(sys, "argv", ["build_places", *sources, "--out", str(out)])
    build_places.main()


def test_tables_of_small_packages_are_read_back(
    sources: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make(sources, tmp_path / "out", monkeypatch)
    room = datafiles.places(folder=tmp_path / "out")
    named = Place("SG", "CN", 64500, "One, Ltd and more", anycast=False)
    expected = {
        "5.0.0.0": named,
        "5.0.0.127": named,
        "5.0.0.128": Place(None, "CN", 13335, "CDN", anycast=True),
        "5.0.1.0": Place(None, "CN"),
        "5.0.2.255": Place("RU", "CN"),
        "5.0.3.0": Place(None, "CN"),
        "1.5.0.0": Place(),
        "2a00::3": named,
        "2a00::4": named._replace(server_country="RU"),
        "2a00::a": Place("RU", "CN"),
        "2a01::": Place(),
    }
    places = room.describe([address for text in expected if (address := parse_address(text)) is not None])
    assert dict(zip(expected, places, strict=True)) == expected
    vendors = datafiles.vendors(tmp_path / "out")
    assert [vendors.vendor(mac) for mac in (0x0050C27D5123, 0x0050C27D6000, 0x00AABB000000, 0x00AABC000000)] == [
        *("Small GmbH", None, "Acme", None)
    ]
    assert "dbip-country-v4: 5 rows" in capsys.readouterr().out


def test_the_same_input_gives_the_same_bytes_and_a_true_manifest(
    sources: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        make(sources, tmp_path / name, monkeypatch)
    contents = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("a", "b")]
    assert contents[0] == contents[1]
    for entry in datafiles.data_files(tmp_path / "a"):
        assert entry.sha256 == hashlib.sha256(contents[0][entry.file]).hexdigest()
        assert entry.date in {"2026-06-01", "2026-08-26"}


def test_what_is_no_country_code_is_refused(
    sources: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "country" / "dbip-country-ipv4-num.csv").write_text("16777216,16777471,Sg\n")
    with pytest.raises(ValueError, match="not country codes"):
        make(sources, tmp_path / "out", monkeypatch)
