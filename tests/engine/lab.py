"""A small network for tests of the engine: hosts that talk, and one way to run the engine on what they said."""

import json
import random
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from support import hellos
from support.catalogues import sample
from support.packets import batch, ip4, ip6, part, tcp, udp

from netwatch.attribution.catalogue import Catalogue
from netwatch.engine.engine import Engine
from netwatch.model.batch import PacketBatch
from netwatch.model.limits import MAX_FLOWS
from netwatch.places.local import LocalNetworks
from netwatch.places.places import Places
from netwatch.runtime import datafiles
from netwatch.sinks.jsonl import flow_lines, lookup_lines

SECOND = 10**9
T0 = 1_764_013_862 * SECOND
FIN, SYN, RST, ACK, DATA = 1, 2, 4, 16, 0x18


class Host(NamedTuple):
    """One end: the link-layer address that its frames carry on the local network, and its address."""

    mac: int
    ip: bytes


class Frame(NamedTuple):
    """at: seconds after T0.   wirelen None: the whole frame was captured."""

    data: bytes
    at: float
    wirelen: int | None = None

    def snapped(self, size: int) -> "Frame":
        return Frame(self.data[:size], self.at, len(self.data))


GATEWAY_MAC = 0x02_00_00_00_00_FE
PHONE = Host(0x8E_12_34_56_78_9A, bytes((192, 168, 1, 23)))
LAPTOP = Host(0xA4_4C_C8_1B_2D_3E, bytes((192, 168, 1, 40)))
RESOLVER = Host(0x02_00_00_00_00_01, bytes((192, 168, 1, 1)))
GROUP = Host(0x01_00_5E_00_00_FB, bytes((224, 0, 0, 251)))
PHONE_ID, LAPTOP_ID = "mac:8e:12:34:56:78:9a", "mac:a4:4c:c8:1b:2d:3e"


def outside(text: str) -> Host:
    """A server behind the gateway."""
    return Host(GATEWAY_MAC, bytes(map(int, text.split("."))))


SERVER = outside("198.51.100.20")
OTHER_SERVER = outside("198.51.100.21")


def frame(src: Host, dst: Host, payload: bytes, protocol: int, at: float = 0.0, **more: Any) -> Frame:
    packet, kind = (ip4, 0x0800) if len(src.ip) == 4 else (ip6, 0x86DD)
    head = dst.mac.to_bytes(6, "big") + src.mac.to_bytes(6, "big") + kind.to_bytes(2, "big")
    return Frame(head + packet(payload, protocol, src=src.ip, dst=dst.ip, **more), at)


def segment(
    src: Host, dst: Host, payload: bytes = b"", at: float = 0.0, *, ports: tuple[int, int] = (50_000, 443),
    flags: int = DATA, seq: int = 1,
) -> Frame:  # fmt: skip
    """A TCP segment; ports are the sender's and the receiver's."""
    return frame(src, dst, tcp(payload, sport=ports[0], dport=ports[1], flags=flags, seq=seq), 6, at)


def datagram(src: Host, dst: Host, payload: bytes, at: float = 0.0, *, ports: tuple[int, int] = (50_000, 443)) -> Frame:
    return frame(src, dst, udp(payload, sport=ports[0], dport=ports[1]), 17, at)


def shake(client: Host, server: Host, at: float = 0.0, port: int = 50_000, server_port: int = 443) -> list[Frame]:
    """SYN and SYN+ACK; both streams begin at 1."""
    return [
        segment(client, server, at=at, ports=(port, server_port), flags=SYN, seq=0),
        segment(server, client, at=at, ports=(server_port, port), flags=SYN | ACK, seq=0),
    ]


def hello(name: bytes | None = b"api.tiktokv.com", **more: Any) -> bytes:
    """The record of a ClientHello."""
    return hellos.records(hellos.client_hello(name, **more))


def tls(
    client: Host, server: Host, at: float = 0.0, port: int = 50_000, *, data: bytes = hello(), step: int | None = None
) -> list[Frame]:
    """A handshake and a client's first bytes, in segments of `step` bytes."""
    step = step or len(data)
    parts = [
        segment(client, server, data[lo : lo + step], at, ports=(port, 443), seq=1 + lo)
        for lo in range(0, len(data), step)
    ]
    return shake(client, server, at, port) + parts


def dns_name(text: str) -> bytes:
    return hellos.dns_name(*text.encode().split(b"."))


def question(name: str, kind: int = 1, ident: int = 7) -> bytes:
    return hellos.dns_message([(dns_name(name), kind)], flags=0x0100, ident=ident)


def answer(name: str, *chain: str, address: Host, ttl: int = 60, ident: int = 7) -> bytes:
    """An answer for `name`, by way of the names of a chain, to an address."""
    names = [name, *chain]
    steps = [hellos.record(dns_name(a), 5, dns_name(b), ttl=ttl) for a, b in pairwise(names)]
    steps.append(hellos.record(dns_name(names[-1]), 1, address.ip, ttl=ttl))
    return hellos.dns_message([(dns_name(name), 1)], steps, ident=ident)


