"""Which system calls each kind of process may make. What is not here is denied.

Nothing here makes a socket that leads out of the process, runs a program, opens what another process has, or maps
memory that can be executed. A capture socket stands at CAPTURE_FD or above: it can be read and bound, and neither
written to nor given another number, so that no frame can be sent through it (RELIABILITY section 3).
"""

import socket
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from netwatch.runtime.guard.bpf import UNKNOWN, Check, Rule
from netwatch.runtime.guard.syscalls import NUMBERS

Profile: TypeAlias = Literal["worker", "output", "processes", "recorder"]

CAPTURE_FD: Final = 900
SOL_PACKET: Final = 263
PACKET_OPTIONS: Final = (1, 2, 5, 10, 23)  # ADD_ and DROP_MEMBERSHIP, RX_RING, VERSION, IGNORE_OUTGOING
PROT_EXEC: Final = 4
CLONE_THREAD: Final = 0x0001_0000
CLONE_NEW: Final = 0x7E02_0000 | 0x80  # every namespace
# GETFD to SETLKW without the owner of signals (F_SETOWN, F_SETSIG: they reach others), and locks of open files
DUPFD, DUPFD_CLOEXEC = 0, 1030
CONTROLS: Final = (DUPFD, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, DUPFD_CLOEXEC)
# DUMPABLE, NAME (set and get), SECCOMP, CAPBSET_READ, SECUREBITS, NO_NEW_PRIVS, MDWE: to look, and to name a thread
PRCTL: Final = (3, 15, 16, 21, 23, 27, 39, 66)
DESCRIPTORS: Final = (0x5421, 0x541B, 0x5450, 0x5451)  # FIONBIO, FIONREAD, FIONCLEX, FIOCLEX
# SIOCGIFNAME, -FLAGS, -HWADDR, -INDEX, SIOCETHTOOL, SIOCDEVPRIVATE: what they could change needs CAP_NET_ADMIN
INTERFACES: Final = (0x8910, 0x8913, 0x8927, 0x8933, 0x8946, 0x89F0)
# TCGETS, TCSETS, -W, -F and their newer four; TCSBRK, TCXONC, TCFLSH, TIOCGPGRP, TIOCGWINSZ. Never TIOCSTI.
TERMINAL: Final = (
    0x5401, 0x5402, 0x5403, 0x5404, 0x802C_542A, 0x402C_542B, 0x402C_542C, 0x402C_542D,
    0x5409, 0x540A, 0x540B, 0x540F, 0x5413,
)  # fmt: skip

_ORDINARY: Final = Check(0, "below", (CAPTURE_FD,))  # the descriptor is no capture socket
_CAPTURE: Final = Check(0, "at_least", (CAPTURE_FD,))

# The calls that are made most come first: an old kernel goes through the list for each of them.
_FREE: Final = [
    "read",
    "poll",
    "ppoll",
    "futex",
    "clock_gettime",
    "recvfrom",
    "recvmsg",
    "epoll_wait",
    "epoll_pwait",
    "munmap",
    "brk",
    "madvise",
    "close",
    "lseek",
    "readv",
    "pread64",
    "fstat",
    "newfstatat",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "select",
    "pselect6",
    "mremap",
    "membarrier",
    "getrandom",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigtimedwait",
    "rt_sigpending",
    "sigaltstack",
    "pause",
    "alarm",
    "setitimer",
    "getitimer",
    "clock_nanosleep",
    "clock_getres",
    "nanosleep",
    "gettimeofday",
    "time",
    "restart_syscall",
    "exit",
    "exit_group",
    "sched_yield",
    "sched_getaffinity",
    "getcpu",
    "set_robust_list",
    "set_tid_address",
    "rseq",
    "getpid",
    "gettid",
    "getppid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getresuid",
    "getresgid",
    "getgroups",
    "getpgrp",
    "getpgid",
    "getsid",
    "capget",
    "uname",
    "sysinfo",
    "getrusage",
    "times",
    "getrlimit",
    "getsockname",
    "getpeername",
    "getsockopt",
]

