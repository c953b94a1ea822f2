"""Prefixes as text; the longest one wins."""

from bisect import bisect_right
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.attribution.prefixes import flatten, parse_address, parse_prefix
from netwatch.model.address import address_text, from_bytes


@given(st.ip_addresses())
def test_addresses_read_as_the_standard_library_reads_them(value: object) -> None:
    address = parse_address(str(value))
    assert address == from_bytes(ip_address(str(value)).packed)
    assert address is not None
    assert parse_address(address_text(address)) == address


@given(st.text(alphabet="0123456789abcdef:./%", max_size=24))
def test_p1_whatever_the_text_both_agree_on_what_is_an_address(text: str) -> None:
    try:
        expected: int | None = from_bytes(ip_address(text).packed)
    except ValueError:
        expected = None
    if "%" not in text:
        assert parse_address(text) == expected
    else:
        assert parse_address(text) is None


@pytest.mark.parametrize(
    "text", ["10.0.0.1/8", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "::/129", "x/8", "10.0.0.0/\u0661"]
)
def test_a_prefix_is_whole_or_refused(text: str) -> None:
    assert parse_prefix(text) is None


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 8)), max_size=12), st.integers(0, 255))
def test_flat_ranges_find_the_longest_prefix(prefixes: list[tuple[int, int]], low: int) -> None:
    nets = [ip_network((f"10.0.0.{base}", 24 + length), strict=False) for base, length in prefixes]
    ranges = [parse_prefix(str(net)) for net in nets]
    starts, values = flatten((*bounds, place) for place, bounds in enumerate(ranges) if bounds)
    assert starts == sorted(set(starts))
    address = ip_address(f"10.0.0.{low}")
    at = bisect_right(starts, int(address)) - 1
    found = values[at] if at >= 0 else -1
    holding = [place for place, net in enumerate(nets) if address in net]
    best = max(holding, key=lambda place: (nets[place].prefixlen, -place), default=-1)
    assert found == best
