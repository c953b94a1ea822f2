"""What is told of sockets from look to look; time is given."""

from collections.abc import Collection

import pytest

from netwatch.model.address import V6
from netwatch.runtime.live.messages import MessageError
from netwatch.runtime.processes.sockets import TCP, Socket
from netwatch.runtime.processes.watcher import LOOK_S, SHARE, WALK_S, Changes, Seen, Watcher, address, decode, encode

NS = 10**9
OURS = Socket(TCP, 1, 2, 3, 4, 11, True)
THEIRS = OURS._replace(token=12, local_port=3, ours=False)
LATER = OURS._replace(token=13, local_port=4)


class Host:
    """Sockets as a test sets them, and a clock that it turns."""

    def __init__(self) -> None:
        self.sockets: list[Socket] = []
        self.names: dict[Socket, str] = {}
        self.walks: list[list[Socket]] = []
        self.now = 100.0
        self.takes = 0.0

    def look(self) -> list[Socket]:
        self.now += self.takes
        return self.sockets

    def addresses(self) -> set[int]:
        return {5}

    def programs(self, wanted: Collection[Socket]) -> dict[Socket, str]:
        self.walks.append(list(wanted))
        return {one: self.names[one] for one in wanted if one in self.names}


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def watcher(host: Host) -> Watcher:
    return Watcher(host, lambda: host.now, lambda: round(host.now * NS))


def told(changes: Changes) -> list[tuple[int, int, str | None, bool]]:
    return [(one.local_port, one.since, one.program, one.ours) for one in changes.seen]


def test_a_socket_is_told_once_with_its_program(host: Host, watcher: Watcher) -> None:
    host.sockets, host.names = [OURS, THEIRS], {OURS: "curl"}
    first = watcher.look()
    assert sorted(told(first)) == [(2, 0, "curl", True), (3, 0, None, False)]
    assert [address(one) for one in first.addresses] == [5]
    host.now += WALK_S
    again = watcher.look()
    assert (again.seen, again.gone, again.addresses) == ([], [], [])
    assert host.walks == [[OURS]]


def test_what_came_later_was_not_there_at_the_look_before(host: Host, watcher: Watcher) -> None:
    watcher.look()
    host.now += LOOK_S
    host.sockets, host.names = [LATER], {LATER: "curl"}
    assert told(watcher.look()) == [(4, 100 * NS, "curl", True)]


def test_processes_are_walked_through_at_most_every_two_seconds(host: Host, watcher: Watcher) -> None:
    host.sockets, host.names = [OURS], {OURS: "curl", LATER: "wget"}
    watcher.look()
    host.sockets = [OURS, LATER]
    host.now += LOOK_S
    assert watcher.look().seen == []
    host.now += WALK_S
    assert [one.program for one in watcher.look().seen] == ["wget"]
    assert len(host.walks) == 2


def test_a_socket_that_went_is_told_if_it_was_told(host: Host, watcher: Watcher) -> None:
    host.sockets, host.names = [OURS], {OURS: "curl"}
    (seen,) = watcher.look().seen
    host.sockets = [LATER]
    host.now += LOOK_S
    gone = watcher.look()
    assert (gone.gone, gone.seen) == ([seen.number], [])
    host.sockets = []
    host.now += WALK_S
    assert watcher.look().gone == []


def test_a_socket_of_ours_that_no_process_shows_is_looked_for_twice(host: Host, watcher: Watcher) -> None:
    host.sockets = [OURS]
    assert watcher.look().seen == []
    host.now += WALK_S
    assert told(watcher.look()) == [(2, 0, None, True)]
    assert len(host.walks) == 2


def test_looking_takes_a_share_of_the_time_and_no_more(host: Host, watcher: Watcher) -> None:
    watcher.look()
    assert watcher.pause == LOOK_S
    host.takes = 0.02
    watcher.look()
    assert watcher.pause == pytest.approx(0.02 / SHARE)


def test_a_message_comes_back_and_anything_else_is_refused() -> None:
    seen = Seen(1, TCP, b"\x05", 2, b"\x06", 3, 0, "curl", True)
    changes = Changes(7, [b"\x05"], [seen], [9])
    assert decode(encode(changes)) == changes
    bad = [b"", b"\xc1", encode(Changes(7, [bytes(18)], [], [])), encode(Changes(7, [], [], [], refused=5))]  # type: ignore[arg-type]
    for data in bad:
        with pytest.raises(MessageError):
            decode(data)
    with pytest.raises(MessageError):
        address((2 * V6).to_bytes(17, "big"))
