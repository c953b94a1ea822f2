"""Each link type leads to the packet inside, whatever stands before it; what is not read is no IP."""

import struct

import pytest
from decode.rows import rows
from support.packets import batch, eth, ip4, ip6, tcp, udp, vlan

from netwatch.decode.link import LINK_TYPES, link_name, reads
from netwatch.decode.packets import decode
from netwatch.decode.walk import LAYERS
from netwatch.model.packets import MALFORMED, NO_MAC, NON_IP, OK, TRUNCATED

PACKET4, PACKET6 = ip4(tcp(b"hello"), 6), ip6(udp(b"hello", dport=443), 17)
LLC4 = b"\xaa\xaa\x03\0\0\0\x08\0" + PACKET4
PPPOE = b"\x11\0\0\1" + (len(PACKET4) + 2).to_bytes(2, "big") + b"\0\x21" + PACKET4
COOKED = b"\0\0\0\1\0\6\2\0\0\0\0\1\0\0"
ONE, TWO, THREE, FOUR = (bytes((2, 0, 0, 0, 0, number)) for number in (1, 2, 3, 4))


def wlan(kind: int, flags: int, extra: bytes = b"", fragment: int = 0) -> bytes:
    return bytes((kind, flags, 0, 0)) + ONE + TWO + THREE + bytes((fragment, 0)) + extra


def radiotap(words: list[int], fields: bytes = b"") -> bytes:
    body = struct.pack(f"<{len(words)}I", *words) + fields
    return struct.pack("<BBH", 0, 0, 4 + len(body)) + body


def pktap(link: int, frame: bytes) -> bytes:
    return struct.pack("<III", 108, 1, link) + bytes(96) + frame


