"""Kernel programs pass whatever the mask passes, and no more where headers are plain; other judges agree."""

import struct
from itertools import pairwise
from pathlib import Path

import pytest
from filters.frames import expressions, fragments, frames, plain_frames, tagged
from filters.judging import ETHERNET, RAW, SLL, SLL2, SNAPLEN, decoded, judged, masked, program
from hypothesis import assume, given
from hypothesis import strategies as st
from support import cbpf
from support.packets import batch, eth, ip4, ip6, tcp, udp, vlan

from netwatch.decode import layers
from netwatch.decode.packets import decode
from netwatch.filters import cbpf as compiler
from netwatch.filters.assembler import PROGRAM_MAX
from netwatch.filters.cbpf import LIVE, by_hardware, compile_program
from netwatch.filters.expression import Expression, Hosts, Or, Ports, Version
from netwatch.filters.packets import packet_mask
from netwatch.filters.parse import parse
from netwatch.filters.split import NAMING
from netwatch.model.address import from_bytes

TUNNELS = Path("/dev/net/tun")
TUNSETIFF, TUN, NO_HEADER = 0x4004_54CA, 0x0001, 0x1000
needs_libpcap = pytest.mark.skipif(cbpf.library() is None, reason="needs libpcap")


@given(st.lists(frames(), min_size=1, max_size=5), expressions())
def test_what_the_mask_passes_the_kernel_passes(some: list[bytes], expression: Expression) -> None:
    mask = packet_mask(expression, decoded(some))
    code = program(expression)
    passed = [cbpf.run(code, frame) for frame in some]
    assert set(passed) <= {0, SNAPLEN}
    assert all(verdict for verdict, wanted in zip(passed, mask.tolist(), strict=True) if wanted)


@given(st.lists(fragments(), min_size=2, max_size=6), expressions())
def test_later_fragments_pass_where_their_first_one_does(some: list[tuple[bytes, int]], expression: Expression) -> None:
    sent = [tagged(*one, []) for one in some]
    code = program(expression)
    for wanted, frame in zip(packet_mask(expression, decoded(sent)).tolist(), sent, strict=True):
        assert cbpf.run(code, frame) or not wanted


@given(plain_frames(), expressions())
def test_where_headers_are_plain_the_kernel_passes_nothing_more(frame: bytes, expression: Expression) -> None:
    assert (cbpf.run(program(expression), frame) > 0) == masked(expression, frame)


@given(plain_frames(), expressions(), st.sampled_from([0, 5, 0x6005, 0xFFFF]))
def test_a_tag_that_the_kernel_took_out_is_the_outermost(frame: bytes, expression: Expression, tag: int) -> None:
    on_the_wire = frame[:12] + struct.pack(">HH", 0x8100, tag) + frame[12:]
    assume(on_the_wire[16:18] + on_the_wire[20:22] != b"\x81\0\x81\0")
    verdict = cbpf.run(program(expression), frame, tag=tag) > 0
    assert verdict or not masked(expression, on_the_wire)
    assert verdict == masked(expression, on_the_wire)


@given(plain_frames(), expressions())
def test_every_link_type_gives_the_same_verdict(frame: bytes, expression: Expression) -> None:
    wanted = cbpf.run(program(expression), frame)
    kind, packet = frame[12:14], frame[14:]
    assert cbpf.run(program(expression, LIVE), frame, hardware=1) == wanted
    assert cbpf.run(program(expression, LIVE), frame, hardware=772) == wanted
    assert cbpf.run(program(expression, SLL), bytes(14) + kind + packet) == wanted
    assert cbpf.run(program(expression, SLL2), kind + bytes(18) + packet) == wanted
    if kind in (b"\x08\0", b"\x86\xdd"):
        assert cbpf.run(program(expression, RAW), packet) == wanted
        assert cbpf.run(program(expression, 0), bytes(4) + packet) == wanted
        assert cbpf.run(program(expression, LIVE), packet, hardware=65_534) == wanted


@given(st.lists(plain_frames(), min_size=1, max_size=4), expressions())
def test_names_add_what_tells_names_and_nothing_else(some: list[bytes], expression: Expression) -> None:
    code = program(expression, names=True)
    for frame in some:
        assert (cbpf.run(code, frame) > 0) == (masked(expression, frame) or masked(NAMING, frame))


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=40), st.integers(0, 0xFFFF), st.booleans())
def test_many_ports_are_found_as_one_by_one(some: list[int], other: int, negated: bool) -> None:
    ranges = [sorted(pair) for pair in pairwise([*some, some[0]])]
    expression: Expression = Or(tuple(Ports(first, last) for first, last in ranges if last - first < 9_000))
    assume(expression.parts)
    text = " or ".join(f"portrange {one.first}-{one.last}" for one in expression.parts if isinstance(one, Ports))
    expression = parse(f"not ({text})" if negated else text)
    for port in {other, *(edge + more for pair in ranges for edge in pair for more in (-1, 0, 1))} & set(range(65_536)):
        frame = eth(ip4(udp(sport=port, dport=port), 17))
        assume(port not in compiler.CARRIERS_UDP)
        assert judged(expression, frame) == [masked(expression, frame)]


