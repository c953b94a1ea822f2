"""Runs classic BPF as the kernel does for seccomp."""

import struct
from collections.abc import Sequence

from netwatch.runtime.guard.bpf import INSTRUCTION

ARCH = 0xC000_003E


def run(program: bytes, data: bytes) -> int:
    """Run classic BPF as the kernel does for seccomp: words of `data` in the machine's order."""
    steps = list(INSTRUCTION.iter_unpack(program))
    accumulator = at = 0
    while True:
        code, yes, no, value = steps[at]
        at += 1
        match code:
            case 0x20:
                accumulator = struct.unpack_from("=I", data, value)[0]
            case 0x06:
                return int(value)
            case 0x15:
                at += yes if accumulator == value else no
            case 0x35:
                at += yes if accumulator >= value else no
            case 0x45:
                at += yes if accumulator & value else no
            case _:
                raise AssertionError(f"no such instruction: {code:#x}")


def called(number: int, arguments: Sequence[int] = (), arch: int = ARCH) -> bytes:
    return struct.pack("<IIQ6Q", number, arch, 0, *arguments, *([0] * (6 - len(arguments))))
