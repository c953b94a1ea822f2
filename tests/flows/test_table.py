"""The flow table against a beginner's loop: same flows, same counters, whatever the batches."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.flows.record import FRESH, NEVER
from netwatch.flows.table import FlowTable
from netwatch.model.packets import NO_MAC, NO_VLAN, Packets
from netwatch.model.records import ACTIVE, END, FORCED, IDLE, LACK

SECOND = 10**9
MULTIPLIERS = (3, 5, 7, 9, 11, 13)
FIN, SYN, RST, ACK = 1, 2, 4, 16


@dataclass
class Packet:
    """One packet as a beginner would write it down: ends are (address, port)."""

    src: tuple[int, int]
    dst: tuple[int, int]
    time: int
    protocol: int = 6
    flags: int = ACK
    size: int = 60
    payload: int = 0
    family: int = 4
    vlan: int = NO_VLAN
    seq: int = 0


def columns(packets: list[Packet]) -> Packets:
    def col(values: list[Any], dtype: Any) -> Any:
        return np.array(values, dtype)

    n = len(packets)
    return Packets(
        state=np.zeros(n, np.uint8),
        in_flow=np.ones(n, bool),
        family=col([p.family for p in packets], np.uint8),
        src_hi=col([p.src[0] >> 64 for p in packets], np.uint64),
        src_lo=col([p.src[0] & (1 << 64) - 1 for p in packets], np.uint64),
        dst_hi=col([p.dst[0] >> 64 for p in packets], np.uint64),
        dst_lo=col([p.dst[0] & (1 << 64) - 1 for p in packets], np.uint64),
        protocol=col([p.protocol for p in packets], np.uint8),
        ports=np.ones(n, bool),
        src_port=col([p.src[1] for p in packets], np.uint16),
        dst_port=col([p.dst[1] for p in packets], np.uint16),
        ip_bytes=col([p.size for p in packets], np.int64),
        tcp_flags=col([p.flags if p.protocol == 6 else 0 for p in packets], np.uint8),
        seq=col([p.seq for p in packets], np.uint32),
        payload=np.zeros(n, np.int64),
        payload_len=col([p.payload for p in packets], np.int32),
        cut=np.zeros(n, bool),
        vlan=col([p.vlan for p in packets], np.int32),
        tunnel=np.zeros(n, np.int32),
        src_mac=np.full(n, NO_MAC, np.uint64),
        dst_mac=np.full(n, NO_MAC, np.uint64),
        fragment=np.zeros(n, bool),
        fragment_id=np.zeros(n, np.uint32),
        fragment_at=np.zeros(n, np.int32),
        fragment_last=np.zeros(n, bool),
        tunnels=(None,),
        anomalies={},
    )


@dataclass
class Plain:
    """A flow in the beginner's loop."""

    token: int
    opened: int
    packets: list[tuple[int, Packet]] = field(default_factory=list)
    seen: int = 0
    closed: int | None = None
    fins: set[tuple[int, int]] = field(default_factory=set)
    reason: int = FORCED


def beginner(packets: list[Packet]) -> set[tuple[Any, ...]]:
    """Follow DESIGN sections 3.3 and 3.6 one packet at a time; no cap on flows."""
    live: dict[Any, Plain] = {}
    done: list[Plain] = []
    for token, p in enumerate(packets):
        key = (frozenset([p.src, p.dst]), p.protocol, p.vlan, p.family)
        flow = live.get(key)
        if flow is not None:
            limit = (300 if p.protocol == 6 else 60) * SECOND
            new_syn = p.protocol == 6 and p.flags & (SYN | ACK) == SYN
            reason = None
            if flow.closed is not None and (new_syn or p.time > flow.closed + 5 * SECOND):
                reason = END
            elif abs(p.time - flow.seen) > limit:
                reason = END if flow.closed is not None else IDLE
            elif flow.closed is None and p.time - flow.opened > 1800 * SECOND:
                reason = ACTIVE
            if reason is not None:
                flow.reason = reason
                done.append(live.pop(key))
                flow = None
        if flow is None:
            flow = live[key] = Plain(token, p.time)
        flow.packets.append((token, p))
        flow.seen = p.time
        if p.protocol == 6:
            if p.flags & FIN:
                flow.fins.add(p.src)
            if flow.closed is None and (len(flow.fins) == 2 or p.flags & RST):
                flow.closed = p.time
    for flow in live.values():
        flow.reason = END if flow.closed is not None else FORCED
        done.append(flow)
    return {
        (
            f.token,
            f.reason,
            min(p.time for _, p in f.packets),
            max(p.time for _, p in f.packets),
            *(sum(1 for _, p in f.packets if (p.src == _low(f)) is low) for low in (True, False)),
            *(sum(p.size for _, p in f.packets if (p.src == _low(f)) is low) for low in (True, False)),
        )
        for f in done
    }


