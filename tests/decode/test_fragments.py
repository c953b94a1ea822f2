"""Later fragments get the ports of their first one, and UDP payloads that came in parts become whole."""

from collections import Counter
from itertools import pairwise, permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.packets import batch, eth, ip4, ip6, part, tcp, udp

from netwatch.decode.fragments import Fragments
from netwatch.decode.packets import decode
from netwatch.model.anomalies import ANOMALIES
from netwatch.model.batch import PacketBatch
from netwatch.model.limits import FRAGMENT_AGE_NS, FRAGMENT_BYTES, FRAGMENTS

PAYLOAD = bytes(range(256)) * 12
SECOND = 10**9


def pieces(whole: bytes, *borders: int, ident: int = 7, protocol: int = 17, total: int | None = None) -> list[bytes]:
    """IPv4 fragments of a transport packet, cut at multiples of eight bytes."""
    total = len(whole) if total is None else total
    return [
        eth(ip4(whole[a:b], protocol, ident=ident, fragment=(0x2000 if b < total else 0) | a // 8))
        for a, b in pairwise((0, *borders, len(whole)))
    ]


def pieces6(whole: bytes, *borders: int, ident: int = 7) -> list[bytes]:
    out = []
    for a, b in pairwise((0, *borders, len(whole))):
        head = bytes((17, 0)) + (a | (b < len(whole))).to_bytes(2, "big") + ident.to_bytes(4, "big")
        out.append(eth(ip6(head + whole[a:b], 44), 0x86DD))
    return out


def follow(fragments: Fragments, whole: PacketBatch) -> tuple[list[Any], list[tuple[int, bytes]]]:
    """Return (ports or None, payload length) of each row, and the datagrams that became whole."""
    packets = fragments.apply(decode(whole), whole.time)
    said = [
        ((int(src), int(dst)) if has else None, int(length))
        for src, dst, has, length in zip(
            packets.src_port, packets.dst_port, packets.ports, packets.payload_len, strict=True
        )
    ]
    return said, fragments.datagrams(packets, whole.data)


@pytest.mark.parametrize("cut", [pieces, pieces6])
def test_later_fragments_follow_their_first(cut: Any) -> None:
    said, whole = follow(Fragments(), batch(cut(udp(PAYLOAD), 1480, 2960)))
    assert said == [((40_000, 53), 1472), ((40_000, 53), 0), ((40_000, 53), 0)]
    assert whole == [(2, PAYLOAD)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_datagram_becomes_whole_in_any_order_and_what_came_before_the_first_has_no_ports(
    order: tuple[int, ...],
) -> None:
    frames = pieces(udp(PAYLOAD), 1480, 2960)
    said, whole = follow(Fragments(), batch([frames[at] for at in order]))
    assert whole == [(2, PAYLOAD)]
    first = order.index(0)
    assert [ports is not None for ports, _ in said] == [at >= first for at in range(3)]


def test_a_batch_without_a_fragment_is_returned_as_it_is() -> None:
    packets = decode(batch([eth(ip4(udp(b"x"), 17))]))
    fragments = Fragments()
    assert fragments.apply(packets, np.zeros(1, np.int64)) is packets
    assert fragments.datagrams(packets, np.zeros(200, np.uint8)) == []


def test_tcp_fragments_get_ports_and_make_no_datagram() -> None:
    frames = pieces(tcp(PAYLOAD), 1480, protocol=6)
    said, whole = follow(Fragments(), batch(frames))
    assert ([ports for ports, _ in said], whole) == ([(40_000, 443)] * 2, [])


def test_a_tcp_header_over_two_fragments_gives_its_ports_and_is_counted() -> None:
    first = batch(pieces(tcp(b""), 8, protocol=6))
    assert decode(first).anomalies == {"frag_first_tiny": 1}
    said, _ = follow(Fragments(), first)
    assert said == [((40_000, 443), 0), ((40_000, 443), 0)]


@pytest.mark.parametrize(("age", "known"), [(FRAGMENT_AGE_NS, True), (FRAGMENT_AGE_NS + 1, False), (-SECOND, True)])
def test_a_first_fragment_is_remembered_for_a_while(age: int, known: bool) -> None:
    said, whole = follow(Fragments(), batch(pieces(udp(PAYLOAD), 1480), time=[100 * SECOND, 100 * SECOND + age]))
    assert (said[1][0] is not None, bool(whole)) == (known, known)


def test_m3_the_oldest_first_fragment_makes_room_and_is_counted() -> None:
    fragments = Fragments()
    firsts = [pieces(udp(b"x" * 16), 16, ident=at)[0] for at in range(FRAGMENTS + 3)]
    follow(fragments, batch(firsts, time=[0] * len(firsts)))
    assert fragments.anomalies == Counter(frag_evicted=3, frag_datagram_evicted=3)
    lasts = [pieces(udp(b"x" * 16), 16, ident=at)[1] for at in (3, 2)]
    said, whole = follow(fragments, batch(lasts, time=[0, 0]))
    assert ([ports for ports, _ in said], whole) == ([(40_000, 53), None], [(0, b"x" * 16)])


def test_m3_datagrams_that_never_complete_stay_within_their_bytes() -> None:
    fragments = Fragments()
    for ident in range(200):
        follow(fragments, batch([eth(ip4(bytes(1480), 17, ident=ident, fragment=0x2000 | 7900))]))
        held = sum(datagram.size for datagram in fragments._datagrams.values())
        assert held == fragments._bytes <= FRAGMENT_BYTES
    assert fragments.anomalies["frag_datagram_evicted"] == 200 - FRAGMENT_BYTES // (2 * (7900 * 8 + 1480 - 8))


def test_an_overlap_of_other_bytes_drops_the_datagram_and_its_rest() -> None:
    frames = pieces(udp(PAYLOAD), 1480, 2960)
    other = eth(ip4(b"Z" * 1480, 17, ident=7, fragment=0x2001))
    fragments = Fragments()
    _, whole = follow(fragments, batch([frames[0], other, frames[1], frames[2], *frames]))
    assert (whole, fragments.anomalies) == ([], Counter(frag_overlap=1))


def test_the_same_bytes_twice_do_no_harm() -> None:
    frames = pieces(udp(PAYLOAD), 1480, 2960)
    fragments = Fragments()
    _, whole = follow(fragments, batch([frames[0], frames[0], frames[1], frames[1], frames[2]]))
    assert (whole, fragments.anomalies) == ([(4, PAYLOAD)], Counter())


@pytest.mark.parametrize("swap", [False, True])
def test_bytes_behind_the_last_fragment_drop_the_datagram(swap: bool) -> None:
    long, short = pieces(udp(PAYLOAD), 64)[0], eth(ip4(udp(PAYLOAD)[24:32], 17, ident=7, fragment=3))
    fragments = Fragments()
    _, whole = follow(fragments, batch([short, long] if swap else [long, short]))
    assert (whole, fragments.anomalies) == ([], Counter(frag_overlap=1))


def test_a_fragment_that_ends_beyond_the_longest_datagram_is_dropped() -> None:
    fragments = Fragments()
    _, whole = follow(fragments, batch([eth(ip4(bytes(1000), 17, fragment=0x1FFF))]))
    assert (whole, fragments.anomalies) == ([], Counter(frag_too_long=1))


def test_a_fragment_that_the_snapshot_length_cut_makes_no_datagram() -> None:
    frames = pieces(udp(PAYLOAD), 1480)
    fragments = Fragments()
    wire = [len(frame) for frame in frames]
    said, whole = follow(fragments, batch([frames[0][:200], frames[1]], wirelen=wire))
    assert ([ports for ports, _ in said], whole, fragments.anomalies) == ([(40_000, 53)] * 2, [], Counter())


def test_an_identification_may_be_used_again() -> None:
    frames = [*pieces(udp(PAYLOAD), 1480), *pieces(udp(PAYLOAD[::-1], dport=443), 1480)]
    said, whole = follow(Fragments(), batch(frames))
    assert [ports for ports, _ in said] == [(40_000, 53)] * 2 + [(40_000, 443)] * 2
    assert whole == [(1, PAYLOAD), (3, PAYLOAD[::-1])]


def test_ipv6_fragments_of_a_chain_get_the_protocol_behind_it() -> None:
    options = bytes((17, 0, 1, 4, 0, 0, 0, 0))
    frames = pieces6(options + udp(PAYLOAD), 1480)
    frames = [frame[:54] + b"\x3c" + frame[55:] for frame in frames]
    whole = batch(frames)
    packets = Fragments().apply(decode(whole), whole.time)
    assert (packets.protocol.tolist(), packets.dst_port.tolist()) == ([17, 17], [53, 53])


fragment = st.tuples(st.integers(0, 2), st.integers(0, 6), st.integers(0, 6), st.booleans(), st.booleans())


@given(st.lists(fragment, max_size=24), st.lists(st.integers(0, 24), max_size=3))
def test_the_result_does_not_depend_on_where_batches_end(
    wanted: list[tuple[int, int, int, bool, bool]], cuts: list[int]
) -> None:
    source = udp(PAYLOAD[:48])
    frames = []
    for ident, start, words, more, lie in wanted:
        body = source[start * 8 : (start + words) * 8]
        body = body[::-1] if lie and start else body
        frames.append(eth(ip4(body, 17, ident=ident, fragment=(0x2000 if more else 0) | start)))
    whole = batch(frames)
    one, other = Fragments(), Fragments()
    said, found = follow(one, whole)
    again: list[Any] = []
    joined: list[tuple[int, bytes]] = []
    for start, stop in pairwise(sorted({0, *(min(cut, len(frames)) for cut in cuts), len(frames)})):
        rows, datagrams = follow(other, part(whole, start, stop))
        again += rows
        joined += [(row + start, payload) for row, payload in datagrams]
    assert (again, joined, other.anomalies) == (said, found, one.anomalies)
    assert set(one.anomalies) <= set(ANOMALIES)
    straight = {PAYLOAD[:size] for size in range(0, 49, 8)}
    if not any(lie and start for _, start, _, _, lie in wanted):
        assert {payload for _, payload in found} <= straight
