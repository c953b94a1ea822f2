"""What `doctor` says of this machine: every finding that is not ok names the next step."""

import ctypes
import os
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from support.netns import ip, needs_root, network, veth
from support.sandboxed import LINUX, ROOT, sandboxed

from netwatch.runtime import host
from netwatch.runtime.finding import Finding
from netwatch.runtime.guard import kernel, landlock, syscalls

DAY = date(2026, 11, 25)
MIB = 1 << 20


def only(check: Callable[[date], Iterator[Finding]], day: date = DAY) -> Finding:
    (found,) = check(day)
    return found


def unprivileged(monkeypatch: pytest.MonkeyPatch, *, may: bool = False, user: int = 1000) -> None:
    monkeypatch.setattr(host, "_may_capture", lambda: may)
    monkeypatch.setattr(host, "default_interface", lambda: "wlan0")
    monkeypatch.setattr(host, "_has_capabilities", lambda _: False)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "getuid", lambda: user)
    monkeypatch.setattr(os, "getgid", lambda: user)


@LINUX
@pytest.mark.parametrize("dumpcap", ["missing", "plain", "capable"])
def test_who_may_not_capture_is_told_the_command_without_privilege_first(
    monkeypatch: pytest.MonkeyPatch, *, dumpcap: str
) -> None:
    """dumpcap is named where its file has the right to capture: without it, it could no more than this user."""
    unprivileged(monkeypatch)
    monkeypatch.setattr(host.shutil, "which", lambda name: None if dumpcap == "missing" else name)
    monkeypatch.setattr(host, "_has_capabilities", lambda path: path == "dumpcap" and dumpcap == "capable")
    found = only(host.permissions)
    assert found.state == "no"
    first, raised, last, never = found.step.split("; or ")[:2] + found.step.split("; or ")[2].split("; ")
    assert first == (
        "dumpcap -q -i wlan0 -w - | netwatch replay -"
        if dumpcap == "capable"
        else "sudo tcpdump -i wlan0 -U -s 2048 -w - | netwatch replay -"
    )
    assert raised.startswith("sudo setpriv --reuid 1000 --regid 1000 --init-groups")
    assert (last, never) == ("sudo netwatch watch -i wlan0", "never setcap on Python")


@LINUX
def test_who_may_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    unprivileged(monkeypatch, may=True)
    assert only(host.permissions)[1:3] == ("ok", "this user may capture (CAP_NET_RAW)")
    unprivileged(monkeypatch, may=True, user=0)
    assert "root" in only(host.permissions).text
    unprivileged(monkeypatch, may=False, user=0)
    found = only(host.permissions)
    assert (found.state, "--cap-add NET_RAW" in found.step) == ("no", True)


@LINUX
def test_a_python_with_capabilities_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    unprivileged(monkeypatch, may=True)
    monkeypatch.setattr(host, "_has_capabilities", lambda _: True)
    bad, good = host.permissions(DAY)
    assert (bad.state, good.state) == ("bad", "ok")
    assert bad.step == f"sudo setcap -r {os.path.realpath(sys.executable)}"


@ROOT
@LINUX
def test_a_user_without_privilege_is_seen_as_one() -> None:
    code = """
        import json
        from datetime import date
        from netwatch.runtime import host
        from support.inside import become_nobody
        list(host.permissions(date.today()))  # loads what it needs, where only root reads Python
        become_nobody()
        print(json.dumps([one for check in (host.permissions, host.sandbox) for one in check(date.today())]))
    """
    permissions, kernel_of, *_ = sandboxed(code)
    assert permissions[1] == "no"
    assert "the ring is tried when it captures" in kernel_of[2]


@needs_root
def test_the_interface_is_the_default_routes() -> None:
    with network():
        assert only(host.interface)[1:] == (
            "no", "no default route, so none is taken by itself", "netwatch interfaces, then netwatch watch -i NAME",
        )  # fmt: skip
        veth("nv0", "nv1")
        ip("addr add 192.0.2.5/24 dev nv0", "route add default via 192.0.2.1")
        assert only(host.interface)[1:3] == ("ok", "nv0, the default route's: virtual, up, 192.0.2.5/24")


def test_an_interface_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    class Down:
        name, up, kind, addresses = "wlan0", False, "physical", ()

    unprivileged(monkeypatch)
    monkeypatch.setattr(host, "list_interfaces", lambda: [Down])
    assert only(host.interface)[1:] == ("no", "wlan0, the default route's, is down", "sudo ip link set wlan0 up")


