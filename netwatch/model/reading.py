"""What the parsers of names hand over: readings of payloads."""

from typing import NamedTuple, TypeAlias

Address: TypeAlias = int
"""An IP address as one number: IPv4 as itself, IPv6 with bit 128 set (model/address.py)."""


class Hello(NamedTuple):
    """A TLS, DTLS or QUIC ClientHello (RFC 8446 section 4.1.2).

    server_name: host_name of server_name as sent (RFC 6066 section 3), None without one.
    alpn:        protocols offered, in order, as sent.
    version:     highest version offered: "1.3", "1.2", ... "ssl3"; None where only unknown (GREASE) ones were offered.
    ja4:         the JA4 client fingerprint.
    ech:         extension 0xfe0d is there: encrypted_client_hello, or GREASE of it.
    """

    server_name: bytes | None
    alpn: tuple[bytes, ...]
    version: str | None
    ja4: str
    ech: bool


class DnsQuestion(NamedTuple):
    """name: as text (model/text.py dns_text), lower case, without the last dot; type: the registered word."""

    name: str
    type: str


class DnsAnswer(NamedTuple):
    """A resource record of any section.

    data:    the record's data as text: an address, a name, or hexadecimal digits for types that are not read.
    address: of A and AAAA, else None.   ech: an HTTPS or SVCB record with an `ech=` parameter (RFC 9460, 9849).
    """

    name: str
    type: str
    data: str
    ttl: int
    address: Address | None
    ech: bool


class DnsMessage(NamedTuple):
    """A DNS, mDNS or LLMNR message; rcode is the registered word (`NOERROR`)."""

    ident: int
    response: bool
    rcode: str
    questions: tuple[DnsQuestion, ...]
    answers: tuple[DnsAnswer, ...]


class DeviceName(NamedTuple):
    """A device told its own name (DHCP option 12, mDNS).

    mac: the client hardware address of DHCP, None: whoever sent this packet.   address: asked for or held, if told.
    """

    name: str
    mac: int | None
    address: Address | None


class Reading(NamedTuple):
    """What one packet's payload, with those before it, told about its flow.

    protocol:    tls, dtls, quic, dns, ... of DESIGN section 4; None: not known (yet).
    kind:        evidence kind of `names`: sni, quic_sni, http_host, certificate.
    names:       as text (model/text.py wire_text), as sent; more than one only from a certificate.
    hello:       the ClientHello that was read.
    from_client: the sender of this packet is the client (True), the server (False), or that is not known (None).
    messages:    DNS messages of this packet.
    device:      a name that a device gave itself.
    undecryptable: a QUIC Initial that could not be opened: what it names stays unknown.
    more:        a message is not whole yet: hand over every further payload packet of this flow, both ways.
    done:        nothing more is wanted of this flow.
    """

    protocol: str | None = None
    kind: str | None = None
    names: tuple[str, ...] = ()
    hello: Hello | None = None
    from_client: bool | None = None
    messages: tuple[DnsMessage, ...] = ()
    device: DeviceName | None = None
    undecryptable: bool = False
    more: bool = False
    done: bool = False
