"""Compiles packet terms to classic BPF, the language of kernel filters (bpf(4); linux/filter.h).

What the kernel drops, filters.packets.packet_mask drops too; what it passes may be more. A packet is judged where its
headers are plain: VLAN tags, IPv4 with options or IPv6 with extension headers, TCP, UDP, SCTP or another protocol. What
may hold another packet inside (IP in IP, GRE, MPLS, PPPoE, the ports of VXLAN, GTP-U and the like), what is damaged,
and what a short snapshot length would cut is passed: user space, which decodes all of it, decides. Of a later fragment
the ports are not known: it is passed where ports may decide. Frames that hold no IP are dropped.
"""

from collections.abc import Iterable
from typing import Final

from netwatch.filters import assembler as bpf
from netwatch.filters.assembler import INSTRUCTION, PROGRAM_MAX, Assembler, Entry, Label, Step, pack
from netwatch.filters.conditions import (
    NONE,
    AllOf,
    AnyOf,
    Condition,
    Field,
    Kind,
    Ranges,
    Within,
    conditions,
    uses_vlan,
)
from netwatch.filters.expression import Expression, Or
from netwatch.filters.split import NAMING
from netwatch.model.packets import SCTP, TCP, UDP

LIVE: Final = -1  # no LINKTYPE: whatever a Linux packet socket hands over, told by its hardware type
ETHERNET: Final = 1

# LINKTYPE -> where the Ethernet type stands, and where the header ends
_TYPED: Final = {ETHERNET: (12, 14), 113: (14, 16), 276: (0, 20)}
# LINKTYPE -> where the IP header starts: RAW, IPV4, IPV6, and NULL and LOOP, whose family says no more than its version
_UNTYPED: Final = {12: 0, 14: 0, 101: 0, 228: 0, 229: 0, 0: 4, 108: 4}
# ARPHRD of frames that start with Ethernet or with IP: Ethernet, loopback; none, PPP, raw IP, IP tunnels, SIT
_HARDWARE_ETHERNET: Final = (1, 772)
_HARDWARE_IP: Final = (512, 519, 768, 769, 776, 65_534)

# as in decode/layers.py, which a test compares
TAGS: Final = (0x8100, 0x88A8, 0x9100, 0x9200)
CARRIERS: Final = (0x8847, 0x8848, 0x8864, 0x880B, 0x88E7, 0x8903, 0x8909, 0x8926, 0x894F)
CARRIERS_IP: Final = (4, 41, 47, 51, 97, 137)  # protocols behind which another packet, or the real protocol, stands
CARRIERS_UDP: Final = (1701, 2152, 3544, 4754, 4789, 4790, 5247, 6081, 6635, 8472)
EXTENSIONS: Final = (0, 43, 44, 60)
RARE_EXTENSIONS: Final = (135, 139, 140)
LENGTH_MAX: Final = 1500  # IEEE 802.3: up to here the type is a length, and LLC follows, behind which IP may stand
FRAGMENT: Final = 44
TAGS_MAX: Final = 2  # in the frame
EXTENSIONS_MAX: Final = 3
_HEADERS: Final = {TCP: 20, UDP: 8, SCTP: 12}

# SKF_AD_OFF and what the kernel knows there
_HARDWARE: Final = 0xFFFF_F000 + 28
_TAG: Final = 0xFFFF_F000 + 44
_TAG_PRESENT: Final = 0xFFFF_F000 + 48

# scratch memory: the places of headers in the packet, and the fields
_BASE, _STOP, _TRANSPORT, _PROTOCOL, _VLAN, _SOURCE_PORT, _DESTINATION_PORT = range(7)
_MEMORY: Final = {
    Field.PROTOCOL: _PROTOCOL,
    Field.VLAN: _VLAN,
    Field.SOURCE_PORT: _SOURCE_PORT,
    Field.DESTINATION_PORT: _DESTINATION_PORT,
}


