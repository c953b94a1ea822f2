"""Assembles the classic BPF of a seccomp filter from rules (seccomp(2), linux/filter.h, linux/seccomp.h).

A filter is a list of allowed calls. Everything else fails with EPERM; calls that are newer than the list fail with
ENOSYS, which tells the C library to use an older one.
"""

import errno
import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

INSTRUCTION: Final = struct.Struct("=HBBI")
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER_AT, ARCH_AT, ARGUMENTS_AT = 0, 4, 16  # in struct seccomp_data
KILL: Final = 0x8000_0000
ALLOW: Final = 0x7FFF_0000
ERRNO: Final = 0x0005_0000
DENY: Final = ERRNO | errno.EPERM
UNKNOWN: Final = ERRNO | errno.ENOSYS
JUMP_MAX: Final = 255
FAIL: Final = -1


class Check(NamedTuple):
    """What an argument of a call has to be; all of it is said of its low 32 bits, but for "null".

    kind: "in" one of the values, "below" the value, "at_least" it, "bits" has one of them, "no_bits" has none of them,
    "null" is 0.
    """

    argument: int
    kind: str
    values: tuple[int, ...] = (0,)


class Rule(NamedTuple):
    """A call that is allowed where all checks hold. answer: what the filter says then."""

    number: int
    checks: tuple[Check, ...] = ()
    answer: int = ALLOW


class _Step(NamedTuple):
    """An instruction; yes, no: the steps of its block to go on with, FAIL for the last one."""

    code: int
    value: int
    yes: int = 0
    no: int = 0


def assemble(architecture: int, last: int, rules: Iterable[Rule]) -> bytes:
    """Return the filter's instructions.

    architecture: AUDIT_ARCH number; a call of another one ends the process.   last: the newest call that was known when
    the rules were written.   Raises ValueError for checks too long for one jump.
    """
    program = [
        (LOAD, 0, 0, ARCH_AT),
        (EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER_AT),
        (AT_LEAST, 0, 1, last + 1),
        (RETURN, 0, 0, UNKNOWN),
    ]
    for rule in rules:
        block = _block(rule)
        if len(block) > JUMP_MAX:
            raise ValueError(f"the checks of call {rule.number} take {len(block)} instructions")
        program.append((EQUAL, 0, len(block), rule.number))
        program += block
    program.append((RETURN, 0, 0, DENY))
    return b"".join(INSTRUCTION.pack(*step) for step in program)


def _block(rule: Rule) -> list[tuple[int, int, int, int]]:
    steps: list[_Step] = []
    for check in rule.checks:
        steps += _steps(check, len(steps))
    steps.append(_Step(RETURN, rule.answer))
    if rule.checks:
        steps.append(_Step(RETURN, DENY))
    last = len(steps) - 1
    return [
        (step.code, _jump(step.yes, at, last), _jump(step.no, at, last), step.value)
        if step.code in (EQUAL, AT_LEAST, ANY_BIT)
        else (step.code, 0, 0, step.value)
        for at, step in enumerate(steps)
    ]


def _jump(target: int, at: int, last: int) -> int:
    return (last if target == FAIL else target) - at - 1


def _steps(check: Check, at: int) -> Sequence[_Step]:
    """Return the steps of a check of which the first one has the number `at`."""
    low = ARGUMENTS_AT + 8 * check.argument  # little-endian, as both architectures are
    load = _Step(LOAD, low)
    value = check.values[0]
    after = at + 2
    match check.kind:
        case "in":
            count = len(check.values)
            after = at + 1 + count
            tests = [
                _Step(EQUAL, value, after, FAIL if place == count - 1 else at + 2 + place)
                for place, value in enumerate(check.values)
            ]
            return [load, *tests]
        case "below":
            return [load, _Step(AT_LEAST, value, FAIL, after)]
        case "at_least":
            return [load, _Step(AT_LEAST, value, after, FAIL)]
        case "bits":
            return [load, _Step(ANY_BIT, value, after, FAIL)]
        case "no_bits":
            return [load, _Step(ANY_BIT, value, FAIL, after)]
        case "null":
            return [
                load, _Step(EQUAL, 0, at + 2, FAIL), _Step(LOAD, low + 4), _Step(EQUAL, 0, at + 4, FAIL),
            ]  # fmt: skip
        case _:
            raise ValueError(f"no such check: {check.kind}")