WORDS = st.sampled_from([0, 1, 0x7FFF_FFFF, 0xFFFF_FFFE, 0xFFFF_FFFF])
ADDRESSES6 = st.tuples(WORDS, WORDS, WORDS, WORDS).map(lambda words: struct.pack(">4I", *words))


@given(
    st.lists(st.tuples(ADDRESSES6, ADDRESSES6), min_size=1, max_size=6), st.lists(ADDRESSES6, min_size=2, max_size=8)
)
def test_any_ranges_of_addresses_are_found_word_by_word(pairs: list[tuple[bytes, bytes]], some: list[bytes]) -> None:
    expression = Or(tuple(Hosts(*sorted(map(from_bytes, pair))) for pair in pairs))
    for src, dst in pairwise(some):
        frame = eth(ip6(udp(), 17, src=src, dst=dst), 0x86DD)
        assert judged(expression, frame) == [masked(expression, frame)]


@pytest.mark.parametrize("link_type", [ETHERNET, RAW, LIVE])
@pytest.mark.parametrize("names", [False, True])
def test_hundreds_of_terms_fit_and_long_jumps_land(link_type: int, names: bool) -> None:
    some = [f"10.{number >> 8}.{number & 255}.{number % 7}" for number in range(0, 1_200, 3)]
    some += [f"2001:db8:{number:x}::{number % 5}" for number in range(150)]
    expression = parse(" or ".join(f"host {one}" for one in some))
    code = program(expression, link_type, names=names)
    assert 1_000 < len(code) // 8 <= PROGRAM_MAX
    hit = ip4(tcp(), 6, src=bytes((10, 1, 44, 6)))
    near = ip4(tcp(), 6, src=bytes((10, 1, 44, 5)))
    link = b"" if link_type == RAW else eth(b"")
    verdicts = [cbpf.run(code, link + packet) for packet in (hit, near)]
    assert verdicts == [SNAPLEN if "10.1.44.6" in some else 0, 0]
    steps: list[int] = []
    cbpf.run(code, link + near, steps=steps)
    assert steps[0] < 150  # found by halves, not one by one


def test_what_is_too_long_for_the_kernel_passes_everything() -> None:
    expression = parse(" or ".join(f"host 10.{n >> 7}.{n & 127}.{n % 3}" for n in range(3_000)))
    code = program(expression)
    assert len(code) // 8 <= PROGRAM_MAX
    assert cbpf.run(code, eth(ip4(tcp(), 6))) == SNAPLEN


def test_what_fits_only_without_judging_later_fragments_still_judges_the_rest() -> None:
    expression = parse(
        "port 1 or " + " or ".join(f"10.{n >> 7}.{n & 127}.{n % 3}" for n in range(900)).join(["host ", ""])
    )
    code = program(expression)
    assert len(code) // 8 <= PROGRAM_MAX
    later = eth(ip4(tcp(), 6, fragment=5))
    assert [cbpf.run(code, frame) for frame in (later, eth(ip4(tcp(), 6)))] == [SNAPLEN, 0]


def test_no_expression_passes_everything() -> None:
    code = program(None)
    assert [cbpf.run(code, frame) for frame in (b"", eth(bytes(28), 0x0806))] == [SNAPLEN, SNAPLEN]


def test_an_unknown_link_type_passes_everything() -> None:
    assert cbpf.run(program("port 1", 147), b"") == SNAPLEN
    assert cbpf.run(program("port 1", LIVE), eth(ip4(tcp(), 6)), hardware=801) == SNAPLEN
    assert cbpf.run(program("port 1", LIVE), eth(ip4(tcp(), 6)), hardware=1) == 0


def test_a_label_is_refused() -> None:
    with pytest.raises(ValueError, match="label"):
        program("app:tiktok")


