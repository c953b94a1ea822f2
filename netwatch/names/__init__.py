"""payload -> Reading: the names that packets show, one file a protocol and one line in the tables here."""

from typing import Final

from netwatch.names import described, dhcp, dns, dtls, quic
from netwatch.names.dns import DNS_STREAM
from netwatch.names.http import HTTP
from netwatch.names.talk import DatagramProtocol, MakeReader, StreamProtocol
from netwatch.names.tls import TLS

STREAMS: Final[dict[str, StreamProtocol]] = {  # asked in this order
    "tls": TLS,
    "http": HTTP,
    "dns": DNS_STREAM,
    **described.streams(),
}

PORTS: Final[dict[int, MakeReader]] = {  # what runs on a port, whatever its bytes look like
    53: dns.Messages,
    5353: dns.Messages,
    5355: dns.Messages,
    67: dhcp.datagrams,
    68: dhcp.datagrams,
    546: dhcp.datagrams,
    547: dhcp.datagrams,
}

DATAGRAMS: Final[dict[str, DatagramProtocol]] = {  # asked in this order
    "quic": DatagramProtocol(quic.datagrams, quic.FIRSTS),
    "dtls": DatagramProtocol(dtls.datagrams, dtls.FIRSTS),
    "described": DatagramProtocol(described.datagrams, described.FIRSTS, described.PORTS),
}
