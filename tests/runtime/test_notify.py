"""What systemd is told, from within the sandbox too (sd_notify(3))."""

import os
import socket
from pathlib import Path

import pytest
from support.sandboxed import LINUX, sandboxed

from netwatch.runtime.notify import Notifier

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there is no AF_UNIX")


@pytest.fixture
def manager(tmp_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(tmp_path / "notify"))
        one.setblocking(False)
        yield one


def test_states_are_told_line_by_line(manager: socket.socket) -> None:
    environment = {"NOTIFY_SOCKET": manager.getsockname(), "HOME": "/"}
    notifier = Notifier(environment)
    assert environment == {"HOME": "/"}
    assert notifier.listening
    notifier.ready("eth0")
    notifier.watchdog()
    notifier.status("1\n2\x1b[31m" + "x" * 600)
    notifier.stopping()
    notifier.close()
    said = [manager.recv(4096).decode() for _ in range(4)]
    assert said[:2] == ["READY=1\nSTATUS=eth0", "WATCHDOG=1"]
    assert said[2].startswith("STATUS=1 2 [31mxxx")
    assert len(said[2]) == len("STATUS=") + 512
    assert said[3] == "STOPPING=1"


def test_where_nobody_listens_nothing_is_said(tmp_path: Path) -> None:
    for address in ("", "relative", str(tmp_path / "missing")):
        notifier = Notifier({"NOTIFY_SOCKET": address})
        assert not notifier.listening
        notifier.ready()
        notifier.close()


def test_a_manager_that_is_full_or_gone_stops_nothing(manager: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    for _ in range(2_000):
        notifier.watchdog()
    manager.close()
    notifier.watchdog()
    notifier.close()


@pytest.mark.parametrize(
    ("microseconds", "pid", "expected"),
    [("60000000", "", 30.0), ("2000000", "own", 1.0), ("2000000", "1", None), ("0", "", None), ("x", "", None)],
)
def test_the_watchdog_is_fed_at_half_of_its_time(microseconds: str, pid: str, expected: float | None) -> None:
    own = str(os.getpid()) if pid == "own" else pid
    notifier = Notifier({"WATCHDOG_USEC": microseconds, "WATCHDOG_PID": own})
    assert notifier.watchdog_s == expected


@LINUX
@pytest.mark.parametrize("abstract", [False, True])
def test_it_is_told_from_within_the_sandbox(abstract: bool, tmp_path: Path) -> None:
    """The socket is connected before; a new one, or another address, is not to be had."""
    address = f"@netwatch-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + address[1:] if abstract else address)
        manager.settimeout(10)
        code = """
            import json, sys
            from netwatch.runtime.guard import apply
            from netwatch.runtime.notify import Notifier
            notifier = Notifier({"NOTIFY_SOCKET": sys.argv[1]})
            apply("output", mode="strict")
            notifier.ready()
            notifier.watchdog()
            print(json.dumps(Notifier({}).listening))
        """
        assert sandboxed(code, address) is False
        assert [manager.recv(100), manager.recv(100)] == [b"READY=1", b"WATCHDOG=1"]
