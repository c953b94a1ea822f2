import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.address import V6
from netwatch.model.errors import UsageError
from netwatch.places.cidr import parse_address, parse_network
from netwatch.places.local import LOCAL, UNROUTED, LocalNetworks, NetworkSet, columns

NETWORKS = [parse_network(text) for text in (*LOCAL, *UNROUTED)]
BORDERS = [
    (V6 if network.family == 6 else 0) + max(0, edge)
    for network in NETWORKS
    for edge in (network.first - 1, network.first, network.last, network.last + 1)
    if edge < (1 << 32 if network.family == 4 else V6)
]
ADDRESSES = st.integers(0, (1 << 32) - 1) | st.integers(V6, 2 * V6 - 1) | st.sampled_from(BORDERS)


@pytest.mark.parametrize(
    ("text", "local"),
    [
        *((text, True) for text in ("10.0.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "169.254.9.9")),
        *((text, True) for text in ("127.0.0.53", "224.0.0.251", "239.255.255.250", "255.255.255.255", "0.0.0.0")),
        *((text, True) for text in ("fe80::1", "fd12::1", "ff02::fb", "::1", "::")),
        *((text, False) for text in ("172.32.0.0", "100.128.0.0", "192.169.0.0", "11.0.0.0", "8.8.8.8", "203.0.113.7")),
        *((text, False) for text in ("2001:db8::1", "2606:4700::1", "::2", "::ffff:10.0.0.1")),
    ],
)
def test_which_addresses_are_on_this_side(text: str, local: bool) -> None:
    address = parse_address(text)
    assert address is not None
    assert LocalNetworks().contains_one(address) is local
    assert LocalNetworks().contains(*columns([address])).tolist() == [local]


@given(st.lists(ADDRESSES), st.lists(st.sampled_from([*LOCAL, *UNROUTED, "8.0.0.0/7", "2606:4700::/31", "::/0"])))
def test_the_answer_for_columns_is_that_of_a_loop_over_the_networks(addresses: list[int], networks: list[str]) -> None:
    members = NetworkSet(map(parse_network, networks))
    one_by_one = [any(parse_network(text).holds(address) for text in networks) for address in addresses]
    assert members.contains(*columns(addresses)).tolist() == one_by_one
    assert [members.contains_one(address) for address in addresses] == one_by_one


def test_the_user_adds_networks() -> None:
    local = LocalNetworks(["203.0.113.0/24", "2001:db8:5::/48", "198.51.100.7"])
    family, hi, lo = columns([0xCB0071FE, 0xCB007200, V6 | 0x20010DB8000500000000000000000009, 0xC6336407, 0xC6336408])
    assert local.contains(family, hi, lo).tolist() == [True, False, True, True, False]
    assert local.contains(*columns([])).dtype == np.bool_


def test_an_added_network_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'192\.168\.0\.0/40' is no network"):
        LocalNetworks(["192.168.0.0/40"])
