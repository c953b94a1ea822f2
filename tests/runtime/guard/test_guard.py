"""What holds once a process has stepped into the sandbox (S1, S3, S4, F8), seen from outside and from within."""

import json
from pathlib import Path

import pytest
from support.sandboxed import LINUX, ROOT, begun, sandboxed

from netwatch.runtime.guard import apply

pytestmark = LINUX

SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
PARTS = {
    "landlock", "seccomp", "no new code", "user", "group", "groups", "capabilities", "bounding set", "securebits",
    "no new privileges", "not dumpable", "no core files", "one thread",
}  # fmt: skip


def status(folder: Path) -> dict[str, str]:
    return dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())


@ROOT
@pytest.mark.parametrize("profile", ["worker", "output"])
def test_s1_every_task_of_every_process_has_given_up_everything(profile: str) -> None:
    """Threads that are made afterwards count, too."""
    code = """
        import json, os, sys, threading
        from netwatch.runtime.guard import apply
        leave, leaving = os.pipe()
        told, tell = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(leaving)
        apply(sys.argv[1], mode="strict")
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        if pid:
            os.read(told, 1)
            print(json.dumps([os.getpid(), pid]), flush=True)
            os.read(0, 1)
        else:
            os.write(tell, b".")
            os.read(leave, 1)
        os._exit(0)
    """
    process = begun(code, profile)
    assert process.stdout is not None
    with process:
        for pid in json.loads(process.stdout.readline()):
            home = Path(f"/proc/{pid}")
            tasks = list((home / "task").iterdir())
            assert len(tasks) == 2
            for task in tasks:
                seen = status(task)
                assert set(seen["Uid"].split()) == {"65534"}
                assert set(seen["Gid"].split()) == {"65534"}
                assert seen["Groups"].split() == []
                assert [int(seen[name], 16) for name in SETS] == [0] * 5
                assert seen["NoNewPrivs"].strip() == "1"
                assert seen["Seccomp"].strip() == "2"
            limits = [line.split() for line in (home / "limits").read_text().splitlines()]
            assert ["Max", "core", "file", "size", "0", "0", "bytes"] in limits
            assert (home / "environ").stat().st_uid == 0  # so it is where a process is not dumpable
        process.communicate("\n")


@ROOT
def test_s1_whoever_called_sudo_is_the_one_to_become() -> None:
    code = """
        import os
        from netwatch.runtime.guard import apply
        from support.inside import show
        state = apply("worker", mode="strict")
        assert (os.getresuid(), os.getresgid(), os.getgroups()) == ((12345,) * 3, (23456,) * 3, [])
        show(state)
    """
    held, missing, _, user = sandboxed(code, environment={"SUDO_UID": "12345", "SUDO_GID": "23456"})
    assert set(held) >= PARTS
    assert missing == []
    assert user == [12345, 23456, "who called sudo"]


@pytest.mark.parametrize("profile", ["worker", "output"])
def test_f8_without_any_privilege_the_same_sandbox_holds(profile: str) -> None:
    """What only root could give up besides is told, and no reason to refuse."""
    code = """
        import sys
        from netwatch.runtime.guard import apply
        from support.inside import become_nobody, show
        become_nobody()
        show(apply(sys.argv[1], mode="strict"))
    """
    held, missing, notes, _ = sandboxed(code, profile)
    assert set(held) >= PARTS - {"groups", "bounding set", "securebits"}
    assert missing == []
    assert any("bounding set" in note for note in notes)


@ROOT
def test_f8_an_ambient_capability_is_given_up() -> None:
    code = """
        import ctypes, json, os, socket
        from netwatch.runtime.guard import apply
        libc = ctypes.CDLL(None)
        libc.prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
        os.setgroups([27])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        raw = 1 << 13
        libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(raw, raw, raw, 0, 0, 0))
        assert libc.prctl(47, 2, 13, 0, 0) == 0  # PR_CAP_AMBIENT_RAISE
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
        with open("/proc/self/status") as status:
            state = apply("worker", mode="strict")
            status.seek(0)
            caps = [line.split()[1] for line in status if line.startswith(("CapInh", "CapPrm", "CapEff", "CapAmb"))]
        print(json.dumps([state.held, state.notes, [int(one, 16) for one in caps]]))
    """
    held, notes, capabilities = sandboxed(code)
    assert "capabilities" in held
    assert capabilities == [0, 0, 0, 0]
    assert any("groups 27 of the user stay" in note for note in notes)


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_s3_a_second_thread_is_refused(mode: str) -> None:
    """It would keep every right that the first one gives up."""
    code = """
        import json, os, sys, threading
        from netwatch.model.errors import GuardError
        from netwatch.runtime.guard import apply
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        try:
            apply("worker", mode=sys.argv[1])
        except GuardError as error:
            print(json.dumps([str(error), error.exit_code, open("/proc/self/status").read()]))
    """
    text, exit_code, seen = sandboxed(code, mode)
    assert "2 threads run" in text
    assert exit_code == 5
    assert "NoNewPrivs:\t0" in seen


