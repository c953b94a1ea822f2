"""Kernel programs before other judges: libpcap, tcpdump's programs on real captures, and the kernel itself."""

import fcntl
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from ctypes import addressof, create_string_buffer
from pathlib import Path

import numpy as np
import pytest
from filters.frames import TAGGED, TERMS, expressions, fragments, plain, tagged, texts
from filters.judging import ETHERNET, RAW, SLL, SLL2, SNAPLEN, decoded, judged, masked, program
from hypothesis import assume, given
from hypothesis import strategies as st
from support import cbpf, netns
from support.corpora import capture, needs_corpora, truth
from support.packets import eth, ip4, ip6, tcp, udp

from netwatch.decode.fragments import Fragments
from netwatch.decode.packets import decode
from netwatch.filters import cbpf as compiler
from netwatch.filters.assembler import INSTRUCTION
from netwatch.filters.cbpf import LIVE
from netwatch.filters.expression import Expression
from netwatch.filters.packets import packet_mask
from netwatch.filters.parse import parse
from netwatch.model.batch import PacketBatch
from netwatch.model.errors import UsageError
from netwatch.model.packets import Packets
from netwatch.runtime import libpcap
from netwatch.sources import open_capture

TUNNELS = Path("/dev/net/tun")
TUNSETIFF, TUN, NO_HEADER = 0x4004_54CA, 0x0001, 0x1000
needs_libpcap = pytest.mark.skipif(cbpf.library() is None, reason="needs libpcap")


def alike(frame: bytes, packets: Packets, row: int) -> bool:
    """Tell whether netwatch and tcpdump mean the same by every term: one plain IP header, no extension."""
    if not packets.in_flow[row] or packets.state[row] or packets.tunnel[row] or packets.fragment[row]:
        return False
    while packets.vlan[row] >= 0 and int.from_bytes(frame[12:14], "big") in compiler.TAGS:
        frame = frame[:12] + frame[16:]
    kind, protocol = frame[12:14], int(packets.protocol[row])
    if protocol in (1, 58) and (protocol == 1) != (packets.family[row] == 4):
        return False
    if kind == b"\x08\0":
        return frame[23] == protocol
    return kind == b"\x86\xdd" and frame[20] == protocol


def tcpdump(text: str, frame: bytes) -> bool:
    try:
        code = libpcap._compiled(libpcap._library(), text, ETHERNET, SNAPLEN)
    except UsageError as error:
        if "rejects all packets" not in str(error):
            raise
        return False
    return cbpf.by_libpcap(code, frame) > 0


@needs_libpcap
@given(plain(), st.integers(0, 2), texts(TERMS))
def test_libpcap_gives_the_same_verdict(packet: tuple[bytes, int], tags: int, text: str) -> None:
    frame = tagged(*packet, [(0x88A8, 9), (0x8100, 5)][:tags])
    assume(alike(frame, decoded([frame]), 0))
    theirs = tcpdump("vlan and " * tags + f"({text})", frame)
    assert cbpf.by_libpcap(program(text, linux=False), frame) == cbpf.run(program(text), frame)
    assert judged(text, frame) == [theirs]
    assert masked(parse(text), frame) == theirs


@needs_libpcap
@given(st.one_of(plain(), fragments()), texts([term for term in TERMS if term.startswith(("host", "net", "ip"))]))
def test_addresses_of_fragments_and_behind_extensions_are_those_of_libpcap(
    packet: tuple[bytes, int], text: str
) -> None:
    frame = tagged(*packet, [])
    theirs = tcpdump(text, frame)
    assert masked(parse(text), frame) == theirs
    assert judged(text, frame) in ([theirs], [True])


