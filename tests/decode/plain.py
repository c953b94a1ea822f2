"""A beginner's reader of one frame, header by header: the judge of the columns."""

from dataclasses import dataclass, field
from typing import Any

OK, NON_IP, MALFORMED, TRUNCATED, TOO_DEEP = range(5)
TAGS = (0x8100, 0x88A8, 0x9100, 0x9200)
EXTENSIONS = (0, 43, 44, 51, 60, 135, 139, 140)
TUNNEL_PORTS = (1701, 2152, 3544, 4754, 4789, 4790, 5247, 6081, 6635, 8472)


class EndError(Exception):
    """The way of the frame ends in a state."""

    def __init__(self, state: int) -> None:
        super().__init__(state)
        self.state = state


@dataclass
class Plain:
    """Reads Ethernet, VLAN, PPPoE, IPv4, IPv6, IP in IP, GRE without options, TCP, UDP and SCTP.

    `unread` is set where a frame has something else, of which this reader does not know how it goes on.
    """

    frame: bytes
    wirelen: int
    unread: bool = False
    depth: int = 0
    out: dict[str, Any] = field(default_factory=lambda: {"state": NON_IP, "in_flow": False, "vlan": -1})

    def __post_init__(self) -> None:
        self.end, self.wire = len(self.frame), max(len(self.frame), self.wirelen)
        self.tunnel: list[str] = []

    def read(self) -> dict[str, Any]:
        try:
            self.ethernet(0)
        except EndError as end:
            self.out["state"] = end.state
        return self.out

    def take(self, at: int, size: int) -> bytes:
        if at + size > self.end:
            raise EndError(TRUNCATED if at + size <= self.wire else MALFORMED)
        return self.frame[at : at + size]

    def number(self, at: int, size: int) -> int:
        return int.from_bytes(self.take(at, size), "big")

    def narrow(self, stop: int) -> None:
        self.wire = min(self.wire, stop)
        self.end = min(self.end, self.wire)

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > 8:
            raise EndError(TOO_DEEP)

    def ethernet(self, at: int) -> None:
        head = self.take(at, 14)
        if not self.tunnel:
            self.out["dst_mac"] = int.from_bytes(head[:6], "big")
            self.out["src_mac"] = int.from_bytes(head[6:12], "big")
        self.ethertype(int.from_bytes(head[12:], "big"), at + 14)

    def ethertype(self, kind: int, at: int) -> None:
        while kind in TAGS:
            self.deeper()
            if self.take(at, 4) and self.out["vlan"] == -1 and not self.out["in_flow"]:
                self.out["vlan"] = self.number(at, 2) & 0xFFF
            kind, at = self.number(at + 2, 2), at + 4
        if kind == 0x0800:
            self.ipv4(at)
        elif kind == 0x86DD:
            self.ipv6(at)
        elif kind == 0x8864:
            self.pppoe(at)
        elif kind != 0x0806:
            self.unread = True

    def pppoe(self, at: int) -> None:
        self.deeper()
        self.take(at, 6)
        if self.number(at, 1) != 0x11:
            raise EndError(MALFORMED)
        if self.number(at + 1, 1):
            return
        self.narrow(at + 6 + self.number(at + 4, 2))
        at += 6
        if self.number(at, 2) == 0xFF03:
            at += 2
        size = 1 if self.number(at, 1) & 1 else 2
        kind = self.number(at, size)
        if kind == 0x21:
            self.ipv4(at + size)
        elif kind == 0x57:
            self.ipv6(at + size)
        self.unread |= kind in (0x281, 0x283)

    def address(self, at: int, family: int, src: bytes, dst: bytes, total: int) -> None:
        total = total or self.wire - at
        self.ip_end = at + total
        self.out.update(
            state=OK,
            in_flow=True,
            family=family,
            src=int.from_bytes(src, "big"),
            dst=int.from_bytes(dst, "big"),
            ip_bytes=total,
            tunnel="/".join(self.tunnel) or None,
            ports=None,
            flags=0,
            seq=0,
            payload=None,
            cut=False,
            fragment=None,
        )
        self.narrow(self.ip_end)

    def ipv4(self, at: int) -> None:
        if self.number(at, 1) >> 4 != 4:
            raise EndError(MALFORMED)
        head = self.take(at, 20)
        size = (head[0] & 15) * 4
        if size < 20:
            raise EndError(MALFORMED)
        self.take(at, size)
        total = int.from_bytes(head[2:4], "big")
        if 0 < total < size:
            raise EndError(MALFORMED)
        self.address(at, 4, head[12:16], head[16:20], total)
        self.out["protocol"] = head[9]
        flags = int.from_bytes(head[6:8], "big")
        if flags & 0x3FFF:
            self.fragment(at + size, int.from_bytes(head[4:6], "big"), (flags & 0x1FFF) * 8, flags & 0x2000 == 0)
        if not self.out["fragment"] or self.out["fragment"][1] == 0:
            self.protocol(at + size)

    def ipv6(self, at: int) -> None:
        if self.number(at, 1) >> 4 != 6:
            raise EndError(MALFORMED)
        head = self.take(at, 40)
        length = int.from_bytes(head[4:6], "big")
        self.address(at, 6, head[8:24], head[24:40], length and length + 40)
        self.out["protocol"] = head[6]
        self.protocol(at + 40)

    def fragment(self, at: int, ident: int, offset: int, last: bool) -> None:
        self.out["fragment"] = (ident, offset, last)
        if offset:
            self.payload(at, self.ip_end)

    def protocol(self, at: int) -> None:
        extensions = 0
        while self.out["protocol"] in ((51,) if self.out["family"] == 4 else EXTENSIONS):
            extensions += 1
            if extensions > 12:
                raise EndError(TOO_DEEP)
            kind = self.out["protocol"]
            head = self.take(at, 8)
            size = {44: 8, 51: (head[1] + 2) * 4}.get(kind, (head[1] + 1) * 8)
            self.take(at, size)
            at += size
            if kind >= 135 and head[0] == 59:
                return
            self.out["protocol"] = head[0]
            flags = int.from_bytes(head[2:4], "big")
            if kind == 44 and flags & 0xFFF9:
                self.fragment(at, int.from_bytes(head[4:8], "big"), flags & 0xFFF8, flags & 1 == 0)
                if flags & 0xFFF8:
                    return
        kind = self.out["protocol"]
        if kind in (6, 17, 132):
            self.transport(at, kind)
        elif not self.out["fragment"] and kind in (4, 41):
            names = {(4, 4): "ipip", (4, 6): "4in6", (41, 4): "6in4", (41, 6): "6in6"}
            self.enter(names[kind, self.out["family"]])
            (self.ipv4 if kind == 4 else self.ipv6)(at)
        elif not self.out["fragment"] and kind == 47:
            self.gre(at)
        elif not self.out["fragment"] and kind in (97, 137):
            self.unread = True

    def gre(self, at: int) -> None:
        head = self.take(at, 4)
        kind = int.from_bytes(head[2:], "big")
        if head[:2] != b"\0\0" or kind not in (0x0800, 0x86DD):
            self.unread = True
            return
        self.enter("gre")
        self.ethertype(kind, at + 4)

    def enter(self, name: str) -> None:
        self.deeper()
        self.tunnel.append(name)

    def transport(self, at: int, kind: int) -> None:
        size = {6: 20, 17: 8, 132: 12}[kind]
        if at + size > self.end and self.short(at, size):
            return
        head = self.take(at, size)
        ports = int.from_bytes(head[:2], "big"), int.from_bytes(head[2:4], "big")
        stop = self.ip_end
        if kind == 6:
            size = (head[12] >> 4) * 4
            if size < 20:
                raise EndError(MALFORMED)
            if at + size > self.wire:
                if not self.out["fragment"]:
                    raise EndError(MALFORMED)
                self.out["ports"] = ports
                return
            self.out.update(flags=head[13], seq=int.from_bytes(head[4:8], "big"))
        elif kind == 17:
            length = int.from_bytes(head[4:6], "big")
            if 0 < length < 8:
                raise EndError(MALFORMED)
            if 0 < length <= self.ip_end - at:
                stop = at + length
        self.out["ports"] = ports
        if kind != 132:
            self.payload(at + size, stop)
        if kind == 17 and not self.out["fragment"]:
            self.unread |= bool(set(ports) & set(TUNNEL_PORTS)) and len(self.out["payload"]) > 0

    def short(self, at: int, size: int) -> bool:
        """Read the ports of a header that is not whole; tell whether it goes on in the next fragment."""
        snapped, has_ports = at + size <= self.wire, at + 4 <= self.end
        part = bool(self.out["fragment"])
        if has_ports and (snapped or part):
            self.out["ports"] = self.number(at, 2), self.number(at + 2, 2)
        if snapped:
            self.out["cut"] = self.ip_end > at + size
        return has_ports and part and not snapped

    def payload(self, at: int, stop: int) -> None:
        self.out["payload"] = self.frame[at : min(stop, self.end)] if at < min(stop, self.end) else b""
        self.out["cut"] = stop > self.end and stop > at
