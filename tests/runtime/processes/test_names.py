"""A flow has the program whose socket had its local end at its time; where that is not sure, it has none, and why."""

from typing import Any

import pytest
from support.flows import T0, Flow, batch, number, tiktok_flow

from netwatch.runtime.processes import names
from netwatch.runtime.processes.names import HIDDEN, NO_PORT, NOT_HERE, OTHER_USER, SHARED, SHORT, Names
from netwatch.runtime.processes.sockets import TCP, UDP
from netwatch.runtime.processes.watcher import Changes, Seen

SECOND = 10**9
HERE, THERE, WILD, WILD6 = "192.168.1.23", "203.0.113.7", "0.0.0.0", "::"
FLOW = tiktok_flow()  # HERE:50123 -> THERE:443, tcp
UDP_FLOW = tiktok_flow(transport=UDP)


def raw(text: str) -> bytes:
    return number(text).to_bytes(17, "big")


def seen(
    number: int = 1, transport: int = TCP, local: str = HERE, port: int = 50123, remote: str = THERE, to: int = 443,
    since: int = 0, program: str | None = "curl", ours: bool = True,
) -> Seen:  # fmt: skip
    return Seen(number, transport, raw(local), port, raw(remote), to, since, program, ours)


def known(*sockets: Seen, own: tuple[str, ...] = (HERE,)) -> Names:
    told = Names()
    told.take(Changes(T0, [raw(one) for one in own], list(sockets), []))
    return told


def program(told: Names, flow: Flow = FLOW) -> Any:
    done = told.flows(batch([flow]))
    assert done.process is not None
    name = done.processes[done.process[0]]
    return name if name is not None else next(iter(told.unknown))


def test_a_flow_from_here_has_the_program_of_its_own_socket() -> None:
    other = seen(2, to=444, program="wget")
    assert program(known(other, seen())) == "curl"
    told = known(seen())
    told.flows(batch([FLOW, tiktok_flow(client_port=50124), FLOW]))
    assert told.report() == f"programs: 2 flows named; unknown: {SHORT} 1"


def test_a_flow_to_here_has_the_program_that_listens() -> None:
    inward = tiktok_flow(client=THERE, client_port=443, server=HERE, server_port=50123)
    for local in (HERE, WILD, WILD6):
        assert program(known(seen(local=local, remote=WILD, to=0, program="nginx")), inward) == "nginx"
    accepted = seen(2, program="worker")
    assert program(known(seen(remote=WILD, to=0, program="nginx"), accepted), inward) == "worker"


def test_a_tcp_flow_from_here_is_never_that_of_who_listens() -> None:
    assert program(known(seen(local=WILD, remote=WILD, to=0))) == SHORT


def test_a_udp_flow_may_be_of_a_socket_that_is_not_connected() -> None:
    for local in (HERE, WILD, WILD6):
        assert program(known(seen(transport=UDP, local=local, remote=WILD, to=0)), UDP_FLOW) == "curl"
    v6 = tiktok_flow(transport=UDP, client="2001:db8::1", server="2001:db8::2")
    assert program(known(seen(transport=UDP, local=WILD, remote=WILD, to=0), own=("2001:db8::1",)), v6) == SHORT
    assert program(known(seen(transport=UDP, local=WILD6, remote=WILD6, to=0), own=("2001:db8::1",)), v6) == "curl"


def test_why_there_is_no_program() -> None:
    assert program(known(own=("192.168.1.99",))) == NOT_HERE
    assert program(known()) == SHORT
    assert program(known(seen(program=None, ours=False))) == OTHER_USER
    assert program(known(seen(program=None))) == HIDDEN
    assert program(known(), tiktok_flow(transport=1, client_port=None, server_port=None)) == NO_PORT
    both = [seen(n, UDP, WILD, 50123, WILD, 0, program=name) for n, name in enumerate(("chrome", "avahi"))]
    assert program(known(*both), UDP_FLOW) == SHARED


def test_who_had_the_port_before_or_after_is_not_the_program() -> None:
    told = known(seen(1, program="before"))
    told.take(Changes(FLOW.start - SECOND, [], [], [1]))
    told.take(Changes(FLOW.end + SECOND, [], [seen(2, since=FLOW.end + 1, program="after")], []))
    assert program(told) == SHORT
    told.take(Changes(FLOW.end + SECOND, [], [seen(3, since=FLOW.start - 1, program="then")], []))
    assert program(told) == "then"


def test_a_socket_is_remembered_until_its_flows_are_told_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    told = known(seen())
    told.take(Changes(FLOW.end, [], [], [1]))
    told.take(Changes(FLOW.end + names.KEPT_NS, [], [], []))
    assert program(told) == "curl"
    told.take(Changes(FLOW.end + names.KEPT_NS + 1, [], [], []))
    assert program(told) == SHORT
    monkeypatch.setattr(names, "CLOSED_MAX", 2)
    many = known(*(seen(n, port=n) for n in range(1, 6)))
    many.take(Changes(T0, [], [], [1, 2, 3, 4, 99]))
    assert len(many._at) == 3


def test_addresses_of_this_host_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "ADDRESSES_MAX", 2)
    told = known(seen(), own=("192.168.1.1", "192.168.1.2", HERE))
    assert list(told._own) == [number("192.168.1.2"), number(HERE)]
