"""The product run on one capture: the command in this process, or as a process of its own that is measured."""

import contextlib
import io
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Run:
    """What one run of a command left behind.

    summary: the summary record, None where stdout is empty.   files: name -> bytes of each file written.
    rss, seconds: peak resident bytes and wall time, of a process of its own only.
    """

    exit_code: int
    stdout: bytes
    stderr: str
    files: dict[str, bytes] = field(default_factory=dict)
    rss: int = 0
    seconds: float = 0.0

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads(self.stdout)

    @property
    def ledger(self) -> dict[str, Any]:
        return self.summary["ledger"]

    @property
    def flows(self) -> list[dict[str, Any]]:
        return records(self.files.get("out.jsonl", b""))

    @property
    def lookups(self) -> list[dict[str, Any]]:
        return records(self.files.get("out.lookups.jsonl", b""))


def records(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.decode("ascii").splitlines()]


def replay(capture: Path, folder: Path, *options: str, json_summary: bool = True) -> Run:
    """Run `netwatch replay` on a capture in this process, writing JSON Lines into folder."""
    from netwatch.cli.main import main

    words = ["replay", str(capture), "-w", str(folder / "out.jsonl"), *options, *(["--json"] if json_summary else [])]
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    out.flush()
    return Run(int(code), out.buffer.getvalue(), err.getvalue(), _written(folder))  # type: ignore[attr-defined]


# A process begins with the peak memory of the one that started it, which may be a large test run: a small one between
# them does the measuring.
MEASURE = """
import os, sys, time
begin = time.monotonic()
child = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[2:]], os.environ)
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w") as out:
    out.write(f"{usage.ru_maxrss} {time.monotonic() - begin}")
sys.exit(os.waitstatus_to_exitcode(status))
"""


def replay_process(capture: Path, folder: Path, *options: str) -> Run:
    """Run `netwatch replay --json` as a process of its own; its memory and time are measured."""
    words = ["-m", "netwatch", "replay", str(capture), "--json", "-w", str(folder / "out.jsonl"), *options]
    streams = [folder.parent / f"{folder.name}.{name}" for name in ("stdout", "stderr")]
    actions = [
        (os.POSIX_SPAWN_OPEN, number, str(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for number, path in enumerate(streams, 1)
    ]
    usage = folder.parent / f"{folder.name}.usage"
    command = [sys.executable, "-c", MEASURE, str(usage), *words]
    child = os.posix_spawn(sys.executable, command, os.environ, file_actions=actions)
    _, status = os.waitpid(child, 0)
    out, err = (path.read_bytes() for path in streams)
    peak, seconds = usage.read_text("ascii").split()
    rss = int(peak) * (1 if sys.platform == "darwin" else 1024)
    code = os.waitstatus_to_exitcode(status)
    return Run(code, out, err.decode("utf-8", "replace"), _written(folder), rss, float(seconds))


def _written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
