"""The lists of system calls: right numbers on both architectures, and the same answers on both."""

import platform
import re
import struct
from pathlib import Path

import pytest
from support.bpf import called, run

from netwatch.runtime.guard import syscalls
from netwatch.runtime.guard.bpf import ALLOW, DENY, UNKNOWN, assemble
from netwatch.runtime.guard.profiles import PROFILES, Profile, rules
from netwatch.runtime.guard.syscalls import LAST, MACHINES, NUMBERS, machine

PID = 4_321
X86 = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
GENERIC = Path("/usr/include/asm-generic/unistd.h")
# https://www.kernel.org: asm/unistd_64.h; include/uapi/asm-generic/unistd.h
KNOWN = {
    "read": (0, 63), "write": (1, 64), "openat": (257, 56), "mmap": (9, 222), "mprotect": (10, 226), "ioctl": (16, 29),
    "sendto": (44, 206), "bind": (49, 200), "clone": (56, 220), "kill": (62, 129), "fcntl": (72, 25), "dup": (32, 23),
    "setsockopt": (54, 208), "socketpair": (53, 199), "prctl": (157, 167), "futex": (202, 98), "clone3": (435, 435),
    "prlimit64": (302, 261), "writev": (20, 66), "tgkill": (234, 131), "exit_group": (231, 94),
}  # fmt: skip
# Never: what makes sockets, processes, keys, mounts, or reaches into another process.
NEVER = {
    "socket": (41, 198), "connect": (42, 203), "accept": (43, 202), "sendmsg": (46, 211), "listen": (50, 201),
    "execve": (59, 221), "ptrace": (101, 117), "setuid": (105, 146), "personality": (135, 92), "chroot": (161, 51),
    "mount": (165, 40), "init_module": (175, 105), "keyctl": (250, 219), "unshare": (272, 97), "splice": (275, 76),
    "perf_event_open": (298, 241), "sendmmsg": (307, 269), "setns": (308, 268), "process_vm_writev": (311, 271),
    "memfd_create": (319, 279), "bpf": (321, 280), "execveat": (322, 281), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "sendfile": (40, 71), "io_setup": (206, 0), "seccomp": (317, 277), "capset": (126, 91), "fchmodat": (268, 53),
    "mknodat": (259, 33), "linkat": (265, 37), "symlinkat": (266, 36), "mkdirat": (258, 34), "truncate": (76, 45),
    "pkey_mprotect": (329, 288), "shmat": (30, 196), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138),
}  # fmt: skip
BOTH = pytest.mark.parametrize("column", [0, 1], ids=["x86_64", "aarch64"])
CAPTURES = ("worker", "recorder")
EACH = pytest.mark.parametrize("profile", list(PROFILES))


def answer(profile: Profile, column: int, name: str, *arguments: int) -> int:
    """Return what the filter of a process with the number PID says."""
    program = assemble(list(MACHINES.values())[column].audit, LAST, rules(profile, column, PID))
    number = (NUMBERS | NEVER)[name][column]
    return run(program, called(number, arguments, arch=list(MACHINES.values())[column].audit))


def test_numbers_are_those_of_the_manuals() -> None:
    assert {name: NUMBERS[name] for name in KNOWN} == KNOWN


@pytest.mark.skipif(not (X86.exists() and GENERIC.exists()), reason="needs the headers of the kernel")
def test_every_number_is_that_of_the_headers() -> None:
    x86 = {m[1]: int(m[2]) for m in re.finditer(r"#define __NR_(\w+) (\d+)", X86.read_text())}
    generic = {m[1]: int(m[2]) for m in re.finditer(r"#define __NR(?:3264)?_(\w+) (\d+)", GENERIC.read_text())}
    generic["newfstatat"] = generic.pop("fstatat")
    assert {name: (x86.get(name, -1), generic.get(name, -1)) for name in NUMBERS | NEVER} == NUMBERS | NEVER


def test_numbers_are_told_apart() -> None:
    for column in (0, 1):
        numbers = [pair[column] for pair in NUMBERS.values() if pair[column] >= 0]
        assert len(numbers) == len(set(numbers))
        assert max(numbers) <= LAST


def test_the_machine_is_known_only_where_numbers_and_words_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert machine() == syscalls.Machine(0xC000_00B7, 1)
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert machine() is None
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(struct, "calcsize", lambda _: 4)  # 32 bits on a kernel of 64
    assert machine() is None


@BOTH
@EACH
@pytest.mark.parametrize("name", list(NEVER))
def test_s2_what_no_process_may_call(profile: Profile, column: int, name: str) -> None:
    assert answer(profile, column, name) == DENY


