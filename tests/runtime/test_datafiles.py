import json
import os
import random
import shutil
from pathlib import Path

import pytest
from support.mmdb import Value, mmdb

from netwatch.model.errors import DataError, ExitCode, UsageError
from netwatch.model.records import Place
from netwatch.places.cidr import parse_address
from netwatch.runtime import datafiles

ADDRESS = 0x05FFFF46  # 5.255.255.70
COUNTRIES: list[tuple[str, Value]] = [
    ("5.0.0.0/8", {"country": {"iso_code": "SG"}}),
    ("2a00::/16", {"country_code": "FR"}),
]
NETWORKS: list[tuple[str, Value]] = [
    ("5.255.0.0/16", {"autonomous_system_number": 64_500, "autonomous_system_organization": "Mine"}),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped files."""
    return Path(shutil.copytree(datafiles.DATA, tmp_path / "data", ignore=shutil.ignore_patterns("make", "*.json.tmp")))


def write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def test_b1_every_shipped_file_matches_the_manifest() -> None:
    assert datafiles.verify() == []
    assert len(datafiles.data_files()) == 9


def test_the_shipped_files_stay_small() -> None:
    assert sum(entry.size for entry in datafiles.data_files()) < 5_000_000


def test_every_attribution_that_a_licence_asks_for_is_listed_with_its_date() -> None:
    lines = datafiles.attributions()
    assert "IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0, reformatted (as of 2026-06-01)" in lines
    assert [word for word in ("nro.net", "routeviews.org", "ieee.org") if not any(word in line for line in lines)] == []
    assert len(lines) == len({entry.name for entry in datafiles.data_files()})


def test_the_databases_of_the_summary() -> None:
    assert datafiles.places().databases == [
        {"name": "dbip-country", "use": "server_country", "date": "2026-06-01", "licence": "CC BY 4.0"},
        {"name": "nro-registration", "use": "registration_country", "date": "2026-06-17", "licence": "CC BY 4.0"},
        {"name": "asn", "use": "asn", "date": "2026-06-17", "licence": "CC BY 4.0"},
    ]
    database = datafiles.vendors().database
    assert database is not None
    assert database["use"] == "device_vendor"


def test_b1_flipped_bits_are_refused_by_name(folder: Path) -> None:
    random_ = random.Random(1)
    for entry in datafiles.data_files():
        path = folder / entry.file
        content = path.read_bytes()
        for _ in range(25):
            damaged = bytearray(content)
            damaged[random_.randrange(len(damaged))] ^= 1 << random_.randrange(8)
            path.write_bytes(damaged)
            with pytest.raises(DataError, match=entry.file) as told:
                datafiles.DataFolder(folder).read(entry.file)
            assert told.value.exit_code is ExitCode.UNREADABLE
        path.write_bytes(content)


def test_b1_truncated_and_longer_files_are_refused_before_anything_is_read(folder: Path) -> None:
    random_ = random.Random(2)
    for entry in datafiles.data_files():
        path = folder / entry.file
        content = path.read_bytes()
        for size in (0, 1, len(content) - 1, *(random_.randrange(len(content)) for _ in range(10))):
            os.truncate(path, size)
            with pytest.raises(DataError, match=f"{entry.file}: {size} bytes, not {entry.size}"):
                datafiles.places(folder=folder)
        path.write_bytes(content + b"\0")
        with pytest.raises(DataError, match=entry.file):
            datafiles.vendors(folder)
        path.write_bytes(content)


def test_b1_a_file_that_changes_after_the_start_is_refused(folder: Path) -> None:
    room = datafiles.places(folder=folder)
    (folder / "asn-v4.bin").write_bytes(bytes((folder / "asn-v4.bin").stat().st_size))
    with pytest.raises(DataError, match=r"asn-v4\.bin: does not match the checksum"):
        room.describe([ADDRESS])


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", '{"files": 3}', '{"files": [1]}', '{"files": [{"file": "x"}]}', "[" * 100_000),
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
)
def test_b1_a_damaged_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text, "latin-1")
    with pytest.raises(DataError, match=r"manifest\.json: damaged"):
        datafiles.places(folder=folder)


@pytest.mark.parametrize(("key", "value"), [("schema", 2), ("size", "7"), ("file", "../asn-v4.bin"), ("date", None)])
def test_b1_an_entry_of_another_kind_is_refused(folder: Path, key: str, value: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][0][key] = value
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"manifest\.json: damaged"):
        datafiles.data_files(folder)


def test_b5_a_missing_file_is_said_and_the_rest_works(folder: Path) -> None:
    for name in ("dbip-country-v4.bin", "dbip-country-v6.bin", "asn-names.bin"):
        (folder / name).unlink()
    room = datafiles.places(folder=folder)
    assert room.describe([ADDRESS]) == [Place(None, "RU", 13238, None, anycast=False)]
    assert [entry["name"] for entry in room.databases] == ["nro-registration", "asn"]
    assert [notice.partition(" is missing")[0] for notice in room.notices] == [
        *("dbip-country-v4.bin", "dbip-country-v6.bin", "asn-names.bin")
    ]
    assert [entry.file for entry in datafiles.verify(folder)] == [notice.split()[0] for notice in room.notices]


def test_b5_without_any_file_everything_is_unknown(tmp_path: Path) -> None:
    room = datafiles.places(folder=tmp_path)
    assert room.describe([ADDRESS]) == [Place()]
    assert room.databases == []
    (notice,) = room.notices
    assert "server_country, registration_country, asn stay unknown" in notice
    assert datafiles.vendors(tmp_path).vendor(0x001B63_000000) is None
    assert datafiles.vendors(tmp_path).database is None


@pytest.mark.parametrize("record", [{"country": {"iso_code": "SG"}}, {"country_code": "SG"}, {"country": "SG"}])
@pytest.mark.parametrize("ip_version", [4, 6])
def test_a_country_database_of_the_users_stands_in(tmp_path: Path, record: Value, ip_version: int) -> None:
    path = write(tmp_path / "mine.mmdb", mmdb([("5.0.0.0/8", record)], ip_version))
    room = datafiles.places([path])
    v6 = parse_address("2a02:6b8::1")
    assert v6 is not None
    assert [place.server_country for place in room.describe([ADDRESS, 0x4D580808, v6])] == ["SG", None, None]
    assert [place.registration_country for place in room.describe([ADDRESS, v6])] == ["RU", "RU"]
    assert room.databases[0] == {"name": "mine.mmdb", "use": "server_country", "date": "2026-06-01", "licence": None}
    assert [entry["use"] for entry in room.databases] == ["server_country", "registration_country", "asn"]


def test_a_network_database_of_the_users_stands_in_beside_a_country_one(tmp_path: Path) -> None:
    geo = [write(tmp_path / "asn.mmdb", mmdb(NETWORKS)), write(tmp_path / "country.mmdb", mmdb(COUNTRIES))]
    room = datafiles.places(geo)
    v6 = parse_address("2a00::1")
    assert v6 is not None
    assert room.describe([ADDRESS]) == [Place("SG", "RU", 64_500, "Mine", anycast=False)]
    assert [(place.server_country, place.asn) for place in room.describe([v6])] == [("FR", None)]
    assert [entry["name"] for entry in room.databases] == ["country.mmdb", "nro-registration", "asn.mmdb"]


def test_two_databases_for_one_use_are_refused(tmp_path: Path) -> None:
    geo = [write(tmp_path / name, mmdb(COUNTRIES)) for name in ("a.mmdb", "b.mmdb")]
    with pytest.raises(UsageError, match=r"b\.mmdb: another --geo already gives server_country"):
        datafiles.places(geo)


def test_b2_a_date_out_of_range_is_unknown(tmp_path: Path) -> None:
    room = datafiles.places([write(tmp_path / "x.mmdb", mmdb(COUNTRIES, built=(1 << 63) + 5))])
    assert room.databases[0]["date"] is None


def test_b2_what_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    huge = tmp_path / "huge.mmdb"
    huge.touch()
    os.truncate(huge, datafiles.GEO_BYTES + 1)
    os.mkfifo(tmp_path / "pipe.mmdb")
    cases = {
        str(tmp_path / "absent.mmdb"): "No such file",
        str(tmp_path): "not a file",
        str(tmp_path / "pipe.mmdb"): "not a file",
        str(huge): "limit 268435456",
        write(tmp_path / "empty.mmdb", b""): "not a database",
        write(tmp_path / "text.mmdb", b"<html>not found</html>"): "not a database",
        write(tmp_path / "other.mmdb", mmdb([("5.0.0.0/8", {"city": "X"})])): "neither countries nor AS numbers",
    }
    for path, reason in cases.items():
        with pytest.raises(DataError, match=reason) as told:
            datafiles.places([path])
        assert path in str(told.value)


@pytest.mark.parametrize("ip_version", [4, 6])
def test_b2_a_damaged_database_is_refused_or_says_unknown(tmp_path: Path, ip_version: int) -> None:
    random_ = random.Random(ip_version)
    records: list[tuple[str, Value]] = [
        (f"{first}.0.0.0/8", {"country": {"iso_code": "SG", "names": {"en": "x" * first}}, "asn": f"AS{first}"})
        for first in range(1, 40)
    ]
    content = mmdb(records, ip_version)
    addresses = [first << 24 | 9 for first in range(1, 60)]
    refused = 0
    for _ in range(200):
        damaged = bytearray(content[: random_.choice([len(content)] * 9 + [random_.randrange(len(content))])])
        for _ in range(random_.choice([1, 3, 30])):
            damaged[random_.randrange(len(damaged))] = random_.randrange(256)
        path = write(tmp_path / "damaged.mmdb", bytes(damaged))
        try:
            room = datafiles.places([path])
        except DataError:
            refused += 1
            continue
        for place in room.describe(addresses):
            assert place.server_country is None or (len(place.server_country) == 2 and place.server_country.isupper())
            assert place.asn is None or 0 < place.asn < 1 << 32
        assert len(room.notices) <= 1
    assert 0 < refused < 200
