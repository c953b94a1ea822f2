import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hellos import Lengths, dhcp, extension

from netwatch.model.reading import DeviceName, Reading
from netwatch.names.inspector import Inspector

MAC = 0x0200_0000_0001
REQUEST = b"\x35\x01\x03"


def option(code: int, value: bytes) -> bytes:
    return bytes([code]) + Lengths()(1, value)


def read(payload: bytes, *, ports: tuple[int, int] = (68, 67), inspector: Inspector | None = None) -> Reading | None:
    return (inspector or Inspector()).datagram(1, 0, payload, False, *ports, 0, 0)


def device(payload: bytes) -> DeviceName | None:
    reading = read(payload)
    assert reading is not None
    assert (reading.protocol, reading.done) == ("dhcp", False)
    return reading.device


def test_the_host_name_with_the_address_asked_for() -> None:
    options = REQUEST + option(12, b"Ana-iPhone") + option(50, bytes([192, 168, 1, 23])) + b"\xff"
    assert device(dhcp(options)) == DeviceName("Ana-iPhone", MAC, 0xC0A80117)
    assert device(dhcp(b"\0\0" + option(12, b"x\0") + b"\xff")) == DeviceName("x", MAC, None)


def test_a_server_tells_the_address_that_it_gives() -> None:
    payload = dhcp(option(12, b"ana"), op=2, given=bytes([10, 0, 0, 9]))
    reading = read(payload, ports=(67, 68))
    assert reading is not None
    assert (reading.device, reading.from_client) == (DeviceName("ana", MAC, 0x0A000009), False)


@pytest.mark.parametrize(
    "value", [b"\x04\0\0\x03ana\x07example\0", b"\x04\0\0\x03ana\x07example", b"\0\0\0ana.example"]
)
def test_the_fqdn_counts_where_no_host_name_is(value: bytes) -> None:
    assert device(dhcp(option(81, value) + b"\xff")) == DeviceName("ana.example", MAC, None)
    both = device(dhcp(option(81, value) + option(12, b"short") + b"\xff"))
    assert both is not None
    assert both.name == "short"


def test_no_name_is_no_device() -> None:
    assert device(dhcp(REQUEST + b"\xff")) is None


def test_a_broken_option_keeps_those_before_it() -> None:
    inspector = Inspector()
    reading = read(dhcp(option(12, b"ana") + b"\x32\x40x"), inspector=inspector)
    assert reading is not None
    assert reading.device == DeviceName("ana", MAC, None)
    assert inspector.anomalies == {"truncated": 1}


def test_p4_an_option_bomb_spends_the_budget() -> None:
    for bomb in (b"\x0a\0" * 20_000, b"\0" * 40_000):
        inspector = Inspector()
        reading = read(dhcp(bomb), inspector=inspector)
        assert reading is not None
        assert inspector.anomalies == {"step_budget_spent": 1}


@pytest.mark.parametrize(
    ("payload", "anomaly"),
    [(bytes(300), "dhcp_op"), (dhcp(b"")[:200], "truncated"), (dhcp(b"")[:236] + bytes(40), "dhcp_cookie")],
)
def test_what_is_no_dhcp_is_counted(payload: bytes, anomaly: str) -> None:
    inspector = Inspector()
    reading = read(payload, inspector=inspector)
    assert reading is None or reading.device is None
    assert inspector.anomalies == {anomaly: 1}


def test_dhcpv6_option_39_of_a_client() -> None:
    name = extension(39, b"\x01\x03ana\x07example")
    reading = read(b"\x01abc" + extension(1, b"duid") + name, ports=(546, 547))
    assert reading == Reading("dhcpv6", from_client=True, device=DeviceName("ana.example", None, None))
    assert read(b"\x07abc" + name, ports=(547, 546)) == Reading("dhcpv6", from_client=False)
    assert read(b"\x0cabc" + name, ports=(547, 547)) == Reading("dhcpv6", from_client=True)


@given(st.binary(max_size=60))
def test_p1_any_options_are_never_a_bug(options: bytes) -> None:
    inspector = Inspector()
    read(dhcp(options), inspector=inspector)
    read(options, ports=(546, 547), inspector=inspector)
    assert not inspector.anomalies["parser_bug"]
