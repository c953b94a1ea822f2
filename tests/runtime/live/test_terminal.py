"""Whoever reads what a capture says may go: the capture ends well or goes on, and no traceback is seen (C8)."""

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from support import netns
from support.live import environment, send, whole_household
from support.sandboxed import LINUX

from netwatch.runtime.live.terminal import hangups

NETWATCH = [sys.executable, "-m", "netwatch", "watch", "-i", "nw1", "--headless", "--every", "1s"]


class Screen:
    """A terminal that a command has as its own; `text` is what was seen on it."""

    def __init__(self, words: list[str]) -> None:
        self.fd, theirs = os.openpty()
        self.text = ""
        self.process = subprocess.Popen(
            words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=environment(),
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 tests have one thread
        )  # fmt: skip
        os.close(theirs)

    def wait_for(self, text: str) -> None:
        until = time.monotonic() + 20
        while text not in self.text and time.monotonic() < until:
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self.text += os.read(self.fd, 4_096).decode("utf-8", "replace")
                except OSError:  # the other end is closed
                    break
        assert text in self.text

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


@contextmanager
def screen(words: list[str]) -> Iterator[Screen]:
    one = Screen(words)
    try:
        yield one
    finally:
        one.close()
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()


@pytest.mark.usefixtures("cable")
@netns.needs_root
@LINUX
def test_a_terminal_that_is_closed_ends_the_capture_with_all_files_whole(folder: Path) -> None:
    outputs = ["-w", str(folder / "a.csv"), "-w", str(folder / "b.jsonl"), "-w", str(folder / "c.pcapng")]
    sent = whole_household()
    with screen([*NETWATCH, *outputs]) as seen:
        seen.wait_for(" 0 packets")
        send(sent)
        seen.wait_for(f" {len(sent)} packets")
        seen.close()
        assert seen.process.wait(20) == 0
    assert json.loads((folder / "b.summary.json").read_text())["ledger"]["seen"] == len(sent)
    assert (folder / "a.csv").read_bytes().count(b"\r\n") > 3
    assert (folder / "c.pcapng").stat().st_size > 1_000


@pytest.mark.usefixtures("cable")
@netns.needs_root
@LINUX
def test_in_the_background_it_is_not_stopped_by_its_own_lines() -> None:
    command = " ".join([*NETWATCH, "--for", "2s"])
    with screen(["sh", "-c", f"set -m; stty tostop; {command} & wait $!; echo ended $?"]) as seen:
        seen.wait_for("ended 0")
        assert " 0 packets" in seen.text
        assert "Traceback" not in seen.text


@contextmanager
def capturing(*words: str) -> Iterator[tuple["subprocess.Popen[str]", IO[str], IO[str]]]:
    """Run it on the cable up to its first line; yields the process, its stdout and its stderr."""
    process = subprocess.Popen(
        [*NETWATCH, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        while " 0 packets" not in process.stderr.readline():
            pass
        yield process, process.stdout, process.stderr


@pytest.mark.usefixtures("cable")
@netns.needs_root
@LINUX
def test_the_capture_goes_on_where_nobody_reads_its_lines(folder: Path) -> None:
    sent = whole_household()
    with capturing("--json", "-w", str(folder / "a.jsonl")) as (process, out, err):
        err.close()
        time.sleep(2.5)  # lines are written to nobody
        send(sent)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        said = json.loads(out.read())
        assert process.wait(20) == 0
    assert said["ledger"]["seen"] == len(sent)


@pytest.mark.usefixtures("cable")
@netns.needs_root
@LINUX
def test_the_capture_ends_where_nobody_reads_its_records_and_files_are_whole(folder: Path) -> None:
    sent = whole_household()
    with capturing("-w", "-", "-w", str(folder / "a.csv")) as (process, out, err):
        out.close()
        send(sent)
        process.send_signal(signal.SIGTERM)
        said = err.read()
        assert process.wait(20) == 0
    assert "Traceback" not in said
    assert (folder / "a.csv").exists()
    assert (folder / "a.summary.json").exists()


def test_who_asked_for_no_hangup_gets_none() -> None:
    told = []
    kept = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with hangups(lambda: told.append(1)):
            os.kill(os.getpid(), signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with hangups(lambda: told.append(2)):
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, kept)
    assert told == [2]


def test_what_is_no_terminal_is_never_closed() -> None:
    code = "from netwatch.runtime.live.terminal import Terminal; one = Terminal(); one.leave(); print(one.closed)"
    said = subprocess.check_output([sys.executable, "-c", code], text=True, stdin=subprocess.DEVNULL)
    assert said == "False\n"