def nflog(*attributes: tuple[int, bytes]) -> bytes:
    out = b"\x02\0\0\0"
    for kind, value in attributes:
        out += struct.pack("<HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
    return out


FRAMES = {
    "null, little-endian": (0, b"\2\0\0\0" + PACKET4),
    "null, big-endian": (0, b"\0\0\0\2" + PACKET4),
    **{f"null, family {number}": (0, bytes((number, 0, 0, 0)) + PACKET6) for number in (10, 24, 28, 30)},
    "loop": (108, b"\0\0\0\2" + PACKET4),
    "ethernet": (1, eth(PACKET4)),
    "802.3 with snap": (1, eth(LLC4, len(LLC4))),
    "802.3 with ip": (1, eth(b"\6\6\3" + PACKET4, 3 + len(PACKET4))),
    "802.3 in a tag": (1, eth(vlan(LLC4, 1, len(LLC4)), 0x8100)),
    "vn-tag": (1, eth(bytes(4) + b"\x81\0\0\1\x08\0" + PACKET4, 0x8926)),
    "cisco metadata": (1, eth(b"\1\1\0\1\0\0\x08\0" + PACKET4, 0x8909)),
    "provider backbone": (1, eth(bytes(4) + eth(PACKET4), 0x88E7)),
    "fabricpath": (1, eth(bytes(2) + eth(PACKET4), 0x8903)),
    "nsh": (1, eth(b"\0\2\1\1" + bytes(4) + PACKET4, 0x894F)),
    "mpls pseudowire": (1, eth(b"\0\1\1\x40" + bytes(4) + eth(PACKET4), 0x8847)),
    "mpls pseudowire without a control word": (1, eth(b"\0\1\1\x40" + b"\x20" + eth(PACKET4)[1:], 0x8847)),
    "pppoe": (1, eth(PPPOE, 0x8864)),
    "pppoe with a length beyond": (1, eth(PPPOE[:4] + b"\xff\xff" + PPPOE[6:], 0x8864)),
    "ppp": (9, b"\xff\x03\0\x21" + PACKET4),
    "ppp, compressed": (9, b"\x21" + PACKET4),
    "ppp of ipv6": (9, b"\0\x57" + PACKET6),
    "raw 12": (12, PACKET4),
    "raw 14": (14, PACKET6),
    "raw 101": (101, PACKET6),
    "ppp in hdlc": (50, b"\xff\x03\0\x21" + PACKET4),
    "cisco in hdlc": (50, b"\x0f\0\x08\0" + PACKET4),
    "pppoe session": (51, PPPOE),
    "cisco hdlc": (104, b"\x0f\0\x08\0" + PACKET4),
    "sll": (113, COOKED + b"\x08\0" + PACKET4),
    "sll, tagged": (113, COOKED + b"\x81\0\0\5\x08\0" + PACKET4),
    "sll of 802.2": (113, COOKED + b"\0\4" + LLC4),
    "sll2": (276, b"\x08\0" + bytes(8) + b"\0\6" + ONE + bytes(2) + PACKET4),
    "802.11 to the access point": (105, wlan(0x08, 1) + LLC4),
    "802.11 with quality": (105, wlan(0x88, 2, bytes(2)) + LLC4),
    "802.11 with quality and order": (105, wlan(0x88, 0x82, bytes(6)) + LLC4),
    "802.11 with four addresses": (105, wlan(0x08, 3, FOUR) + LLC4),
    "802.11 aggregate": (105, wlan(0x88, 2, b"\x80\0") + ONE + TWO + b"\0\x50" + LLC4),
    "radiotap": (127, radiotap([0]) + wlan(0x08, 1) + LLC4),
    "radiotap with more words": (127, radiotap([1 << 31, 1 << 31, 0]) + wlan(0x08, 1) + LLC4),
    "radiotap with a checksum": (127, radiotap([2], b"\x10") + wlan(0x08, 1) + LLC4 + b"FCS!"),
    "radiotap with a time and padding": (127, radiotap([3], bytes(8) + b"\x20") + wlan(0x88, 1, bytes(4)) + LLC4),
    "prism": (119, b"\0\0\0\x44" + bytes(140) + wlan(0x08, 1) + LLC4),
    "avs": (163, b"\x80\x21\x10\x01\0\0\0\x40" + bytes(56) + wlan(0x08, 1) + LLC4),
    "avs as prism": (119, b"\x80\x21\x10\x01\0\0\0\x40" + bytes(56) + wlan(0x08, 1) + LLC4),
    "pktap of ethernet": (258, pktap(1, eth(PACKET4))),
    "pktap of old": (149, pktap(101, PACKET6)),
    "ppi": (192, struct.pack("<BBHI", 0, 0, 12, 1) + bytes(4) + eth(PACKET4)),
    "ipv4": (228, PACKET4),
    "ipv6": (229, PACKET6),
    "nflog": (239, nflog((1, b"1234"), (10, b"eth0\0"), (9, PACKET4))),
}


@pytest.mark.parametrize(("link", "frame"), FRAMES.values(), ids=FRAMES)
def test_the_packet_inside_is_read(link: int, frame: bytes) -> None:
    said = rows(batch([frame], link))[0]
    assert (said["state"], said["ports"], said["payload"], said["tunnel"]) == (OK, (40_000, 443), b"hello", None)
    assert said["ip_bytes"] == len(PACKET4 if said["family"] == 4 else PACKET6)


@pytest.mark.parametrize(("link", "frame"), FRAMES.values(), ids=FRAMES)
def test_p1_a_link_header_cut_at_any_byte_ends_in_a_state(link: int, frame: bytes) -> None:
    cuts = range(len(frame))
    for wire in (len(frame), 0):
        said = decode(batch([frame[:stop] for stop in cuts], link, wirelen=[wire] * len(cuts)))
        assert set(said.state.tolist()) <= {OK, NON_IP, MALFORMED, TRUNCATED}
        assert (said.in_flow == (said.family != 0)).all()
        assert not (said.state[said.in_flow] == NON_IP).any()


NOT_IP = {
    "neither length nor type": (1, eth(LLC4, 1501)),
    "arp": (1, eth(bytes(28), 0x0806)),
    "spanning tree": (1, eth(b"\x42\x42\x03" + bytes(35), 38)),
    "pppoe discovery": (1, eth(b"\x11\x09\0\0\0\0", 0x8863)),
    "pppoe with a code": (1, eth(b"\x11\x09\0\0\0\0" + PACKET4, 0x8864)),
    "lcp": (9, b"\xc0\x21\1\1\0\4"),
    "no byte of raw": (101, b""),
    "raw of another version": (101, b"\0" * 20),
    "another family": (0, b"\7\0\0\0" + PACKET4),
    "snap of another organisation": (1, eth(b"\xaa\xaa\x03\0\0\x0c\x20\0" + bytes(20), 28)),
    "802.11 protected": (105, wlan(0x08, 0x41) + LLC4),
    "802.11 beacon": (105, wlan(0x80, 0) + LLC4),
    "802.11 without data": (105, wlan(0x48, 1)),
    "802.11 control": (105, b"\xd4\0\0\0" + ONE),
    "802.11 fragment": (105, wlan(0x08, 1, fragment=1) + LLC4),
    "another private format": (149, bytes(64)),
    "pktap in pktap": (258, pktap(258, pktap(1, eth(PACKET4)))),
    "nflog without a packet": (239, nflog((1, b"1234"))),
    "nflog of another version": (239, b"\x02\1\0\0" + nflog((9, PACKET4))[4:]),
    "unread": (147, eth(PACKET4)),
}


@pytest.mark.parametrize(("link", "frame"), NOT_IP.values(), ids=NOT_IP)
def test_what_holds_no_ip_is_non_ip_and_no_anomaly(link: int, frame: bytes) -> None:
    said = decode(batch([frame], link))
    assert (said.state[0], said.in_flow[0], said.anomalies) == (NON_IP, False, {})


BROKEN = {
    "eth_truncated": (1, eth(b"")[:13]),
    "vlan_truncated": (1, eth(b"\0\1\x08", 0x8100)),
    "vntag_truncated": (1, eth(bytes(5), 0x8926)),
    "cmd_truncated": (1, eth(bytes(7), 0x8909)),
    "pbb_truncated": (1, eth(bytes(3), 0x88E7)),
    "fabricpath_truncated": (1, eth(b"\0", 0x8903)),
    "nsh_truncated": (1, eth(bytes(7), 0x894F)),
    "nsh_length": (1, eth(b"\0\1\1\1" + bytes(4) + PACKET4, 0x894F)),
    "snap_truncated": (1, eth(b"\xaa\xaa\x03\0\0\0", 6)),
    "mpls_truncated": (1, eth(b"\0\1\0", 0x8847)),
    "mpls_no_bottom": (1, eth(b"\0\1\0\x40" * 3, 0x8847)),
    "pppoe_truncated": (1, eth(b"\x11\0\0\1\0", 0x8864)),
    "pppoe_version": (1, eth(b"\x21" + PPPOE[1:], 0x8864)),
    "ppp_truncated": (9, b"\xff\x03"),
    "chdlc_truncated": (104, b"\x0f\0\x08"),
    "null_truncated": (0, b"\2\0"),
    "sll_truncated": (113, COOKED),
    "pktap_length": (258, pktap(1, b"")[:40]),
    "ppi_length": (192, struct.pack("<BBHI", 0, 0, 7, 1)),
    "nflog_length": (239, b"\x02\0\0\0\3\0\1\0"),
    "radiotap_length": (127, b"\0\0\0\0" + bytes(40)),
    "prism_length": (163, b"\x80\x21\x10\x01\0\0\0\7" + bytes(60)),
    "wlan_truncated": (105, wlan(0x08, 1)[:20]),
    "ip4_truncated": (1, eth(PACKET4[:19])),
    "ip4_version": (1, eth(PACKET6)),
    "ip4_header_length": (1, eth(b"\x44" + PACKET4[1:])),
    "ip4_total_length": (1, eth(ip4(tcp(), 6, total=19))),
    "ip6_truncated": (1, eth(PACKET6[:39], 0x86DD)),
    "ip6_version": (1, eth(PACKET4, 0x86DD)),
    "ip6_extension_overrun": (1, eth(ip6(b"\x11\xff" + bytes(30), 60), 0x86DD)),
    "tcp_truncated": (1, eth(ip4(tcp()[:19], 6))),
    "tcp_data_offset": (1, eth(ip4(tcp(words=4), 6))),
    "udp_truncated": (1, eth(ip4(udp()[:7], 17))),
    "udp_length": (1, eth(ip4(udp(length=7), 17))),
    "sctp_truncated": (1, eth(ip4(bytes(11), 132))),
    "erspan_truncated": (1, eth(ip4(b"\x10\0\x88\xbe" + bytes(8), 47))),
    "wccp_truncated": (1, eth(ip4(b"\0\0\x88\x3e" + bytes(2), 47))),
    "etherip_truncated": (1, eth(ip4(b"\x30", 97))),
}


@pytest.mark.parametrize(("anomaly", "case"), BROKEN.items(), ids=BROKEN)
def test_p1_a_broken_header_is_malformed_by_its_name(anomaly: str, case: tuple[int, bytes]) -> None:
    said = decode(batch([case[1]], case[0]))
    assert (said.state[0], said.anomalies) == (MALFORMED, {anomaly: 1})
    assert not said.ports[0]


def test_link_layer_addresses_are_the_outermost_ones() -> None:
    frame = eth(bytes(4) + bytes(range(12)) + eth(PACKET4)[12:], 0x88E7)
    said = decode(batch([frame]))
    assert (said.dst_mac[0], said.src_mac[0]) == (0x020000000002, 0x020000000001)
    said = decode(batch([COOKED + b"\x08\0" + PACKET4], 113))
    assert (said.dst_mac[0], said.src_mac[0]) == (NO_MAC, 0x020000000001)


@pytest.mark.parametrize(("flags", "src", "dst"), [(0, TWO, ONE), (1, TWO, THREE), (2, THREE, ONE), (3, FOUR, THREE)])
def test_802_11_addresses_follow_the_two_bits(flags: int, src: bytes, dst: bytes) -> None:
    extra = FOUR if flags == 3 else b""
    said = decode(batch([wlan(0x08, flags, extra) + LLC4], 105))
    assert (said.src_mac[0], said.dst_mac[0]) == (int.from_bytes(src, "big"), int.from_bytes(dst, "big"))


def test_each_link_type_has_a_layer_and_a_name() -> None:
    assert set(LINK_TYPES.values()) <= set(LAYERS)
    assert all(reads(number) and not link_name(number).isdigit() for number in LINK_TYPES)
    assert not reads(147)
    assert not reads(65_535)
    assert (link_name(1), link_name(147), link_name(65_535)) == ("ETHERNET", "USER0", "65535")
