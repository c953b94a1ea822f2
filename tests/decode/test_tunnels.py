"""The innermost pair is the flow, and `tunnel` names what carried it; frames are built by scapy, or by hand."""

import struct
from collections.abc import Callable

import pytest
from decode.rows import rows
from support.packets import CLIENT6, SERVER6, batch, eth, ip4, ip6, scapy_bytes, tcp, udp, vlan

from netwatch.decode.packets import decode
from netwatch.model.packets import MALFORMED, OK, TOO_DEEP, TRUNCATED

OUTER = {"src": bytes((203, 0, 113, 1)), "dst": bytes((203, 0, 113, 2))}
OUTER_SRC = int.from_bytes(OUTER["src"], "big")
INNER_SRC = int.from_bytes(bytes((192, 0, 2, 10)), "big")
PACKET4 = ip4(tcp(b"hello"), 6)
PACKET6 = ip6(udp(b"hello", dport=443), 17)
FRAME = eth(PACKET4)


def by_udp(payload: bytes, port: int, sport: int = 50_000) -> bytes:
    return eth(ip4(udp(payload, sport=sport, dport=port), 17, **OUTER))


def by_ip(payload: bytes, protocol: int) -> bytes:
    return eth(ip4(payload, protocol, **OUTER))


def llc(packet: bytes, kind: int = 0x0800) -> bytes:
    return b"\xaa\xaa\x03\0\0\0" + kind.to_bytes(2, "big") + packet


WLAN = b"\x08\x01" + bytes(22) + llc(PACKET4)
CAPWAP = b"\0\x10\x03\0\0\0\0\0"
GTP = struct.pack(">BBHI", 0x30, 255, len(PACKET4), 7)

