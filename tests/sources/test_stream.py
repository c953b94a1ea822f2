"""Pipes and standard input: what has arrived is handed over, and a silent writer can be left."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.captures import Record, enhanced, interface, pcap, pcap_header, pcap_record, section

from netwatch.model.errors import SourceError
from netwatch.sources import open_capture

ONE = pcap_record(Record(1, 2, b"frame"))


@pytest.fixture
def pipe() -> Iterator[tuple[io.BufferedReader, int]]:
    """Return both ends of a pipe; the second may be closed by the test."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as end:
        yield end, writing
    with contextlib.suppress(OSError):
        os.close(writing)


def test_f6_packets_come_out_as_they_come_in(pipe: tuple[io.BufferedReader, int]) -> None:
    end, writing = pipe
    os.write(writing, pcap_header() + ONE)
    source = open_capture("-", stdin=end)
    assert source.size is None
    assert len(next(source).offset) == 1
    os.write(writing, ONE * 3 + ONE[:7])
    assert len(next(source).offset) == 3
    os.write(writing, ONE[7:])
    assert next(source).number.tolist() == [5]
    os.close(writing)
    assert list(source) == []
    assert source.capture.complete
    assert source.position == 24 + 5 * len(ONE)


def test_f6_packets_of_pcapng_too(pipe: tuple[io.BufferedReader, int]) -> None:
    end, writing = pipe
    os.write(writing, section() + interface() + enhanced(b"x"))
    source = open_capture("-", stdin=end)
    assert len(next(source).offset) == 1
    os.write(writing, enhanced(b"y") * 2 + enhanced(b"y")[:9])
    assert len(next(source).offset) == 2
    os.close(writing)
    assert list(source) == []
    assert not source.capture.complete


def test_f6_all_that_is_there_comes_at_once(pipe: tuple[io.BufferedReader, int]) -> None:
    end, writing = pipe
    source_data = pcap_header() + ONE * 2_000
    os.write(writing, source_data)
    assert len(next(open_capture("-", stdin=end)).offset) == 2_000


def test_f6_a_fifo_is_read_as_it_fills(tmp_path: Path) -> None:
    path = tmp_path / "lab.fifo"
    os.mkfifo(path)
    keep = os.open(path, os.O_RDWR)
    os.write(keep, pcap_header() + ONE)
    with open_capture(str(path)) as source:
        assert source.capture.name == "lab.fifo"
        assert source.size is None
        assert len(next(source).offset) == 1
        os.write(keep, ONE)
        assert len(next(source).offset) == 1
    os.close(keep)


def test_f6_stop_ends_a_silent_pipe(pipe: tuple[io.BufferedReader, int]) -> None:
    end, writing = pipe
    os.write(writing, pcap_header() + ONE)
    source = open_capture("-", stdin=end)
    next(source)
    stopper = threading.Timer(0.01, source.stop)
    stopper.start()
    assert list(source) == []
    stopper.join()
    assert not source.capture.complete
    assert source.capture.problem == "-: reading was stopped before the end; the packet before it was counted"


def test_f6_an_exception_of_a_signal_handler_leaves_a_silent_pipe(pipe: tuple[io.BufferedReader, int]) -> None:
    end, writing = pipe
    os.write(writing, pcap_header() + ONE)
    source = open_capture("-", stdin=end)
    next(source)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    try:
        with pytest.raises(KeyboardInterrupt):
            next(source)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert list(source) == []
    assert not source.capture.complete
    assert "reading was interrupted" in str(source.capture.problem)


def test_f6_sigint_ends_a_program_that_waits_on_a_fifo() -> None:
    program = (
        "from netwatch.sources import open_capture; source = open_capture('-'); "
        "print(len(next(source).offset), flush=True); next(source)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(pcap_header() + ONE)
        child.stdin.flush()
        assert child.stdout.readline() == b"1\n"
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=10) != 0


def test_stop_between_batches() -> None:
    source = open_capture("-", stdin=io.BytesIO(pcap_header() + ONE * 70_000))
    next(source)
    source.stop()
    assert list(source) == []
    assert "stopped before the end; the 65536 packets" in str(source.capture.problem)
    assert list(source) == []


def test_f6_zeros_without_end_are_refused_at_once() -> None:
    with pytest.raises(SourceError, match=r"/dev/zero: not a capture .first bytes 00 00 00 00"):
        open_capture("/dev/zero")


def test_standard_input_from_a_file_and_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([Record(1, 2, b"x")] * 3))
    with path.open("rb") as stdin, open_capture("-", stdin=stdin) as source:
        assert source.size == path.stat().st_size
        assert [len(batch.offset) for batch in source] == [3]
        assert not stdin.closed
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    assert [len(batch.offset) for batch in open_capture("-")] == [3]


def test_a_file_is_unbuffered_standard_input_too(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([Record(1, 2, b"x")] * 3))
    with path.open("rb", buffering=0) as stdin:
        assert [len(batch.offset) for batch in open_capture("-", stdin=stdin)] == [3]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty; give a pcap or pcapng capture"),
        (b"\xd4\xc3", "not a capture (first bytes d4 c3); give pcap or pcapng, also as .gz or .zst"),
        (b"PK\x03\x04....", "not a capture (first bytes 50 4b 03 04)"),
    ],
)
def test_foreign_files(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "lab.pcap"
    path.write_bytes(content)
    with pytest.raises(SourceError) as error:
        open_capture(str(path))
    assert str(error.value).startswith(f"{path}: {why}")


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.pcap: no such file or directory; check the name"):
        open_capture(str(tmp_path / "none.pcap"))
    with pytest.raises(SourceError, match=r"is a folder|is a directory"):
        open_capture(str(tmp_path))
    with pytest.raises(SourceError, match="check the name"):
        open_capture("a\0b")


def test_progress_and_closing(tmp_path: Path) -> None:
    path = tmp_path / "lab.pcap"
    path.write_bytes(pcap([Record(1, 2, b"x")] * 3))
    with open_capture(str(path)) as source:
        assert source.size == path.stat().st_size
        next(source)
        assert source.position == source.size
    source.close()


def test_a_read_that_fails_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "lab.pcap"
    path.write_bytes(pcap([Record(1, 2, b"x")] * 3))
    source = open_capture(str(path))
    source.close()
    assert list(source) == []
    assert "lab.pcap: cannot be read on at byte" in str(source.capture.problem)
