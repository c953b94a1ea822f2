"""DHCP and DHCPv6: the name that a device gives itself (RFC 2131, RFC 2132, RFC 4702, RFC 8415, RFC 4704)."""

from collections import Counter
from typing import Final

from netwatch.model.errors import ParseError
from netwatch.model.reading import DeviceName, Reading
from netwatch.model.text import wire_text
from netwatch.names.cursor import Cursor
from netwatch.names.store import Store
from netwatch.names.talk import Datagram, DatagramReader

SERVER, CLIENT = 67, 68
_COOKIE: Final = 0x6382_5363
PAD, HOST_NAME, REQUESTED_ADDRESS, FQDN, END = 0, 12, 50, 81, 255
_FQDN_WIRE: Final = 0x04  # flag E: the name is in wire format
V6_RELAY_FORWARD, V6_RELAY_REPLY, V6_CLIENT_FQDN = 12, 13, 39
_ETHERNET: Final = (1, 6)  # htype, hlen


def parse_dhcp(message: Cursor) -> tuple[bool, DeviceName | None]:
    """Return whether a client sent it, and the name in option 12, else 81.

    Raises ParseError: truncated, dhcp_op, dhcp_cookie, step_budget_spent; what stood before a broken option is kept.
    """
    op = message.uint(1)
    if op not in (1, 2):
        raise ParseError("dhcp_op", 0)
    hardware = (message.uint(1), message.uint(1))
    message.skip(9)
    held, given = message.uint(4), message.uint(4)
    message.skip(8)
    mac = message.uint(6)
    message.skip(202)
    if message.uint(4) != _COOKIE:
        raise ParseError("dhcp_cookie", 236)
    host_name = fqdn = b""
    requested = 0
    try:
        while message.left and (code := message.uint(1)) != END:
            message.step()
            if code == PAD:
                continue
            value = message.block(1)
            if code == HOST_NAME:
                host_name = host_name or value.rest()
            elif code == REQUESTED_ADDRESS and value.left == 4:
                requested = value.uint(4)
            elif code == FQDN and not fqdn:
                fqdn = _fqdn(value)
    except ParseError as error:
        message.note(error.anomaly)
    name = host_name.rstrip(b"\0") or fqdn
    if not name:
        return op == 1, None
    address = given or requested or held
    return op == 1, DeviceName(wire_text(name), mac if hardware == _ETHERNET else None, address or None)


def _fqdn(value: Cursor) -> bytes:
    flags = value.uint(1)
    value.skip(2)
    return _labels(value) if flags & _FQDN_WIRE else value.rest()


def _labels(value: Cursor) -> bytes:
    """Join the labels of a name without compression, which may lack its root."""
    labels: list[bytes] = []
    while value.left and (length := value.uint(1)) != 0:
        value.step()
        labels.append(value.take(length))
    return b".".join(labels)


def parse_dhcp6(message: Cursor) -> tuple[bool, DeviceName | None]:
    """Return whether a client sent it, and the name in option 39 of a message that is not relayed.

    Raises ParseError: truncated, dhcp_options, step_budget_spent.
    """
    kind = message.uint(1)
    if kind in (V6_RELAY_FORWARD, V6_RELAY_REPLY):
        return kind == V6_RELAY_FORWARD, None
    message.skip(3)
    client = kind in (1, 3, 4, 5, 6, 8, 9, 11)
    for code, start, end in message.typed(128, "dhcp_options"):
        if code == V6_CLIENT_FQDN:
            value = message.within(start, end)
            value.skip(1)
            name = _labels(value)
            return client, DeviceName(wire_text(name), None, None) if name and client else None
    return client, None


def datagrams(_store: Store, anomalies: Counter[str]) -> DatagramReader:
    """Make the reader of both, on their ports."""

    def read(datagram: Datagram) -> Reading | None:
        message = Cursor.over(datagram.payload)
        old = SERVER in datagram.ports or CLIENT in datagram.ports
        from_client, device = (parse_dhcp if old else parse_dhcp6)(message)
        if message.budget.broken:
            anomalies.update(message.budget.broken)
        return Reading("dhcp" if old else "dhcpv6", from_client=from_client, device=device)

    return read