_CHECKED: Final[Mapping[str, tuple[Check, ...]]] = {
    "write": (_ORDINARY,),
    "writev": (_ORDINARY,),
    "sendto": (_ORDINARY, Check(4, "null")),  # to where it is connected, and nowhere else
    "mmap": (Check(2, "no_bits", (PROT_EXEC,)),),
    "mprotect": (Check(2, "no_bits", (PROT_EXEC,)),),
    "clone": (Check(0, "bits", (CLONE_THREAD,)), Check(0, "no_bits", (CLONE_NEW,))),
    "dup": (_ORDINARY,),
    "dup2": (_ORDINARY,),
    "dup3": (_ORDINARY,),
    "fcntl": (_ORDINARY, Check(1, "in", CONTROLS)),
    "prctl": (Check(0, "in", PRCTL),),
    "prlimit64": (Check(0, "in", (0,)), Check(2, "null")),  # to look at its own limits
}

_WORKER: Final[Mapping[str, tuple[Check, ...]]] = {
    "bind": (_CAPTURE,),
    "setsockopt": (_CAPTURE, Check(1, "in", (SOL_PACKET,)), Check(2, "in", PACKET_OPTIONS)),
    "ioctl": (Check(1, "in", DESCRIPTORS + INTERFACES),),
}

_OUTPUT: Final[Mapping[str, tuple[Check, ...]]] = {
    "ioctl": (Check(1, "in", DESCRIPTORS + TERMINAL),),
    "socketpair": (Check(0, "in", (int(socket.AF_UNIX),)),),  # an event loop wakes itself with it
    **dict.fromkeys(
        [
            "open",
            "openat",
            "stat",
            "lstat",
            "statx",
            "access",
            "faccessat",
            "faccessat2",
            "readlink",
            "readlinkat",
            "getdents64",
            "getcwd",
            "statfs",
            "fstatfs",
            "ftruncate",
            "fsync",
            "fdatasync",
            "rename",
            "renameat",
            "renameat2",
            "unlink",
            "unlinkat",
            "flock",
            "pwrite64",
            "fadvise64",
            "fallocate",
            "umask",
            "pipe",
            "pipe2",
            "wait4",
            "waitid",
        ],
        (),
    ),
}

_READING: Final = ("no_bits", (0o1 | 0o2 | 0o100 | 0o1000,))  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC

_PROCESSES: Final[Mapping[str, tuple[Check, ...]]] = {
    "open": (Check(1, *_READING),),
    "openat": (Check(2, *_READING),),
    "readlink": (),
    "readlinkat": (),
    "getdents64": (),
    "ioctl": (Check(1, "in", DESCRIPTORS),),
}

_RECORDER: Final[Mapping[str, tuple[Check, ...]]] = {
    **_WORKER,
    **dict.fromkeys(
        [
            "open",
            "openat",
            "stat",
            "lstat",
            "statx",
            "getdents64",
            "ftruncate",
            "fsync",
            "rename",
            "renameat",
            "renameat2",
            "unlink",
            "unlinkat",
        ],
        (),
    ),
}

PROFILES: Final[dict[Profile, Mapping[str, tuple[Check, ...]]]] = {
    "worker": _WORKER,
    "output": _OUTPUT,
    "processes": _PROCESSES,
    "recorder": _RECORDER,
}


def rules(profile: Profile, column: int, pid: int) -> list[Rule]:
    """Return the rules of a profile. column: of the architecture in NUMBERS.   pid: of the process they are for."""
    itself = Check(0, "in", (pid,))
    calls = {
        **dict.fromkeys(_FREE, ()),
        **_CHECKED,
        **PROFILES[profile],
        "kill": (itself,),
        "tgkill": (itself,),
    }
    listed = [Rule(NUMBERS[name][column], checks) for name, checks in calls.items() if NUMBERS[name][column] >= 0]
    # Its flags stand in memory, where no filter can look: the C library then takes clone.
    return [*listed, Rule(NUMBERS["clone3"][column], answer=UNKNOWN)]