def compile_program(
    expression: Expression | None, link_type: int, snaplen: int, *, names: bool, linux: bool = True
) -> bytes:
    """Return the program for packets of a link type: instructions as struct sock_filter, at most PROGRAM_MAX of them.

    expression: of packet terms (split()), None for everything.   link_type: LINKTYPE number, or LIVE; packets of one
    that is not known here are passed.   snaplen: bytes that are kept of a packet; the program returns it, or 0.
    names: pass also what tells names (NAMING), so that the rest of an expression can be decided.
    linux: the kernel may be asked for the VLAN tag that it took out of a frame; needed for LIVE.
    An expression that is too long for the kernel passes more than it would have to, at worst everything.
    Raises ValueError for a label.
    """
    if expression is None:
        return pack([(bpf.RETURN, 0, 0, snaplen)])
    if names:
        expression = Or((expression, NAMING))
    for later_judged in (True, False):
        program = _Compiler(expression, snaplen, linux=linux, later_judged=later_judged).program(link_type)
        if len(program) <= PROGRAM_MAX:
            return pack(program)
    return pack([(bpf.RETURN, 0, 0, snaplen)])


def by_hardware(ethernet: bytes, ip: bytes) -> bytes:
    """Return a program for LIVE: one for Ethernet frames, one for IP packets; what comes over other links is dropped.

    The programs may be those of another compiler. Raises ValueError where the kernel takes no program so long.
    """
    frames, packets = (list(INSTRUCTION.iter_unpack(program)) for program in (ethernet, ip))
    kinds = [*_HARDWARE_ETHERNET, *_HARDWARE_IP]
    to_frames = len(kinds) + 1
    head: list[tuple[int, int, int, int]] = [(bpf.LOAD_WORD, 0, 0, _HARDWARE)]
    for at, number in enumerate(kinds):
        head.append((bpf.EQUAL, to_frames - at - (number in _HARDWARE_ETHERNET), 0, number))
    head += [(bpf.RETURN, 0, 0, 0), (bpf.JUMP, 0, 0, 1), (bpf.JUMP, 0, 0, len(frames))]
    program = [*head, *frames, *packets]
    if len(program) > PROGRAM_MAX:
        raise ValueError(f"{len(program)} instructions, of {PROGRAM_MAX}")
    return pack(program)