def _low(flow: Plain) -> tuple[int, int]:
    return min(flow.packets[0][1].src, flow.packets[0][1].dst)


def run(packets: list[Packet], cuts: list[int], max_flows: int = 10**6) -> tuple[set[tuple[Any, ...]], FlowTable]:
    """Add packets in batches that end at `cuts` and at the table's own block borders."""
    table = FlowTable(max_flows, MULTIPLIERS)
    borders = sorted({0, len(packets), *(c % (len(packets) + 1) for c in cuts), *range(0, len(packets), table.block)})
    for lo, hi in pairwise(borders):
        if lo % table.block == 0:
            table.make_room()
        part = packets[lo:hi]
        time = np.array([p.time for p in part], np.int64)
        size = np.array([p.size + 14 for p in part], np.uint32)
        token = np.arange(lo, hi, dtype=np.int64)
        table.add(columns(part), time, size, token + 1, np.zeros(len(part), np.uint16), token)
        assert table.live <= max_flows
    table.finish()
    rows = table.take()
    found = {
        (
            int(r["token"]),
            int(r["reason"]),
            int(r["start"]),
            int(r["end"]),
            *map(int, r["packets"]),
            *map(int, r["bytes"]),
        )
        for r in rows
    }
    assert len(found) == len(rows) == table.created
    assert table.live == 0
    assert int(rows["wire"].sum()) == sum(p.size + 14 for p in packets)
    return found, table


hosts = st.tuples(st.integers(1, 3), st.integers(1, 2))
steps = st.sampled_from([0, SECOND, 4 * SECOND, 6 * SECOND, 61 * SECOND, 250 * SECOND, 301 * SECOND, -90 * SECOND])
flags = st.sampled_from([SYN, SYN | ACK, ACK, ACK, FIN | ACK, FIN | ACK, RST])
streams = st.lists(st.tuples(hosts, hosts, steps, st.sampled_from([6, 6, 17]), flags, st.integers(20, 99)), max_size=60)


def packets_of(rows: list[Any]) -> list[Packet]:
    now, out = 10**18, []
    for src, dst, step, protocol, flag, size in rows:
        now += step
        out.append(Packet(src, dst, now, protocol, flag, size))
    return out


@given(streams, st.lists(st.integers(0, 60), max_size=5))
def test_flows_equal_the_plain_loop_for_any_batches(rows: list[Any], cuts: list[int]) -> None:
    packets = packets_of(rows)
    assert run(packets, cuts)[0] == beginner(packets)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([SECOND, 280 * SECOND]), flags), min_size=10, max_size=80))
def test_one_long_connection_is_cut_at_the_active_limit_and_at_its_close(rows: list[Any]) -> None:
    ends = ((1, 1000), (2, 443))
    packets, now = [], 0
    for way, step, flag in rows:
        now += step
        packets.append(Packet(ends[way], ends[1 - way], now, 6, flag))
    assert run(packets, [7, 31])[0] == beginner(packets)


@given(streams, st.integers(1, 12))
def test_m1_eviction_loses_and_doubles_nothing_whatever_the_batches(rows: list[Any], max_flows: int) -> None:
    packets = packets_of(rows)
    whole, _ = run(packets, [], max_flows)
    assert run(packets, list(range(0, 60, 3)), max_flows)[0] == whole
    assert sum(f[4] + f[5] for f in whole) == len(packets)