@pytest.mark.parametrize(
    ("text", "frame", "passes"),
    [
        ("port 443", eth(bytes(28), 0x0806), False),  # no IP
        ("not port 443", eth(bytes(28), 0x0806), False),
        ("host 1.1.1.1", eth(b"\x42\x42\x03" + bytes(40), 40), True),  # LLC may hold IP
        ("host 1.1.1.1", eth(ip4(ip4(tcp(), 6), 4)), True),  # a tunnel
        ("host 1.1.1.1", eth(ip4(udp(bytes(40), dport=4789), 17)), True),
        ("host 1.1.1.1", eth(bytes(40), 0x8847), True),
        ("port 80", eth(ip4(tcp(), 6, fragment=5)), True),  # its first fragment had the ports
        ("host 1.1.1.1 and port 80", eth(ip4(tcp(), 6, fragment=5)), False),
        ("not port 80", eth(ip4(tcp(), 6, fragment=5)), True),
        ("tcp", eth(ip4(udp(), 17, fragment=5)), False),
        ("port 80", eth(ip4(b"\x08\0" + bytes(10), 1)), False),  # has no ports
        ("not port 80", eth(ip4(b"\x08\0" + bytes(10), 1)), True),
        ("not port 443", eth(ip4(tcp()[:12], 6)), True),  # no whole header: no ports
        ("not port 443", eth(ip4(tcp()[:12], 6) + tcp()), True),  # bytes behind the packet are padding
        ("vlan", eth(vlan(vlan(vlan(ip4(tcp(), 6), 1), 2, 0x8100), 3, 0x8100), 0x8100), True),  # deeper than is looked
        ("ip6", eth(vlan(vlan(ip4(tcp(), 6), 1), 2, 0x8100), 0x8100), False),
    ],
)
def test_what_the_kernel_cannot_tell_it_passes(text: str, frame: bytes, passes: bool) -> None:
    assert judged(text, frame) == [passes]
    assert passes or not masked(parse(text), frame)


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("not port 443", eth(ip4(tcp(words=4), 6))),  # a header shorter than the shortest
        ("not port 443", eth(ip4(tcp(words=15), 6))),  # options beyond the packet
        ("not port 443", eth(ip4(tcp()[:12], 6, total=80))),  # a packet that claims more than was sent
        ("not port 53", eth(ip4(udp(length=3), 17))),
        ("not port 53", eth(ip6(udp()[:6], 17), 0x86DD)),
        ("port 443", eth(ip4(tcp(b"x"), 6, total=0))),  # offload: the length is not known yet
        ("port 443", eth(ip6(tcp(b"x"), 6, length=0), 0x86DD)),
        ("tcp", eth(ip6(b"\x06\0\0\0\0\0\0\0" + tcp(), 135), 0x86DD)),
        ("proto 135", eth(ip6(b"\x3b\0\0\0\0\0\0\0", 135), 0x86DD)),
        ("tcp", eth(ip4(b"\x06\x04" + bytes(22) + tcp(), 51))),  # behind an authentication header
        ("proto 0", eth(ip6(b"\x06\x09" + bytes(6) + tcp(), 0), 0x86DD)),  # an extension beyond the packet
    ],
)
def test_what_is_damaged_is_left_to_user_space(text: str, frame: bytes) -> None:
    assert masked(parse(text), frame)
    assert judged(text, frame) == [True]


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("not port 443", ip6(b"\x06\x09" + bytes(78) + tcp(), 0)),
        ("proto 0", ip6(b"\x06\x09" + bytes(78) + tcp(), 0)),
        ("proto 60", ip6(b"\x3c\0" + bytes(6) + b"\x3a\x09" + bytes(78) + bytes(8), 0)),
    ],
)
def test_what_a_short_snapshot_cuts_off_is_left_to_user_space(text: str, packet: bytes) -> None:
    frame = eth(packet, 0x86DD)
    assert packet_mask(parse(text), decode(batch([frame[:100]], wirelen=[len(frame)]))).all()
    assert cbpf.run(compile_program(parse(text), ETHERNET, 100, names=False), frame) == 100
    assert cbpf.run(program(text), frame) == 0


@given(plain_frames(), expressions(), st.integers(20, 120))
def test_what_the_snapshot_cuts_is_not_judged_by_what_is_cut(
    frame: bytes, expression: Expression, snaplen: int
) -> None:
    columns = batch([frame[:snaplen]], wirelen=[len(frame)])
    if packet_mask(expression, decode(columns))[0]:
        assert cbpf.run(compile_program(expression, ETHERNET, snaplen, names=False), frame) == snaplen


def test_the_registered_numbers_are_those_of_decode() -> None:
    types = {number for number, kind in layers.ETHERTYPES.items() if kind == layers.VLAN}
    assert set(compiler.TAGS) == types
    assert {*compiler.CARRIERS, 0x0800, 0x86DD, *types} == set(layers.ETHERTYPES)
    assert {*compiler.CARRIERS_IP, 6, 17, 132} == set(layers.PROTOCOLS)
    assert set(compiler.CARRIERS_UDP) == set(layers.UDP_TUNNELS)
    assert {*compiler.EXTENSIONS, *compiler.RARE_EXTENSIONS} == set(layers.EXTENSIONS)


def test_by_hardware_takes_each_program_for_its_link() -> None:
    code = by_hardware(program("port 443", ETHERNET), program("port 80", RAW))
    https, http = ip4(tcp(dport=443), 6), ip4(tcp(dport=80), 6)
    assert [cbpf.run(code, eth(one), hardware=kind) > 0 for kind in (1, 772) for one in (https, http)] == [
        True,
        False,
    ] * 2
    kinds = (512, 519, 768, 769, 776, 65_534)
    assert [cbpf.run(code, one, hardware=kind) > 0 for kind in kinds for one in (https, http)] == [False, True] * 6
    assert cbpf.run(code, eth(https), hardware=801) == 0
    with pytest.raises(ValueError, match="instructions"):
        by_hardware(bytes(8 * 4_000), bytes(8 * 100))


def test_version_alone_needs_no_more_than_the_type() -> None:
    assert judged(Version(6), eth(ip6(tcp(), 6), 0x86DD), eth(ip4(tcp(), 6))) == [True, False]
