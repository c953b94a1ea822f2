import numpy as np
import pytest

from netwatch.model.arrays import U32, U64
from netwatch.model.errors import DataError
from netwatch.model.limits import PLACES
from netwatch.model.records import Place
from netwatch.places.anycast import ANYCAST_ASNS
from netwatch.places.cidr import parse_address
from netwatch.places.places import Places
from netwatch.places.tables import CountryTables, NetworkTables
from netwatch.runtime import datafiles

# Made of facts of DB-IP's IP to Country Lite of 2026-06-01 (https://db-ip.com, CC BY 4.0), read with maxminddb: first
# and last addresses of ranges taken at random, the last IPv6 ones of ranges that begin or end inside a /64.
SAMPLE_DATE = "2026-06-01"
SAMPLE = """
174.133.202.0 BR  174.133.202.191 BR  194.112.81.0 GB  194.112.82.255 GB  181.191.68.0 BO  181.191.71.255 BO
174.123.61.128 US  174.123.61.255 US  185.240.236.0 US  185.240.237.255 US  196.240.43.0 ES  196.240.43.255 ES
82.25.145.0 HK  82.25.145.255 HK  80.243.163.0 AT  80.243.175.191 AT  187.85.158.0 BR  187.86.163.255 BR
2a01:3e1:4c0:: CA  2a01:3e1:50f:ffff:ffff:ffff:ffff:ffff CA  2a11:f141:f000:: GN
2a11:f141:ffff:ffff:ffff:ffff:ffff:ffff GN  2a0f:85c1:3be:: GB  2a0f:85c1:3be:ffff:ffff:ffff:ffff:ffff GB
2402:4121:: BE  2402:413f:ffff:ffff:ffff:ffff:ffff:ffff BE  2804:5641:: CH  2804:5643:ffff:ffff:ffff:ffff:ffff:ffff CH
2a07:3e0:1300::4 GB  2a07:3e0:1300::5 GB  2a19:3e0:500::4 DE  2a19:3e0:500::5 DE  2001:ad0:c30:2::4 EE
2001:ad0:cfe::d42f:c95a EE  2a11:3e0:1300::6 NL  2a11:3ff:ffff:ffff:ffff:ffff:ffff:ffff NL
"""


def number(text: str) -> int:
    address = parse_address(text)
    assert address is not None, text
    return address


class Fixed:
    """Says the same of every address and notes what it was asked."""

    def __init__(self, country: str | None = "SG", asn: int = 64_500) -> None:
        self.country, self.asn = country, asn
        self.asked: list[tuple[int, list[int]]] = []

    def load(self) -> None: ...

    def countries(self, family: int, hi: U64, lo: U64) -> list[str | None]:
        self.asked.append((family, lo.tolist()))
        return [self.country] * len(hi)

    def numbers(self, family: int, hi: U64, lo: U64) -> U32:
        self.asked.append((family, lo.tolist()))
        return np.full(len(hi), self.asn, np.uint32)

    def name(self, number: int) -> str | None:
        return f"name of {number}"


def of_fixed(country: str | None = "SG", registration: str | None = "CN", asn: int = 64_500) -> Places:
    return Places(Fixed(country), Fixed(registration), Fixed(asn=asn))


def test_the_shipped_tables_say_what_their_source_says() -> None:
    room = datafiles.places()
    assert room.databases[0]["date"] == SAMPLE_DATE, "the tables were renewed: take a new sample"
    words = SAMPLE.split()
    texts, countries = words[::2], words[1::2]
    places = room.describe([number(text) for text in texts])
    assert [(text, place.server_country) for text, place in zip(texts, places, strict=True)] == list(
        zip(texts, countries, strict=True)
    )


def test_three_notions_of_an_address_stand_side_by_side() -> None:
    (place,) = datafiles.places().describe([number("77.88.8.8")])
    assert place == Place("RU", "RU", 13238, "YANDEX LLC", anycast=False)


@pytest.mark.parametrize(
    "text",
    [
        *("1.1.1.1", "8.8.8.8", "8.8.4.4", "9.9.9.9", "208.67.222.222", "223.5.5.5", "119.29.29.29"),
        *("2606:4700:4700::1111", "2001:4860:4860::8888", "2620:fe::fe", "104.16.1.1", "151.101.1.69"),
    ],
)
def test_anycast_has_no_place_but_a_registration(text: str) -> None:
    (place,) = datafiles.places().describe([number(text)])
    assert place.anycast is True
    assert place.server_country is None
    assert place.asn is not None
    assert place.registration_country is not None