@LINUX
def test_s4_what_the_kernel_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(38, "Function not implemented")

    assert {one.state for one in host.sandbox(DAY)} <= {"ok", "no"}
    monkeypatch.setattr(landlock, "abi", refuse)
    monkeypatch.setattr(kernel, "prctl", refuse)
    _, files, calls = host.sandbox(DAY)
    assert (files.state, calls.state) == ("no", "no")
    assert "no landlock (function not implemented)" in files.text
    assert "no seccomp (function not implemented)" in calls.text
    monkeypatch.setattr(syscalls, "machine", lambda: None)
    assert "no table of system calls" in list(host.sandbox(DAY))[2].text


@LINUX
def test_a_kernel_without_the_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(97, "Address family not supported")

    unprivileged(monkeypatch, may=True)
    monkeypatch.setattr(socket, "socket", refuse)
    assert "no ring of AF_PACKET (address family not supported): --source scapy" in next(host.sandbox(DAY)).text


@pytest.mark.parametrize("day", [date(1970, 1, 1), date(2106, 2, 7)])
def test_c6_a_clock_that_cannot_be_right_is_bad(day: date) -> None:
    found = only(host.clock, day)
    assert found.state == "bad"
    assert str(day) in found.text


@pytest.mark.parametrize(("told", "state"), [(True, "ok"), (False, "no"), (None, "ok")])
def test_whether_the_clock_is_synchronised(monkeypatch: pytest.MonkeyPatch, told: bool | None, state: str) -> None:
    monkeypatch.setattr(host, "_synchronised", lambda: told)
    assert only(host.clock).state == state


@LINUX
@pytest.mark.parametrize(("user", "sudo"), [(1000, "sudo "), (0, "")])
def test_c6_the_clock_is_set_by_what_is_there(monkeypatch: pytest.MonkeyPatch, user: int, sudo: str) -> None:
    unprivileged(monkeypatch, user=user)
    monkeypatch.setattr(host, "_synchronised", lambda: False)
    monkeypatch.setattr(host.shutil, "which", lambda name: name)
    assert only(host.clock).step == f"{sudo}timedatectl set-ntp true"
    monkeypatch.setattr(host.shutil, "which", lambda _: None)
    assert only(host.clock).step.startswith(f"{sudo}date -u -s ")


@LINUX
def test_the_kernel_says_whether_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Libc:
        state, status = 0, 0

        def adjtimex(self, buffer: Any) -> int:
            assert int.from_bytes(buffer.raw[:4], "little") == 0  # nothing is set
            buffer[40:44] = self.status.to_bytes(4, "little")
            return self.state

    assert host._synchronised() in {True, False, None}
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Libc())
    for state, status, said in ((0, 0x2001, True), (5, 0, False), (0, 0x40, False), (-1, 0, None)):
        Libc.state, Libc.status = state, status
        assert host._synchronised() is said


def test_the_least_limit_of_memory_counts(tmp_path: Path) -> None:
    own, mount = tmp_path / "cgroup", tmp_path / "fs"
    assert host.memory_limit(own, mount) is None
    own.write_text("0::/a/b\n4:memory:/c\n1:cpu,x:/d\nodd\n")
    for path, text in (
        ("a/b/memory.max", "max"), ("a/memory.max", str(300 * MIB)), ("memory.max", str(500 * MIB)),
        ("memory/c/memory.limit_in_bytes", "9223372036854771712"),
    ):  # fmt: skip
        (mount / path).parent.mkdir(parents=True, exist_ok=True)
        (mount / path).write_text(text + "\n")
    assert host.memory_limit(own, mount) == 300 * MIB
    (mount / "memory" / "memory.limit_in_bytes").write_text(str(200 * MIB))
    assert host.memory_limit(own, mount) == 200 * MIB


@pytest.mark.parametrize(("limit", "state"), [(None, "ok"), (512 * MIB, "ok"), (128 * MIB, "no")])
def test_a_limit_below_full_tables_names_smaller_ones(
    monkeypatch: pytest.MonkeyPatch, limit: int | None, state: str
) -> None:
    monkeypatch.setattr(host, "memory_limit", lambda: limit)
    found = only(host.memory)
    assert found.state == state
    assert ("--max-flows" in found.step) == (state == "no")
