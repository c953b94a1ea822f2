"""Community IDs are those of the reference data."""

import pytest
from support.flows import Flow, batch

from netwatch.sinks.community import community_ids

# https://github.com/corelight/community-id-spec, baseline_deflt.json: all of it but ICMP, whose type no flow carries
REFERENCE = [
    (
        6,
        "2001:470:e5bf:dead:4957:2174:e82c:4887",
        63943,
        "2607:f8b0:400c:c03::1a",
        25,
        "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=",
    ),
    (132, "192.168.170.8", 7, "192.168.170.56", 7, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="),
    (6, "128.232.110.120", 34855, "66.35.250.204", 80, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
    (17, "192.168.1.52", 54585, "8.8.8.8", 53, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
    (46, "10.1.12.1", None, "10.1.12.2", None, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="),
]


def both_ways() -> list[tuple[Flow, str]]:
    rows = []
    for protocol, client, client_port, server, server_port, known in REFERENCE:
        one = {"client": client, "client_port": client_port, "server": server, "server_port": server_port}
        other = {"client": server, "client_port": server_port, "server": client, "server_port": client_port}
        rows += [(Flow(transport=protocol, **one), known), (Flow(transport=protocol, **other), known)]
    return rows


def test_all_reference_flows_in_one_batch_both_ways() -> None:
    rows = both_ways()
    assert community_ids(batch([flow for flow, _ in rows])) == [known for _, known in rows]


@pytest.mark.parametrize("row", both_ways())
def test_each_reference_flow_alone(row: tuple[Flow, str]) -> None:
    assert community_ids(batch([row[0]])) == [row[1]]


def test_equal_addresses_are_ordered_by_port() -> None:
    there = Flow(client="127.0.0.1", server="127.0.0.1", client_port=5, server_port=80)
    back = Flow(client="127.0.0.1", server="127.0.0.1", client_port=80, server_port=5)
    first, second = community_ids(batch([there, back]))
    assert first == second


def test_no_flow_no_identifier() -> None:
    assert community_ids(batch([])) == []