def test_m2_flows_with_an_answer_outlive_those_without() -> None:
    talk = [Packet((1, 1), (2, 443), 0), Packet((2, 443), (1, 1), 1)]
    flood = [Packet((100 + i, 5), (2, 443), 2 + i, flags=SYN) for i in range(500)]
    later = [Packet((1, 1), (2, 443), 600)]
    found, table = run(talk + flood + later, [], max_flows=40)
    kept = [f for f in found if f[0] == 0]
    assert kept[0][4] + kept[0][5] == 3
    assert sum(f[1] == LACK for f in found) > 400
    assert table.created == 501


def test_m4_keys_that_share_a_home_slot_stay_apart() -> None:
    table = FlowTable(10**6, (0, 0, 0, 0, 0, 0))  # worst multipliers: every key hashes by few bits
    packets = [Packet((i, 1), (i + 1, 2), 0, vlan=i % 3) for i in range(600)] * 2
    n = len(packets)
    zeros, token = np.zeros(n, np.int64), np.arange(n)
    table.add(columns(packets), zeros, zeros.astype(np.uint32), token, zeros.astype(np.uint16), token)
    table.finish()
    assert table.created == 600
    assert set(table.take()["packets"].sum(axis=1).tolist()) == {2}


def test_ipv6_ends_that_differ_only_in_the_high_half_are_two_flows() -> None:
    low = 5
    packets = [Packet((h << 64 | low, 9), (7 << 64 | low, 9), 0, 17, family=6) for h in (1, 2, 1)]
    found, _ = run(packets, [1])
    assert sorted(f[4] + f[5] for f in found) == [1, 2]


def test_f5_times_from_1970_to_2106_give_no_negative_duration() -> None:
    times = [0, (2**32 - 1) * SECOND, 1_700_000_000 * SECOND, -(2**63), 2**63 - 1]
    found, _ = run([Packet((1, 1), (2, 2), t) for t in times], [2])
    assert all(f[2] <= f[3] for f in found)
    assert sum(f[4] + f[5] for f in found) == 5


def test_a_sweep_ends_only_flows_that_any_later_packet_would_begin_anew() -> None:
    packets = [Packet((1, 1), (2, 2), 0, 17), Packet((3, 3), (4, 4), 50 * SECOND, 17)]
    table = FlowTable(1000, MULTIPLIERS)
    token = np.arange(2)
    table.add(
        columns(packets), np.array([0, 50 * SECOND]), np.zeros(2, np.uint32), token, np.zeros(2, np.uint16), token
    )
    table.sweep(60 * SECOND)
    assert table.live == 2
    table.sweep(60 * SECOND + 1)
    assert [int(r["reason"]) for r in table.take()] == [IDLE]
    assert table.live == 1


def test_rows_of_ended_flows_are_used_again() -> None:
    table = FlowTable(100, MULTIPLIERS)
    for round_ in range(200):
        packets = [Packet((round_ * 25 + i, 1), (2, 2), round_ * 1000 * SECOND, 17) for i in range(25)]
        table.make_room()
        token = np.arange(25) + 25 * round_
        time = np.full(25, packets[0].time)
        table.add(columns(packets), time, np.zeros(25, np.uint32), token, np.zeros(25, np.uint16), token)
        table.sweep(packets[0].time)
    assert len(table._index.rows) < 10_000
    table.finish()
    assert table.created == 5_000 == len(table.take())


def test_streams_begin_behind_the_syn_and_are_known_from_it_on() -> None:
    a, b = (1, 1), (2, 443)
    packets = [
        Packet(a, b, 0, flags=ACK, payload=9, seq=100),
        Packet(a, b, 1, flags=SYN, seq=99),
        Packet(a, b, 2, seq=100),
    ]
    table = FlowTable(100, MULTIPLIERS)
    token = np.arange(3)
    added = table.add(columns(packets), token, np.zeros(3, np.uint32), token, np.zeros(3, np.uint16), token)
    assert added.isn[0, 0] == 100
    assert added.isn_at[0].tolist() == [1, 3]
    assert added.rank.tolist() == [0, 1, 1]


@pytest.mark.parametrize("field", ["token", "closed"])
def test_markers_cannot_be_mistaken_for_values(field: str) -> None:
    assert {"token": FRESH, "closed": NEVER}[field] not in range(2**62)
