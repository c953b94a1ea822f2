"""Runs classic BPF on a packet as the Linux kernel does, one instruction at a time; and libpcap as another judge."""

import ctypes
from operator import add, and_, eq, ge, gt, lshift, rshift
from typing import Any

from netwatch.filters.assembler import INSTRUCTION

WORD = 0xFFFF_FFFF
SIZES = {0x00: 4, 0x08: 2, 0x10: 1}
CALCULATIONS = {0x00: add, 0x50: and_, 0x60: lshift, 0x70: rshift}
TESTS = {0x10: eq, 0x20: gt, 0x30: ge, 0x40: and_}
HARDWARE, TAG, TAG_PRESENT = 0xFFFF_F000 + 28, 0xFFFF_F000 + 44, 0xFFFF_F000 + 48


def run(
    program: bytes, packet: bytes, *, tag: int | None = None, hardware: int = 1, steps: list[int] | None = None
) -> int:
    """Return what a program says of a packet.

    tag: the VLAN tag that the kernel took out of it.   steps: is given the number of instructions that ran.
    Fails where the kernel would refuse the program: a cell is read before it is written, a jump leaves the program.
    """
    code = list(INSTRUCTION.iter_unpack(program))
    asked = {HARDWARE: hardware, TAG: tag or 0, TAG_PRESENT: int(tag is not None)}
    a = x = at = count = 0
    memory: dict[int, int] = {}
    while True:
        operation, yes, no, k = code[at]
        at += 1
        count += 1
        other = x if operation & 0x08 else k
        match operation & 0x07:
            case 0x00 | 0x01:
                value = _loaded(operation, k, packet, asked, memory, x)
                if value is None:
                    return 0
                a, x = (a, value) if operation & 0x07 else (value, x)
            case 0x02:
                memory[k] = a
            case 0x03:
                memory[k] = x
            case 0x04:
                a = CALCULATIONS[operation & 0xF0](a, other) & WORD
            case 0x05 if operation & 0xF0:
                at += yes if TESTS[operation & 0xF0](a, other) else no
            case 0x05:
                at += k
            case 0x06:
                assert operation == 0x06
                if steps is not None:
                    steps.append(count)
                return int(k)
            case _:
                a, x = (x, x) if operation & 0x80 else (a, a)


def _loaded(operation: int, k: int, packet: bytes, asked: dict[int, int], memory: dict[int, int], x: int) -> int | None:
    """Return what a load reads, None behind the end of the packet."""
    match operation & 0xE0:
        case 0x00:
            return k
        case 0x60:
            return memory[k]
        case 0x80:
            return len(packet)
        case 0xA0:  # 4 * ([k] & 0xf)
            return 4 * (packet[k] & 0x0F) if k < len(packet) else None
        case 0x20 if k in asked:
            return asked[k]
        case _:
            place, size = k + (x if operation & 0x40 else 0), SIZES[operation & 0x18]
            return int.from_bytes(packet[place : place + size], "big") if place + size <= len(packet) else None


def library() -> Any:
    """Return libpcap, None where the system has none."""
    try:
        found = ctypes.CDLL("libpcap.so.0.8")
    except OSError:
        return None
    found.bpf_filter.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint, ctypes.c_uint]
    found.bpf_filter.restype = ctypes.c_uint
    found.bpf_validate.argtypes = [ctypes.c_char_p, ctypes.c_int]
    return found


def by_libpcap(program: bytes, packet: bytes) -> int:
    """Return what a program says of a packet by libpcap's own interpreter, which knows nothing of Linux."""
    verdict: int = library().bpf_filter(program, packet, len(packet), len(packet))
    return verdict
