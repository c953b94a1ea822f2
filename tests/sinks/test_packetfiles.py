"""Packets in files: each is in one of them, whatever ends a file, and each file is whole."""

import errno
import os
import stat
from pathlib import Path

import pytest
from support.packets import batch

from netwatch.model.errors import SinkError
from netwatch.sinks import atomic
from netwatch.sinks.packetfiles import PacketFiles
from netwatch.sinks.pcapng import Section
from netwatch.sinks.rotation import Rotation
from netwatch.sources import open_capture

SECOND = 10**9
START = 1_795_833_000 * SECOND  # 2026-11-28T02:30:00Z
SNAPLEN = 65_535


class Card:
    """An interface and its counters."""

    def __init__(self) -> None:
        self.came = 0

    def counts(self) -> dict[str, tuple[int, int | None]]:
        return {"eth0": (self.came, 1)}


def frames(first: int, count: int, size: int = 60) -> list[bytes]:
    return [number.to_bytes(4, "big") + bytes(size - 4) for number in range(first, first + count)]


def opened(path: Path, rotation: Rotation, card: Card | None = None) -> PacketFiles:
    return PacketFiles(path, rotation, SNAPLEN, (card or Card()).counts, START)


def numbers(path: Path) -> list[int]:
    with open_capture(str(path)) as source:
        found = [int.from_bytes(one.data[at : at + 4].tobytes(), "big") for one in source for at in one.offset.tolist()]
        assert source.capture.complete
    return found


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.pcapng"), key=lambda path: (len(path.name), path.name))


def test_e1_a_file_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    sink = opened(tmp_path / "out.pcapng", Rotation())
    for first in range(0, 100, 10):
        sink.write(batch(frames(first, 10)), START)
    assert files(tmp_path) == []
    sink.close(START)
    assert numbers(tmp_path / "out.pcapng") == list(range(100))
    assert stat.S_IMODE((tmp_path / "out.pcapng").stat().st_mode) == 0o600
    assert (sink.packets, sink.lost) == (100, 0)
    assert len(list(tmp_path.iterdir())) == 1


def test_e4_files_end_at_their_size_within_a_batch_too(tmp_path: Path) -> None:
    sink = opened(tmp_path / "out.pcapng", Rotation(size=2_000))
    sink.write(batch(frames(0, 100)), START)
    sink.write(batch(frames(100, 3, 3_000)), START)  # one that is larger than a file
    sink.write(batch(frames(103, 1)), START)
    sink.close(START)
    found = files(tmp_path)
    assert found[0].name == "out-20261128T023000Z.pcapng"
    assert [number for path in found for number in numbers(path)] == list(range(104))
    assert [len(numbers(path)) for path in found[-4:]] == [1, 1, 1, 1]
    assert all(path.stat().st_size < 2_200 for path in found[:-4])
    assert min(len(numbers(path)) for path in found[:4]) > 15


def test_files_end_at_full_hours_and_the_newest_stay(tmp_path: Path) -> None:
    sink = opened(tmp_path / "out.pcapng", Rotation(seconds=3_600, keep=2))
    for hour in range(5):
        now = START + hour * 3_600 * SECOND
        sink.tend(now)
        sink.write(batch(frames(hour, 1)), now + 1)
    assert [numbers(path) for path in files(tmp_path)] == [[2], [3]]
    sink.tend(START + 5 * 3_600 * SECOND)
    assert [numbers(path) for path in files(tmp_path)] == [[3], [4]]
    sink.close(START)
    assert len(files(tmp_path)) == 2, "no empty file for an hour without a packet"


def test_each_file_has_the_counters_of_its_own_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(Section, "statistics", lambda _self, counts, _time: told.append(dict(counts)) or b"")
    card = Card()
    sink = opened(tmp_path / "out.pcapng", Rotation(seconds=60), card)
    for minute in range(3):
        card.came += 10 + minute
        sink.write(batch(frames(minute, 1)), START + minute * 60 * SECOND)
    sink.close(START)
    assert told == [{"eth0": (21, 1)}, {"eth0": (12, 0)}, {"eth0": (0, 0)}]


def test_e3_what_a_full_disk_does_not_take_is_counted_and_the_file_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room, write = [400], os.write

    def full(fd: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "no space")
        done = write(fd, bytes(data)[: room[0]])
        room[0] -= done
        return done

    monkeypatch.setattr(atomic.os, "write", full)
    sink = opened(tmp_path / "out.pcapng", Rotation())
    for first in range(0, 50, 10):
        room[0] = room[0] if first < 30 else 1 << 30
        sink.write(batch(frames(first, 10))._replace(interfaces=("eth0",)), START)
        assert (sink.problem is None) == (first >= 30)
    sink.close(START)
    assert numbers(tmp_path / "out.pcapng") == list(range(30, 50))
    assert (sink.packets, sink.lost) == (20, 30)


def test_e3_the_packets_are_kept_where_there_is_no_room_for_the_last_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = opened(tmp_path / "out.pcapng", Rotation())
    sink.write(batch(frames(0, 10))._replace(interfaces=("eth0",)), START)
    monkeypatch.setattr(atomic.os, "write", lambda _fd, _data: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    sink.close(START)
    assert numbers(tmp_path / "out.pcapng") == list(range(10))


def test_e5_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "out.pcapng").symlink_to(tmp_path / "victim")
    with pytest.raises(SinkError, match="symbolic link"):
        opened(tmp_path / "out.pcapng", Rotation())