@needs_libpcap
@given(expressions(), st.sampled_from([ETHERNET, RAW, SLL, SLL2, LIVE]), st.booleans())
def test_libpcap_finds_the_program_valid(expression: Expression, link_type: int, names: bool) -> None:
    code = program(expression, link_type, names=names)
    assert cbpf.library().bpf_validate(code, len(code) // INSTRUCTION.size)


CORPUS = ["port 53", "not port 443 and tcp", "net 192.168 or net 10", "not (udp or host ::1) or portrange 1000-2000"]
CORPUS_TAGGED = ["vlan", "not vlan", "vlan 10 or ip6"]


def ethernet_captures() -> list[str]:
    return [
        one["name"] for one in truth() if one["linktypes"] == [ETHERNET] and one["bytes"] < 400_000 and one["packets"]
    ]


def batches_of(name: str) -> Iterator[PacketBatch]:
    sha256 = next(one["sha256"] for one in truth() if one["name"] == name)
    with open_capture(str(capture(name, sha256))) as source:
        yield from source


@needs_corpora
@needs_libpcap
def test_p2_on_real_captures_nothing_is_lost_and_tcpdump_agrees() -> None:
    ours = {text: program(text, linux=False) for text in CORPUS + CORPUS_TAGGED}
    theirs = {text: libpcap.compile_text(text, ETHERNET, SNAPLEN) for text in CORPUS}
    seen = same = 0
    for name in ethernet_captures():
        fragments_ = Fragments()
        for columns in batches_of(name):
            packets = fragments_.apply(decode(columns), columns.time)
            masks = {text: packet_mask(parse(text), packets) for text in ours}
            rows = np.flatnonzero(columns.caplen == columns.wirelen)[:100]
            for row in rows.tolist():
                start = int(columns.offset[row])
                frame = columns.data[start : start + int(columns.caplen[row])].tobytes()
                usual = packets.vlan[row] < 0 and alike(frame, packets, row)
                for text, code in ours.items():
                    passed = cbpf.by_libpcap(code, frame) > 0
                    assert passed or not masks[text][row], (name, row, text)
                    if usual and text in theirs:
                        assert (cbpf.by_libpcap(theirs[text], frame) > 0) == masks[text][row], (name, row, text)
                        same += 1
                seen += 1
    assert seen > 10_000
    assert same > 20_000


RETURN = 0x06


def attached(code: bytes, name: str) -> socket.socket:
    one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    memory = create_string_buffer(code, len(code))
    one.setsockopt(socket.SOL_SOCKET, 26, struct.pack("@HP", len(code) // INSTRUCTION.size, addressof(memory)))
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
    one.bind((name, 0x0003))
    one.setblocking(False)
    return one


def numbers(one: socket.socket, *, at_least: int = 0) -> list[int]:
    """Return the numbers, in their last two bytes, of the frames that a socket took; some of them are waited for."""
    out: list[int] = []
    while True:
        if len(out) < at_least:
            assert select.select([one], [], [], 10)[0], "the frames did not come"
        try:
            frame = one.recv(SNAPLEN)
        except BlockingIOError:
            return out
        out.append(int.from_bytes(frame[-2:], "big"))


def kernel_frames() -> list[bytes]:
    some: list[bytes] = []
    inner = {0x0800: ip4(tcp(b"x" * 40), 6), 0x86DD: ip6(udp(b"x" * 40), 17)}
    for kind, packet in inner.items():
        stacks = ([], [(0x8100, 5)], [(0x88A8, 7), (0x8100, 5)], [(0x8100, 0), (0x8100, 9)], [(0x9100, 5)])
        some += [tagged(packet, kind, tags) for tags in stacks]
    some += [
        eth(ip4(tcp(b"x" * 40, dport=80), 6, options=bytes(12))),
        eth(ip4(udp(b"x" * 40), 17, fragment=0x2000)),
        eth(ip4(udp(b"x" * 40), 17, fragment=9)),
        eth(ip6(b"\x2c\0" + bytes(6) + b"\x06\0\0\0\0\0\0\1" + tcp(b"x" * 40), 0), 0x86DD),
        eth(ip6(b"\x11\0\0\x10\0\0\0\1" + udp(b"x" * 40), 44), 0x86DD),
        eth(ip4(ip4(tcp(b"x" * 40), 6), 4)),
        eth(ip4(tcp()[:12], 6)),
        eth(bytes(46), 0x0806),
    ]
    return [frame + struct.pack(">H", number) for number, frame in enumerate(some)]


@netns.needs_root
def test_the_kernel_gives_the_verdict_of_the_interpreter() -> None:
    some = kernel_frames()
    terms = [*TAGGED, "vlan 7", "vlan 9", "not vlan 5", "port 443", "not port 443", "tcp", "udp port 53", "ip6"]
    terms += ["host 192.0.2.10", "net 2001:db8::/32", "proto 4", "not (udp or vlan)"]
    with netns.network():
        netns.veth("one", "two")
        for link_type in (ETHERNET, LIVE):
            codes = {text: program(text, link_type) for text in terms}
            with ExitStack() as stack:
                every = INSTRUCTION.pack(RETURN, 0, 0, SNAPLEN)  # taken by the first and the last socket: by all then
                first = stack.enter_context(attached(every, "two"))
                takers = {text: stack.enter_context(attached(code, "two")) for text, code in codes.items()}
                last = stack.enter_context(attached(every, "two"))
                netns.send("one", some)
                for one in (first, last):
                    assert numbers(one, at_least=len(some)) == list(range(len(some)))
                for text, taker in takers.items():
                    shown = [taken(frame) for frame in some]
                    wanted = [at for at, (frame, tag) in enumerate(shown) if cbpf.run(codes[text], frame, tag=tag)]
                    assert numbers(taker) == wanted, text


def taken(frame: bytes) -> tuple[bytes, int | None]:
    """Return a frame as the kernel shows it to a filter, and the tag that it took out."""
    if frame[12:14] in (b"\x81\0", b"\x88\xa8"):
        return frame[:12] + frame[16:], int.from_bytes(frame[14:16], "big")
    return frame, None


def numbered(packet: bytes, number: int) -> bytes:
    return packet + struct.pack(">H", number)


@netns.needs_root
@pytest.mark.skipif(not TUNNELS.exists(), reason="needs /dev/net/tun")
def test_the_kernel_judges_packets_of_a_tunnel_device() -> None:
    some = [ip4(udp(b"x" * 40, dport=port), 17) for port in (53, 54)] + [ip6(udp(b"x" * 40, dport=53), 17)]
    with netns.network(), TUNNELS.open("r+b", buffering=0) as tunnel:
        fcntl.ioctl(tunnel, TUNSETIFF, struct.pack("16sH22x", b"tun0", TUN | NO_HEADER))
        netns.up("tun0")
        with (
            attached(program("udp port 53", LIVE), "tun0") as first,
            attached(program("not ip6", LIVE), "tun0") as second,
        ):
            tunnel.writelines(numbered(packet, number) for number, packet in enumerate(some))
            assert [numbers(one, at_least=2) for one in (first, second)] == [[0, 2], [0, 1]]


@netns.needs_root
def test_the_kernel_judges_frames_of_loopback() -> None:
    with netns.network():
        netns.ip("link set lo up")
        terms = ("udp port 53", "udp and not port 53")
        first, second = (attached(program(text, LIVE), "lo") for text in terms)
        with first, second, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number, port in enumerate((53, 54)):
                sender.sendto(numbered(b"", number), ("127.0.0.1", port))
            assert [set(numbers(one, at_least=1)) for one in (first, second)] == [{0}, {1}]