class _Compiler:
    """X holds the place of the header at hand, A whatever was read last.

    later_judged: later fragments are judged by what is known of them; else all of them are passed.
    """

    def __init__(self, expression: Expression, snaplen: int, *, linux: bool, later_judged: bool) -> None:
        self.asm = Assembler()
        self.expression = expression
        self.snaplen = snaplen
        self.linux = linux
        self.later_judged = later_judged
        self.vlan = uses_vlan(expression)
        self.drop = self.asm.returns(0)
        self.keep = self.asm.returns(snaplen)

    def program(self, link_type: int) -> list[tuple[int, int, int, int]]:
        """Write the whole of it."""
        ip4, ip6 = self.ip4(), self.ip6()
        if link_type in _TYPED:
            start = self.typed(*_TYPED[link_type], ip4, ip6)
        elif link_type in _UNTYPED:
            start = self.untyped(_UNTYPED[link_type], ip4, ip6, otherwise=self.drop)
        elif link_type == LIVE:
            raw = self.untyped(0, ip4, ip6, otherwise=self.keep)
            frames = self.typed(*_TYPED[ETHERNET], ip4, ip6)
            kinds = dict.fromkeys(_HARDWARE_ETHERNET, frames) | dict.fromkeys(_HARDWARE_IP, raw)
            found = self.asm.search(_entries(kinds), self.keep)
            start = self.asm.run(found, (bpf.LOAD_WORD, _HARDWARE))
        else:
            start = self.keep
        return self.asm.program(start)

    def typed(self, place: int, base: int, ip4: Label, ip6: Label) -> Label:
        """Read the Ethernet type of a link header, and note the outermost tag: the kernel's, or one in the frame."""
        asm = self.asm
        start = self.ethertype(place, base, ip4, ip6, tags=0)
        if not self.vlan:
            return start
        if self.linux:
            taken = asm.run(start, (bpf.LOAD_WORD, _TAG), (bpf.AND, 0x0FFF), (bpf.STORE, _VLAN))
            start = asm.run(asm.branch(bpf.EQUAL, 0, start, taken), (bpf.LOAD_WORD, _TAG_PRESENT))
        return asm.run(start, (bpf.LOAD_VALUE, NONE), (bpf.STORE, _VLAN))

    def ethertype(self, place: int, base: int, ip4: Label, ip6: Label, *, tags: int) -> Label:
        """Go on by an Ethernet type; base: where what it names starts."""
        asm = self.asm
        tagged = self.keep
        if tags < TAGS_MAX:
            tagged = self.ethertype(base + 2, base + 4, ip4, ip6, tags=tags + 1)
            if self.vlan:
                noted = asm.run(tagged, (bpf.LOAD_HALF, base), (bpf.AND, 0x0FFF), (bpf.STORE, _VLAN))
                tagged = asm.run(asm.branch(bpf.EQUAL, NONE, noted, tagged), (bpf.LOAD_MEMORY, _VLAN))
        rare = _entries(dict.fromkeys(TAGS, tagged) | dict.fromkeys(CARRIERS, self.keep))
        other = asm.search([(0, LENGTH_MAX, self.keep), *rare], self.drop)
        other = asm.branch(bpf.EQUAL, 0x86DD, asm.run(ip6, (bpf.X_VALUE, base)), other)
        four = asm.run(ip4, (bpf.X_VALUE, base))
        return asm.run(asm.branch(bpf.EQUAL, 0x0800, four, other), (bpf.LOAD_HALF, place))

    def untyped(self, base: int, ip4: Label, ip6: Label, *, otherwise: Label) -> Label:
        """Tell IPv4 from IPv6 by the first bits."""
        asm = self.asm
        steps: list[Step] = [(bpf.LOAD_BYTE, base), (bpf.RIGHT, 4)]
        if self.vlan:
            steps = [(bpf.LOAD_VALUE, NONE), (bpf.STORE, _VLAN), *steps]
        versions = [(4, 4, asm.run(ip4, (bpf.X_VALUE, base))), (6, 6, asm.run(ip6, (bpf.X_VALUE, base)))]
        return asm.run(asm.search(versions, otherwise), *steps)

    def ip4(self) -> Label:
        """Read an IPv4 header at X. A header that is not whole is no packet of a flow: loads beyond the end drop it."""
        asm = self.asm
        ports = self.ports(Kind(4))
        size = [(bpf.LOAD_BYTE_X, 0), (bpf.AND, 0x0F), (bpf.LEFT, 2), (bpf.ADD_X, 0)]
        first = asm.run(ports, *size, (bpf.TO_X, 0), (bpf.STORE_X, _TRANSPORT))
        later = self.later(Kind(4, ports=False))
        part = asm.run(asm.branch(bpf.ANY_BIT, 0x1FFF, later, first), (bpf.X_MEMORY, _BASE), (bpf.LOAD_HALF_X, 6))
        start = asm.run(self.whole(part), (bpf.LOAD_HALF_X, 2))
        start = asm.search(self.passed(CARRIERS_IP), start)
        start = asm.run(start, (bpf.LOAD_BYTE_X, 9), (bpf.STORE, _PROTOCOL))
        return self.version(4, start)

    def ip6(self) -> Label:
        """Read an IPv6 header at X, and the extension headers behind it."""
        asm = self.asm
        ports = self.ports(Kind(6))
        later = self.later(Kind(6, ports=False, protocol=False))
        following = self.keep
        for left in range(EXTENSIONS_MAX + 1):
            step = self.keep if left == 0 else self.extension(following, later)
            known = dict.fromkeys((*CARRIERS_IP, *RARE_EXTENSIONS), self.keep) | dict.fromkeys(EXTENSIONS, step)
            following = asm.run(asm.search(_entries(known), ports), (bpf.LOAD_MEMORY, _PROTOCOL))
        steps: list[Step] = [(bpf.X_MEMORY, _BASE), (bpf.LOAD_BYTE_X, 6), (bpf.STORE, _PROTOCOL)]
        steps += [(bpf.FROM_X, 0), (bpf.ADD, 40), (bpf.TO_X, 0), (bpf.STORE_X, _TRANSPORT)]
        start = asm.run(self.whole(asm.run(following, *steps)), (bpf.LOAD_HALF_X, 4), (bpf.ADD, 40))
        return self.version(6, start)

    def version(self, number: int, following: Label) -> Label:
        """Note where the IP header starts; one with another version is damaged."""
        right = self.asm.branch(bpf.EQUAL, number, following, self.drop)
        return self.asm.run(right, (bpf.STORE_X, _BASE), (bpf.LOAD_BYTE_X, 0), (bpf.RIGHT, 4))

    def whole(self, following: Label) -> Label:
        """Note where the IP packet ends, A bytes behind X; what claims more than was sent is passed.

        A length of 0 (offload) ends it before the transport header, which is passed as damaged.
        """
        asm = self.asm
        fits = asm.branch(bpf.ABOVE_X, 0, self.keep, following)
        return asm.run(fits, (bpf.ADD_X, 0), (bpf.STORE, _STOP), (bpf.X_LENGTH, 0))

    def inside(self, following: Label) -> Label:
        """Go on where the place A lies within the IP packet and the snapshot, with X the place of the header."""
        asm = self.asm
        back = asm.run(following, (bpf.X_MEMORY, _TRANSPORT))
        within = asm.run(asm.branch(bpf.ABOVE_X, 0, self.keep, back), (bpf.X_MEMORY, _STOP))
        return asm.branch(bpf.ABOVE, self.snaplen, self.keep, within)

    def extension(self, following: Label, later: Label) -> Label:
        """Step over an extension header at X, of the kind that A is (RFC 8200 section 4)."""
        asm = self.asm
        ahead = self.inside(following)
        ahead = asm.run(ahead, (bpf.ADD_X, 0), (bpf.TO_X, 0), (bpf.STORE_X, _TRANSPORT))
        next_is: list[Step] = [(bpf.LOAD_BYTE_X, 0), (bpf.STORE, _PROTOCOL)]
        sized = asm.run(ahead, *next_is, (bpf.LOAD_BYTE_X, 1), (bpf.ADD, 1), (bpf.LEFT, 3))
        whole = asm.run(ahead, *next_is, (bpf.LOAD_VALUE, 8))
        part = asm.run(asm.branch(bpf.ANY_BIT, 0xFFF8, later, whole), (bpf.LOAD_HALF_X, 2))
        kind = asm.run(asm.branch(bpf.EQUAL, FRAGMENT, part, sized), (bpf.LOAD_MEMORY, _PROTOCOL))
        return asm.run(self.inside(kind), (bpf.FROM_X, 0), (bpf.ADD, 8))

    def later(self, kind: Kind) -> Label:
        """Judge a later fragment."""
        return self.judge(kind) if self.later_judged else self.keep

    def ports(self, kind: Kind) -> Label:
        """Read the ports of the transport header at X, if it has any and is whole, and judge."""
        asm = self.asm
        judged = self.judge(kind)
        tunnels = self.passed(CARRIERS_UDP)
        inner = asm.run(asm.search(tunnels, judged), (bpf.LOAD_MEMORY, _DESTINATION_PORT))
        inner = asm.run(asm.search(tunnels, inner), (bpf.LOAD_MEMORY, _SOURCE_PORT))
        udp = asm.run(asm.branch(bpf.AT_LEAST, _HEADERS[UDP], inner, self.keep), (bpf.LOAD_HALF_X, 4))
        options = asm.run(asm.branch(bpf.ABOVE_X, 0, self.keep, judged), (bpf.ADD_X, 0), (bpf.X_MEMORY, _STOP))
        options = asm.branch(bpf.AT_LEAST, _HEADERS[TCP], options, self.keep)
        tcp = asm.run(options, (bpf.LOAD_BYTE_X, 12), (bpf.RIGHT, 2), (bpf.AND, 0x3C))
        checks = asm.branch(bpf.EQUAL, TCP, tcp, asm.branch(bpf.EQUAL, UDP, udp, judged))
        read = asm.run(
            checks, (bpf.LOAD_HALF_X, 0), (bpf.STORE, _SOURCE_PORT), (bpf.LOAD_HALF_X, 2),
            (bpf.STORE, _DESTINATION_PORT), (bpf.LOAD_MEMORY, _PROTOCOL),
        )  # fmt: skip
        read = asm.run(self.inside(read), (bpf.ADD_X, 0))
        sizes = {number: asm.run(read, (bpf.LOAD_VALUE, size)) for number, size in _HEADERS.items()}
        none = asm.run(judged, (bpf.LOAD_VALUE, NONE), (bpf.STORE, _SOURCE_PORT), (bpf.STORE, _DESTINATION_PORT))
        return asm.run(asm.search(_entries(sizes), none), (bpf.LOAD_MEMORY, _PROTOCOL))

    def judge(self, kind: Kind) -> Label:
        """Test the expression, for a packet of a kind whose fields stand in memory."""
        start = self.condition(conditions(self.expression, kind), self.keep, self.drop)
        return start if start in (self.keep, self.drop) else self.asm.run(start, (bpf.X_MEMORY, _BASE))

    def condition(self, condition: Condition, yes: Label, no: Label) -> Label:
        """Test a condition, X being the place of the IP header."""
        match condition:
            case AllOf(parts):
                for part in reversed(parts):
                    yes = self.condition(part, yes, no)
                return yes
            case AnyOf(parts):
                for part in reversed(parts):
                    no = self.condition(part, yes, no)
                return no
            case Within(field, ranges, bits):
                return self.words(ranges, _loads(field, bits), yes, no)
            case _:
                return yes if condition else no

    def words(self, ranges: Ranges, loads: list[Step], yes: Label, no: Label) -> Label:
        """Test whether a number is within ranges; loads: how its words are read, the most significant first."""
        load, *rest = loads
        entries = [
            (first, last, self.words(below, rest, yes, no) if below else yes)
            for first, last, below in _by_first_word(ranges, 32 * len(rest))
        ]
        return self.asm.run(self.asm.search(entries, no), load)

    def passed(self, numbers: Iterable[int]) -> list[Entry]:
        """Return entries that pass."""
        return _entries(dict.fromkeys(numbers, self.keep))


