"""What is told of interfaces and routes, in a network namespace."""

import socket
from collections.abc import Iterator

import pytest
from support.netns import ip, needs_root, network, up, veth

from netwatch.model.errors import SourceError
from netwatch.runtime.interfaces import default_interface, list_interfaces, local_networks, refuse_missing

pytestmark = needs_root


@pytest.fixture(autouse=True)
def net() -> Iterator[None]:
    with network():
        veth("nv0", "nv1")
        yield


def test_each_interface_is_told_as_it_is() -> None:
    ip(
        "link add br0 type bridge",
        "tuntap add dev vpn0 mode tun",
        "tuntap add dev tap0 mode tap",
        "link set nv0 address 02:00:00:00:00:01",
        "addr add 203.0.113.5/24 dev nv0",
        "addr add 2001:db8:5::1/64 dev nv0 nodad",
        "route add default via 203.0.113.1",
        "link set nv1 down",
    )
    found = {one.name: one for one in list_interfaces()}
    assert {name: (one.kind, one.captured) for name, one in found.items()} == {
        "lo": ("loopback", False),
        "nv0": ("virtual", True),
        "nv1": ("virtual", True),
        "br0": ("bridge", False),
        "vpn0": ("vpn", True),
        "tap0": ("virtual", True),
    }
    nv0 = found["nv0"]
    assert (nv0.mac, nv0.default, nv0.up, nv0.link_type) == ("02:00:00:00:00:01", True, True, 1)
    assert set(nv0.addresses) == {"203.0.113.5/24", "2001:db8:5::1/64"}
    assert (found["nv1"].up, found["vpn0"].link_type, found["vpn0"].mac) == (False, 101, None)
    assert nv0.number == socket.if_nametoindex("nv0")


def test_the_default_interface_is_that_of_the_lowest_metric() -> None:
    assert default_interface() is None
    veth("nv2", "nv3")
    ip(
        "addr add 10.1.0.2/24 dev nv0",
        "addr add 10.2.0.2/24 dev nv2",
        "route add default via 10.1.0.1 metric 600",
        "route add default via 10.2.0.1 metric 100",
    )
    assert default_interface() == "nv2"
    ip("route del default via 10.2.0.1 metric 100")
    assert default_interface() == "nv0"


def test_without_ipv4_the_default_interface_is_that_of_ipv6() -> None:
    ip("addr add fd00:1::2/64 dev nv0 nodad", "route add default via fd00:1::1 dev nv0")
    assert default_interface() == "nv0"


def test_local_networks_are_those_of_the_neighbours_not_of_the_provider() -> None:
    veth("nv2", "nv3")
    ip(
        "addr add 203.0.113.5/24 dev nv0",
        "route add default via 203.0.113.1",
        "addr add 198.51.100.1/25 dev nv2",
        "addr add 192.168.7.1/24 dev nv2",
        "addr add 2001:db8:5::1/64 dev nv2 nodad",
        "route add 128.0.0.0/1 dev nv2",
        "route add 8.8.8.0/24 via 198.51.100.9",
    )
    assert local_networks() == ["198.51.100.1/32", "203.0.113.5/32", "2001:db8:5::/64"]  # both lead to the Internet
    ip("route del 128.0.0.0/1 dev nv2")
    assert local_networks() == ["198.51.100.0/25", "203.0.113.5/32", "2001:db8:5::/64"]


def router() -> None:
    """nv0 is the WAN, nv2 the LAN, both with public networks; a /56 was delegated."""
    veth("nv2", "nv3")
    ip(
        "addr add 198.51.100.9/24 dev nv0",
        "addr add 2001:db8:ffff::2/64 dev nv0 nodad",
        "route add default via 198.51.100.1 dev nv0",
        "route add default via 2001:db8:ffff::1 dev nv0",
        "addr add 203.0.113.1/28 dev nv2",
    )


def test_a_router_knows_its_lan_and_takes_nothing_of_the_provider_for_it() -> None:
    router()
    ip("addr add 2001:db8:5:1::1/64 dev nv2 nodad", "route add unreachable 2001:db8:5::/56 dev lo metric 4096")
    assert local_networks() == ["198.51.100.9/32", "203.0.113.0/28", "2001:db8:5::/56", "2001:db8:ffff::2/128"]


def test_a_network_that_is_thrown_away_is_local_only_where_a_lan_has_a_part_of_it() -> None:
    """Who blocks a network's addresses still wants to see who asks for them."""
    router()
    ip("addr add 2001:db8:5:1::1/64 dev nv2 nodad", "route add blackhole 2001:db8:face::/48 dev lo")
    assert local_networks() == ["198.51.100.9/32", "203.0.113.0/28", "2001:db8:5:1::/64", "2001:db8:ffff::2/128"]


def test_a_router_that_relays_its_only_prefix_keeps_it() -> None:
    """Without a prefix of the LAN's own, devices have addresses of the uplink's (NDP proxy), and routes one by one."""
    router()
    ip("route add 2001:db8:ffff::77/128 dev nv2")
    assert local_networks() == ["198.51.100.9/32", "203.0.113.0/28", "2001:db8:ffff::/64"]


def test_a_laptop_has_its_neighbours_by_ipv6_and_itself_by_public_ipv4() -> None:
    ip(
        "addr add 198.51.100.9/22 dev nv0",
        "addr add 2001:db8:7::abcd/128 dev nv0 nodad",  # by DHCPv6: the prefix is a route of its own
        "route add 2001:db8:7::/64 dev nv0",
        "route add default via 198.51.100.1 dev nv0",
        "route add default via fe80::1 dev nv0",
    )
    assert local_networks() == ["198.51.100.9/32", "2001:db8:7::/64"]


def test_a_tunnel_makes_no_server_local() -> None:
    """A VPN that takes all traffic, or that of some services; and one whose far ends have addresses of ours."""
    ip("tuntap add dev vpn0 mode tun", "tuntap add dev wg0 mode tun")
    up("vpn0", "wg0")
    ip(
        "addr add 192.168.1.5/24 dev nv0",
        "route add default via 192.168.1.1 dev nv0",
        "addr add 203.0.113.70/24 dev vpn0",
        "route add 0.0.0.0/1 dev vpn0",
        "route add 128.0.0.0/1 dev vpn0",
        "route add 2000::/3 dev vpn0",
        "route add 8.8.8.0/24 dev wg0",
        "route add 2001:4860::/48 dev wg0",
        "addr add 2001:db8:9::1/64 dev wg0 nodad",
    )
    assert local_networks() == ["203.0.113.70/32", "2001:db8:9::/64"]


def test_private_networks_are_not_named_again() -> None:
    ip("addr add 192.168.1.5/24 dev nv0", "addr add fd00:1::2/64 dev nv0 nodad", "route add default via 192.168.1.1")
    assert local_networks() == []


def test_an_interface_that_is_not_there_names_those_that_are() -> None:
    refuse_missing(["nv0", "any-physical"])
    with pytest.raises(SourceError, match="nv9: no such interface; there are lo, nv"):
        refuse_missing(["nv0", "nv9"])


def test_an_interface_with_a_hostile_name_breaks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    import argparse

    from netwatch.cli.interfaces import add_arguments, run

    ip("link set nv1 down", "link set nv1 name \\033[31m")
    up("lo")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert run(parser.parse_args([])) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "127.0.0.1/8" in text
    assert run(parser.parse_args(["--json"])) == 0
    assert capsys.readouterr().out.count("\n") == 3
