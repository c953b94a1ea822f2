"""Runs code in a process of its own, which may step into the sandbox without taking the tests along."""

import ctypes
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parents[1]
LANDLOCK_CREATE_RULESET = 444  # on every architecture; asked for its version


def _can_sandbox() -> bool:
    """Tell whether this kernel has all that the sandbox is made of: containers and old kernels may not."""
    if not sys.platform.startswith("linux") or not Path("/proc/sys/kernel/seccomp/actions_avail").exists():
        return False
    return int(ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, 1)) > 0


LINUX = pytest.mark.skipif(not _can_sandbox(), reason="needs Linux with Landlock and seccomp")
ROOT = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")


def sandboxed(
    code: str, *arguments: str, environment: Mapping[str, str] | None = None, pass_fds: Sequence[int] = ()
) -> Any:
    """Run code and return what it prints as JSON in its last line; what it prints to stderr fails the test."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True, text=True, timeout=50, env=_environment(environment or {}), stdin=subprocess.DEVNULL,
        pass_fds=pass_fds, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.returncode}: {done.stderr[-3000:]}"
    assert not done.stderr, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def begun(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start code that is spoken with."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment({}),
    )  # fmt: skip


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SUDO_", "NOTIFY_", "WATCHDOG_"))}
    paths = [str(TESTS), *filter(None, [kept.get("PYTHONPATH")])]
    return kept | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"} | dict(more)
