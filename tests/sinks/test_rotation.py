"""Outputs in parts: every row is in one of them, whatever ends a part and whatever ends the process."""

import errno
import json
import os
import random
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.exports import DATABASES, Capture, Known, design_ledger, design_release
from support.flows import T0, Flow, Question, batch, release, tiktok_flow

from netwatch.model.errors import SinkError
from netwatch.model.records import FlowBatch, Release
from netwatch.sinks import Turns, atomic, open_sink
from netwatch.sinks.base import Growth, RowFormat, Sink
from netwatch.sinks.csv import CSV, open_csv
from netwatch.sinks.jsonl import open_jsonl
from netwatch.sinks.recording import Recording
from netwatch.sinks.rotation import Parts, Rotating, Rotation
from netwatch.sinks.summary import Summary

SECOND = 10**9
HOUR = 3_600
START = 1_795_833_000 * SECOND  # 2026-11-28T02:30:00Z
NAME = "out-20261128T0"
FORMATS: dict[str, Callable[[Path], Sink]] = {
    "jsonl": lambda path: open_jsonl(path, Growth.HELD),
    "csv": lambda path: open_csv(path, Growth.HELD),
}


class Run:
    """A run as its outputs see it."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.now = START

    def record(self, summary: Summary) -> Mapping[str, object]:
        return summary.record([Capture()], design_ledger(), DATABASES, Known())

    def say(self, text: str) -> None:
        self.said.append(text)

    def clock(self) -> int:
        return self.now


@pytest.fixture
def run() -> Run:
    return Run()


def rotating(folder: Path, run: Run, rotation: Rotation, kind: str = "jsonl") -> Rotating:
    return Rotating(folder / f"out.{kind}", FORMATS[kind], rotation, run, run.clock)


def one(number: int) -> Release:
    return release([tiktok_flow(flow_id=number)], [Question(time=T0 + number)])


def parts(folder: Path, kind: str = "jsonl") -> list[Path]:
    """The files of flows, in the order of their names."""
    found = [path for path in folder.glob(f"out*.{kind}") if ".lookups" not in path.name]
    return sorted(found, key=lambda path: (path.name[:20], len(path.name), path.name))


def ids(path: Path) -> list[int]:
    """The flow_ids of a file; each line of it has to be whole."""
    data = path.read_bytes()
    if path.suffix == ".csv":
        return [int(line.split(b",")[0], 16) for line in data.split(b"\r\n")[1:-1]]
    assert data.endswith(b"\n") or not data
    return [int(json.loads(line)["flow_id"], 16) for line in data.splitlines()]


def summary(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.with_name(f"{path.stem}.summary.json").read_text("ascii"))
    return found


def flows_in(found: Mapping[str, Any]) -> int:
    return sum(row["flows"] for row in found["devices"])


def bare_lines(flows: FlowBatch) -> bytes:
    """A format of flow_ids alone, to be fast."""
    return flows.flow_id.astype(">u8").tobytes().hex(" ", 8).replace(" ", "\n").encode() + b"\n"


BARE = RowFormat("txt", b"", b"", bare_lines, lambda _lookups: b"")


def test_e4_a_million_rows_in_files_of_a_megabyte(tmp_path: Path, run: Run) -> None:
    count, rows = 1_000_000, 2_000
    flows = batch([Flow(octets=(3, 4))] * rows)
    sink = Rotating(
        tmp_path / "out.txt", lambda path: Recording(path, BARE, grow=Growth.HELD), Rotation(10**6), run, run.clock
    )
    for start in range(0, count, rows):
        run.now += SECOND
        sink.write(Release(replace(flows, flow_id=np.arange(start, start + rows, dtype=np.uint64)), []))
    assert sink.retry() == 0
    sink.close(run.record(Summary()))
    found = parts(tmp_path, "txt")
    assert len(found) == 17  # 1,020,000 bytes each
    assert all(path.stat().st_size < 10**6 + rows * 17 for path in found)
    told = [[int(line, 16) for line in path.read_text("ascii").split()] for path in found]
    assert [number for part in told for number in part] == list(range(count))
    summaries = [summary(path) for path in found]
    assert [flows_in(one) for one in summaries] == [len(part) for part in told]
    assert sum(row["bytes_in"] for one in summaries for row in one["devices"]) == 4 * count
    assert not run.said


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_a_part_has_its_records_and_its_lookups_and_its_sums(tmp_path: Path, run: Run, kind: str) -> None:
    sink = rotating(tmp_path, run, Rotation(size=5_000), kind)
    for number in range(20):
        run.now += SECOND
        sink.write(one(number))
    sink.close({"ledger": {"seen": 99}})
    found = parts(tmp_path, kind)
    assert len(found) > 2
    assert found[0].name == f"{NAME}23001Z.{kind}"
    assert [number for path in found for number in ids(path)] == list(range(20))
    for path in found:
        beside = path.with_name(f"{path.stem}.lookups.{kind}")
        head = kind == "csv"
        assert beside.read_bytes().count(b"\n") - head == len(ids(path)) == flows_in(summary(path))
    assert [summary(path)["ledger"]["seen"] for path in found] == [42] * (len(found) - 1) + [99]
    assert len(list(tmp_path.iterdir())) == 3 * len(found)


def test_parts_end_at_full_hours_also_while_nothing_comes(tmp_path: Path, run: Run) -> None:
    sink = rotating(tmp_path, run, Rotation(seconds=HOUR), "csv")
    sink.write(one(1))
    run.now += HOUR // 2 * SECOND - 1
    sink.write(one(2))
    assert sink.retry() == 0
    assert not parts(tmp_path, "csv")
    run.now += 1
    assert sink.retry() == 0
    assert ids(tmp_path / f"{NAME}23000Z.csv") == [1, 2]
    run.now += 5 * HOUR * SECOND
    sink.retry()
    sink.write(one(3))
    sink.close({})
    assert [path.name for path in parts(tmp_path, "csv")] == [f"{NAME}23000Z.csv", f"{NAME}80000Z.csv"]


def test_a_clock_that_is_set_back_ends_a_part_and_no_file_is_written_over(tmp_path: Path, run: Run) -> None:
    sink = rotating(tmp_path, run, Rotation(seconds=HOUR))
    for number, hours in enumerate((0, 1, 0, 1, 0)):
        run.now = START + hours * HOUR * SECOND
        sink.write(one(number))
    sink.close({})
    names = {path.name: ids(path) for path in parts(tmp_path)}
    assert names == {
        f"{NAME}23000Z.jsonl": [0], f"{NAME}23000Z-2.jsonl": [2], f"{NAME}23000Z-3.jsonl": [4],
        f"{NAME}33000Z.jsonl": [1], f"{NAME}33000Z-2.jsonl": [3],
    }  # fmt: skip


def test_only_the_newest_parts_stay_and_nothing_else_goes(tmp_path: Path, run: Run) -> None:
    others = ["out.jsonl", "out-20261128T02.jsonl", "other-20261128T023000Z.jsonl", "out-20261128T023000Z.csv"]
    for name in others:
        (tmp_path / name).write_text("")
    (tmp_path / "out-20201128T023000Z.jsonl").write_text("")  # of an earlier run
    sink = rotating(tmp_path, run, Rotation(size=1, keep=3))
    for number in range(12):
        run.now = START + number // 11 * SECOND
        sink.write(one(number))
    sink.close({})
    left = sorted(path.name for path in tmp_path.iterdir() if path.name not in others)
    kept = [f"{NAME}23000Z-10", f"{NAME}23000Z-11", f"{NAME}23001Z"]
    assert left == sorted(f"{name}{end}" for name in kept for end in (".jsonl", ".lookups.jsonl", ".summary.json"))
    assert all((tmp_path / name).exists() for name in others)


def test_a_run_without_a_record_leaves_its_counters_and_one_part_its_verdict(tmp_path: Path, run: Run) -> None:
    rotating(tmp_path, run, Rotation(seconds=HOUR)).close({"schema": 1})
    assert summary(tmp_path / f"{NAME}23000Z.jsonl") == {"schema": 1}
    assert parts(tmp_path)[0].read_bytes() == b""
    shown = []

    class Page(Recording):
        def close(self, said: Mapping[str, object], verdict: Mapping[str, object] | None = None) -> None:
            shown.append(verdict)
            super().close(said, verdict)

    for turns in (1, 2):
        sink = Rotating(tmp_path / "a.csv", lambda path: Page(path, CSV), Rotation(size=1), run, run.clock)
        for number in range(turns):
            sink.write(one(number))
        sink.close({}, {"verdict": "PASS"})
    assert shown == [{"verdict": "PASS"}, None, None]  # a part of a run is not what was judged


def test_what_cannot_be_written_is_known_before_anything_comes(tmp_path: Path, run: Run) -> None:
    with pytest.raises(SinkError, match="No such file"):
        rotating(tmp_path / "nowhere", run, Rotation(size=1))
    (tmp_path / "out.csv").symlink_to(tmp_path / "else")
    with pytest.raises(SinkError, match="symbolic link"):
        rotating(tmp_path, run, Rotation(size=1), "csv")


def test_a_format_is_chosen_as_without_parts(tmp_path: Path, run: Run) -> None:
    sink = open_sink(str(tmp_path / "r.html"), grow=Growth.HELD, turns=Turns(Rotation(seconds=1), run, run.clock))
    for _ in range(3):
        run.now += SECOND
        sink.write(design_release())
    sink.close(run.record(Summary()))
    assert len(list(tmp_path.iterdir())) == 3
    assert all(b"TikTok" in path.read_bytes() for path in tmp_path.iterdir())


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A disk with so many bytes of room."""
    room = [1 << 40]
    write = os.write

    def full(fd: int, data: bytes) -> int:
        if room[0] <= 0:
            raise OSError(errno.ENOSPC, "no space")
        done = write(fd, bytes(data)[: room[0]])
        room[0] -= done
        return done

    monkeypatch.setattr(atomic.os, "write", full)
    yield room
    monkeypatch.undo()


