"""What is told of interfaces and routes, in a network namespace."""

import socket
from collections.abc import Iterator

import pytest
from support.netns import ip, needs_root, network, up, veth

from netwatch.runtime.interfaces import default_interface, list_interfaces, local_networks

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
    assert local_networks() == [
        "198.51.100.0/25",
        "198.51.100.1/32",
        "203.0.113.5/32",
        "2001:db8:5::/64",
        "2001:db8:5::1/128",
    ]


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
