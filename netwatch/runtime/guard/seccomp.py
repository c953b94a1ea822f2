"""Installs the filter of system calls that a profile describes (seccomp(2))."""

import ctypes
import os
import socket
import struct

from netwatch.runtime.guard import kernel
from netwatch.runtime.guard.bpf import INSTRUCTION, assemble
from netwatch.runtime.guard.profiles import Profile, rules
from netwatch.runtime.guard.syscalls import LAST, machine

PR_SET_SECCOMP, MODE_FILTER = 22, 2


def program(profile: Profile) -> bytes:
    """Return the filter of this process. Raises OSError where there is no table for its architecture."""
    here = machine()
    if here is None:
        raise OSError(f"no table of system calls for {os.uname().machine}")
    return assemble(here.audit, LAST, rules(profile, here.column, os.getpid()))


def install(filter_program: bytes) -> None:
    """Have every later system call pass the filter; cannot be undone. Raises OSError."""
    code = ctypes.create_string_buffer(filter_program, len(filter_program))
    described = ctypes.create_string_buffer(
        struct.pack("@HP", len(filter_program) // INSTRUCTION.size, ctypes.addressof(code))
    )
    kernel.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.addressof(described))


def holds() -> bool:
    """Tell whether a new socket is refused: one that could not leave this machine in any case (N1)."""
    try:
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).close()
    except PermissionError:
        return True
    except OSError:  # refused, but not by the filter
        return False
    return False