@pytest.mark.parametrize("asn", sorted(ANYCAST_ASNS))
def test_the_networks_of_cdns_are_anycast(asn: int) -> None:
    (place,) = of_fixed(asn=asn).describe([number("11.0.0.1")])
    assert place == Place(None, "CN", asn, f"name of {asn}", anycast=True)


@pytest.mark.parametrize("asn", [1, 43, 13336, (1 << 32) - 1])
def test_other_networks_have_a_place(asn: int) -> None:
    (place,) = of_fixed(asn=asn).describe([number("11.0.0.1")])
    assert place == Place("SG", "CN", asn, f"name of {asn}", anycast=False)


def test_without_a_known_network_nobody_says_that_it_is_not_anycast() -> None:
    place, resolver = of_fixed(asn=0).describe([number("11.0.0.1"), number("8.8.8.8")])
    assert place == Place("SG", "CN", None, None, None)
    assert resolver == Place(None, "CN", None, None, anycast=True)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "10.1.2.3",
            "100.64.0.1",
            "169.254.1.1",
            "224.0.0.251",
            "255.255.255.255",
            "0.0.0.0",
            "192.0.2.1",
            "240.0.0.1",
        ),
        *("fe80::1", "fd00::1", "ff02::fb", "::1", "::", "2001:db8::1", "2002:808:808::1", "64:ff9b::10.0.0.1"),
    ],
)
def test_local_and_reserved_addresses_are_nowhere(text: str) -> None:
    assert of_fixed().describe([number(text)]) == [Place()]


def test_a_server_behind_nat64_is_where_its_ipv4_address_is() -> None:
    country = Fixed()
    room = Places(country, Fixed(), Fixed())
    room.describe([number("64:ff9b::203.0.112.9")])
    assert country.asked == [(4, [0xCB007009])]


def test_a_family_that_does_not_show_up_is_not_read() -> None:
    read: list[str] = []

    def note(name: str) -> bytes | None:
        read.append(name)
        return datafiles.DataFolder().read(name)

    room = Places(CountryTables("dbip-country", note), CountryTables("nro-registration", note), NetworkTables(note))
    room.describe([number("10.0.0.1"), number("fe80::1")])
    assert read == []
    room.describe([number("77.88.8.8"), number("5.255.255.70")])
    assert sorted(read) == ["asn-names.bin", "asn-v4.bin", "dbip-country-v4.bin", "nro-registration-v4.bin"]
    room.load()
    assert len(read) == len(set(read)) == 7


def test_equal_places_are_one_object_and_order_is_kept() -> None:
    room = of_fixed()
    addresses = [number(text) for text in ("11.0.0.1", "10.0.0.1", "2a00::1", "11.0.0.1", "8.8.8.8")]
    first = room.describe(addresses)
    assert first[0] is first[2] is first[3]
    assert [place.anycast for place in first] == [False, None, False, False, True]
    assert room.describe(addresses[::-1]) == first[::-1]
    assert room.describe([]) == []


def test_m3_what_is_remembered_is_bounded() -> None:
    country = Fixed()
    room = Places(country, Fixed(), Fixed())
    for at in range(3):
        room.describe(range(11 << 24, (11 << 24) + 1 + PLACES // 2 * (at + 1), 1 + at))
        assert len(room._known) <= PLACES
    room.describe([11 << 24])
    assert len({value for _, asked in country.asked for value in asked}) > PLACES // 2


def test_b1_a_damaged_table_is_told_each_time_and_leaves_nothing_behind() -> None:
    def damaged(name: str) -> bytes | None:
        raise DataError(f"{name}: damaged")

    room = Places(Fixed(), CountryTables("nro-registration", damaged), Fixed())
    for _ in range(2):
        with pytest.raises(DataError, match=r"nro-registration-v4\.bin: damaged"):
            room.describe([number("11.0.0.1")])


def test_b5_without_tables_everything_is_unknown() -> None:
    nothing = {}.get
    room = Places(
        CountryTables("dbip-country", nothing), CountryTables("nro-registration", nothing), NetworkTables(nothing)
    )
    assert room.describe([number("11.0.0.1"), number("2a00::1")]) == [Place(), Place()]
