"""Why a flow has no name (DESIGN section 4, `blind`): the first reason of the list that holds."""

from typing import Final

from netwatch.model.packets import ICMP, ICMP6, TCP

HTTPS_PORT: Final = 443
DOT_PORT: Final = 853  # RFC 7858; RFC 9250 for DNS over QUIC

VPN_PROTOCOLS: Final = frozenset(("wireguard", "openvpn", "ipsec", "ike", "isakmp", "esp", "l2tp", "pptp"))
VPN_TRANSPORTS: Final = frozenset((47, 50, 51, 115))  # GRE, ESP, AH, L2TP, where nothing inside could be read
DOT_PROTOCOLS: Final = frozenset(("dot", "tls", "dtls", "quic", None))
DOH_PROTOCOLS: Final = frozenset(("tls", "quic", "http2", "doh", None))
ENCRYPTED: Final = frozenset(("tls", "dtls", "quic", "mmtls", "ssh"))

NAMELESS_PROTOCOLS: Final = frozenset(
    ("dns", "mdns", "llmnr", "ntp", "dhcp", "dhcpv6", "dhcp6", "ssdp", "nbns", "netbios", "igmp", "icmp", "icmp6")
)
NAMELESS_TRANSPORTS: Final = frozenset((ICMP, 2, 88, 89, 103, 112, ICMP6))  # and IGMP, EIGRP, OSPF, PIM, VRRP


def needs_name(protocol: str | None, transport: int) -> bool:
    """Tell whether a flow counts in coverage by its protocol: dns, ntp, dhcp, icmp and the like need no name."""
    return protocol not in NAMELESS_PROTOCOLS and transport not in NAMELESS_TRANSPORTS


def tunnel_reason(protocol: str | None, transport: int, port: int, *, doh_name: bool, resolver: bool) -> str | None:
    """Return the reason that holds whatever name the flow shows: vpn, dot or doh.

    doh_name: the name is a known DoH service's.   resolver: the address is a known resolver's.
    """
    if protocol in VPN_PROTOCOLS or transport in VPN_TRANSPORTS:
        return "vpn"
    if protocol == "dot" or (port == DOT_PORT and protocol in DOT_PROTOCOLS):
        return "dot"
    encrypted = protocol in DOH_PROTOCOLS
    if protocol == "doh" or (encrypted and port == HTTPS_PORT and (doh_name or resolver)):
        return "doh"
    return "doh" if doh_name and encrypted and protocol is not None else None


def nameless_reason(
    protocol: str | None, transport: int, *, cut: bool, undecryptable: bool, handshake: bool, hello: bool, payload: bool
) -> str | None:
    """Return why a flow without a clear name has none; None where its protocol needs no name."""
    if not needs_name(protocol, transport):
        return None
    if cut:
        return "snaplen_cut"
    if undecryptable:
        return "undecryptable"
    if hello:
        return "no_name_offered"
    if transport == TCP and not handshake:
        return "no_handshake"
    if protocol in ENCRYPTED or (protocol is None and payload):
        return "encrypted_unknown"
    return "ip_only"
