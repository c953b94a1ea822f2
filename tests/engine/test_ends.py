"""Who of two ends is the client, and which device a flow belongs to (DESIGN sections 3.3 and 4)."""

import pytest
from engine.lab import (
    ACK,
    GATEWAY_MAC,
    LAPTOP,
    LAPTOP_ID,
    OTHER_SERVER,
    PHONE,
    PHONE_ID,
    RESOLVER,
    SERVER,
    SYN,
    Host,
    datagram,
    frame,
    hello,
    outside,
    question,
    run_both,
    segment,
)
from support import hellos

PHONE_IP, SERVER_IP = "192.168.1.23", "198.51.100.20"


def ends(flow: dict[str, object]) -> tuple[object, ...]:
    return tuple(flow[key] for key in ("client_ip", "client_port", "server_ip", "server_port"))


def test_the_sender_of_a_syn_is_the_client_whatever_else_is_seen() -> None:
    frames = [
        segment(PHONE, SERVER, ports=(443, 50_000), flags=SYN, seq=0),
        segment(SERVER, PHONE, hello(), 1, ports=(50_000, 443)),
    ]
    assert ends(run_both(frames).flow) == (PHONE_IP, 443, SERVER_IP, 50_000)


def test_the_receiver_of_a_syn_ack_is_the_client_where_the_syn_was_not_seen() -> None:
    frames = [segment(SERVER, PHONE, ports=(50_000, 443), flags=SYN | ACK)]
    assert ends(run_both(frames).flow) == (PHONE_IP, 443, SERVER_IP, 50_000)


def test_an_answer_seen_before_its_syn_changes_nothing() -> None:
    frames = [
        segment(SERVER, PHONE, ports=(50_000, 443), flags=SYN | ACK),
        segment(PHONE, SERVER, at=0.1, ports=(443, 50_000), flags=SYN),
    ]
    assert ends(run_both(frames).flow) == (PHONE_IP, 443, SERVER_IP, 50_000)


def test_the_sender_of_a_hello_is_the_client_without_a_syn() -> None:
    frames = [segment(PHONE, SERVER, hello(), ports=(443, 50_000))]
    assert ends(run_both(frames).flow) == (PHONE_IP, 443, SERVER_IP, 50_000)


def test_the_sender_of_a_quic_hello_is_the_client() -> None:
    data = hellos.initial(hellos.crypto(0, hellos.client_hello(b"www.tiktok.com")))
    frames = [
        datagram(SERVER, PHONE, b"\x40" + bytes(30), ports=(55_000, 50_000)),
        datagram(PHONE, SERVER, data, ports=(50_000, 55_000)),
    ]
    assert ends(run_both(frames).flow) == (PHONE_IP, 50_000, SERVER_IP, 55_000)


def test_the_sender_of_a_dns_question_is_the_client() -> None:
    frames = [datagram(PHONE, RESOLVER, question("example.org"), ports=(53, 53))]
    assert ends(run_both(frames).flow) == (PHONE_IP, 53, "192.168.1.1", 53)


@pytest.mark.parametrize("ports", [(50_000, 8_000), (8_000, 50_000)])
def test_else_the_higher_port_is_the_clients(ports: tuple[int, int]) -> None:
    flow = run_both([datagram(PHONE, SERVER, b"1234", ports=ports)]).flow
    assert (flow["client_port"], flow["server_port"]) == (50_000, 8_000)


@pytest.mark.parametrize("pair", [(PHONE, SERVER), (SERVER, PHONE)])
def test_else_who_was_seen_first_is_the_client(pair: tuple[Host, Host]) -> None:
    frames = [datagram(*pair, b"1234", ports=(9_000, 9_000)), datagram(*pair[::-1], b"1234", 1, ports=(9_000, 9_000))]
    assert ends(run_both(frames).flow)[0] == ".".join(map(str, pair[0].ip))


def test_ports_are_null_without_ports_and_the_first_seen_is_the_client() -> None:
    frames = [frame(SERVER, PHONE, b"\x08\0\0\0\0\1\0\1", 1)]
    assert ends(run_both(frames).flow) == (SERVER_IP, None, PHONE_IP, None)


def test_out_is_from_the_client() -> None:
    frames = [
        segment(PHONE, SERVER, flags=SYN),
        segment(SERVER, PHONE, flags=SYN | ACK, ports=(443, 50_000)),
        segment(PHONE, SERVER, b"x" * 100, 1),
    ]
    flow = run_both(frames).flow
    assert (flow["packets_out"], flow["packets_in"]) == (2, 1)
    assert (flow["bytes_out"], flow["bytes_in"]) == (40 + 140, 40)
    assert (flow["wire_bytes_out"], flow["wire_bytes_in"]) == (54 + 154, 54)
    assert (flow["tcp_flags_out"], flow["tcp_flags_in"]) == (0x1A, 0x12)