STACKS = {
    "ipip": (by_ip(PACKET4, 4), "ipip"),
    "6in4": (by_ip(PACKET6, 41), "6in4"),
    "4in6": (eth(ip6(PACKET4, 4, src=SERVER6), 0x86DD), "4in6"),
    "6in6": (eth(ip6(PACKET6, 41, src=SERVER6), 0x86DD), "6in6"),
    "gre": (by_ip(b"\0\0\x08\0" + PACKET4, 47), "gre"),
    "gre with checksum, key and number": (by_ip(b"\xb0\0\x86\xdd" + bytes(12) + PACKET6, 47), "gre"),
    "bridged": (by_ip(b"\0\0\x65\x58" + FRAME, 47), "gre"),
    "mpls in gre": (by_ip(b"\0\0\x88\x47" + b"\0\1\1\x40" + PACKET4, 47), "gre"),
    "pptp": (by_ip(b"\x30\x01\x88\x0b" + bytes(8) + b"\xff\x03\0\x21" + PACKET4, 47), "pptp"),
    "pptp that acknowledges": (by_ip(b"\x30\x81\x88\x0b" + bytes(12) + b"\x21" + PACKET4, 47), "pptp"),
    "erspan 1": (by_ip(b"\0\0\x88\xbe" + FRAME, 47), "erspan"),
    "erspan 2": (by_ip(b"\x10\0\x88\xbe" + bytes(4) + b"\x10" + bytes(7) + FRAME, 47), "erspan"),
    "erspan 3": (by_ip(b"\x10\0\x22\xeb" + bytes(4) + b"\x20" + bytes(11) + FRAME, 47), "erspan"),
    "erspan 3 with 8 more": (
        by_ip(b"\x10\0\x22\xeb" + bytes(4) + b"\x20" + bytes(10) + b"\1" + bytes(8) + FRAME, 47),
        "erspan",
    ),
    "erspan 3 of ip": (by_ip(b"\x10\0\x22\xeb" + bytes(4) + b"\x20" + bytes(9) + b"\x08\0" + PACKET4, 47), "erspan"),
    "wccp 1": (by_ip(b"\0\0\x88\x3e" + PACKET4, 47), "gre"),
    "wccp 2": (by_ip(b"\0\0\x88\x3e" + bytes(4) + PACKET4, 47), "gre"),
    "802.11 in gre": (by_ip(b"\0\0\x82\x10" + WLAN, 47), "gre"),
    "metadata in gre": (by_ip(b"\0\0\x89\x09" + b"\x08\0\1\1\0\1\0\0" + PACKET4, 47), "gre"),
    "etherip": (by_ip(b"\x30\0" + FRAME, 97), "etherip"),
    "mpls in ip": (by_ip(b"\0\1\1\x40" + PACKET4, 137), "mpls"),
    "vxlan": (by_udp(b"\x08\0\0\0\0\0\1\0" + FRAME, 4789), "vxlan"),
    "vxlan of old": (by_udp(b"\x08\0\0\0\0\0\1\0" + FRAME, 8472), "vxlan"),
    "vxlan gpe": (by_udp(b"\x0c\0\0\1\0\0\1\0" + PACKET4, 4790), "vxlan"),
    "vxlan gpe with nsh": (by_udp(b"\x0c\0\0\4\0\0\1\0" + b"\0\2\2\1" + bytes(4) + PACKET4, 4790), "vxlan"),
    "geneve": (by_udp(b"\0\0\x65\x58\0\0\1\0" + FRAME, 6081), "geneve"),
    "geneve of ip, with options": (by_udp(b"\2\0\x08\0\0\0\1\0" + bytes(8) + PACKET4, 6081), "geneve"),
    "gtp-u": (by_udp(GTP + PACKET4, 2152, 2152), "gtpu"),
    "gtp-u with an extension": (by_udp(b"\x34" + GTP[1:] + b"\0\0\0\x85\1\0\0\0" + PACKET4, 2152), "gtpu"),
    "gtp-u with two": (by_udp(b"\x34" + GTP[1:] + b"\0\0\0\x85\1\0\0\xc0\1\0\0\0" + PACKET4, 2152), "gtpu"),
    "gtp-u with a number": (by_udp(b"\x32" + GTP[1:] + b"\0\1\0\0" + PACKET4, 2152), "gtpu"),
    "teredo": (by_udp(PACKET6, 3544), "teredo"),
    "teredo, signed, with origin": (by_udp(b"\0\1\2\2" + bytes(4 + 9) + bytes(8) + PACKET6, 3544), "teredo"),
    "capwap of 802.11": (by_udp(CAPWAP[:1] + b"\x10\x03" + CAPWAP[3:] + WLAN, 5247), "capwap"),
    "capwap, swapped": (by_udp(CAPWAP + b"\x01\x08" + WLAN[2:], 5247), "capwap"),
    "capwap of ethernet": (by_udp(b"\0\x10\0\0\0\0\0\0" + FRAME, 5247), "capwap"),
    "l2tp": (by_udp(b"\0\2\0\1\0\1\xff\x03\0\x21" + PACKET4, 1701), "l2tp"),
    "l2tp with all": (by_udp(b"\x4a\2\0\0\0\1\0\1\0\0\0\0\0\2\0\0\0\x21" + PACKET4, 1701), "l2tp"),
    "mpls in udp": (by_udp(b"\0\1\1\x40" + PACKET4, 6635), "mpls"),
    "gre in udp": (by_udp(b"\0\0\x08\0" + PACKET4, 4754), "gre"),
    "gre of ipip": (by_ip(b"\0\0\x08\0" + ip4(PACKET4, 4), 47), "gre/ipip"),
    "vxlan of 6in4": (by_udp(b"\x08\0\0\0\0\0\1\0" + eth(ip4(PACKET6, 41)), 4789), "vxlan/6in4"),
}


@pytest.mark.parametrize(("frame", "stack"), STACKS.values(), ids=STACKS)
def test_the_innermost_pair_is_the_flow(frame: bytes, stack: str) -> None:
    said = rows(batch([frame]))[0]
    assert (said["state"], said["tunnel"], said["payload"], said["cut"]) == (OK, stack, b"hello", False)
    inner = (INNER_SRC, (40_000, 443)) if said["family"] == 4 else (int.from_bytes(CLIENT6, "big"), (40_000, 443))
    assert (said["src"], said["ports"]) == inner
    assert said["ip_bytes"] == len(PACKET4 if said["family"] == 4 else PACKET6)


@pytest.mark.parametrize(("frame", "stack"), STACKS.values(), ids=STACKS)
def test_p1_a_tunnel_cut_at_any_byte_neither_raises_nor_loses_the_outer_pair(frame: bytes, stack: str) -> None:
    del stack
    cuts = range(34 if frame[12:14] == b"\x08\0" else 54, len(frame))
    for wire in (len(frame), 0):
        whole = batch([frame[:stop] for stop in cuts], wirelen=[wire] * len(cuts))
        said = decode(whole)
        assert said.in_flow.all()
        assert set(said.state.tolist()) <= {OK, MALFORMED, TRUNCATED}