@pytest.mark.parametrize("failing", ["landlock", "seccomp", "both"])
@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_s4_an_older_kernel_degrades_or_is_refused(failing: str, mode: str) -> None:
    """The older kernel: an outer filter that answers ENOSYS, or EINVAL as prctl does."""
    code = """
        import errno, json, sys
        from netwatch.model.errors import GuardError
        from netwatch.runtime.guard import apply, kernel, seccomp
        from netwatch.runtime.guard.bpf import ALLOW, ERRNO, UNKNOWN, Check, Rule, INSTRUCTION, assemble
        from netwatch.runtime.guard.syscalls import LAST, NUMBERS, machine
        failing, mode = sys.argv[1:]
        here = machine()
        calls = []
        if failing in ("landlock", "both"):
            calls += [Rule(number, answer=UNKNOWN) for number in (444, 445, 446)]
        program = bytearray(assemble(here.audit, 1 << 20, calls))
        program[-INSTRUCTION.size:] = INSTRUCTION.pack(6, 0, 0, ALLOW)
        if failing in ("seccomp", "both"):  # prctl(PR_SET_SECCOMP) is unknown
            prctl = NUMBERS["prctl"][here.column]
            tail = [(0x20, 0, 0, 0), (0x15, 0, 3, prctl), (0x20, 0, 0, 16), (0x15, 0, 1, 22),
                    (6, 0, 0, ERRNO | errno.EINVAL), (6, 0, 0, ALLOW)]
            program[-INSTRUCTION.size:] = b"".join(INSTRUCTION.pack(*step) for step in tail)
        kernel.prctl(38, 1)
        seccomp.install(bytes(program))
        try:
            state = apply("worker", mode=mode)
            print(json.dumps([state.missing, 0]))
        except GuardError as error:
            print(json.dumps([str(error).split("; "), error.exit_code]))
    """
    missing, exit_code = sandboxed(code, failing, mode)
    wanted = {"landlock", "seccomp"} if failing == "both" else {failing}
    assert {word for word in ("landlock", "seccomp") if any(f"{word}: " in one for one in missing)} == wanted
    assert exit_code == (5 if mode == "strict" else 0)


def test_s4_an_old_landlock_is_enough_since_seccomp_denies_the_same() -> None:
    code = """
        import json
        from netwatch.runtime.guard import apply, kernel, landlock
        real = kernel.system_call
        def old(number, *values):
            version = number == landlock.CREATE_RULESET and values[2] == landlock.VERSION
            return 1 if version else real(number, *values)
        kernel.system_call = old
        state = apply("output", mode="strict")
        print(json.dumps([state.missing, state.notes]))
    """
    missing, notes = sandboxed(code)
    assert missing == []
    assert sum("landlock 1 has no" in note and "seccomp denies it" in note for note in notes) == 3


def test_a_process_that_cannot_be_verified_is_refused() -> None:
    code = """
        import json
        from netwatch.model.errors import GuardError
        from netwatch.runtime.guard import apply, kernel
        kernel.SELF = "/nowhere"
        try:
            apply("output")
        except GuardError as error:
            print(json.dumps(str(error)))
    """
    assert "/proc is not mounted" in sandboxed(code)


def test_n1_stepping_in_makes_no_socket_that_could_leave_the_machine() -> None:
    """Not even one that is refused, and no account is looked up, which may ask a server."""
    code = """
        import json, sys
        from netwatch.runtime.guard import apply
        events = []
        sys.addaudithook(lambda event, values: events.append([event, *map(str, values[1:2])]))
        apply("output", mode="strict")
        print(json.dumps([event for event in events if event[0].startswith(("socket.", "import"))]))
    """
    events = sandboxed(code)
    assert {event[0] for event in events} == {"socket.__new__"}
    assert {event[1] for event in events} == {"1"}  # AF_UNIX


def test_off_does_nothing_and_says_so() -> None:
    state = apply("worker", mode="off")
    assert state.missing == ("all of it: --sandbox off",)
    assert state.held == ()
    assert "NoNewPrivs:\t1" not in Path("/proc/self/status").read_text()


@ROOT
def test_descriptors_that_a_profile_should_not_have_are_told() -> None:
    code = """
        import json, os, pty, socket, sys
        from netwatch.runtime.guard import apply
        main, side = pty.openpty()
        low = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        if sys.argv[1] == "worker":
            kept = open(os.memfd_create("kept"), "wb")
        state = apply(sys.argv[1])
        print(json.dumps([low.fileno(), state.missing, state.notes]))
    """
    low, missing, notes = sandboxed(code, "worker")
    assert f"no sending: capture sockets [{low}] stand below 900" in missing
    assert any(one.startswith("no terminal: ") for one in missing)
    assert any("left open for writing" in note for note in notes)
    low, missing, _ = sandboxed(code, "output")
    assert missing == [f"no capture socket: descriptors [{low}]"]
