"""System calls that Python has no function for, and what /proc tells of this process."""

import ctypes
import os
from functools import cache
from typing import Any, Final, NamedTuple

SELF: Final = "/proc/self"
CAP_SETGID: Final = 6
CAP_SETPCAP: Final = 8
CAPABILITY_VERSION: Final = 0x2008_0522  # _LINUX_CAPABILITY_VERSION_3: two words of 32 bits a set


class Status(NamedTuple):
    """What /proc/self/status says (proc_pid_status(5)).

    uids, gids: real, effective, saved, of the file system.   The sets of capabilities are masks.
    """

    uids: tuple[int, ...]
    gids: tuple[int, ...]
    groups: tuple[int, ...]
    threads: int
    inheritable: int
    permitted: int
    effective: int
    bounding: int
    ambient: int
    no_new_privs: int
    seccomp: int


def prctl(option: int, *values: int) -> int:
    """Set or ask for something of this thread (man page prctl, section 2); missing arguments are 0. Raises OSError."""
    return _checked(_libc().prctl(option, *values, *([0] * (4 - len(values)))))


def system_call(number: int, *values: int) -> int:
    """Make the call with a number (syscall(2)); missing arguments are 0. Raises OSError."""
    return _checked(_libc().syscall(number, *values, *([0] * (6 - len(values)))))


def clear_capabilities() -> None:
    """Empty the effective, permitted and inheritable sets of this thread (capset(2)). Raises OSError."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    _checked(_libc().capset(header, (ctypes.c_uint32 * 6)()))


def read_status(file: int) -> Status:
    """Read an open /proc/self/status, as it is now. Raises OSError, or ValueError where a line is missing."""
    lines = dict(line.split(":", 1) for line in os.pread(file, 1 << 16, 0).decode("ascii", "replace").splitlines())
    try:
        uids, gids, groups = (tuple(int(word) for word in lines[key].split()) for key in ("Uid", "Gid", "Groups"))
        inheritable, permitted, effective, bounding, ambient = (
            int(lines[key], 16) for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
        )
        threads, no_new_privs, seccomp = (int(lines[key]) for key in ("Threads", "NoNewPrivs", "Seccomp"))
    except KeyError as error:
        raise ValueError(f"/proc/self/status has no line {error.args[0]}") from error
    return Status(
        uids, gids, groups, threads, inheritable, permitted, effective, bounding, ambient, no_new_privs, seccomp
    )


def has(mask: int, capability: int) -> bool:
    """Tell whether a capability is in a set."""
    return bool(mask >> capability & 1)


@cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    libc.syscall.argtypes = [ctypes.c_long] * 7
    libc.syscall.restype = ctypes.c_long
    return libc


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