def test_e3_a_part_that_waits_for_a_full_disk_goes_on_until_it_is_whole(
    tmp_path: Path, run: Run, disk: list[int]
) -> None:
    sink = rotating(tmp_path, run, Rotation(size=2_000, seconds=60))
    for number in range(100):
        run.now += 10 * SECOND
        disk[0] = 300 if number % 20 == 7 else 1 << 40 if number % 20 == 18 else disk[0]
        sink.write(one(number))
        assert sink.retry() == 0
        assert sink.waiting == (8 <= number % 20 < 18) or number % 20 == 7
    sink.close({})
    assert [number for path in parts(tmp_path) for number in ids(path)] == list(range(100))
    assert len(parts(tmp_path)) > 10
    assert not run.said


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_e3_what_a_full_disk_takes_away_is_counted_and_said_once(
    tmp_path: Path, run: Run, disk: list[int], kind: str
) -> None:
    """Whatever is written whole is lost with its part; the parts before and behind it are whole."""
    sink = rotating(tmp_path, run, Rotation(seconds=10), kind)
    for number in range(60):
        run.now += SECOND
        disk[0] = 500 if number == 25 else 1 << 40 if number == 45 else disk[0]
        sink.write(one(number))
    lost = sink.retry()
    sink.close({})
    left = [number for path in parts(tmp_path, kind) for number in ids(path)]
    assert left == sorted(set(left))
    assert 2 * (60 - len(left)) == lost
    assert (lost > 0) == (kind == "csv")
    assert len(run.said) == (1 if kind == "csv" else 0)
    assert {0, 59} <= set(left)


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_e4_kill_9_at_any_moment_loses_what_was_under_way_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    calls = [0, 0]  # made, and the one that is not made any more
    for name in ("open", "write", "fsync", "rename", "close", "unlink"):
        monkeypatch.setattr(atomic.os, name, dying(name, getattr(os, name), calls))

    def act(folder: Path) -> None:
        run = Run()
        sink = rotating(folder, run, Rotation(size=2_500, keep=50), kind)
        for number in range(30):
            run.now += SECOND
            sink.write(one(number))
        sink.close({})

    act(folder_in(tmp_path, "whole"))
    total = calls[0]
    for at in random.Random(4).sample(range(1, total + 1), 40):
        calls[:] = [0, at]
        folder = folder_in(tmp_path, str(at))
        child = os.fork()
        if not child:
            try:
                act(folder)
            finally:
                os._exit(1)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        calls[:] = [0, 0]
        rotating(folder, Run(), Rotation(size=1), kind).abort()  # the next run
        found = parts(folder, kind)
        left = [number for path in found for number in ids(path)]
        assert left == list(range(len(left)))
        for path in found[:-2]:  # the next part is there before the last one is ended
            assert flows_in(summary(path)) == len(ids(path))


