"""What the worker tells comes out as it went in, and what is no message is refused."""

import dataclasses
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from msgspec import msgpack
from support.flows import PHONE, Flow, Question, release, tiktok_flow

from netwatch.model.records import FlowBatch
from netwatch.runtime.live import messages
from netwatch.runtime.live.link import MESSAGE_MAX, Link, pair
from netwatch.runtime.live.messages import MessageError
from netwatch.sinks.jsonl import flow_lines, lookup_lines

RELEASE = release(
    [tiktok_flow(), Flow(device=PHONE, client="2001:db8::1", server="fe80::1", client_port=None, vlan=7, tunnel="gre")],
    [Question(), Question(client="2001:db8::5", resolver="::1", rcode=None, answers=())],
)


def test_a_release_comes_through_whole() -> None:
    message = messages.decode(messages.encode(messages.released(RELEASE)))
    assert isinstance(message, messages.Released)
    back = messages.release(message)
    assert flow_lines(back.flows) == flow_lines(RELEASE.flows)
    assert lookup_lines(back.lookups) == lookup_lines(RELEASE.lookups)
    assert list(back.lookups) == list(RELEASE.lookups)
    for field in dataclasses.fields(FlowBatch):
        one, other = getattr(back.flows, field.name), getattr(RELEASE.flows, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype


def damaged(**changes: Any) -> bytes:
    flows = messages.flows_message(RELEASE.flows)
    values = {name: getattr(flows, name) for name in flows.__struct_fields__}
    return messages.encode(messages.Released(messages.Flows(**{**values, **changes}), []))


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 3},
        {"columns": []},
        {"devices": []},
        {"labels": []},
        {"evidence": {9: []}},
        {"evidence": {-1: []}},
    ],
)
def test_columns_that_do_not_fit_are_refused(changes: dict[str, Any]) -> None:
    message = messages.decode(damaged(**changes))
    assert isinstance(message, messages.Released)
    with pytest.raises(MessageError):
        messages.release(message)


@pytest.mark.parametrize("data", [b"", b"\xc1", b"nonsense", msgpack.encode([9]), msgpack.encode([1, 2, 3])])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(MessageError):
        messages.decode(data)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = pair()
    with one, other:
        yield one, other


def test_messages_come_whole_whatever_their_size_and_in_order(ends: tuple[socket.socket, socket.socket]) -> None:
    sender, reader = map(Link, ends)
    assert sender.send(b"first")
    assert sender.send(b"")
    assert reader.receive() == [b"first", b""]
    assert sender.send(bytes(5 << 20)), "nobody reads: it waits here"
    assert not sender.flush(10)
    got: list[bytes] = []
    while not sender.flush(0) or not got:
        got += reader.receive()
    assert got == [bytes(5 << 20)]


def test_a_reader_that_takes_nothing_does_not_fill_the_memory(ends: tuple[socket.socket, socket.socket]) -> None:
    sender = Link(ends[0])
    sent = [sender.send(bytes(MESSAGE_MAX // 4)) for _ in range(8)]
    assert sent == [True] * sent.count(True) + [False] * sent.count(False)
    assert 2 <= sent.count(True) <= 5


def test_a_length_beyond_the_limit_is_refused(ends: tuple[socket.socket, socket.socket]) -> None:
    one, other = ends
    one.sendall((MESSAGE_MAX + 1).to_bytes(4, "big"))
    with pytest.raises(MessageError, match="claims a message"):
        Link(other).receive()


def test_what_is_sent_to_nobody_is_lost_and_what_came_before_is_read(ends: tuple[socket.socket, socket.socket]) -> None:
    one, other = ends
    one.sendall(b"\0\0\0\1x")
    sender = Link(other)
    sender.send(bytes(5 << 20))
    assert not sender.flush(0)
    one.close()
    assert sender.flush(None)
    assert sender.closed
    assert sender.receive() == [b"x"]


def test_the_end_of_the_other_side_is_seen(ends: tuple[socket.socket, socket.socket]) -> None:
    one, other = ends
    one.sendall(b"\0\0\0\1x")
    one.close()
    reader = Link(other)
    assert (reader.receive(), reader.closed) == ([b"x"], True)