def test_what_does_not_parse_inside_udp_stays_udp() -> None:
    good = [by_udp(b"\x08\0\0\0\0\0\1\0" + FRAME, 4789), by_udp(GTP + PACKET4, 2152), by_udp(PACKET6, 3544)]
    junk = [by_udp(b"\x08" * 40, port) for port in (1701, 2152, 3544, 4754, 4789, 4790, 5247, 6081, 6635, 8472)]
    arp = by_udp(b"\x08\0\0\0\0\0\1\0" + eth(bytes(28), 0x0806), 4789)
    broken = by_udp(b"\x08\0\0\0\0\0\1\0" + eth(b"\x41" + PACKET4[1:]), 4789)
    others = [by_udp(first + GTP[1:] + PACKET4, 2152) for first in (b"\x50", b"\x20")]
    echo = by_udp(b"\x30\x01" + GTP[2:] + PACKET4, 2152)
    empty = by_udp(b"", 4789)
    said = decode(batch([*junk, arp, broken, *others, echo, empty, *good]))
    plain = len(junk) + 6
    assert (said.state == OK).all()
    assert (said.src_lo[:plain] == OUTER_SRC).all()
    assert (said.ports[:plain]).all()
    assert not said.tunnel[:plain].any()
    assert said.tunnel[plain:].all()
    assert said.anomalies == {}


def test_what_gre_carries_beside_ip_is_counted_to_the_outer_pair() -> None:
    arp, routed = by_ip(b"\0\0\x08\x06" + bytes(28), 47), by_ip(b"\x40\0\x08\0" + bytes(8) + PACKET4, 47)
    for said in rows(batch([arp, routed])):
        assert (said["state"], said["src"], said["protocol"], said["ports"]) == (OK, OUTER_SRC, 47, None)
        assert said["tunnel"] is None


def test_a_broken_inner_header_leaves_the_outer_pair_without_ports() -> None:
    said = decode(batch([by_ip(b"\x41" + PACKET4[1:], 4), by_ip(b"\0\0", 47), by_ip(b"\x10\0" + FRAME, 97)]))
    assert (said.state == MALFORMED).all()
    assert (said.src_lo == OUTER_SRC).all()
    assert not said.ports.any()
    assert said.anomalies == {"ip4_header_length": 1, "gre_truncated": 1, "etherip_version": 1}


def test_a_tunnel_inside_a_fragment_is_not_entered() -> None:
    first = eth(ip4(b"\0\0\x08\0" + PACKET4, 47, fragment=0x2000, **OUTER))
    said = rows(batch([first]))[0]
    assert (said["src"], said["protocol"], said["fragment"]) == (OUTER_SRC, 47, (1, 0, False))


def test_an_icmp_error_is_a_packet_between_its_own_ends() -> None:
    quoted = eth(ip4(b"\x03\x03" + bytes(6) + ip4(udp(b""), 17)[:28], 1, **OUTER))
    said = rows(batch([quoted]))[0]
    assert (said["src"], said["protocol"], said["ports"], said["tunnel"]) == (OUTER_SRC, 1, None, None)


def test_tags_before_ip_are_no_tunnel_and_a_tag_inside_one_is_no_vlan_of_the_frame() -> None:
    tagged = eth(vlan(vlan(PACKET4, 20), 0xE00A, 0x8100), 0x88A8)
    inner = by_udp(b"\x08\0\0\0\0\0\1\0" + eth(vlan(PACKET4, 30), 0x8100), 4789)
    said, within = rows(batch([tagged, inner]))
    assert (said["vlan"], said["tunnel"], said["ports"]) == (10, None, (40_000, 443))
    assert (within["vlan"], within["tunnel"]) == (-1, "vxlan")


def _nest(kind: str, depth: int) -> bytes:
    frame, packet = FRAME, PACKET4
    wrap: dict[str, Callable[[bytes], bytes]] = {
        "gre": lambda inner: ip4(b"\0\0\x08\0" + inner, 47),
        "ipip": lambda inner: ip4(inner, 4),
        "ip6": lambda inner: ip6(inner, 41 if inner[0] >> 4 == 6 else 4),
    }
    if kind == "vlan":
        return eth(b"\0\1\x81\0" * (depth - 1) + b"\0\1\x08\0" + PACKET4, 0x8100)
    if kind == "mpls":
        return eth(b"\0\1\0\x40" * (depth - 1) + b"\0\1\1\x40" + PACKET4, 0x8847)
    if kind == "pppoe":
        return eth(b"\x11\0\0\1" + (len(PACKET4) + 2).to_bytes(2, "big") + b"\0\x21" + PACKET4, 0x8864)
    for _ in range(depth):
        if kind == "vxlan":
            frame = eth(ip4(udp(b"\x08\0\0\0\0\0\1\0" + frame, dport=4789), 17))
        else:
            packet = wrap[kind](packet)
    if kind == "vxlan":
        return frame
    return eth(packet, 0x86DD if kind == "ip6" else 0x0800)


