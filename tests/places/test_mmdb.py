import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.places.mmdb import country_of, kinds, network_of

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["iso_code", "x"]), inner, max_size=2),
)
KEYS = ["country", "country_code", "asn", "autonomous_system_number", "autonomous_system_organization", "name"]


@pytest.mark.parametrize(
    ("record", "country"),
    [
        ({"country": {"iso_code": "SG", "names": {"en": "Singapore"}}}, "SG"),
        ({"country_code": "SG"}, "SG"),
        ({"country": "SG"}, "SG"),
        ({"country": "Singapore", "country_code": "SG"}, "SG"),
        ({"registered_country": {"iso_code": "SG"}}, None),
        ({"country": {"iso_code": "sg"}}, None),
        ({"country_code": "SGP"}, None),
        ({"country_code": "S\N{CYRILLIC CAPITAL LETTER ER}"}, None),
        ({"country_code": "SG\n"}, None),
        ({"country": ["SG"]}, None),
        ("SG", None),
        (None, None),
    ],
)
def test_b2_three_schemas_of_countries(record: object, country: str | None) -> None:
    assert country_of(record) == country


@pytest.mark.parametrize(
    ("record", "network"),
    [
        ({"autonomous_system_number": 15169, "autonomous_system_organization": "Google LLC"}, (15169, "Google LLC")),
        ({"asn": "AS15169", "as_name": "Google LLC"}, (15169, "Google LLC")),
        ({"asn": 15169, "name": "Google LLC"}, (15169, "Google LLC")),
        ({"asn": "15169", "as_name": ""}, (15169, None)),
        ({"asn": 0}, (0, None)),
        ({"asn": True}, (0, None)),
        ({"asn": 1 << 32, "name": "x"}, (0, None)),
        ({"asn": "AS" + "9" * 5000}, (0, None)),
        ({"asn": -5}, (0, None)),
        ({"asn": 1.5}, (0, None)),
        ([], (0, None)),
    ],
)
def test_b2_schemas_of_networks(record: object, network: tuple[int, str | None]) -> None:
    assert network_of(record) == network


@given(JUNK | st.dictionaries(st.sampled_from(KEYS), JUNK))
def test_b2_whatever_a_record_is_the_values_have_their_types(record: object) -> None:
    country, (number, name) = country_of(record), network_of(record)
    assert country is None or (len(country) == 2 and country.isascii() and country.isupper())
    assert 0 <= number < 1 << 32
    assert name is None or (number and isinstance(name, str))


class Endless:
    """A tree in which no network is larger than one address: walking it whole would take for ever."""

    asked = 0

    def get_with_prefix_len(self, ip_address: str) -> tuple[object, int]:
        self.asked += 1
        return None, 32 if "." in ip_address and ":" not in ip_address else 128


@pytest.mark.parametrize("ip_version", [4, 6])
def test_b2_learning_what_a_database_holds_takes_few_steps(ip_version: int) -> None:
    reader = Endless()
    assert kinds(reader, ip_version) == set()
    assert reader.asked < 5_000
