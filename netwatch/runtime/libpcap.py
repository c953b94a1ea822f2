"""The whole language of tcpdump, by the system's libpcap: for live filters that netwatch's own language does not have.

Only the compiler is used (pcap_compile(3PCAP)): no device is opened. Names are refused before libpcap sees them, since
it would look them up on the network, and netwatch opens no connection.
"""

import ctypes
import re
from functools import cache
from typing import Any, Final

from netwatch.filters.assembler import PROGRAM_MAX, RETURN, pack
from netwatch.filters.cbpf import by_hardware
from netwatch.filters.split import NAMING_TEXT
from netwatch.model.errors import UsageError
from netwatch.model.text import display

LIBRARIES: Final = ("libpcap.so.0.8", "libpcap.so.1", "libpcap.so")
ETHERNET, RAW = 1, 12  # DLT_RAW of Linux; its LINKTYPE number is 101
NETMASK_UNKNOWN: Final = 0xFFFF_FFFF
INSTRUCTION_BYTES: Final = 8
TEXT_MAX: Final = 4_096  # its optimiser takes time that grows with the square of the length

# pcap-filter(7), without what takes names (gateway), what is told of an opened device alone (inbound, ifname), and
# vlan: that the kernel takes the tag out of the frame, libpcap knows of an opened device alone
_TEXT: Final = """
and or not src dst host net mask port portrange proto protochain less greater len length broadcast multicast byte
ether link ppp slip fddi tr wlan arp rarp aarp ip ip6 tcp udp sctp icmp icmp6 igmp igrp pim vrrp carp ah esp
radio atalk decnet lat sca moprc mopdl iso esis isis clnp stp ipx netbeui llc mpls pppoed pppoes geneve
type subtype dir direction addr1 addr2 addr3 addr4 address1 address2 address3 address4 ra ta
icmptype icmpcode icmp-echoreply icmp-unreach icmp-sourcequench icmp-redirect icmp-echo icmp-routeradvert
icmp-routersolicit icmp-timxceed icmp-paramprob icmp-tstamp icmp-tstampreply icmp-ireq icmp-ireqreply
icmp-maskreq icmp-maskreply icmp6type icmp6code icmp6-destinationunreach icmp6-packettoobig icmp6-timeexceeded
icmp6-parameterproblem icmp6-echo icmp6-echoreply icmp6-multicastlistenerquery
icmp6-multicastlistenerreportv1 icmp6-multicastlistenerdone icmp6-routersolicit icmp6-routeradvert
icmp6-neighborsolicit icmp6-neighboradvert icmp6-redirect icmp6-multicastlistenerreportv2
tcpflags tcp-fin tcp-syn tcp-rst tcp-push tcp-ack tcp-urg tcp-ece tcp-cwr
"""
_WORDS: Final = frozenset(_TEXT.split())
_TOKEN: Final = re.compile(r"\s+|[()&|!<>=+*/%^\[\]~]|\\?[\w.:-]+", re.ASCII)
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]+|\d+(:\d+)?|\d+(\.\d+){1,3}|[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}")
_PORTS: Final = re.compile(r"\d+-\d+")


class _Program(ctypes.Structure):
    _fields_ = (("count", ctypes.c_uint), ("steps", ctypes.c_void_p))


def available() -> bool:
    """Tell whether the system has libpcap."""
    return _library() is not None


def compile_live(text: str, snaplen: int, *, names: bool) -> bytes:
    """Return the program of a filter in tcpdump's language for what a Linux packet socket hands over.

    Instructions as struct sock_filter.   names: pass also what tells names (filters.split.NAMING). Ethernet frames and
    IP packets are judged, what comes over other links is dropped: nothing in user space could decide afterwards.
    Raises UsageError where libpcap is not there, where it refuses the text, and for names and `vlan`.
    """
    frames = compile_text(text, ETHERNET, snaplen)
    wanted = f"({text}\n) or {NAMING_TEXT}" if names else text
    if names:
        frames = compile_text(wanted, ETHERNET, snaplen)
    try:
        packets = compile_text(wanted, RAW, snaplen)
    except UsageError:  # it asks for what only Ethernet has
        packets = compile_text(NAMING_TEXT, RAW, snaplen) if names else pack([(RETURN, 0, 0, 0)])
    try:
        return by_hardware(frames, packets)
    except ValueError as error:
        raise UsageError(f"-f: the kernel takes no filter so long: {error}") from None


def compile_text(text: str, link_type: int, snaplen: int) -> bytes:
    """Return what libpcap makes of a text for a link type (DLT number). Raises UsageError as compile_live does."""
    library = _library()
    if library is None:
        raise UsageError(f"-f: this needs libpcap, which is not there; packages call it libpcap or {LIBRARIES[0]}")
    _without_names(text)
    return _compiled(library, text, link_type, snaplen)


def _compiled(library: Any, text: str, link_type: int, snaplen: int) -> bytes:
    handle = library.pcap_open_dead(link_type, snaplen)
    if not handle:
        raise UsageError("-f: libpcap has no memory")
    program = _Program()
    try:
        if library.pcap_compile(handle, ctypes.byref(program), text.encode(), 1, NETMASK_UNKNOWN) != 0:
            reason = library.pcap_geterr(handle).decode("utf-8", "replace")
            raise UsageError(f"-f: libpcap: {display(reason, 200)}")
        try:
            if program.count > PROGRAM_MAX:
                raise UsageError(f"-f: the kernel takes no filter so long: {program.count} instructions")
            return ctypes.string_at(program.steps, program.count * INSTRUCTION_BYTES)
        finally:
            library.pcap_freecode(ctypes.byref(program))
    finally:
        library.pcap_close(handle)


@cache
def _library() -> Any:
    for name in LIBRARIES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.pcap_open_dead.restype = ctypes.c_void_p
        library.pcap_open_dead.argtypes = [ctypes.c_int, ctypes.c_int]
        library.pcap_compile.argtypes = [
            ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint32,
        ]  # fmt: skip
        library.pcap_geterr.restype = ctypes.c_char_p
        library.pcap_geterr.argtypes = [ctypes.c_void_p]
        library.pcap_freecode.argtypes = [ctypes.c_void_p]
        library.pcap_freecode.restype = None
        library.pcap_close.argtypes = [ctypes.c_void_p]
        library.pcap_close.restype = None
        return library
    return None


def _without_names(text: str) -> None:
    """Refuse every word that libpcap could take for a name. Raises UsageError."""
    if len(text) > TEXT_MAX:
        raise UsageError(f"-f: the expression has {len(text)} characters; libpcap is given up to {TEXT_MAX}")
    at, before = 0, ""
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise UsageError(f"-f: column {at + 1}: {display(text[at])} has no meaning here")
        word, at = found.group(), found.end()
        if word.isspace():
            continue
        if not _harmless(word, before):
            why = "is no word or address; names are not looked up"
            if word == "vlan":
                why = "is for the language of netwatch alone, where the kernel takes tags out of frames"
            raise UsageError(f'-f: column {found.start() + 1}: "{display(word, 40)}" {why}')
        before = word


def _harmless(word: str, before: str) -> bool:
    if word in _WORDS or (len(word) == 1 and word in "()&|!<>=+*/%^[]~:-"):
        return True
    if word[0] == "\\":
        return word[1:] in _WORDS and before in ("proto", "protochain")
    if before == "portrange" and _PORTS.fullmatch(word):
        return True
    return _NUMBER.fullmatch(word) is not None or _is_address6(word)


def _is_address6(word: str) -> bool:
    from ipaddress import IPv6Address

    try:
        IPv6Address(word)
    except ValueError:
        return False
    return True
