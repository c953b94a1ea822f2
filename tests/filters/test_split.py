"""Splitting an expression loses nothing: both parts together are the whole, and the packet part asks for no label."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.packets import batch, eth, ip4, tcp, udp

from netwatch.decode.packets import decode
from netwatch.filters.expression import And, Expression, Labelled, Not, Or, ids
from netwatch.filters.packets import packet_mask
from netwatch.filters.parse import parse
from netwatch.filters.split import NAMING, split
from netwatch.names.select import TCP_PORTS, UDP_PORTS

LEAVES = ["port 1", "port 2", "tcp", "vlan", "app:a", "app:b", "name:c", "device:d"]


def texts() -> st.SearchStrategy[str]:
    return st.recursive(
        st.sampled_from(LEAVES),
        lambda inner: st.one_of(
            st.lists(inner, min_size=2, max_size=4).map(lambda parts: f"({' and '.join(parts)})"),
            st.lists(inner, min_size=2, max_size=4).map(lambda parts: f"({' or '.join(parts)})"),
            inner.map("not {}".format),
        ),
        max_leaves=8,
    )


def holds(expression: Expression | None, true: set[Expression]) -> bool:
    """Evaluate, where exactly these terms are true."""
    match expression:
        case None:
            return True
        case And(parts):
            return all(holds(part, true) for part in parts)
        case Or(parts):
            return any(holds(part, true) for part in parts)
        case Not(part):
            return not holds(part, true)
        case leaf:
            return leaf in true


@given(texts(), st.sets(st.sampled_from(LEAVES)))
def test_both_parts_together_are_the_whole_and_the_packet_part_has_no_label(text: str, true: set[str]) -> None:
    expression, leaves = parse(text), {parse(leaf) for leaf in true}
    packet, rest = split(expression)
    assert holds(expression, leaves) == (holds(packet, leaves) and holds(rest, leaves))
    assert packet is None or not ids(packet)
    assert (rest is None) == (not ids(expression))


@given(texts(), st.sets(st.sampled_from(LEAVES)))
def test_what_no_label_can_save_is_dropped_where_each_is_asked_for_once(text: str, true: set[str]) -> None:
    expression = parse(text)
    labels = [leaf for leaf in LEAVES if isinstance(parse(leaf), Labelled)]
    if any(text.count(label) > 1 for label in labels):
        return
    packets = {parse(leaf) for leaf in true} - {parse(label) for label in labels}
    possible = any(
        holds(expression, packets | {parse(label) for at, label in enumerate(labels) if chosen >> at & 1})
        for chosen in range(1 << len(labels))
    )
    assert holds(split(expression)[0], packets) == possible


@pytest.mark.parametrize(
    ("text", "packet", "rest"),
    [
        ("port 443", "port 443", None),
        ("app:tiktok", None, "app:tiktok"),
        ("app:tiktok and port 443", "port 443", "app:tiktok"),
        ("host 192.0.2.1 and app:tiktok and tcp", "host 192.0.2.1 and tcp", "app:tiktok"),
        ("(app:a and udp) and (tcp or app:b)", "udp", "app:a and (tcp or app:b)"),
        ("app:tiktok or port 443", None, "app:tiktok or port 443"),
        ("not app:tiktok", None, "not app:tiktok"),
        ("not (app:tiktok and port 443)", None, "not (app:tiktok and port 443)"),
        ("not (app:tiktok or port 443)", "not port 443", "not (app:tiktok or port 443)"),
        ("(app:a and udp) or (app:b and tcp)", "udp or tcp", "(app:a and udp) or (app:b and tcp)"),
    ],
)
def test_what_stands_in_which_part(text: str, packet: str | None, rest: str | None) -> None:
    assert split(parse(text)) == (packet and parse(packet), rest and parse(rest))


def test_naming_takes_every_port_that_names_are_read_from() -> None:
    frames = [eth(ip4(tcp(dport=port), 6)) for port in TCP_PORTS] + [
        eth(ip4(udp(sport=port), 17)) for port in UDP_PORTS
    ]
    assert packet_mask(NAMING, decode(batch(frames))).all()
    other = [eth(ip4(tcp(dport=port), 6)) for port in (67, 443)] + [eth(ip4(udp(dport=443), 17))]
    assert not np.any(packet_mask(NAMING, decode(batch(other))))
