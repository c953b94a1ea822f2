"""Programs by inode, in a /proc of our own."""

import os
import socket
import sys
from pathlib import Path

import pytest

from netwatch.runtime.processes.linux import LinuxSockets
from netwatch.runtime.processes.sockets import TCP, Socket

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")


def wanted(*inodes: int) -> list[Socket]:
    return [Socket(TCP, 1, 2, 3, 4, inode, True) for inode in inodes]


def process(proc: Path, pid: int, comm: bytes, exe: str, *inodes: int) -> None:
    """Make a process with sockets."""
    (proc / str(pid) / "fd").mkdir(parents=True)
    (proc / str(pid) / "comm").write_bytes(comm + b"\n")
    (proc / str(pid) / "exe").symlink_to(exe)
    (proc / str(pid) / "fd" / "0").symlink_to("/dev/null")
    for number, inode in enumerate(inodes, 3):
        (proc / str(pid) / "fd" / str(number)).symlink_to(f"socket:[{inode}]")


def test_programs_are_found_by_inode(tmp_path: Path) -> None:
    process(tmp_path, 7, b"firefox", "/usr/lib/firefox/firefox", 11, 12)
    process(tmp_path, 90, b"curl", "/usr/bin/curl", 13)
    (tmp_path / "net").mkdir()
    found = LinuxSockets(str(tmp_path)).programs(wanted(12, 13, 14))
    assert {one.token: name for one, name in found.items()} == {12: "firefox", 13: "curl"}


@pytest.mark.parametrize(
    ("comm", "exe", "name"),
    [
        (b"wget", "/bin/busybox", "wget (busybox)"),
        (b"python3", "/usr/bin/python3.11", "python3.11"),
        (b"a-very-long-nam", "/opt/a-very-long-name-indeed", "a-very-long-name-indeed"),
        (b"sshd", "/usr/sbin/sshd (deleted)", "sshd"),
        (b"ssh", "/usr/sbin/sshd", "ssh (sshd)"),
        (b"firefox", "/srv/x/evil", "firefox (evil)"),
        (b"", "/usr/bin/odd", "odd"),
        (b"\x1b[2J\xff", "/usr/bin/odd", "\x1b[2J\\xff (odd)"),
    ],
)
def test_a_program_that_calls_itself_otherwise_shows_the_file_that_runs(
    tmp_path: Path, comm: bytes, exe: str, name: str
) -> None:
    process(tmp_path, 7, comm, exe, 11)
    assert list(LinuxSockets(str(tmp_path)).programs(wanted(11)).values()) == [name]


def test_who_had_sockets_before_is_looked_at_first_and_the_walk_ends_when_all_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pid in range(1, 6):
        process(tmp_path, pid, b"p%d" % pid, f"/bin/p{pid}", pid * 10, pid * 10 + 1)
    walker = LinuxSockets(str(tmp_path))
    walker.programs(wanted(40))
    listed: list[str] = []
    real = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: (listed.append(path), real(path))[1])
    assert list(walker.programs(wanted(41)).values()) == ["p4"]
    assert [path.removeprefix(str(tmp_path)) for path in listed] == ["", "/4/fd"]


def test_a_process_that_is_gone_is_none(tmp_path: Path) -> None:
    process(tmp_path, 7, b"gone", "/bin/gone", 11)
    (tmp_path / "7" / "comm").unlink()
    assert set(LinuxSockets(str(tmp_path)).programs(wanted(11)).values()) <= {""}
    assert LinuxSockets(str(tmp_path)).look() == []


@LINUX
def test_the_real_proc_knows_this_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port, inode = server.getsockname()[1], os.fstat(server.fileno()).st_ino
        walker = LinuxSockets()
        mine = [one for one in walker.look() if one.token == inode]
        assert [(one.transport, one.local, one.local_port, one.ours) for one in mine] == [(TCP, 0x7F000001, port, True)]
        (name,) = walker.programs(mine).values()
        assert Path("/proc/self/exe").readlink().name in name
        assert 0x7F000001 in walker.addresses()