def resolved(
    device: Host, name: str, address: Host, at: float = 0.0, *, chain: Sequence[str] = (), port: int = 40_000,
    ident: int = 7, ttl: int = 60,
) -> list[Frame]:  # fmt: skip
    """A question and its answer."""
    return [
        datagram(device, RESOLVER, question(name, ident=ident), at, ports=(port, 53)),
        datagram(
            RESOLVER, device, answer(name, *chain, address=address, ident=ident, ttl=ttl), at + 0.01, ports=(53, port)
        ),
    ]


@cache
def places() -> Places:
    return datafiles.places()


@cache
def catalogue() -> Catalogue:
    return sample()


def vendor(_mac: int) -> str | None:
    return None


class Told(NamedTuple):
    """What the engine told: the bytes of an export, the ledger, and the engine itself."""

    flow_bytes: bytes
    lookup_bytes: bytes
    ledger: dict[str, Any]
    engine: Engine
    releases: list[tuple[int, int]]

    @property
    def flows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.flow_bytes.splitlines()]

    @property
    def flow(self) -> dict[str, Any]:
        """The only flow."""
        (flow,) = self.flows
        return flow

    @property
    def lookups(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lookup_bytes.splitlines()]

    def to(self, server: Host, port: int | None = None) -> dict[str, Any]:
        """The only flow to a server."""
        ip = ".".join(map(str, server.ip))
        (flow,) = (one for one in self.flows if one["server_ip"] == ip and port in (None, one["client_port"]))
        return flow


def laid(frames: Sequence[Frame], link_type: int = 1) -> PacketBatch:
    """Lay frames into one batch."""
    return batch(
        [one.data for one in frames],
        link_type,
        wirelen=[len(one.data) if one.wirelen is None else one.wirelen for one in frames],
        time=[T0 + round(one.at * SECOND) for one in frames],
    )


def cut(whole: PacketBatch, cuts: Iterable[int]) -> list[PacketBatch]:
    """Cut a batch before each of these positions."""
    count = len(whole.time)
    borders = sorted({0, count, *(at for at in cuts if 0 < at < count)})
    return [part(whole, lo, hi) for lo, hi in pairwise(borders)]


def run_batches(
    batches: Iterable[PacketBatch], *, max_flows: int = MAX_FLOWS, seed: int = 0, local: Sequence[str] = (),
    streamed: bool = False,
) -> Told:  # fmt: skip
    draw = random.Random(seed).getrandbits
    networks = LocalNetworks(local)
    engine = Engine(catalogue(), places(), vendor, networks, max_flows=max_flows, draw=draw, streamed=streamed)
    flows, lookups, releases, packets = [], [], [], 0
    for one in batches:
        packets += len(one.time)
        for release in engine.feed(one):
            flows.append(flow_lines(release.flows))
            lookups.append(lookup_lines(release.lookups))
            releases.append((packets, len(release.flows)))
    for release in engine.finish():
        flows.append(flow_lines(release.flows))
        lookups.append(lookup_lines(release.lookups))
        releases.append((packets, len(release.flows)))
    return Told(b"".join(flows), b"".join(lookups), engine.ledger().record(), engine, releases)


def run(frames: Sequence[Frame], cuts: Iterable[int] = (), *, link_type: int = 1, **settings: Any) -> Told:
    """Run the engine on frames, in one batch or cut before these positions."""
    return run_batches(cut(laid(frames, link_type), cuts), **settings)


def run_both(frames: Sequence[Frame], **settings: Any) -> Told:
    """Run the engine on frames in one batch, and frame by frame, which must give the same."""
    whole, single = run(frames, **settings), run(frames, range(len(frames)), **settings)
    assert_same(whole, single)
    return whole


def assert_same(one: Told, other: Told) -> None:
    """Fail where two runs differ in a byte of their records or in a counter."""
    assert one.flows == other.flows
    assert one.lookups == other.lookups
    assert (one.flow_bytes, one.lookup_bytes) == (other.flow_bytes, other.lookup_bytes)
    assert one.ledger == other.ledger


def copied(one: PacketBatch) -> PacketBatch:
    """A batch that outlives the next one of its source."""
    return one._replace(
        **{name: column.copy() for name, column in one._asdict().items() if isinstance(column, np.ndarray)}
    )


def faults(told: Told) -> list[str]:
    """Say which equations of the ledger (DESIGN section 3.7) do not hold against the records."""
    ledger, flows = told.ledger, told.flows
    states = ("ok", "non_ip", "malformed", "truncated", "too_deep")
    sums = {
        "seen": sum(ledger[state] for state in states),
        "bytes_seen": sum(ledger[f"bytes_{state}"] for state in states),
        "in_flows": sum(flow["packets_out"] + flow["packets_in"] for flow in flows),
        "bytes_in_flows": sum(flow["wire_bytes_out"] + flow["wire_bytes_in"] for flow in flows),
        "flows_created": ledger["flows_live"] + ledger["flows_ended"],
        "flows_ended": len(flows),
        "lookups": len(told.lookups),
    }
    wrong = [f"{name}: {ledger[name]}, not {count}" for name, count in sums.items() if ledger[name] != count]
    return wrong + ["flow_id twice"] * (len({flow["flow_id"] for flow in flows}) != len(flows))
