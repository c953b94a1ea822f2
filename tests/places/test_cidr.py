import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.address import V6, address_text
from netwatch.model.errors import UsageError
from netwatch.places.cidr import Network, parse_address, parse_network


@given(st.integers(0, (1 << 32) - 1) | st.integers(V6, 2 * V6 - 1))
def test_an_address_that_is_written_is_read_back(address: int) -> None:
    assert parse_address(address_text(address)) == address


@given(st.text("0123456789abcdefABF:./ +x", max_size=24) | st.from_regex(r"([0-9a-f]{0,5}:{1,2}){1,9}[0-9.]{0,9}"))
def test_text_is_an_address_where_the_standard_library_says_so(text: str) -> None:
    try:
        known = ipaddress.ip_address(text)
    except ValueError:
        assert parse_address(text) is None
    else:
        assert parse_address(text) == int(known) | (V6 if known.version == 6 else 0)


@given(st.integers(0, (1 << 32) - 1) | st.integers(V6, 2 * V6 - 1), st.integers(0, 128))
def test_a_network_is_what_the_standard_library_makes_of_it(address: int, length: int) -> None:
    text = f"{address_text(address)}/{min(length, 32) if address < V6 else length}"
    known = ipaddress.ip_network(text, strict=False)
    assert parse_network(text) == Network(known.version, int(known[0]), int(known[-1]))


def test_an_address_alone_is_a_network_of_one() -> None:
    assert parse_network("192.0.2.7") == Network(4, 0xC0000207, 0xC0000207)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "write it as"),
        ("10.0.0/8", "write it as"),
        ("10.0.0.0/33", "from 0 to 32"),
        ("10.0.0.0/", "from 0 to 32"),
        ("10.0.0.0/255.0.0.0", "from 0 to 32"),
        ("fd00::/129", "from 0 to 128"),
        ("fd00::/+8", "from 0 to 128"),
        ("fe80::1%eth0", "write it as"),
        ("lan\x1b[2J", "write it as"),
    ],
)
def test_what_is_no_network_is_told_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as told:
        parse_network(text)
    assert str(told.value).isprintable()
