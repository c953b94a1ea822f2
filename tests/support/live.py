"""`netwatch watch` on a cable of a test (support/netns.py), as root on behalf of a user."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.lab import Frame
from policy.household import household
from support import netns

USER = 12_345


class Watching:
    """A `netwatch` that captures on the cable."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def children(self) -> list[int]:
        """Its processes, in the order in which they were made."""
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text("ascii")
        return sorted(map(int, text.split()))

    def wait_for(self, text: str, seconds: float = 20.0) -> str:
        """Read stderr up to a line with this text."""
        until = time.monotonic() + seconds
        assert self.process.stderr is not None
        while time.monotonic() < until:
            line = self.process.stderr.readline()
            if text in line:
                return line
            assert line or self.process.poll() is None, "it ended"
        raise AssertionError(f"{text!r} was not said")

    def end(self) -> dict[str, Any]:
        """Stop it as Ctrl+C does, and return what it prints."""
        self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate(timeout=30)
        said: dict[str, Any] = json.loads(out)
        return said


@contextmanager
def watching(command: str, *words: str, **variables: str) -> Iterator[Watching]:
    """Run a command that captures on nw1, with these variables of the environment."""
    process = subprocess.Popen(
        [sys.executable, "-m", "netwatch", command, "-i", "nw1", "--json", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(**variables),
    )  # fmt: skip
    try:
        yield Watching(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def environment(**variables: str) -> dict[str, str]:
    """What sudo would give it."""
    return {**os.environ, "SUDO_UID": str(USER), "SUDO_GID": str(USER), **variables}


def private_folder() -> Iterator[Path]:
    """Yield a folder of the user on whose behalf root captures."""
    path = Path(tempfile.mkdtemp(prefix="netwatch-"))
    os.chown(path, USER, USER)
    yield path
    shutil.rmtree(path)


def whole_household() -> list[Frame]:
    """Frames that say something, none of them cut."""
    return [one for one in household("doh", "sni", much=True) if one.wirelen is None]


def send(frames: Sequence[Frame]) -> None:
    netns.send("nw0", [one.data for one in frames])
