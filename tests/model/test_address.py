"""Addresses as numbers keep the families apart and are written as RFC 5952 says."""

from ipaddress import IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netwatch.model.address import V6, address, address_text, from_bytes, halves


@given(st.ip_addresses(v=4))
def test_ipv4_text_is_that_of_the_standard_library(known: object) -> None:
    assert address_text(from_bytes(ip_address(str(known)).packed)) == str(known)


@given(st.lists(st.sampled_from([0, 0, 0, 1, 0xA, 0xFFFF, 0x1234]), min_size=8, max_size=8))
@example([0] * 8)
@example([0, 0, 0, 0, 0, 0, 0, 1])
@example([1, 0, 0, 1, 0, 0, 0, 1])
@example([1, 0, 2, 3, 4, 5, 6, 7])
def test_ipv6_text_reads_back_and_is_shortest(groups: list[int]) -> None:
    known = IPv6Address(b"".join(group.to_bytes(2, "big") for group in groups))
    text = address_text(from_bytes(known.packed))
    assert IPv6Address(text) == known
    if known.ipv4_mapped is None:
        assert text == known.compressed


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("::", "::"),
        ("::1", "::1"),
        ("2001:DB8::0:1", "2001:db8::1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("::ffff:c000:201", "::ffff:192.0.2.1"),
        ("fe80::", "fe80::"),
    ],
)
def test_rfc_5952_examples(text: str, written: str) -> None:
    assert address_text(from_bytes(IPv6Address(text).packed)) == written


@given(st.sampled_from([4, 16]).flatmap(lambda size: st.binary(min_size=size, max_size=size)))
def test_halves_join_again_and_tell_the_families_apart(raw: bytes) -> None:
    value = from_bytes(raw)
    family, hi, lo = halves(value)
    assert family == {4: 4, 16: 6}[len(raw)] == (6 if value >= V6 else 4)
    assert address(family, hi, lo) == value
    assert max(hi, lo) < 1 << 64


def test_the_same_number_in_both_families_is_two_addresses() -> None:
    assert from_bytes(bytes(4)) != from_bytes(bytes(16))
    assert address_text(from_bytes(bytes(4))) == "0.0.0.0"
