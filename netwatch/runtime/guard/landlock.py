"""Landlock: which files this process can reach from now on, and no TCP, signal or abstract socket beyond it.

Source: Documentation/userspace-api/landlock.rst and linux/landlock.h; the numbers are the same on every architecture.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from netwatch.runtime.guard import kernel

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION: Final = 1  # a flag of CREATE_RULESET
PATH_BENEATH: Final = 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_FILE, MAKE_REG = 1 << 5, 1 << 8
TRUNCATE: Final = 1 << 14
# ABI -> rights to files that it adds: 1 all from EXECUTE to MAKE_SYM, 2 REFER, 3 TRUNCATE, 5 IOCTL_DEV
FILES: Final = {1: (1 << 13) - 1, 2: 1 << 13, 3: TRUNCATE, 5: 1 << 15}
TCP_ABI, TCP = 4, 0b11  # BIND_TCP, CONNECT_TCP
SCOPES_ABI, SCOPES = 6, 0b11  # ABSTRACT_UNIX_SOCKET, SIGNAL
READING: Final = READ_FILE | READ_DIR
WRITING: Final = READING | WRITE_FILE | REMOVE_FILE | MAKE_REG | TRUNCATE
ON_FILES: Final = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE  # what a rule of a single file may name


def abi() -> int:
    """Return the version that the kernel speaks. Raises OSError where it has none, or where that is switched off."""
    return kernel.system_call(CREATE_RULESET, 0, 0, VERSION)


def restrict(read: Iterable[Path | str], write: Iterable[Path | str]) -> int:
    """Shut off every file but those at and below these paths; return the ABI. Raises OSError.

    read: what may be read.   write: where regular files may be made, written, renamed and removed.
    A path that cannot be opened gets no rule: nothing there could be reached anyhow.
    """
    version = abi()
    handled = sum(rights for since, rights in FILES.items() if since <= version)
    words = [handled, *([TCP] if version >= TCP_ABI else []), *([SCOPES] if version >= SCOPES_ABI else [])]
    attributes = (ctypes.c_uint64 * len(words))(*words)
    ruleset = kernel.system_call(CREATE_RULESET, ctypes.addressof(attributes), ctypes.sizeof(attributes), 0)
    try:
        for paths, rights in ((read, READING), (write, WRITING)):
            for path in paths:
                _allow(ruleset, path, rights & handled)
        kernel.system_call(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return version


def _allow(ruleset: int, path: Path | str, rights: int) -> None:
    try:
        file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(file).st_mode):
            rights &= ON_FILES
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, file))  # packed: 12 bytes
        kernel.system_call(ADD_RULE, ruleset, PATH_BENEATH, ctypes.addressof(rule), 0)
    finally:
        os.close(file)
