"""A small engine for tests of names: reads a capture with dpkt and asks an Inspector, packet by packet, in order."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import dpkt
import numpy as np

from netwatch.model.address import address_text, from_bytes
from netwatch.model.limits import INSPECT_PACKETS
from netwatch.model.reading import Reading
from netwatch.names.inspector import Inspector
from netwatch.names.select import wanted

ETHERNET, NULL, RAW, SLL, SLL2 = 1, 0, 101, 113, 276
READ_LINKS = (ETHERNET, NULL, RAW, SLL, SLL2, 12, 14, 228, 229)


class Packet(NamedTuple):
    """One TCP or UDP packet; ends are (address number, port)."""

    protocol: int
    source: tuple[int, int]
    target: tuple[int, int]
    seq: int
    syn: bool
    payload: bytes
    cut: bool
    now_ns: int


class Seen(NamedTuple):
    """A reading, with the ends of its packet as text and the number of the packet."""

    source: tuple[str, int]
    target: tuple[str, int]
    protocol: int
    number: int
    reading: Reading

    @property
    def client(self) -> tuple[str, int]:
        return self.target if self.reading.from_client is False else self.source

    @property
    def server(self) -> tuple[str, int]:
        return self.source if self.reading.from_client is False else self.target


def packets(path: Path) -> Iterator[tuple[int, Packet]]:
    """Yield (number from 1, packet) for each TCP or UDP packet that is not a later fragment."""
    with path.open("rb") as file:
        try:
            reader = dpkt.pcap.UniversalReader(file)
        except ValueError:
            file.seek(0)
            return
        link = reader.datalink()
        try:
            for number, (time, frame) in enumerate(reader, 1):
                ip = network(link, bytes(frame))
                packet = transport(ip, int(time * 10**9)) if ip is not None else None
                if packet is not None:
                    yield number, packet
        except (dpkt.NeedData, ValueError, struct.error):
            return


def network(link: int, frame: bytes) -> Any:
    """Peel the link layer and VLAN tags; return dpkt's IP or IP6, None for anything else."""
    try:
        if link in (RAW, 12, 14, 228, 229):
            at = 0
        elif link == NULL:
            at = 4
        elif link == SLL:
            at = 16
        elif link == SLL2:
            at = 20
        else:
            at, kind = 14, frame[12:14]
            while kind in (b"\x81\x00", b"\x88\xa8", b"\x91\x00"):
                kind = frame[at + 2 : at + 4]
                at += 4
            if kind == b"\x88\x64":
                at += 8
            elif kind not in (b"\x08\x00", b"\x86\xdd"):
                return None
        version = frame[at] >> 4 if at < len(frame) else 0
        if version == 4:
            return dpkt.ip.IP(frame[at:])
        if version == 6:
            return dpkt.ip6.IP6(frame[at:])
    except (dpkt.UnpackError, IndexError, struct.error, ValueError):
        return None
    return None


def transport(ip: Any, now_ns: int) -> Packet | None:
    """Return the TCP or UDP packet inside, None for anything else."""
    inner = ip.data
    protocol = getattr(ip, "p", None) or getattr(ip, "nxt", None)
    if isinstance(ip, dpkt.ip.IP) and ip.offset:
        return None
    if isinstance(inner, dpkt.tcp.TCP):
        protocol, syn, seq = 6, bool(inner.flags & dpkt.tcp.TH_SYN), inner.seq
    elif isinstance(inner, dpkt.udp.UDP):
        protocol, syn, seq = 17, False, 0
    else:
        return None
    payload = bytes(inner.data)
    claimed = ip.len - len(ip) if isinstance(ip, dpkt.ip.IP) and ip.len else 0
    if isinstance(inner, dpkt.udp.UDP):
        claimed = max(claimed, inner.ulen - 8 - len(payload))
        payload = payload[: max(0, inner.ulen - 8)] if inner.ulen >= 8 else payload
    source, target = from_bytes(ip.src), from_bytes(ip.dst)
    more_fragments = isinstance(ip, dpkt.ip.IP) and bool(ip.mf)
    return Packet(
        protocol, (source, inner.sport), (target, inner.dport), seq, syn, payload, claimed > 0 or more_fragments, now_ns
    )


def drive(path: Path, inspector: Inspector | None = None) -> list[Seen]:
    """Return every reading of a capture, handing packets over by the engine's rules."""
    inspector = inspector or Inspector()
    flows: dict[Any, list[Any]] = {}
    out: list[Seen] = []
    for number, packet in packets(path):
        low, high = sorted((packet.source, packet.target))
        side = 0 if packet.source == low else 1
        flow = flows.setdefault((packet.protocol, low, high), [len(flows), 0, False, False, [None, None]])
        firsts = flow[4]
        seq = packet.seq
        if packet.syn:
            if firsts[side] is not None and firsts[side] != (seq + 1) & 0xFFFF_FFFF:
                inspector.forget(flow[0])
                flow[1:] = [0, False, False, [None, None]]
                firsts = flow[4]
            seq = firsts[side] = (seq + 1) & 0xFFFF_FFFF
        if not packet.payload:
            continue
        flow[1] += 1
        mark = mark_of(packet)
        if flow[3] or not (mark or flow[2] or flow[1] <= INSPECT_PACKETS):
            continue
        ports = packet.source[1], packet.target[1]
        if packet.protocol == 6:
            reading = inspector.segment(
                flow[0], side, seq, firsts[side], packet.payload, packet.cut, *ports, packet.now_ns
            )
        else:
            reading = inspector.datagram(
                flow[0], side, packet.payload, packet.cut, *ports, packet.source[0], packet.now_ns
            )
        if reading is not None:
            flow[2], flow[3] = reading.more, flow[3] or reading.done
            source, target = ((address_text(end[0]), end[1]) for end in (packet.source, packet.target))
            out.append(Seen(source, target, packet.protocol, number, reading))
    return out


def mark_of(packet: Packet) -> int:
    """Ask select.wanted about one packet."""
    return int(
        wanted(
            np.array([packet.protocol], np.uint8),
            np.array([packet.source[1]], np.uint16),
            np.array([packet.target[1]], np.uint16),
            np.array([int.from_bytes(packet.payload[:8].ljust(8, b"\0"), "big")], np.uint64),
            np.array([len(packet.payload)], np.int32),
        )[0]
    )
