"""`-w x.pcapng` on a live capture: every packet as it was on the wire, whatever becomes of the processes around."""

import os
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import netns
from support.live import Watching, send, watching, whole_household
from support.packets import batch
from support.sandboxed import LINUX

from netwatch.cli.main import main
from netwatch.model.batch import PacketBatch
from netwatch.runtime.live.link import Link, pair
from netwatch.runtime.live.messages import Recorded, decode
from netwatch.runtime.live.recorder import record_packets
from netwatch.runtime.live.worker import STOP
from netwatch.sinks.packetfiles import PacketFiles
from netwatch.sinks.rotation import Rotation
from netwatch.sources import open_capture
from netwatch.sources.live import InterfaceCounts, LiveCounts

FRAMES = [struct.pack(">6s6sHHHI", b"\x02\0\0\0\0\1", b"\x02\0\0\0\0\2", 0x8100, number, 0x88B5, number) + bytes(40)
          for number in range(1, 200)]  # fmt: skip


class Line:
    """A source that gives batches, calls what is to happen then, and has some left when it is stopped."""

    def __init__(self, coming: list[PacketBatch], left: list[PacketBatch], then: Callable[[], object]) -> None:
        self.coming, self.left, self.then = coming, left, then
        self.closed = False

    def poll(self, timeout_ms: int) -> PacketBatch | None:
        if timeout_ms and not self.coming:
            self.then()
        return self.coming.pop(0) if self.coming else None

    def counts(self) -> LiveCounts:
        return LiveCounts(8, 2, 8, {"w": InterfaceCounts(8, 2, 1, 8)})

    def stop(self) -> None:
        self.coming = self.left

    def close(self) -> None:
        self.closed = True


def frames(path: Path) -> list[bytes]:
    with open_capture(str(path)) as source:
        return [
            one.data[at : at + size].tobytes()
            for one in source
            for at, size in zip(one.offset.tolist(), one.caplen.tolist(), strict=True)
        ]


@pytest.mark.parametrize("end", ["stop", "gone"])
def test_what_lies_in_the_ring_at_the_end_is_written(tmp_path: Path, request: pytest.FixtureRequest, end: str) -> None:
    mine, theirs = pair()
    request.addfinalizer(mine.close)
    request.addfinalizer(theirs.close)
    ours = Link(mine)
    line = Line(
        [batch([b"a" * 60])], [batch([b"b" * 60]), batch([b"c" * 60])],
        lambda: ours.send(STOP) if end == "stop" else ours.close(),
    )  # fmt: skip
    files = PacketFiles(tmp_path / "out.pcapng", Rotation(), 65_535, lambda: {"w": (10, 2)}, 0)
    record_packets(Link(theirs), line, files, lambda: 0)
    assert frames(tmp_path / "out.pcapng") == [b"a" * 60, b"b" * 60, b"c" * 60]
    assert line.closed
    if end == "stop":
        assert decode(ours.receive()[-1]) == Recorded(3, 0, 2, None, True)


def live_capture(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that captures on a cable."""
    return netns.needs_root(LINUX(pytest.mark.usefixtures("cable")(test)))


def recorder_of(live: Watching) -> int:
    """The process that writes: it was made first."""
    return live.children()[0]


@live_capture
def test_frames_are_as_on_the_wire_tags_too(folder: Path) -> None:
    """The kernel takes tags out; they are where they were."""
    with watching("watch", "--headless", "--every", "1s", "-w", str(folder / "a.pcapng")) as live:
        live.wait_for(" 0 packets")
        netns.send("nw0", FRAMES)
        live.wait_for(f" {len(FRAMES)} packets")
        live.end()
    assert frames(folder / "a.pcapng") == FRAMES


@live_capture
def test_files_follow_one_another_and_a_replay_of_all_says_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = whole_household()
    with watching(
        "watch", "--headless", "--every", "1s", "--rotate", "20kB", "-w", str(folder / "a.pcapng"),
    ) as live:  # fmt: skip
        live.wait_for(" 0 packets")
        send(sent)
        live.wait_for(f" {len(sent)} packets")
        said = live.end()
    found = sorted(folder.glob("a-*.pcapng"), key=lambda path: (path.name[:18], len(path.name), path.name))
    assert len(found) > 2
    assert all(path.stat().st_size <= 22_000 for path in found)
    assert [frame for path in found for frame in frames(path)] == [one.data for one in sent]
    assert main(["replay", *map(str, found), "--json"]) == 0
    assert str(said["ledger"]["bytes_in_flows"]) in capsys.readouterr().out


@live_capture
def test_m9_the_capture_goes_on_without_it(folder: Path) -> None:
    with watching("watch", "--headless", "--every", "1s", "-w", str(folder / "a.pcapng")) as live:
        live.wait_for(" 0 packets")
        os.kill(recorder_of(live), signal.SIGKILL)
        assert "SIGKILL" in live.wait_for("no more packets are written")
        netns.send("nw0", FRAMES)
        live.wait_for(f" {len(FRAMES)} packets")
        assert live.end()["ledger"]["seen"] == len(FRAMES)
    assert not (folder / "a.pcapng").exists()


@live_capture
def test_its_file_is_whole_also_where_all_others_are_killed(folder: Path) -> None:
    with watching("watch", "--headless", "--every", "1s", "-w", str(folder / "a.pcapng")) as live:
        live.wait_for(" 0 packets")
        netns.send("nw0", FRAMES)
        live.wait_for(f" {len(FRAMES)} packets")
        live.process.kill()
        until = time.monotonic() + 10
        while not (folder / "a.pcapng").exists() and time.monotonic() < until:
            time.sleep(0.05)
    assert frames(folder / "a.pcapng") == FRAMES


@live_capture
def test_e5_what_is_no_file_is_refused_before_anything_is_captured(folder: Path) -> None:
    (folder / "a.pcapng").symlink_to("victim")
    with watching("watch", "--headless", "-w", str(folder / "a.pcapng")) as live:
        assert "is a symbolic link" in live.wait_for("a.pcapng")
        assert live.process.wait(20) == 3