def folder_in(path: Path, name: str) -> Path:
    made = path / name
    made.mkdir()
    return made


def dying(name: str, real: Callable[..., Any], calls: list[int]) -> Callable[..., Any]:
    def call(*args: Any, **keywords: Any) -> Any:
        calls[0] += 1
        if calls[0] == calls[1]:
            if name == "write":
                real(args[0], bytes(args[1])[: len(args[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **keywords)

    return call


def test_names_sort_by_time_and_are_free(tmp_path: Path) -> None:
    names = Parts(tmp_path / "a.b.csv")
    assert names.free(START).name == "a.b-20261128T023000Z.csv"
    assert names.free(START + SECOND - 1).name == "a.b-20261128T023000Z-2.csv"  # the first may have no name yet
    (tmp_path / "a.b-20261128T023000Z-3.csv").symlink_to("nowhere")
    assert names.free(START).name == "a.b-20261128T023000Z-4.csv"
    assert Parts(tmp_path / "a.b.csv").free(START + SECOND).name == "a.b-20261128T023001Z.csv"


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_e4_many_parts_within_a_second_lose_nothing(tmp_path: Path, run: Run, kind: str) -> None:
    sink = rotating(tmp_path, run, Rotation(size=1), kind)
    for number in range(12):
        sink.write(one(number))
    sink.close({})
    assert [ids(path) for path in parts(tmp_path, kind)] == [[number] for number in range(12)]
