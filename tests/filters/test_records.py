"""The mask over columns says what a plain test of each flow says."""

from ipaddress import ip_address, ip_network
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.flows import PHONE, TIKTOK, Flow, Question, batch, number, tiktok_flow

from netwatch.filters.expression import And, Expression, Hosts, Labelled, Not, Or, Ports, Protocol, Version, Vlan
from netwatch.filters.parse import parse
from netwatch.filters.records import flow_mask, lookup_test
from netwatch.model.records import Device, Label

V4 = ["192.0.2.1", "192.0.2.255", "10.0.0.1", "255.255.255.255", "0.0.0.0"]
V6 = ["::", "::1", "2001:db8::1", "2001:db8:0:1::", "::ffff:192.0.2.1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]
LABELS = [
    Label(),
    TIKTOK,
    Label(name="Example.ORG.", name_source="sni"),
    TIKTOK._replace(app_id="wechat", app="WeChat", role="api", owner_id="tencent", owner="Tencent", name="wx.qq.com"),
    Label(owner_id="bytedance", owner="ByteDance", control_country="CN"),
]
DEVICES = [PHONE, Device("ip:10.0.0.1", None, None)]


def ends() -> st.SearchStrategy[tuple[str, str]]:
    return st.one_of(*(st.tuples(st.sampled_from(pool), st.sampled_from(pool)) for pool in (V4, V6)))


def flows() -> st.SearchStrategy[list[Flow]]:
    port = st.one_of(st.none(), st.sampled_from([0, 53, 80, 443, 65_535]))
    one = st.builds(
        lambda pair, **rest: Flow(client=pair[0], server=pair[1], **rest),
        ends(),
        client_port=port,
        server_port=port,
        transport=st.sampled_from([1, 6, 17, 58]),
        vlan=st.sampled_from([None, 0, 5]),
        label=st.sampled_from(LABELS),
        device=st.sampled_from(DEVICES),
    )
    return st.lists(one, max_size=6)


LEAVES = [
    *(f"host {address}" for address in V4 + V6),
    *("net 192.0.2.0/24", "net 2001:db8::/63", "net ::/0", "net 0.0.0.0/0", "net 10", "net ::/64"),
    *("port 53", "port 0", "portrange 60-500", "tcp", "udp", "icmp6", "proto 1", "ip", "ip6", "vlan", "vlan 0"),
    *("app:tiktok", "app:WeChat", "owner:bytedance", "control:cn", "role:api", "kind:app", "app:none"),
    *("device:ana-iphone", "device:ip:10.0.0.1", "name:qq.com", "name:example.org", "name:*tik*"),
]


def expressions() -> st.SearchStrategy[str]:
    return st.recursive(
        st.sampled_from(LEAVES),
        lambda inner: st.one_of(
            st.builds("({} and {})".format, inner, inner),
            st.builds("({} or {})".format, inner, inner),
            st.builds("not {}".format, inner),
        ),
        max_leaves=8,
    )


def holds(expression: Expression, flow: Flow) -> bool:
    """What the language means, one flow at a time."""
    label = flow.label
    match expression:
        case And(parts):
            return all(holds(part, flow) for part in parts)
        case Or(parts):
            return any(holds(part, flow) for part in parts)
        case Not(part):
            return not holds(part, flow)
        case Hosts(first, last):
            return any(first <= number(end) <= last for end in (flow.client, flow.server))
        case Ports(first, last):
            return any(port is not None and first <= port <= last for port in (flow.client_port, flow.server_port))
        case Protocol(wanted):
            return flow.transport == wanted
        case Version(family):
            return ip_address(flow.client).version == family
        case Vlan(wanted):
            return flow.vlan is not None and wanted in {None, flow.vlan}
        case Labelled("name", value):
            name = (label.name or "").lower().rstrip(".")
            return "tik" in name if "*" in value else f".{name}".endswith(f".{value}")
        case Labelled(key, value):
            words: dict[str, tuple[Any, ...]] = {
                "app": (label.app_id, label.app),
                "owner": (label.owner_id, label.owner),
                "control": (label.control_country,),
                "role": (label.role,),
                "kind": (label.app_kind,),
                "device": flow.device[:2],
            }
            return value in [word.lower() for word in words[key] if word]
    raise AssertionError(expression)


@given(flows(), expressions())
def test_the_mask_is_the_plain_test_of_each_flow(some: list[Flow], text: str) -> None:
    expression = parse(text)
    assert flow_mask(expression, batch(some)).tolist() == [holds(expression, flow) for flow in some]


@given(st.sampled_from(V4 + V6), st.sampled_from(V4 + V6), st.data())
def test_net_is_what_the_standard_library_says(address: str, base: str, data: st.DataObject) -> None:
    bits = 32 if ip_address(base).version == 4 else 128
    prefix = data.draw(st.integers(0, bits))
    mask = flow_mask(parse(f"net {base}/{prefix}"), batch([Flow(client=address, server=address)]))
    assert mask.tolist() == [ip_address(address) in ip_network(f"{base}/{prefix}", strict=False)]


def test_a_mask_is_fresh_and_boolean() -> None:
    columns = batch([tiktok_flow(), Flow()])
    mask = flow_mask(parse("app:tiktok"), columns)
    assert mask.dtype == np.bool_
    assert mask.tolist() == [True, False]
    assert flow_mask(parse("not app:tiktok"), columns).tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host 192.168.1.23", True),
        ("host 192.168.1.1", True),
        ("host 203.0.113.7", False),
        ("net 192.168.1.0/24", True),
        ("port 53", True),
        ("port 443", False),
        ("udp", True),
        ("tcp", False),
        ("ip", True),
        ("ip6", False),
        ("vlan", False),
        ("not vlan 3", True),
        ("name:tiktokv.com", True),
        ("name:tiktok.com", False),
        ("app:tiktok and owner:ByteDance and control:cn and role:telemetry and kind:app", True),
        ("device:ana-iphone", True),
        ("device:bob or app:wechat", False),
    ],
)
def test_what_each_term_means_for_a_lookup(text: str, expected: bool) -> None:
    assert lookup_test(parse(text))(Question().build()) is expected


@pytest.mark.parametrize(
    ("transport", "text"),
    [("tcp", "tcp port 53"), ("mdns", "udp port 5353"), ("llmnr", "udp port 5355"), ("udp", "udp port 53")],
)
def test_a_lookup_went_to_the_port_of_its_transport(transport: str, text: str) -> None:
    assert lookup_test(parse(text))(Question(transport=transport).build())


def test_a_lookup_without_a_label_matches_no_label() -> None:
    lookup = Question(label=Label()).build()
    assert not lookup_test(parse("app:tiktok or owner:bytedance or control:cn"))(lookup)
    assert lookup_test(parse("not app:tiktok"))(lookup)
