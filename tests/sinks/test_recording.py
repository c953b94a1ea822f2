"""An export is whole or not there, whatever fails and whenever; a growing file ends in a whole line."""

import errno
import io
import json
import os
import resource
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.exports import design_release, varied_release
from support.flows import Flow, Question, release, tiktok_flow

from netwatch.model.errors import SinkError, UsageError
from netwatch.sinks import STREAMS, atomic, open_sink
from netwatch.sinks.base import Growth, Sink
from netwatch.sinks.jsonl import JSONL, flow_lines, lookup_lines
from netwatch.sinks.recording import Stream

SUMMARY = {"schema": 1, "apps": []}
CALLS = ("open", "stat", "write", "fsync", "rename", "close", "unlink")


def run(sink: Sink) -> None:
    sink.write(design_release())
    sink.write(varied_release())
    sink.close(SUMMARY)


def whole(ending: str) -> dict[str, bytes]:
    """Return what the three files hold after `run`."""
    if ending == "jsonl":
        flows = b"".join(flow_lines(what.flows) for what in (design_release(), varied_release()))
        lookups = b"".join(lookup_lines(what.lookups) for what in (design_release(), varied_release()))
    else:
        from netwatch.sinks.csv import CSV

        parts = [design_release(), varied_release()]
        flows = CSV.flow_head + b"".join(CSV.flows(what.flows) for what in parts)
        lookups = CSV.lookup_head + b"".join(CSV.lookups(what.lookups) for what in parts)
    return {
        f"out.{ending}": flows,
        f"out.lookups.{ending}": lookups,
        "out.summary.json": b'{"schema":1,"apps":[]}\n',
    }


