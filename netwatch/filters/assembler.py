"""Writes classic BPF from its end to its start, so that every jump knows its target (linux/filter.h, bpf(4))."""

import struct
from typing import Final, TypeAlias

INSTRUCTION: Final = struct.Struct("=HBBI")  # struct sock_filter
PROGRAM_MAX: Final = 4_096  # BPF_MAXINSNS
REACH: Final = 254  # a conditional jump skips up to 255; one step is for the other long jump of the same one

LOAD_WORD, LOAD_HALF, LOAD_BYTE = 0x20, 0x28, 0x30  # A = [k]
LOAD_WORD_X, LOAD_HALF_X, LOAD_BYTE_X = 0x40, 0x48, 0x50  # A = [X + k]
LOAD_VALUE, LOAD_MEMORY = 0x00, 0x60
X_VALUE, X_MEMORY, X_LENGTH = 0x01, 0x61, 0x81
STORE, STORE_X = 0x02, 0x03
ADD, ADD_X, AND, LEFT, RIGHT = 0x04, 0x0C, 0x54, 0x64, 0x74
TO_X, FROM_X = 0x07, 0x87
JUMP, EQUAL, ABOVE, AT_LEAST, ANY_BIT, ABOVE_X = 0x05, 0x15, 0x25, 0x35, 0x45, 0x2D
RETURN: Final = 0x06

WORD_MAX: Final = 0xFFFF_FFFF

Label: TypeAlias = int
"""A place in the program: how many instructions stand from there to its end."""

Step: TypeAlias = tuple[int, int]
"""An instruction that does not jump: code and k."""

Entry: TypeAlias = tuple[int, int, Label]
"""Where to go on with a value from first to last."""


class Assembler:
    """A program under way. Each method writes before what was written last, and returns the label of it."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, int, int, int]] = []  # from the last one on
        self._near: dict[Label, Label] = {}  # the long jump to a label that was written last

    def returns(self, value: int) -> Label:
        """End, with a value."""
        return self._write(RETURN, 0, 0, value)

    def run(self, following: Label, *steps: Step) -> Label:
        """Do steps, then go on at a label."""
        if following != len(self._steps):
            self._write(JUMP, 0, 0, len(self._steps) - following)
        for code, value in reversed(steps):
            self._write(code, 0, 0, value)
        return len(self._steps)

    def branch(self, code: int, value: int, yes: Label, no: Label) -> Label:
        """Compare A, and go on at one of two labels."""
        if yes == no:
            return yes
        yes, no = self._reachable(yes), self._reachable(no)
        here = len(self._steps)
        return self._write(code, here - yes, here - no, value)

    def search(self, entries: list[Entry], no: Label) -> Label:
        """Go on where A's entry says, at `no` without one. entries: sorted, none overlaps another."""
        if len(entries) > 3:
            middle = len(entries) // 2
            upper = self.search(entries[middle:], no)
            return self.branch(AT_LEAST, entries[middle][0], upper, self.search(entries[:middle], no))
        following = no
        for first, last, yes in reversed(entries):
            if first == last:
                following = self.branch(EQUAL, first, yes, following)
                continue
            below = yes if last == WORD_MAX else self.branch(ABOVE, last, following, yes)
            following = below if first == 0 else self.branch(AT_LEAST, first, below, no)
        return following

    def program(self, start: Label) -> list[tuple[int, int, int, int]]:
        """Return the instructions (code, jt, jf, k), which begin at a label."""
        self.run(start)
        return self._steps[::-1]

    def _write(self, code: int, yes: int, no: int, value: int) -> Label:
        self._steps.append((code, yes, no, value))
        return len(self._steps)

    def _reachable(self, label: Label) -> Label:
        near = self._near.get(label, label)
        if len(self._steps) - near > REACH:
            near = self._near[label] = self._write(JUMP, 0, 0, len(self._steps) - label)
        return near


def pack(program: list[tuple[int, int, int, int]]) -> bytes:
    """Return instructions as the kernel takes them: 8 bytes each, in the machine's order."""
    return b"".join(INSTRUCTION.pack(*step) for step in program)