@BOTH
@EACH
def test_s2_a_capture_socket_is_read_and_bound_but_never_written(profile: Profile, column: int) -> None:
    for number in (900, 901, 1 << 31, 0xFFFF_FFFF, 1 << 32 | 900):
        for name in ("write", "writev", "sendto", "dup", "dup3"):
            assert answer(profile, column, name, number) == DENY
        assert answer(profile, column, "fcntl", number, 3) == DENY
        assert answer(profile, column, "read", number) == ALLOW
        assert answer(profile, column, "recvfrom", number) == ALLOW
        assert answer(profile, column, "bind", number) == (ALLOW if profile in CAPTURES else DENY)
        assert answer(profile, column, "setsockopt", number, 263, 5) == (ALLOW if profile in CAPTURES else DENY)
        assert answer(profile, column, "setsockopt", number, 263, 13) == DENY  # PACKET_TX_RING
        assert answer(profile, column, "setsockopt", number, 1, 26) == DENY
    for number in (0, 1, 899, 1 << 32 | 5):
        assert answer(profile, column, "write", number) == ALLOW
        assert answer(profile, column, "sendto", number, 0, 0, 0, 0) == ALLOW
        assert answer(profile, column, "sendto", number, 0, 0, 0, 1 << 32) == DENY
        assert answer(profile, column, "bind", number) == DENY
        assert answer(profile, column, "setsockopt", number, 263, 5) == DENY


@BOTH
@EACH
def test_s2_threads_yes_processes_no(profile: Profile, column: int) -> None:
    thread = 0x003D_0F00  # as the C library makes one
    assert answer(profile, column, "clone", thread) == ALLOW
    assert answer(profile, column, "clone", thread | 0x1000_0000) == DENY
    assert answer(profile, column, "clone", 17) == DENY
    assert answer(profile, column, "clone3") == UNKNOWN


@BOTH
@EACH
def test_s2_memory_signals_and_limits(profile: Profile, column: int) -> None:
    assert answer(profile, column, "mmap", 0, 4096, 3, 0x22) == ALLOW
    assert answer(profile, column, "mmap", 0, 4096, 5, 2) == DENY
    assert answer(profile, column, "mprotect", 0, 4096, 4) == DENY
    assert answer(profile, column, "kill", PID, 15) == ALLOW
    assert answer(profile, column, "tgkill", PID, PID + 1, 6) == ALLOW
    for other in (0, 1, PID + 1, (1 << 32) - 1, (1 << 64) - PID):
        assert answer(profile, column, "kill", other, 9) == DENY
        assert answer(profile, column, "tgkill", other, other, 9) == DENY
    assert answer(profile, column, "prlimit64", 0, 4, 0, 99) == ALLOW
    assert answer(profile, column, "prlimit64", 0, 4, 99, 0) == DENY
    assert answer(profile, column, "prlimit64", PID, 4, 0, 99) == DENY
    assert answer(profile, column, "prctl", 15) == ALLOW
    assert answer(profile, column, "prctl", 4, 1) == DENY


@BOTH
def test_s2_who_writes_packets_has_files_and_no_terminal(column: int) -> None:
    for name in ("openat", "renameat", "unlinkat", "fsync", "ftruncate"):
        assert answer("recorder", column, name) == ALLOW
    for name in ("wait4", "socketpair", "pipe2"):
        assert answer("recorder", column, name, 1) == DENY
    assert answer("recorder", column, "ioctl", 0, 0x8913) == ALLOW
    assert answer("recorder", column, "ioctl", 0, 0x5402) == DENY


@BOTH
def test_s2_only_outputs_have_files_and_a_terminal(column: int) -> None:
    for name in ("openat", "renameat", "unlinkat", "fsync", "ftruncate", "getdents64", "wait4"):
        assert answer("output", column, name) == ALLOW
        assert answer("worker", column, name) == DENY
    for request, worker, output in (
        (0x5413, DENY, ALLOW), (0x5402, DENY, ALLOW), (0x5421, ALLOW, ALLOW), (0x8913, ALLOW, DENY),
        (0x5412, DENY, DENY), (0x541C, DENY, DENY), (0x8914, DENY, DENY),
    ):  # fmt: skip
        assert answer("worker", column, "ioctl", 0, request) == worker
        assert answer("output", column, "ioctl", 0, request) == output
    assert answer("output", column, "socketpair", 1) == ALLOW
    assert answer("output", column, "socketpair", 2) == DENY
    assert answer("worker", column, "socketpair", 1) == DENY
