"""The unit that is shipped: how much it exposes (S6), and that the sandbox can still be entered within it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.sandboxed import LINUX, ROOT, sandboxed

import netwatch

pytestmark = [LINUX, pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")]

UNIT = Path(netwatch.__file__).parent / "data" / "systemd" / "netwatch.service"
HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")


def settings(name: str) -> list[str]:
    return [line.partition("=")[2] for line in UNIT.read_text().splitlines() if line.startswith(f"{name}=")]


def test_s6_the_exposure_is_at_most_one_and_a_half() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", str(UNIT)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d)", done.stdout)
    assert found is not None
    assert float(found[1]) <= 1.5
    assert "Unknown" not in done.stderr, done.stderr


def test_the_unit_starts_python_in_isolated_mode_and_keeps_one_capability() -> None:
    (command,) = settings("ExecStart")
    assert " -I -m netwatch watch --headless " in command
    assert settings("AmbientCapabilities") == settings("CapabilityBoundingSet") == ["CAP_NET_RAW"]
    assert settings("NotifyAccess") == ["main"]
    assert settings("MemoryMax") == ["512M"]


def allowed() -> set[str]:
    """Return the calls that the lines SystemCallFilter= leave, in their order."""
    calls: set[str] = set()
    for line in settings("SystemCallFilter"):
        names = expanded(line.removeprefix("~").split())
        calls = calls - names if line.startswith("~") else calls | names
    return calls


def expanded(words: list[str]) -> set[str]:
    names: set[str] = set()
    for word in words:
        if not word.startswith("@"):
            names.add(word)
            continue
        text = subprocess.run(
            ["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True
        ).stdout
        lines = [line.strip() for line in text.splitlines()[1:]]
        names |= expanded([line for line in lines if line and not line.startswith("#")])
    return names


@ROOT
@pytest.mark.skipif(not HEADER.exists(), reason="needs the headers of the kernel")
@pytest.mark.parametrize("profile", ["worker", "output"])
def test_the_sandbox_is_whole_within_the_filter_of_the_unit(profile: str) -> None:
    """As systemd starts it: an account of its own with an ambient CAP_NET_RAW, no new privileges, no new code."""
    numbers = {m[1]: m[2] for m in re.finditer(r"#define __NR_(\w+) (\d+)", HEADER.read_text())}
    code = """
        import ctypes, os, sys
        from netwatch.runtime.guard import apply, kernel, preload, seccomp
        from netwatch.runtime.guard.bpf import Rule, assemble
        from netwatch.runtime.guard.syscalls import machine
        from netwatch.sources.live import LiveSource, open_live
        from support.inside import show
        preload()  # the account of the test may not be able to read this Python
        kernel.prctl(8, 1)  # PR_SET_KEEPCAPS
        os.setgroups([65534])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        raw = 1 << 13
        ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(raw, raw, raw, 0, 0, 0))
        kernel.prctl(47, 2, 13)
        kernel.prctl(38, 1)
        kernel.prctl(65, 1)
        calls = [Rule(int(number)) for number in sys.argv[2].split(",")]
        seccomp.install(assemble(machine().audit, 1 << 20, calls))
        opened = open_live(["lo"])
        opened.move(900)
        if sys.argv[1] == "output":
            opened.close()
        state = apply(sys.argv[1], mode="strict")
        if sys.argv[1] == "worker":
            LiveSource(opened).poll(1)
        show(state)
    """
    listed = ",".join(sorted(numbers[name] for name in allowed() if name in numbers))
    held, missing, _, _ = sandboxed(code, profile, listed)
    assert missing == []
    assert {"landlock", "seccomp", "capabilities", "no new privileges", "no new code"} <= set(held)