@pytest.mark.parametrize("depth", [9, 70, 700, 3_000])
@pytest.mark.parametrize("kind", ["vlan", "mpls", "gre", "ipip", "ip6", "vxlan"])
def test_p6_deeper_than_the_limit_is_too_deep_and_counted_to_what_was_read(kind: str, depth: int) -> None:
    said = decode(batch([_nest(kind, depth)]))
    assert said.state[0] == TOO_DEEP
    assert said.anomalies["encapsulation_too_deep"] == 1
    assert said.in_flow[0] == (kind not in ("vlan", "mpls"))
    if said.in_flow[0]:
        assert str(said.tunnels[said.tunnel[0]]).count("/") == 7
        assert said.ports[0] == (kind == "vxlan")


@pytest.mark.parametrize("kind", ["vlan", "mpls", "gre", "ipip", "ip6", "vxlan"])
def test_p6_as_deep_as_the_limit_is_read(kind: str) -> None:
    said = rows(batch([_nest(kind, 8)]))[0]
    assert (said["state"], said["ports"], said["payload"]) == (OK, (40_000, 443), b"hello")


def test_m3_thousands_of_different_stacks_are_told_apart() -> None:
    frames, stacks = [], []
    for number in range(3_000):
        packet, names = PACKET4, []
        for bit in range(8):
            nested = number >> bit & 1
            packet = ip4(b"\0\0\x08\0" + packet, 47) if nested else ip4(packet, 4)
            names.append("gre" if nested else "ipip")
        frames.append(eth(packet))
        stacks.append("/".join(reversed(names)))
    said = decode(batch(frames))
    assert [said.tunnels[code] for code in said.tunnel.tolist()] == stacks
    assert len(set(said.tunnels)) == len(said.tunnels)


def test_scapy_agrees_on_every_encapsulation_that_it_builds() -> None:
    from scapy.contrib.erspan import ERSPAN_II
    from scapy.contrib.geneve import GENEVE
    from scapy.contrib.gtp import GTP_U_Header
    from scapy.contrib.mpls import MPLS
    from scapy.layers.inet import GRE, IP, TCP, UDP  # type: ignore[attr-defined]
    from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting
    from scapy.layers.l2 import CookedLinux, Dot1AD, Dot1Q, Ether, Loopback
    from scapy.layers.ppp import PPP, PPPoE
    from scapy.layers.vxlan import VXLAN

    inner = IP(src="192.0.2.10", dst="198.51.100.20") / TCP(sport=40_000, dport=443) / b"hello"
    inner6 = IPv6(src="2001:db8::10", dst="2001:db8::20")
    last6 = UDP(sport=40_000, dport=443) / b"hello"
    ether, outer = Ether(src="02:00:00:00:00:01"), IP(src="203.0.113.1", dst="203.0.113.2")
    cases = [
        (1, ether / Dot1Q(vlan=7) / inner, None),
        (1, ether / Dot1AD(vlan=7) / Dot1Q(vlan=8) / inner, None),
        (1, ether / MPLS(s=0) / MPLS(s=1) / inner, None),
        (1, ether / PPPoE(sessionid=1) / PPP() / inner, None),
        (1, ether / outer / GRE() / inner, "gre"),
        (1, ether / outer / GRE(key_present=1, seqnum_present=1) / Ether() / inner, "gre"),
        (1, ether / outer / GRE(proto=0x88BE, seqnum_present=1) / ERSPAN_II() / Ether() / inner, "erspan"),
        (1, ether / outer / inner, "ipip"),
        (1, ether / outer / inner6 / last6, "6in4"),
        (1, ether / outer / UDP(sport=1, dport=4789) / VXLAN(vni=7) / Ether() / inner, "vxlan"),
        (1, ether / outer / UDP(sport=1, dport=6081) / GENEVE(vni=7) / Ether() / inner, "geneve"),
        (1, ether / outer / UDP(sport=2152, dport=2152) / GTP_U_Header(teid=7) / inner, "gtpu"),
        (1, ether / inner6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrRouting() / IPv6ExtHdrDestOpt() / last6, None),
        (0, Loopback() / inner, None),
        (9, PPP() / inner, None),
        (101, inner6 / last6, None),
        (113, CookedLinux() / inner, None),
    ]
    for link, packet, stack in cases:
        said = rows(batch([scapy_bytes(packet)], link))[0]
        assert (said["state"], said["tunnel"], said["ports"], said["payload"]) == (OK, stack, (40_000, 443), b"hello")
