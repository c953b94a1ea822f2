"""Builders of what leaves the engine: finished flows as columns, lookups."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any, TypeVar

import numpy as np

from netwatch.model.address import from_bytes, halves
from netwatch.model.reading import Address
from netwatch.model.records import (
    BLIND,
    END_REASONS,
    Device,
    Evidence,
    FlowBatch,
    Label,
    Lookup,
    LookupAnswer,
    Place,
    Release,
    Talk,
)

SECOND = 10**9
T0 = 1_764_013_862 * SECOND  # 2025-11-24T19:51:02Z
PHONE = Device("mac:8e:12:34:56:78:9a", "Ana-iPhone", None)
TIKTOK = Label(
    *("log-sg.tiktokv.com", "sni", "tiktok", "TikTok", "app", "telemetry"),
    *("bytedance", "ByteDance", "CN", "KY", "high", None),
)
SINGAPORE = Place("SG", "SG", 138699, "TIKTOK PTE. LTD.", False)
HELLO = Talk("tls", "h2,http/1.1", "1.3", "t13d1516h2_8daaf6152771_02713d6af862", None)
PLAIN_DEVICE = Device("ip:192.168.1.23", None, None)
NO_TALK, NO_LABEL, NO_PLACE = Talk(), Label(), Place()
RULE = "signatures/bytedance/tiktok.toml#tiktokv.com"


@dataclass(frozen=True)
class Flow:
    """One finished flow; the defaults are a flow of which nothing is known."""

    flow_id: int = 1
    start: int = T0
    end: int = T0 + SECOND
    client: str = "192.168.1.23"
    client_port: int | None = 50123
    server: str = "203.0.113.7"
    server_port: int | None = 443
    transport: int = 6
    vlan: int | None = None
    packets: tuple[int, int] = (1, 1)
    octets: tuple[int, int] = (60, 40)
    wire: tuple[int, int] = (74, 60)
    flags: tuple[int | None, int | None] = (None, None)
    end_reason: str = "idle"
    blind: str | None = None
    device: Device = PLAIN_DEVICE
    tunnel: str | None = None
    interface: str | None = None
    talk: Talk = NO_TALK
    label: Label = NO_LABEL
    place: Place = NO_PLACE
    evidence: tuple[Evidence, ...] = ()
    in_coverage: bool = True


def tiktok_flow(**changes: Any) -> Flow:
    """Return the flow of DESIGN section 4."""
    evidence = (
        Evidence("sni", "log-sg.tiktokv.com", T0 + 114_000_000, 12, RULE),
        Evidence("dns_answer", "log-sg.tiktokv.com", T0 + 51_000_000, 2, RULE),
    )
    flow = Flow(
        flow_id=0x5F0C2B6A91D3E847,
        start=T0 + 70_000_000,
        end=T0 + 12_470_000_000,
        packets=(20, 18),
        octets=(8200, 5400),
        wire=(8480, 5652),
        flags=(27, 27),
        end_reason="end",
        device=PHONE,
        talk=HELLO,
        label=TIKTOK,
        place=SINGAPORE,
        evidence=evidence,
    )
    return replace(flow, **changes)


Entry = TypeVar("Entry")


def coded(values: Sequence[Entry]) -> tuple[np.ndarray[Any, np.dtype[np.int32]], list[Entry]]:
    """Return each value's code and the distinct values; the first of them is never used, as a dictionary may have."""
    table: dict[Any, int] = {}
    codes = [table.setdefault(value, len(table)) + 1 for value in values]
    return np.array(codes, np.int32), [values[0], *table] if values else []


def batch(flows: Sequence[Flow]) -> FlowBatch:
    """Return flows as columns, in the order given."""

    def column(dtype: Any, values: Sequence[Any]) -> Any:
        return np.array([-1 if value is None else value for value in values], dtype)

    client = [halves(number(flow.client)) for flow in flows]
    server = [halves(number(flow.server)) for flow in flows]
    device, devices = coded([flow.device for flow in flows])
    tunnel, tunnels = coded([flow.tunnel for flow in flows])
    interface, interfaces = coded([flow.interface for flow in flows])
    talk, talks = coded([flow.talk for flow in flows])
    label, labels = coded([flow.label for flow in flows])
    place, places = coded([flow.place for flow in flows])
    return FlowBatch(
        flow_id=column(np.uint64, [flow.flow_id for flow in flows]),
        start=column(np.int64, [flow.start for flow in flows]),
        end=column(np.int64, [flow.end for flow in flows]),
        family=column(np.uint8, [end[0] for end in client]),
        client_hi=column(np.uint64, [end[1] for end in client]),
        client_lo=column(np.uint64, [end[2] for end in client]),
        client_port=column(np.int32, [flow.client_port for flow in flows]),
        server_hi=column(np.uint64, [end[1] for end in server]),
        server_lo=column(np.uint64, [end[2] for end in server]),
        server_port=column(np.int32, [flow.server_port for flow in flows]),
        transport=column(np.uint8, [flow.transport for flow in flows]),
        vlan=column(np.int32, [flow.vlan for flow in flows]),
        packets_out=column(np.int64, [flow.packets[0] for flow in flows]),
        packets_in=column(np.int64, [flow.packets[1] for flow in flows]),
        bytes_out=column(np.int64, [flow.octets[0] for flow in flows]),
        bytes_in=column(np.int64, [flow.octets[1] for flow in flows]),
        wire_bytes_out=column(np.int64, [flow.wire[0] for flow in flows]),
        wire_bytes_in=column(np.int64, [flow.wire[1] for flow in flows]),
        tcp_flags_out=column(np.int16, [flow.flags[0] for flow in flows]),
        tcp_flags_in=column(np.int16, [flow.flags[1] for flow in flows]),
        end_reason=column(np.uint8, [END_REASONS.index(flow.end_reason) for flow in flows]),
        blind=column(np.uint8, [BLIND.index(flow.blind) for flow in flows]),
        device=device,
        devices=devices,
        tunnel=tunnel,
        tunnels=tunnels,
        interface=interface,
        interfaces=interfaces,
        talk=talk,
        talks=talks,
        label=label,
        labels=labels,
        place=place,
        places=places,
        evidence={row: flow.evidence for row, flow in enumerate(flows) if flow.evidence},
        in_coverage=np.array([flow.in_coverage for flow in flows], np.bool_),
    )


def number(text: str) -> Address:
    """Return an address as the model has it."""
    return from_bytes(ip_address(text).packed)


@dataclass(frozen=True)
class Question:
    """One lookup; `build` gives the record. The defaults are the line of DESIGN section 4."""

    time: int = T0 + 30_000_000
    packet: int = 1
    device: Device = PHONE
    client: str = "192.168.1.23"
    resolver: str = "192.168.1.1"
    transport: str = "udp"
    query: str = "log-sg.tiktokv.com"
    type: str = "A"
    rcode: str | None = "NOERROR"
    answers: tuple[tuple[str, str, str, int], ...] = (("log-sg.tiktokv.com", "A", "203.0.113.7", 60),)
    blocked: bool = False
    label: Label = TIKTOK

    def build(self) -> Lookup:
        return Lookup(
            self.time,
            self.packet,
            self.device,
            number(self.client),
            number(self.resolver),
            self.transport,
            self.query,
            self.type,
            self.rcode,
            tuple(LookupAnswer(*answer) for answer in self.answers),
            self.blocked,
            *self.label[2:11],
        )


def release(flows: Sequence[Flow] = (), questions: Sequence[Question] = ()) -> Release:
    """Return what the engine lets go at once."""
    return Release(batch(flows), [question.build() for question in questions])
