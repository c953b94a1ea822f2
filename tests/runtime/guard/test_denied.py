"""What a process in the sandbox cannot do (S2): each action is tried within it, and the capture goes on."""

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.forbidden import ANYWHERE, NUMBERS
from support.netns import needs_root, network, send, veth
from support.sandboxed import LINUX, begun, sandboxed

pytestmark = [LINUX, pytest.mark.skipif(not NUMBERS, reason="no numbers of system calls for this architecture")]

DENIED = {"EPERM", "EACCES"}
OLDER = {"clone3", "a call newer than the list", "a call of x32"}  # the C library is told to take an older call
FRAMES = [b"\xff" * 6 + b"\x02" * 6 + b"\x88\xb5" + number.to_bytes(4, "big") + bytes(46) for number in range(100)]
WAYS = (
    "send", "sendto", "sendmsg", "sendmmsg", "write", "write by a number of 64 bits", "writev", "pwritev2", "sendfile",
    "splice", "dup", "dup2", "fcntl F_DUPFD", "fcntl F_SETOWN", "a ring to send from", "another filter",
    "/proc/self/fd",
)  # fmt: skip
INSIDE = """
    import json, sys
    from netwatch.runtime.guard import apply
    from support.forbidden import ANYWHERE, outcomes
    from support.inside import become_nobody
    if sys.argv[2] == "unprivileged":
        become_nobody()
    apply(sys.argv[1], mode="strict")
    print(json.dumps(outcomes(ANYWHERE)))
"""
CAPTURE = """
    import json, os, sys
    import numpy
    from netwatch.runtime.guard import apply
    from netwatch.sources.live import LiveSource, open_live
    from support.forbidden import outcomes, through_a_capture
    opened = open_live(["guarded"])
    opened.move(900)
    file = os.open(__file__ if "__file__" in globals() else sys.executable, os.O_RDONLY)
    pipe, end = os.pipe()
    os.write(end, b"x" * 64)
    apply("worker", mode="strict")
    source = LiveSource(opened)
    found = {
        name: result
        for number in opened.fds
        for name, result in outcomes(through_a_capture(number, pipe if number == 900 else file)).items()
        if result != "EPERM" or number == 900
    }
    print("ready", flush=True)
    seen = 0
    while seen < 100 and (batch := source.poll(3000)) is not None:
        seen += len(batch.time)
    print(json.dumps([found, seen, opened.fds, source.counts().received]))
"""


@pytest.fixture(scope="module")
def tried() -> dict[tuple[str, str], dict[str, str]]:
    """What came of every action, of each profile and start."""
    starts = ["root", "unprivileged"] if os.geteuid() == 0 else ["unprivileged"]
    return {(profile, start): sandboxed(INSIDE, profile, start) for profile in ("worker", "output") for start in starts}


@pytest.mark.parametrize("action", list(ANYWHERE))
def test_s2_what_nobody_in_the_sandbox_may_do(action: str, tried: dict[tuple[str, str], dict[str, str]]) -> None:
    for results in tried.values():
        assert results[action] in ({"ENOSYS"} if action in OLDER else DENIED)


@pytest.fixture(scope="module")
def captured() -> Iterator[tuple[dict[str, str], int, list[int], int]]:
    """Say what came of every way to send, how many frames were captured afterwards, and how many were sent."""
    with network():
        veth("guarded", "sender")
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as listener:
            listener.bind(("sender", 3))
            listener.setblocking(False)
            process = begun(CAPTURE)
            assert process.stdout is not None
            with process:
                assert process.stdout.readline() == "ready\n", process.communicate()[1]
                injected = 0
                while True:
                    try:
                        injected += listener.recvfrom(2048)[1][2] != socket.PACKET_OUTGOING
                    except BlockingIOError:
                        break
                send("sender", FRAMES)
                said, problems = process.communicate()
            assert not problems, problems
            found, seen, numbers, _ = json.loads(said.splitlines()[-1])
            yield found, seen, numbers, injected


@needs_root
@pytest.mark.parametrize("way", WAYS)
def test_s2_no_frame_goes_out_through_a_capture_socket(
    way: str, captured: tuple[dict[str, str], int, list[int], int]
) -> None:
    assert captured[0][way] in DENIED


@needs_root
def test_s2_afterwards_every_frame_is_captured_and_none_was_sent(
    captured: tuple[dict[str, str], int, list[int], int],
) -> None:
    found, seen, numbers, injected = captured
    assert set(found) == set(WAYS)
    assert min(numbers) >= 900
    assert len(numbers) == 9
    assert (seen, injected) == (100, 0)


