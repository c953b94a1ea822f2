"""Whom a process becomes: never root, whatever the environment says."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sandboxed import LINUX, ROOT, sandboxed

from netwatch.runtime.guard import kernel
from netwatch.runtime.guard.privileges import unprivileged

pytestmark = LINUX


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("getuid", "geteuid", "getgid", "getegid"):
        monkeypatch.setattr(os, name, lambda: 0)


@pytest.mark.usefixtures("root")
def test_whoever_called_sudo_comes_first() -> None:
    assert unprivileged({"SUDO_UID": "1000", "SUDO_GID": "100"})[:2] == (1000, 100)
    assert unprivileged({"SUDO_UID": "1000"})[:2] == (1000, 65_534)
    assert unprivileged({"SUDO_UID": "1000", "SUDO_GID": "0"})[:2] == (1000, 65_534)


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("text", ["0", "", "-1", "00", "1000x", "\u0661", "4294967296", " 5"])
def test_a_sudo_of_root_or_of_nobody_known_is_none(text: str) -> None:
    found = unprivileged({"SUDO_UID": text, "SUDO_GID": "5"})
    assert found.why == "nobody"
    assert found.uid != 0
    assert found.gid != 0


@given(st.text(max_size=12), st.text(max_size=12))
def test_it_is_never_root(uid: str, gid: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("getuid", "geteuid"):
            patch.setattr(os, name, lambda: 0)
        found = unprivileged({"SUDO_UID": uid, "SUDO_GID": gid})
    assert found.uid > 0
    assert found.gid > 0


def test_an_ordinary_user_stays_itself_whatever_sudo_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in (("getuid", 1000), ("geteuid", 1000), ("getgid", 100), ("getegid", 100)):
        monkeypatch.setattr(os, name, lambda number=number: number)
    assert unprivileged({"SUDO_UID": "5", "SUDO_GID": "5"}) == (1000, 100, "own user")


def test_the_user_behind_a_setuid_program_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in (("getuid", 1000), ("geteuid", 0), ("getgid", 100), ("getegid", 0)):
        monkeypatch.setattr(os, name, lambda number=number: number)
    assert unprivileged({}) == (1000, 100, "own user")


def test_a_status_without_a_line_is_no_status(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("Uid:\t1 1 1 1\nGid:\t1 1 1 1\nGroups:\t\n")
    file = os.open(tmp_path / "status", os.O_RDONLY)
    with pytest.raises(ValueError, match="has no line"):
        kernel.read_status(file)
    os.close(file)


@ROOT
def test_a_hook_becomes_an_ordinary_process_that_may_start_others() -> None:
    code = """
        import json, os, subprocess, sys
        from netwatch.runtime.guard.privileges import become, unprivileged
        missing = become(unprivileged())
        assert os.getresuid() == (65534,) * 3 and os.getgroups() == []
        shown = subprocess.run(["/bin/cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
        caps = [line.split()[1] for line in shown.splitlines() if line.startswith("Cap")]
        print(json.dumps([missing, [int(one, 16) for one in caps]]))
    """
    missing, capabilities = sandboxed(code)
    assert missing == []
    assert capabilities == [0] * 5