def found(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Nth:
    """Stands in for the system calls of the writer; the n-th of them does something else."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, at: int, instead: Callable[[str, tuple[Any, ...]], None]
    ) -> None:
        self.calls = 0
        self.broken: str | None = None
        for name in CALLS:
            monkeypatch.setattr(atomic.os, name, self.wrapped(name, getattr(os, name), at, instead))

    def wrapped(self, name: str, real: Callable[..., Any], at: int, instead: Callable[..., None]) -> Callable[..., Any]:
        def call(*args: Any, **keywords: Any) -> Any:
            self.calls += 1
            if self.calls == at:
                self.broken = name
                instead(name, args)
            return real(*args, **keywords)

        return call


def no_space(_name: str, _args: tuple[Any, ...]) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def steps(act: Callable[[int], bool]) -> int:
    """Call act(1), act(2), ... until it says that nothing was left to break; return how often that was."""
    for at in range(1, 200):
        if not act(at):
            return at
    raise AssertionError("never finished")


@pytest.mark.parametrize("ending", sorted(STREAMS))
def test_three_files_stand_beside_each_other(tmp_path: Path, ending: str) -> None:
    run(open_sink(str(tmp_path / f"out.{ending}")))
    assert found(tmp_path) == whole(ending)


@pytest.mark.parametrize("ending", sorted(STREAMS))
def test_e1_an_error_at_any_step_leaves_nothing_or_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    def act(at: int) -> bool:
        folder = tmp_path / str(at)
        folder.mkdir()
        sink = None
        said: list[str] = []
        with monkeypatch.context() as patch:
            nth = Nth(patch, at, no_space)
            try:
                sink = open_sink(str(folder / f"out.{ending}"))
                run(sink)
            except SinkError as error:
                said.append(str(error))
            broke = nth.calls >= at
            if sink is not None:
                sink.abort()
        assert all(str(folder) in text for text in said)
        assert sink is None or all("records so far are not on disk" in text for text in said)
        left = found(folder)
        if nth.broken == "unlink":
            left = {name: raw for name, raw in left.items() if not name.startswith(".netwatch-")}
        expected = whole(ending)
        assert all(expected[name] == raw for name, raw in left.items())
        assert said or left == expected
        if f"out.{ending}" in left:
            assert left == expected
        return broke

    assert steps(act) > 20


@pytest.mark.parametrize("ending", sorted(STREAMS))
def test_e1_a_kill_at_any_step_leaves_each_file_whole_or_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    def act(at: int) -> bool:
        folder = tmp_path / str(at)
        folder.mkdir()
        (folder / f"out.{ending}").write_bytes(b"before")
        killed = in_child(
            lambda: (
                Nth(monkeypatch, at, lambda _name, _args: os.kill(os.getpid(), signal.SIGKILL)),
                run(open_sink(str(folder / f"out.{ending}"))),
            )
        )
        left = {name: raw for name, raw in found(folder).items() if not name.startswith(".netwatch-")}
        flows = left.pop(f"out.{ending}")
        expected = whole(ending)
        assert flows in {b"before", expected[f"out.{ending}"]}
        assert all(expected[name] == raw for name, raw in left.items())
        assert flows == b"before" or len(left) == 2
        return killed

    assert steps(act) > 20


def in_child(act: Callable[[], object]) -> bool:
    """Run in a copy of this process; tell whether a signal ended it."""
    child = os.fork()
    if not child:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_abort_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("before")
    sink = open_sink(str(tmp_path / "out.csv"))
    sink.write(design_release())
    sink.abort()
    sink.abort()
    sink.close(SUMMARY)
    assert found(tmp_path) == {"out.csv": b"before"}
    with pytest.raises(SinkError, match=r"given up before; 2 records are not on disk"):
        sink.write(design_release())


def test_after_close_abort_does_nothing(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "out.jsonl"))
    run(sink)
    sink.abort()
    assert found(tmp_path) == whole("jsonl")


def test_e5_files_are_the_owners_alone_whatever_was_there(tmp_path: Path) -> None:
    old = tmp_path / "out.jsonl"
    old.write_text("before")
    old.chmod(0o644)
    mask = os.umask(0)
    try:
        sink = open_sink(str(old))
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob(".*")} == {0o600}
        run(sink)
    finally:
        os.umask(mask)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert found(tmp_path) == whole("jsonl")


@pytest.mark.parametrize("name", ["out.jsonl", "out.lookups.jsonl", "out.summary.json"])
@pytest.mark.parametrize("grow", [Growth.NO, Growth.LINES])
@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "fifo"])
def test_e5_a_link_or_any_other_thing_is_refused_and_untouched(
    tmp_path: Path, name: str, grow: Growth, kind: str
) -> None:
    folder, victim = tmp_path / "shared", tmp_path / "victim"
    folder.mkdir()
    if kind != "dangling link":
        victim.write_text("precious")
    if kind == "folder":
        (folder / name).mkdir()
    elif kind == "fifo":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to(victim)
    with pytest.raises(SinkError, match=name):
        open_sink(str(folder / "out.jsonl"), grow=grow)
    assert not victim.exists() if kind == "dangling link" else victim.read_text() == "precious"
    left = {path.name for path in folder.iterdir()}
    assert left <= ({"out.jsonl", "out.lookups.jsonl", name} if grow is Growth.LINES else {name})


def test_e5_a_link_that_appears_meanwhile_is_replaced_not_followed(tmp_path: Path) -> None:
    folder, victim = tmp_path / "shared", tmp_path / "victim"
    folder.mkdir()
    victim.write_text("precious")
    sink = open_sink(str(folder / "out.jsonl"))
    sink.write(design_release())
    (folder / "out.jsonl").symlink_to(victim)
    sink.write(varied_release())
    sink.close(SUMMARY)
    assert victim.read_text() == "precious"
    assert not (folder / "out.jsonl").is_symlink()
    assert found(folder) == whole("jsonl")


def test_e5_a_folder_that_is_swapped_meanwhile_gets_nothing(tmp_path: Path) -> None:
    folder, trap = tmp_path / "folder", tmp_path / "trap"
    folder.mkdir()
    trap.mkdir()
    sink = open_sink(str(folder / "out.csv"))
    folder.rename(tmp_path / "moved")
    folder.symlink_to(trap)
    run(sink)
    assert found(trap) == {}
    assert found(tmp_path / "moved") == whole("csv")


def test_a_missing_folder_is_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"nowhere/out\.csv: cannot be written: No such file or directory"):
        open_sink(str(tmp_path / "nowhere" / "out.csv"))


def test_e2_a_growing_file_is_continued_and_its_summary_replaced(tmp_path: Path) -> None:
    for _ in range(2):
        run(open_sink(str(tmp_path / "out.jsonl"), grow=Growth.LINES))
    once = whole("jsonl")
    assert found(tmp_path) == {
        "out.jsonl": once["out.jsonl"] * 2,
        "out.lookups.jsonl": once["out.lookups.jsonl"] * 2,
        "out.summary.json": once["out.summary.json"],
    }


def test_e2_lines_are_on_disk_as_soon_as_they_are_written(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "out.jsonl"), grow=Growth.LINES)
    sink.write(design_release())
    assert (tmp_path / "out.jsonl").read_bytes() == flow_lines(design_release().flows)
    sink.abort()
    assert set(found(tmp_path)) == {"out.jsonl", "out.lookups.jsonl"}


def test_e2_a_partial_last_line_is_cut_off_at_any_byte(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    lines = flow_lines(design_release().flows)
    for size in range(0, len(lines) + 1, 13):
        target.write_bytes(lines[:size])
        open_sink(str(target), grow=Growth.LINES).abort()
        assert target.read_bytes() == lines[: lines.rfind(b"\n", 0, size) + 1]


def test_e2_the_last_end_of_a_line_may_be_far_away(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    lines = flow_lines(design_release().flows)
    for more in (1, 65_535, 65_536, 65_537, 200_000):
        target.write_bytes(lines + b"x" * more)
        open_sink(str(target), grow=Growth.LINES).abort()
        assert target.read_bytes() == lines


@pytest.mark.parametrize("text", [b"notes of mine", b"notes\nof mine\n", b'{"time":"2025"}\n', b"\n"])
def test_e2_a_file_that_holds_something_else_is_refused_and_untouched(tmp_path: Path, text: bytes) -> None:
    target = tmp_path / "out.jsonl"
    target.write_bytes(text)
    with pytest.raises(SinkError, match="it holds something else"):
        open_sink(str(target), grow=Growth.LINES)
    assert target.read_bytes() == text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_e5_another_users_file_is_not_continued(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    target.write_bytes(b"")
    os.chown(target, 12_345, -1)
    with pytest.raises(SinkError, match="belongs to another user"):
        open_sink(str(target), grow=Growth.LINES)


@pytest.mark.parametrize("limit", [1, 900, 1_000, 2_500, 5_000, 9_999])
def test_e2_a_full_disk_leaves_the_lines_that_were_acknowledged(tmp_path: Path, limit: int) -> None:
    target = tmp_path / "out.jsonl"
    given = 20

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        sink = open_sink(str(target), grow=Growth.LINES)
        try:
            sink.write(release([tiktok_flow(flow_id=at) for at in range(given)]))
        except SinkError as error:
            lines = target.read_bytes().splitlines(keepends=True)
            for line in lines:
                assert line.endswith(b"}\n")
                json.loads(line)
            assert str(error).endswith(f"; {given - len(lines)} flow records are not on disk")  # noqa: PT017
        else:
            raise AssertionError("all was written")

    assert not in_child(fill)


def test_e2_after_space_returns_the_next_lines_follow_the_last_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = open_sink(str(tmp_path / "out.jsonl"), grow=Growth.LINES)
    real = os.write
    with monkeypatch.context() as patch:
        answers: Iterator[int] = iter([10])

        def short(fd: int, data: bytes) -> int:
            for size in answers:
                return real(fd, data[:size])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patch.setattr(atomic.os, "write", short)
        with pytest.raises(SinkError, match="1 flow records are not on disk"):
            sink.write(release([Flow()]))
    sink.write(design_release())
    sink.close(SUMMARY)
    assert (tmp_path / "out.jsonl").read_bytes() == flow_lines(design_release().flows)


def test_e2_a_summary_that_cannot_be_written_is_all_that_is_lost_of_a_growing_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = open_sink(str(tmp_path / "out.jsonl"), grow=Growth.LINES)
    sink.write(design_release())
    with monkeypatch.context() as patch:
        Nth(patch, 1, no_space)
        with pytest.raises(SinkError, match=r"out\.summary\.json: No space left on device; the summary is not on disk"):
            sink.close(SUMMARY)
    assert set(found(tmp_path)) == {"out.jsonl", "out.lookups.jsonl"}


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(atomic.os, "write", lambda fd, data: real(fd, data[:7]))
    for grow in (Growth.NO, Growth.LINES):
        (tmp_path / grow.name).mkdir()
        run(open_sink(str(tmp_path / grow.name / "out.jsonl"), grow=grow))
        assert found(tmp_path / grow.name) == whole("jsonl")


def test_stdout_carries_flow_records_alone(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    run(open_sink("-"))
    assert capfdbinary.readouterr().out == whole("jsonl")["out.jsonl"]


class Broken(io.RawIOBase):
    """A stream that fails."""

    def __init__(self, error: OSError) -> None:
        self.failure = error

    def write(self, _data: Any) -> int:
        raise self.failure


def test_a_reader_that_left_is_no_error_of_ours_and_a_full_disk_is() -> None:
    with pytest.raises(BrokenPipeError):
        Stream(JSONL, Broken(BrokenPipeError())).write(design_release())
    with pytest.raises(SinkError, match="stdout: No space left on device; 2 flow records are not written"):
        Stream(JSONL, Broken(OSError(errno.ENOSPC, "No space left on device"))).write(design_release())


@pytest.mark.parametrize(
    ("spec", "files"),
    [
        ("csv:out", {"out", "out.lookups.csv", "out.summary.json"}),
        ("jsonl:out.txt", {"out.txt", "out.lookups.txt", "out.summary.json"}),
        ("a.b.JSONL", {"a.b.JSONL", "a.b.lookups.JSONL", "a.b.summary.json"}),
        ("zeek:a.csv", {"zeek:a.csv", "zeek:a.lookups.csv", "zeek:a.summary.json"}),
    ],
)
def test_a_format_is_told_by_its_ending_or_in_front(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, files: set[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    open_sink(spec).close(SUMMARY)
    assert set(found(tmp_path)) == files


@pytest.mark.parametrize("spec", ["out.xlsx", "out", "", ".csv", "zeek:out", "csv:", "folder/", "\x1b]0;x.y"])
def test_an_unknown_format_is_answered_with_those_that_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"there are \.csv .*\.jsonl.*, NAME:PATH") as raised:
        open_sink(spec)
    assert "\x1b" not in str(raised.value)
    assert found(tmp_path) == {}


def test_e3_lines_wait_for_a_full_disk_and_are_written_when_it_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk takes 100 bytes, then nothing, then all: no line is lost, doubled or cut."""
    sink = open_sink(str(tmp_path / "out.jsonl"), grow=Growth.HELD)
    room = [100]
    write = os.write

    def full(fd: int, data: bytes) -> int:
        if room[0] <= 0:
            raise OSError(errno.ENOSPC, "no space")
        count = write(fd, bytes(data)[: room[0]])
        room[0] -= count
        return count

    monkeypatch.setattr(atomic.os, "write", full)
    for number in range(20):
        sink.write(release([tiktok_flow(flow_id=number)], [Question()]))
    assert sink.retry() == 0
    room[0] = 1 << 30
    assert sink.retry() == 0
    sink.close({})
    lines = (tmp_path / "out.jsonl").read_bytes()
    assert lines == flow_lines(release([tiktok_flow(flow_id=number) for number in range(20)]).flows)
    assert (tmp_path / "out.lookups.jsonl").read_bytes().count(b"\n") == 20


def test_e3_what_is_beyond_the_limit_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "HELD_BYTES", 5_000)
    sink = open_sink(str(tmp_path / "out.jsonl"), grow=Growth.HELD)
    monkeypatch.setattr(atomic.os, "write", lambda _fd, _data: (_ for _ in ()).throw(OSError(errno.ENOSPC, "no space")))
    for number in range(20):
        sink.write(release([tiktok_flow(flow_id=number)]))
    lost = sink.retry()
    monkeypatch.undo()
    assert sink.retry() == lost > 0
    sink.close({})
    assert (tmp_path / "out.jsonl").read_bytes().count(b"\n") == 20 - lost
