"""One replay as a whole: several captures, pipes, bad input, outputs that cannot be written, exit codes."""

import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine.lab import (
    LAPTOP,
    OTHER_SERVER,
    PHONE,
    SERVER,
    T0,
    Frame,
    datagram,
    hello,
    resolved,
    tls,
)
from support.captures import Record, pcap, pcap_header

from netwatch.cli.main import main

NETWATCH = [sys.executable, "-m", "netwatch"]
CAPTURES = Path(__file__).resolve().parents[2] / "captures"
PATIENCE = 20  # seconds after which a process that should have ended has failed


def capture(frames: Sequence[Frame], link_type: int = 1) -> bytes:
    base = T0 // 10**9
    records = []
    for one in frames:
        micro = round(one.at * 10**6)
        records.append(Record(base + micro // 10**6, micro % 10**6, one.data, one.wirelen))
    return pcap(records, link_type=link_type)


PHONE_CAPTURE = capture([*resolved(PHONE, "api.tiktokv.com", SERVER), *tls(PHONE, SERVER, 1)])
LAPTOP_CAPTURE = capture(tls(LAPTOP, OTHER_SERVER, 0.5, data=hello(b"www.example.org")))


def put(folder: Path, name: str, data: bytes) -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


class Ran:
    """What a command in this process left behind."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads(self.out)  # type: ignore[no-any-return]


@pytest.fixture
def netwatch(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def run(*words: str) -> Ran:
        code = main(["replay", *words])
        return Ran(int(code), *capsys.readouterr())

    return run


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


# --- several captures ---


def test_captures_are_read_in_order_and_counted_apart(tmp_path: Path, out: Path, netwatch: Callable[..., Ran]) -> None:
    one, two = (
        put(tmp_path, "one.pcap", PHONE_CAPTURE),
        put(tmp_path, "two.pcap.gz", gzip.compress(LAPTOP_CAPTURE, mtime=0)),
    )
    ran = netwatch(one, "-r", two, "-w", str(out / "x.jsonl"), "--json")
    assert (ran.code, ran.err) == (0, "")
    assert [(row["name"], row["packets"], row["complete"]) for row in ran.summary["captures"]] == [
        ("one.pcap", 5, True), ("two.pcap.gz", 3, True),
    ]  # fmt: skip
    assert ran.summary["ledger"]["seen"] == 8
    assert {flow["name"]: flow["evidence"][0]["packet"] for flow in lines(out / "x.jsonl") if flow["evidence"]} == {
        "api.tiktokv.com": 5, "www.example.org": 3,
    }  # fmt: skip
    assert sorted(path.name for path in out.iterdir()) == ["x.jsonl", "x.lookups.jsonl", "x.summary.json"]
    assert json.loads((out / "x.summary.json").read_text()) == ran.summary


def test_merged_captures_are_one_input_in_order_of_time(
    tmp_path: Path, out: Path, netwatch: Callable[..., Ran]
) -> None:
    flow = put(tmp_path, "flow.pcap", capture(tls(PHONE, SERVER, 2, data=hello(None))))
    dns = put(tmp_path, "dns.pcap", capture(resolved(PHONE, "api.tiktokv.com", SERVER, 1)))
    names = []
    for merged in ([], ["--merge"]):
        assert netwatch(flow, dns, *merged, "-w", str(out / "x.jsonl"), "--json").code == 0
        names += [flow["name"] for flow in lines(out / "x.jsonl") if flow["server_port"] == 443]
    assert names == [None, "api.tiktokv.com"]


# --- pipes ---


def long_capture(count: int = 70_000, flows: int = 5_000) -> bytes:
    """More frames than are between two releases: flows of 14 datagrams, one flow after the other, 10 ms apart."""
    data = datagram(PHONE, SERVER, b"12345678", ports=(0, 9_999)).data
    rows = np.zeros((count, 16 + len(data)), np.uint8)
    rows[:, 16:] = np.frombuffer(data, np.uint8)
    head = np.zeros((count, 4), "<u4")
    time = np.arange(count) * 10_000
    head[:, 0], head[:, 1], head[:, 2], head[:, 3] = T0 // 10**9 + time // 10**6, time % 10**6, len(data), len(data)
    rows[:, :16] = head.view(np.uint8)
    rows[:, 50:52] = (np.arange(count) * flows // count + 10_000).astype(">u2").view(np.uint8).reshape(count, 2)
    return pcap_header() + rows.tobytes()


class Fed:
    """netwatch as a process that reads a FIFO, whose writing end the test holds."""

    def __init__(self, fifo: Path, *words: str) -> None:
        os.mkfifo(fifo)
        self.process = subprocess.Popen(
            [*NETWATCH, "replay", str(fifo), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.pipe = open(fifo, "wb", buffering=0)  # noqa: PTH123, SIM115 opens when the reader does

    def feed(self, data: bytes) -> None:
        """Write, which ends when all but what a pipe holds was read, or the reader is gone."""
        view = memoryview(data)
        with suppress(BrokenPipeError):
            while view:
                view = view[self.pipe.write(view) :]

    def ended(self) -> tuple[int, bytes, bytes]:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        out, err = self.process.stdout.read(), self.process.stderr.read()
        return self.process.wait(PATIENCE), out, err


@pytest.fixture
def fed(tmp_path: Path) -> Iterator[Callable[..., Fed]]:
    made: list[Fed] = []

    def start(*words: str) -> Fed:
        made.append(Fed(tmp_path / "fifo", *words))
        return made[-1]

    yield start
    for one in made:
        one.pipe.close()
        one.process.kill()
        one.process.communicate()


def test_records_of_a_pipe_leave_while_its_writer_waits(fed: Callable[..., Fed]) -> None:
    one = fed("-w", "-")
    data = long_capture()
    thread = threading.Thread(target=one.feed, args=(data,))
    thread.start()
    assert one.process.stdout is not None
    first = json.loads(one.process.stdout.readline())
    assert (first["client_port"], first["packets_out"], first["end_reason"]) == (10_000, 14, "idle")
    rest = threading.Thread(target=lambda: (thread.join(), one.pipe.close()))
    rest.start()
    code, out, err = one.ended()
    rest.join()
    assert (code, err) == (0, b"")
    assert len(out.splitlines()) == 5_000 - 1


def test_standard_input_gives_what_the_file_gives(netwatch: Callable[..., Ran]) -> None:
    file = CAPTURES / "phone-and-laptop.pcap"
    with file.open("rb") as stdin:
        piped = subprocess.run([*NETWATCH, "replay", "-", "--json"], stdin=stdin, capture_output=True, check=True)
    fromfile = netwatch(str(file), "--json").summary
    told = json.loads(piped.stdout)
    assert told.pop("captures")[0]["name"] == "-"
    fromfile.pop("captures")
    assert told == fromfile


def test_output_of_a_pipe_grows_and_an_existing_file_is_continued(out: Path) -> None:
    words = [*NETWATCH, "replay", "-", "--json", "-w", str(out / "x.jsonl")]
    for data in (PHONE_CAPTURE, LAPTOP_CAPTURE):
        subprocess.run(words, input=data, capture_output=True, check=True)
    assert [flow["name"] for flow in lines(out / "x.jsonl")][-1] == "www.example.org"
    assert len(lines(out / "x.jsonl")) == 3
    assert json.loads((out / "x.summary.json").read_text())["ledger"]["seen"] == 3


def test_ctrl_c_ends_a_silent_pipe_with_its_summary(fed: Callable[..., Fed]) -> None:
    one = fed("--json")
    one.feed(long_capture())  # returns when all but the last of it was taken
    one.process.send_signal(signal.SIGINT)
    code, out, err = one.ended()
    assert code == 4
    summary = json.loads(out)
    assert summary["captures"][0]["complete"] is False
    assert summary["ledger"]["seen"] > 40_000
    assert summary["ledger"]["flows_live"] == 0
    assert err.count(b"\n") == 1
    assert b"fifo: reading was stopped before the end" in err


def test_ctrl_c_again_ends_the_process_at_once(fed: Callable[..., Fed]) -> None:
    """The process waits for a reader of its output, so that the first Ctrl+C cannot end it."""
    one = fed("-w", "-")
    thread = threading.Thread(target=one.feed, args=(long_capture(),))
    thread.start()
    assert one.process.stdout is not None
    one.process.stdout.readline()  # it writes
    for _ in range(50):
        one.process.send_signal(signal.SIGINT)
        try:
            one.process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        break
    code = one.process.poll()
    one.process.kill()
    thread.join()
    assert code == 130


# --- input that cannot be read ---


def damaged(at: int = 3) -> bytes:
    """A capture whose record number `at` (from 0) claims more than can be."""
    records = [Record(T0 // 10**9, i, one.data) for i, one in enumerate(tls(PHONE, SERVER))]
    return pcap(records[:at]) + b"\xff" * 40


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("empty.pcap", b""),
        ("short.pcap", b"\xd4\xc3"),
        ("header.pcap", pcap_header()[:20]),
        ("foreign.txt", b"hello, world\n" * 99),
        ("twice.pcap.gz", gzip.compress(gzip.compress(PHONE_CAPTURE, mtime=0), mtime=0)),
        ("empty.gz", gzip.compress(b"", mtime=0)),
        ("broken.gz", b"\x1f\x8b" + b"\xff" * 40),
        ("broken.zst", b"\x28\xb5\x2f\xfd" + b"\xff" * 40),
        ("block.pcapng", b"\x0a\x0d\x0d\x0a" + b"\xff" * 40),
    ],
)
def test_bad_input_is_one_line_exit_3_and_nothing_else(
    name: str, data: bytes, tmp_path: Path, out: Path, netwatch: Callable[..., Ran]
) -> None:
    path = put(tmp_path, name, data)
    ran = netwatch(path, "-w", str(out / "x.jsonl"))
    assert (ran.code, ran.out, list(out.iterdir())) == (3, "", [])
    assert ran.err.startswith("netwatch: ")
    assert f"{name}: " in ran.err
    assert ran.err.count("\n") == 1
    assert ";" in ran.err, "and what to do, or what was read"


def test_a_file_that_is_missing_or_a_folder_is_named(tmp_path: Path, netwatch: Callable[..., Ran]) -> None:
    missing = netwatch(str(tmp_path / "none.pcap"))
    assert (missing.code, missing.out) == (3, "")
    assert missing.err == (
        f"netwatch: {tmp_path}/none.pcap: no such file or directory; check the name and that you may read it\n"
    )
    folder = netwatch(str(tmp_path))
    assert (folder.code, folder.out) == (3, "")
    assert folder.err.startswith(f"netwatch: {tmp_path}: is a ")
    assert folder.err.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, netwatch: Callable[..., Ran]) -> None:
    path = put(tmp_path, "secret.pcap", PHONE_CAPTURE)
    Path(path).chmod(0)
    assert netwatch(path).code == 3


@pytest.mark.parametrize("merged", [[], ["--merge"]])
def test_one_bad_file_among_several_leaves_nothing(
    merged: list[str], tmp_path: Path, out: Path, netwatch: Callable[..., Ran]
) -> None:
    good, bad = put(tmp_path, "good.pcap", PHONE_CAPTURE), put(tmp_path, "bad.pcap", b"nonsense")
    ran = netwatch(good, bad, *merged, "-w", str(out / "x.jsonl"), "-w", str(out / "x.csv"), "--json")
    assert (ran.code, ran.out, list(out.iterdir())) == (3, "", [])
    assert "bad.pcap" in ran.err


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (PHONE_CAPTURE + PHONE_CAPTURE[24:70], "the 5 packets before it were counted"),
        (damaged(), "the 3 packets before it were counted"),
        (gzip.compress(PHONE_CAPTURE, mtime=0)[:-20], "counted"),
    ],
)
def test_a_damaged_capture_is_written_as_far_as_it_goes(
    data: bytes, words: str, tmp_path: Path, out: Path, netwatch: Callable[..., Ran]
) -> None:
    path = put(tmp_path, "cut.pcap", data)
    ran = netwatch(path, "-w", str(out / "x.jsonl"), "-w", str(out / "y.csv"), "--json")
    assert ran.code == 4
    assert ran.err.startswith("netwatch: cut.pcap: ")
    assert ran.err.count("\n") == 1
    assert " byte " in ran.err, "the place is named"
    assert words in ran.err
    assert ran.summary["captures"][0]["complete"] is False
    flows = lines(out / "x.jsonl")
    assert len(flows) == ran.summary["ledger"]["flows_created"]
    assert sum(flow["packets_out"] + flow["packets_in"] for flow in flows) == ran.summary["captures"][0]["packets"]
    assert (out / "y.csv").read_text().count("\n") == len(flows) + 1


def test_a_damaged_capture_is_marked_on_the_page(tmp_path: Path, netwatch: Callable[..., Ran]) -> None:
    ran = netwatch(put(tmp_path, "cut.pcap", damaged()))
    assert ran.code == 4
    assert "3 packets" in ran.out
    assert "NOT COMPLETE" in ran.out


def test_a_capture_without_a_packet_is_an_empty_result(tmp_path: Path, out: Path, netwatch: Callable[..., Ran]) -> None:
    ran = netwatch(put(tmp_path, "none.pcap", pcap_header()), "-w", str(out / "x.jsonl"), "-w", str(out / "y.csv"))
    assert (ran.code, ran.err) == (0, "")
    assert "No flow" in ran.out
    assert (out / "x.jsonl").read_bytes() == b""
    assert (out / "y.csv").read_text().startswith("flow_id,")


def test_a_link_type_that_is_not_read_is_partial_and_counted(tmp_path: Path, netwatch: Callable[..., Ran]) -> None:
    ran = netwatch(put(tmp_path, "usb.pcap", capture([Frame(bytes(64), 0)] * 3, 220)), "--json")
    assert ran.code == 4
    assert "3 frames are counted as non_ip" in ran.err
    assert ran.summary["ledger"]["non_ip"] == 3


# --- output that cannot be written ---


@pytest.mark.parametrize("target", ["missing/x.jsonl", "folder.jsonl", "link.csv", "x.lookups.jsonl-is-a-folder"])
def test_an_output_that_cannot_be_written_is_one_line_and_exit_3(
    target: str, tmp_path: Path, out: Path, netwatch: Callable[..., Ran]
) -> None:
    path = put(tmp_path, "one.pcap", PHONE_CAPTURE)
    (out / "folder.jsonl").mkdir()
    (out / "link.csv").symlink_to(out / "elsewhere")
    if target.startswith("x."):
        (out / "x.lookups.jsonl").mkdir()
        target = "x.jsonl"
    before = sorted(out.iterdir())
    ran = netwatch(path, "-w", str(out / "good.jsonl"), "-w", str(out / target), "--json")
    assert (ran.code, ran.out, sorted(out.iterdir())) == (3, "", before)
    assert ran.err.count("\n") == 1
    assert str(out) in ran.err


def test_e3_a_full_disk_leaves_nothing_half_written(tmp_path: Path, out: Path) -> None:
    path = put(tmp_path, "one.pcap", PHONE_CAPTURE)
    (out / "x.jsonl").write_text("what was there before\n")
    ran = subprocess.run(
        [*NETWATCH, "replay", path, "--json", "-w", str(out / "x.jsonl")],
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000)),
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (3, b"")
    assert ran.stderr.count(b"\n") == 1
    assert b"not on disk" in ran.stderr
    assert [path.name for path in out.iterdir()] == ["x.jsonl"]
    assert (out / "x.jsonl").read_text() == "what was there before\n"


@pytest.mark.parametrize("words", [["-w", "-"], ["--format", "csv"], ["--json"], []])
def test_e3_a_full_disk_behind_stdout_is_one_line_and_exit_3(words: list[str], tmp_path: Path) -> None:
    path = put(tmp_path, "one.pcap", PHONE_CAPTURE)
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        ran = subprocess.run([*NETWATCH, "replay", path, *words], stdout=full, stderr=subprocess.PIPE, check=False)
    assert ran.returncode == 3, ran.stderr
    assert ran.stderr.count(b"\n") == 1
    assert b"stdout: No space left on device" in ran.stderr


# --- usage ---


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["-f", "app:tiktoc"], 2, "near: tiktok"),
        (["-f", "owner:nobodyknowsme"], 2, "no owner is called nobodyknowsme"),
        (["-f", "kind:nonsense"], 2, "app, sdk, platform, infra"),
        (["-f", "role:nonsense"], 2, "telemetry"),
        (["-f", "control:CHN"], 2, "CN"),
        (["-f", "port 443 and and"], 2, "column 14"),
        (["-f", "(port 443"], 2, "column"),
        (["--geo", "none.mmdb"], 3, "--geo none.mmdb"),
        (["--local-net", "192.168.1.0/99"], 2, "192.168.1.0/99"),
        (["--max-flows", "0"], 2, "--max-flows"),
        (["--max-flows", "many"], 2, "--max-flows"),
        (["--max-bytes", "0"], 2, "--max-bytes"),
        (["-", "-"], 2, "standard input"),
        (["-w", "x.doc"], 2, ".csv .html .jsonl"),
        (["-w", "x"], 2, "no ending"),
        (["--nonsense"], 2, "--help"),
    ],
)
def test_a_wrong_word_is_one_line_that_helps(
    words: list[str], code: int, told: str, tmp_path: Path, netwatch: Callable[..., Ran]
) -> None:
    ran = netwatch(put(tmp_path, "one.pcap", PHONE_CAPTURE), *words)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.count("\n") == 1
    assert told in ran.err


def test_no_capture_is_a_usage_error(netwatch: Callable[..., Ran]) -> None:
    ran = netwatch()
    assert (ran.code, ran.out) == (2, "")
    assert "netwatch replay FILE" in ran.err


def test_b2_a_broken_database_is_named(tmp_path: Path, netwatch: Callable[..., Ran]) -> None:
    path = put(tmp_path, "broken.mmdb", b"\xab\xcd\xefMaxMind.com" + bytes(100))
    ran = netwatch(put(tmp_path, "one.pcap", PHONE_CAPTURE), "--geo", path)
    assert (ran.code, ran.out) == (3, "")
    assert path in ran.err
    assert ran.err.count("\n") == 1


# --- filters ---


def test_a_filter_keeps_records_and_the_ledger_stays_whole(
    tmp_path: Path, out: Path, netwatch: Callable[..., Ran]
) -> None:
    files = put(tmp_path, "one.pcap", PHONE_CAPTURE), put(tmp_path, "two.pcap", LAPTOP_CAPTURE)
    ran = netwatch(*files, "-f", "app:tiktok", "-w", str(out / "x.jsonl"), "--json")
    assert [flow["app_id"] for flow in lines(out / "x.jsonl")] == ["tiktok"]
    assert [lookup["app_id"] for lookup in lines(out / "x.lookups.jsonl")] == ["tiktok"]
    assert [row["app_id"] for row in ran.summary["apps"]] == ["tiktok"]
    assert ran.summary["ledger"]["seen"] == 8


# --- hostile names ---

HOSTILE = "\x1b]0;owned\x07\x9b31m\u202eevil\n"


@pytest.mark.parametrize("data", [None, b"", b"nonsense", damaged(), PHONE_CAPTURE])
def test_d1_a_hostile_file_name_reaches_no_terminal(
    data: bytes | None, tmp_path: Path, netwatch: Callable[..., Ran]
) -> None:
    path = str(tmp_path / f"{HOSTILE}.pcap") if data is None else put(tmp_path, f"{HOSTILE}.pcap", data)
    ran = netwatch(path)
    assert "owned" in ran.err + ran.out
    for text in (ran.err, ran.out):
        assert all(char.isprintable() or char == "\n" for char in text)
    assert ran.err.count("\n") == (0 if data == PHONE_CAPTURE else 1)


@pytest.mark.parametrize(
    "words",
    [
        ["-w", f"{HOSTILE}/x.jsonl"],
        ["-w", f"x.{HOSTILE}"],
        ["-f", f"app:{HOSTILE}"],
        ["--geo", HOSTILE],
        ["--local-net", HOSTILE],
        [f"--{HOSTILE}"],
    ],
)
def test_d1_a_hostile_word_reaches_no_terminal(words: list[str], tmp_path: Path, netwatch: Callable[..., Ran]) -> None:
    ran = netwatch(put(tmp_path, "one.pcap", PHONE_CAPTURE), *words)
    assert ran.code in (2, 3)
    assert all(char.isprintable() for char in ran.err.removesuffix("\n"))


def test_p10_a_file_name_that_is_no_utf8_can_be_read(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe.pcap"
    Path(os.fsdecode(path)).write_bytes(PHONE_CAPTURE)
    ran = subprocess.run([*NETWATCH, "replay", path], capture_output=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"")
    ran = subprocess.run([*NETWATCH, "replay", path, "--json"], capture_output=True, check=False)
    assert ran.returncode == 0
    assert json.loads(ran.stdout)["captures"][0]["packets"] == 5


# --- determinism ---


def test_e11_the_same_capture_gives_the_same_bytes(tmp_path: Path) -> None:
    """Two hash seeds, two time zones, a file and a pipe of small writes."""
    told: list[list[bytes]] = []
    data = (CAPTURES / "phone-and-laptop.pcap").read_bytes()
    for i, (seed, zone) in enumerate((("0", "UTC"), ("1", "Asia/Kathmandu"), ("0", "UTC"))):
        folder = tmp_path / str(i)
        folder.mkdir()
        environ = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone}
        writes = ["-w", str(folder / "x.jsonl"), "-w", str(folder / "y.csv")]
        ran = subprocess.run(
            [*NETWATCH, "replay", str(CAPTURES / "phone-and-laptop.pcap"), *writes],
            env=environ,
            capture_output=True,
            check=True,
        )
        names = sorted(path.name for path in folder.iterdir())
        assert names == ["x.jsonl", "x.lookups.jsonl", "x.summary.json", "y.csv", "y.lookups.csv", "y.summary.json"]
        told.append([ran.stdout, *(path.read_bytes() for path in sorted(folder.iterdir()))])
    assert told[0] == told[1] == told[2]
    assert len(data) > 100_000


@pytest.mark.parametrize("name", ["phone-and-laptop.pcap", "hidden.pcapng"])
def test_e11_the_size_of_the_reads_changes_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, netwatch: Callable[..., Ran]
) -> None:
    told = []
    for size in (None, 4_096):
        if size is not None:
            from netwatch.sources import stream

            kept = stream.Window.__init__.__defaults__
            monkeypatch.setattr(stream.Window.__init__, "__defaults__", (size,))
            assert kept != (size,)
        folder = tmp_path / str(size)
        folder.mkdir()
        assert netwatch(str(CAPTURES / name), "-w", str(folder / "x.jsonl")).code == 0
        told.append([path.read_bytes() for path in sorted(folder.iterdir())])
    assert told[0] == told[1]
