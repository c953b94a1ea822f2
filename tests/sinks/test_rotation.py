"""Outputs go from one set of files to the next, and each record is in exactly one of them (RELIABILITY E4)."""

import json
from collections.abc import Mapping
from pathlib import Path

from support.flows import T0, Question, release, tiktok_flow

from netwatch.sinks import Turns, open_sink
from netwatch.sinks.base import Growth, Sink
from netwatch.sinks.rotation import Rotation
from netwatch.sinks.summary import Summary


class Run:
    """A run with a clock that the test moves."""

    def __init__(self) -> None:
        self.now = T0
        self.said: list[str] = []

    def record(self, summary: Summary) -> Mapping[str, object]:
        coverage = summary.coverages()(None)
        return {"flows": coverage["flows"]}

    def say(self, text: str) -> None:
        self.said.append(text)

    def sink(self, path: Path, rotation: Rotation) -> Sink:
        return open_sink(str(path), grow=Growth.HELD, turns=Turns(rotation, self, lambda: self.now))


def parts(folder: Path, beside: str = "") -> list[Path]:
    return sorted(path for path in folder.glob(f"out-*{beside}.jsonl") if beside or ".lookups" not in path.name)


def test_e4_no_row_is_lost_or_doubled_by_size(tmp_path: Path) -> None:
    run = Run()
    sink = run.sink(tmp_path / "out.jsonl", Rotation(size=20_000))
    for number in range(200):
        run.now += 10**9
        sink.write(release([tiktok_flow(flow_id=number)], [Question(packet=number)]))
    sink.close({"flows": 200})
    files = parts(tmp_path)
    assert len(files) > 5
    ids = [json.loads(line)["flow_id"] for path in files for line in path.read_text().splitlines()]
    assert ids == [f"{number:016x}" for number in range(200)]
    assert sum(path.read_text().count("\n") for path in parts(tmp_path, ".lookups")) == 200
    for path in files:
        summary = json.loads(path.with_name(f"{path.stem}.summary.json").read_text())
        assert summary["flows"] in {path.read_text().count("\n"), 200}
    assert run.said == []


def test_e4_sets_end_at_multiples_of_the_time_and_old_ones_go(tmp_path: Path) -> None:
    run = Run()
    sink = run.sink(tmp_path / "out.jsonl", Rotation(seconds=60, keep=2))
    for number in range(10):
        run.now = T0 + number * 60 * 10**9
        sink.write(release([tiktok_flow(flow_id=number)]))
    sink.close({"flows": 10})
    files = parts(tmp_path)
    assert len(files) <= 3
    assert json.loads(files[-1].read_text().splitlines()[-1])["flow_id"] == f"{9:016x}"


def test_a_clock_that_is_set_back_overwrites_nothing(tmp_path: Path) -> None:
    run = Run()
    sink = run.sink(tmp_path / "out.jsonl", Rotation(seconds=60))
    for number, minute in enumerate((0, 1, 0, 1)):
        run.now = T0 + minute * 60 * 10**9
        sink.write(release([tiktok_flow(flow_id=number)]))
    sink.close({"flows": 4})
    ids = {json.loads(line)["flow_id"] for path in parts(tmp_path) for line in path.read_text().splitlines()}
    assert ids == {f"{number:016x}" for number in range(4)}