def _entries(places: dict[int, Label]) -> list[Entry]:
    return [(number, number, place) for number, place in sorted(places.items())]


def _loads(field: Field, bits: int) -> list[Step]:
    if field in _MEMORY:
        return [(bpf.LOAD_MEMORY, _MEMORY[field])]
    if bits == 32:
        return [(bpf.LOAD_WORD_X, 12 if field is Field.SOURCE else 16)]
    start = 8 if field is Field.SOURCE else 24
    return [(bpf.LOAD_WORD_X, start + word) for word in range(0, 16, 4)]


def _by_first_word(ranges: Ranges, bits: int) -> list[tuple[int, int, Ranges]]:
    """Sort ranges by the word above their lowest `bits` bits: (first word, last word, ranges of the bits below).

    No ranges below: all of them. Sorted; none overlaps another.
    """
    if not bits:
        return [(first, last, ()) for first, last in ranges]
    full = (1 << bits) - 1
    parts: list[tuple[int, int, Ranges]] = []
    for first, last in ranges:
        low, high = first >> bits, last >> bits
        bottom, top = first & full, last & full
        if low == high:
            parts.append((low, low, ((bottom, top),)))
            continue
        parts.append((low, low, ((bottom, full),)))
        if low + 1 < high:
            parts.append((low + 1, high - 1, ((0, full),)))
        parts.append((high, high, ((0, top),)))
    out: list[tuple[int, int, Ranges]] = []
    for first, last, some in parts:
        below = () if some == ((0, full),) else some
        if out and out[-1][0] == first:
            out[-1] = first, last, (*out[-1][2], *below)
        elif out and not below and not out[-1][2] and out[-1][1] + 1 == first:
            out[-1] = out[-1][0], last, ()
        else:
            out.append((first, last, below))
    return out