def device(src: Host, dst: Host, **settings: object) -> str:
    """The device of a flow that src begins."""
    return run_both([segment(src, dst, flags=SYN)], **settings).flow["device_id"]


def test_the_device_is_the_local_client() -> None:
    assert device(PHONE, SERVER) == PHONE_ID


def test_the_device_is_the_local_server_of_a_client_outside() -> None:
    assert device(SERVER, PHONE) == PHONE_ID


def test_of_two_local_ends_the_client_is_the_device() -> None:
    assert device(LAPTOP, PHONE) == LAPTOP_ID


def test_of_two_ends_outside_the_client_is_the_device() -> None:
    client = Host(0xA4_00_00_00_00_05, outside("203.0.113.9").ip)
    assert device(client, SERVER) == "mac:a4:00:00:00:00:05"


def test_a_network_that_the_user_names_is_local() -> None:
    inside = Host(0xA4_00_00_00_00_05, outside("203.0.113.9").ip)
    assert device(SERVER, inside) == "mac:02:00:00:00:00:fe"
    assert device(SERVER, inside, local=["203.0.113.0/24"]) == "mac:a4:00:00:00:00:05"


@pytest.mark.parametrize("mac", [0, 0x01_00_5E_00_00_01, 0xFF_FF_FF_FF_FF_FF])
def test_a_link_layer_address_of_nobody_names_no_device(mac: int) -> None:
    assert device(Host(mac, PHONE.ip), SERVER) == f"ip:{PHONE_IP}"


@pytest.mark.parametrize("group", ["255.255.255.255", "224.0.0.251"])
def test_a_group_of_hosts_is_no_device_also_where_it_is_the_client(group: str) -> None:
    """A DHCP server's offer to everyone: who it is for is the client, who sent it is the device."""
    everyone = outside(group)._replace(mac=0xFF_FF_FF_FF_FF_FF)
    flow = run_both([datagram(LAPTOP, everyone, hellos.dhcp(b"", op=2), ports=(67, 68))]).flow
    assert (flow["client_ip"], flow["device_id"]) == (group, LAPTOP_ID)


def test_a_link_without_addresses_names_devices_by_ip() -> None:
    frames = [segment(PHONE, SERVER, flags=SYN), segment(LAPTOP, SERVER, flags=SYN)]
    raw = [one._replace(data=one.data[14:]) for one in frames]
    assert {flow["device_id"] for flow in run_both(raw, link_type=101).flows} == {f"ip:{PHONE_IP}", "ip:192.168.1.40"}


def test_two_addresses_of_one_device_are_one() -> None:
    other = Host(PHONE.mac, bytes.fromhex("20010db8000100000000000000000023"))
    server = Host(GATEWAY_MAC, bytes.fromhex("20010db8000200000000000000000001"))
    told = run_both(
        [segment(PHONE, SERVER, flags=SYN), segment(other, server, flags=SYN), segment(LAPTOP, OTHER_SERVER, flags=SYN)]
    )
    assert [flow["device_id"] for flow in told.flows].count(PHONE_ID) == 2


def dhcp_request(name: bytes, device: Host) -> bytes:
    options = b"\x35\x01\x03" + bytes([12, len(name)]) + name + b"\x32\x04" + device.ip + b"\xff"
    return hellos.dhcp(options, mac=device.mac.to_bytes(6, "big"))


def test_a_name_from_dhcp_stands_on_flows_that_began_before_and_after_it() -> None:
    request = datagram(
        Host(PHONE.mac, bytes(4)),
        Host((1 << 48) - 1, b"\xff" * 4),
        dhcp_request(b"Ana-iPhone", PHONE),
        1,
        ports=(68, 67),
    )
    frames = [
        segment(PHONE, SERVER, flags=SYN),
        request,
        segment(PHONE, OTHER_SERVER, at=2, flags=SYN),
        segment(LAPTOP, SERVER, flags=SYN),
    ]
    told = run_both(frames)
    names = {flow["server_ip"]: flow["device_name"] for flow in told.flows if flow["device_id"] == PHONE_ID}
    assert names[SERVER_IP] == names["198.51.100.21"] == "Ana-iPhone"
    assert [flow["device_name"] for flow in told.flows if flow["device_id"] == LAPTOP_ID] == [None]


def test_a_name_from_mdns_stands_on_the_device() -> None:
    own = hellos.dns_message(
        (), [hellos.record(hellos.dns_name(b"Bobs-MacBook", b"local"), 1, LAPTOP.ip)], flags=0x8400, ident=0
    )
    group = Host(0x01_00_5E_00_00_FB, bytes((224, 0, 0, 251)))
    frames = [datagram(LAPTOP, group, own, ports=(5353, 5353)), segment(LAPTOP, SERVER, at=1, flags=SYN)]
    assert run_both(frames).to(SERVER)["device_name"] == "Bobs-MacBook"