@needs_root
def test_c2_a_socket_can_be_bound_anew_without_any_privilege() -> None:
    """An interface that went and came back is captured again, by the socket that was opened before."""
    code = """
        import json, sys
        import numpy
        from netwatch.runtime.guard import apply
        from netwatch.sources.live import LiveSource, open_live
        opened = open_live(["guarded"])
        opened.move(900)
        apply("worker", mode="strict")
        source = LiveSource(opened)
        print("ready", flush=True)
        events = []
        while not any("back" in event for event in events):
            source.poll(100)
            events += source.events()
        print("back", flush=True)
        seen = 0
        while seen < 100 and (batch := source.poll(3000)) is not None:
            seen += len(batch.time)
        print(json.dumps([seen, source.add("second"), source.events()]))
    """
    from support.netns import ip

    with network():
        veth("guarded", "sender")
        process = begun(code)
        assert process.stdout is not None
        with process:
            assert process.stdout.readline() == "ready\n", process.communicate()[1]
            ip("link del guarded")
            veth("guarded", "sender")
            veth("second", "other")
            assert process.stdout.readline() == "back\n", process.communicate()[1]
            send("sender", FRAMES)
            seen, added, events = json.loads(process.communicate()[0].splitlines()[-1])
    assert seen == 100
    assert added, events


@pytest.fixture
def folders() -> Iterator[tuple[Path, Path]]:
    """Two folders that anybody may write to as far as their modes say; the sandbox opens the first one."""
    base = Path(tempfile.mkdtemp())
    base.chmod(0o755)
    pair = base / "out", base / "other"
    for folder in pair:
        folder.mkdir()
        folder.chmod(0o777)
        (folder / "there").write_text("x" * 10)
        (folder / "there").chmod(0o666)
    yield pair
    shutil.rmtree(base)


def test_s2_files_are_written_in_the_folder_of_outputs_and_nowhere_else(folders: tuple[Path, Path]) -> None:
    code = """
        import json, os, sys
        from pathlib import Path
        from netwatch.runtime.guard import apply
        from support.forbidden import opened, outcomes
        out, other = map(Path, sys.argv[1:3])
        apply("output", write=[out], mode="strict")
        (out / "new").write_text("text")
        (out / "there").write_text("other text")
        with open(out / "new", "r+") as file:
            file.truncate(2)
            file.flush()
            os.fsync(file.fileno())
        os.rename(out / "new", out / "named")
        assert (out / "named").read_text() == "te"
        assert sorted(os.listdir(out)) == ["named", "there"]
        os.unlink(out / "there")
        os.close(os.open(os.devnull, os.O_RDWR))
        found = outcomes({
            "read": opened(other / "there"),
            "write": opened(other / "there", os.O_WRONLY),
            "cut": opened(other / "there", os.O_RDONLY | os.O_TRUNC),
            "truncate": lambda: os.truncate(other / "there", 0),
            "make": opened(other / "new", os.O_WRONLY | os.O_CREAT),
            "list": lambda: os.listdir(other),
            "remove": lambda: os.unlink(other / "there"),
            "move out": lambda: os.rename(out / "named", other / "named"),
            "move in": lambda: os.rename(other / "there", out / "there"),
            "link": lambda: os.link(out / "named", out / "linked"),
            "symbolic link": lambda: os.symlink("/etc/passwd", out / "passwd"),
            "folder": lambda: os.mkdir(out / "folder"),
            "fifo": lambda: os.mkfifo(out / "fifo"),
            "executable": lambda: os.chmod(out / "named", 0o4755),
            "by a way around": opened(out / ".." / "other" / "there"),
        })
        print(json.dumps(found))
    """
    out, other = folders
    found = sandboxed(code, str(out), str(other))
    assert {name: result for name, result in found.items() if result not in DENIED | {"EXDEV"}} == {}
    assert sorted(path.name for path in out.iterdir()) == ["named"]
    assert (other / "there").read_text() == "x" * 10


def test_s2_what_may_be_read_cannot_be_written(folders: tuple[Path, Path]) -> None:
    code = """
        import json, os, sys
        from pathlib import Path
        from netwatch.runtime.guard import apply
        from support.forbidden import opened, outcomes
        out, other = map(Path, sys.argv[1:3])
        apply("output", read=[out, other / "there", "/does/not/exist"], mode="strict")
        assert (out / "there").read_text() == (other / "there").read_text()
        print(json.dumps(outcomes({
            "write": opened(out / "there", os.O_WRONLY),
            "write a file": opened(other / "there", os.O_WRONLY),
            "make": opened(out / "new", os.O_WRONLY | os.O_CREAT),
            "beside": lambda: os.listdir(other),
        })))
    """
    found = sandboxed(code, *(str(folder) for folder in folders))
    assert {name: result for name, result in found.items() if result not in DENIED} == {}
