"""The mask over packets: what each term means, and that it is the answer of the packet's flow."""

from ipaddress import ip_address

import pytest
from filters.frames import expressions, fragments, frames, tagged
from hypothesis import given
from hypothesis import strategies as st
from support.flows import Flow
from support.flows import batch as flow_batch
from support.packets import batch, eth, ip4, ip6, tcp, udp, vlan

from netwatch.decode.fragments import Fragments
from netwatch.decode.packets import decode
from netwatch.filters.expression import Expression
from netwatch.filters.packets import packet_mask
from netwatch.filters.parse import parse
from netwatch.filters.records import flow_mask
from netwatch.model.address import address, address_text
from netwatch.model.arrays import Bool
from netwatch.model.packets import Packets

ARP = eth(bytes(28), 0x0806)
TUNNEL = eth(ip4(ip4(tcp(dport=80), 6, dst=ip_address("10.0.0.1").packed), 4))
IP6 = eth(ip6(udp(dport=53), 17), 0x86DD)
TAGGED = eth(vlan(ip4(tcp(), 6), 5), 0x8100)
SHORT = eth(ip4(tcp()[:12], 6))  # in a flow, without ports


def mask(text: str, *some: bytes) -> list[bool]:
    return packet_mask(parse(text), decode(batch(some))).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host 10.0.0.1", [False, True, False, False, False]),
        ("host 198.51.100.20", [False, False, False, True, True]),  # the outer header of a tunnel does not count
        ("port 80", [False, True, False, False, False]),
        ("port 53", [False, False, True, False, False]),
        ("not port 53", [False, True, False, True, True]),
        ("tcp", [False, True, False, True, True]),
        ("proto 4", [False] * 5),
        ("ip6", [False, False, True, False, False]),
        ("net ::/0", [False, False, True, False, False]),
        ("net 0.0.0.0/0", [False, True, False, True, True]),
        ("vlan 5", [False, False, False, True, False]),
        ("not vlan", [False, True, True, False, True]),
        ("port 443 or portrange 50-90", [False, True, True, True, False]),
    ],
)
def test_what_each_term_means(text: str, expected: list[bool]) -> None:
    assert mask(text, ARP, TUNNEL, IP6, TAGGED, SHORT) == expected


def test_without_an_expression_all_that_is_in_a_flow_passes() -> None:
    assert packet_mask(None, decode(batch([ARP, IP6]))).tolist() == [False, True]


def test_later_fragments_have_the_ports_of_the_first_one() -> None:
    some = batch([eth(ip4(udp(bytes(8)), 17, fragment=0x2000)), eth(ip4(bytes(16), 17, fragment=2))])
    whole = Fragments().apply(decode(some), some.time)
    assert packet_mask(parse("port 53"), whole).tolist() == [True, True]
    assert packet_mask(parse("port 53"), decode(some)).tolist() == [True, False]


def test_a_label_is_refused() -> None:
    with pytest.raises(ValueError, match="label"):
        packet_mask(parse("app:tiktok"), decode(batch([IP6])))


def flows_of(packets: Packets) -> list[Flow]:
    """Return the flow that each packet alone would be."""

    def text(row: int, hi: int, lo: int) -> str:
        return address_text(address(int(packets.family[row]), hi, lo))

    return [
        Flow(
            client=text(row, int(packets.src_hi[row]), int(packets.src_lo[row])),
            server=text(row, int(packets.dst_hi[row]), int(packets.dst_lo[row])),
            client_port=int(packets.src_port[row]) if packets.ports[row] else None,
            server_port=int(packets.dst_port[row]) if packets.ports[row] else None,
            transport=int(packets.protocol[row]),
            vlan=int(packets.vlan[row]) if packets.vlan[row] >= 0 else None,
        )
        for row in range(len(packets.state))
    ]


def flow_answer(expression: Expression, packets: Packets) -> Bool:
    return flow_mask(expression, flow_batch(flows_of(packets)))


@given(
    st.lists(st.one_of(frames(), fragments().map(lambda one: tagged(*one, []))), min_size=1, max_size=6), expressions()
)
def test_the_answer_is_that_of_the_flow(some: list[bytes], expression: Expression) -> None:
    columns = batch(some)
    packets = Fragments().apply(decode(columns), columns.time)
    counted = packets.take(packets.in_flow.nonzero()[0])
    assert packet_mask(expression, counted).tolist() == flow_answer(expression, counted).tolist()
