"""The filter's instructions say what its rules say, for any call (judge: a plain reading of the rules)."""

import errno
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bpf import ARCH, called, run

from netwatch.runtime.guard.bpf import ALLOW, DENY, KILL, UNKNOWN, Check, Rule, assemble

LAST = 450
EDGES = [0, 1, 2, 899, 900, 901, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) + 900, (1 << 64) - 1]
words = st.one_of(st.sampled_from(EDGES), st.integers(0, (1 << 64) - 1))
small = st.one_of(st.sampled_from([0, 1, 2, 4, 900, 1 << 16]), st.integers(0, (1 << 32) - 1))
kinds = st.sampled_from(["in", "below", "at_least", "bits", "no_bits", "null"])
checks = st.builds(
    Check, st.integers(0, 5), kinds, st.lists(small, min_size=1, max_size=9).map(tuple)
)  # fmt: skip
rules = st.lists(
    st.builds(Rule, st.integers(0, 20), st.lists(checks, max_size=3).map(tuple), st.sampled_from([ALLOW, UNKNOWN])),
    max_size=12,
    unique_by=lambda r: r.number,
)


def meant(all_rules: Sequence[Rule], number: int, arguments: Sequence[int]) -> int:
    for rule in all_rules:
        if rule.number == number:
            return rule.answer if all(holds(check, arguments[check.argument]) for check in rule.checks) else DENY
    return UNKNOWN if number > LAST else DENY


def holds(check: Check, whole: int) -> bool:
    low, value = whole & 0xFFFF_FFFF, check.values[0]
    return {
        "in": low in check.values,
        "below": low < value,
        "at_least": low >= value,
        "bits": bool(low & value),
        "no_bits": not low & value,
        "null": whole == 0,
    }[check.kind]


@given(rules, st.integers(0, 22), st.lists(words, min_size=6, max_size=6))
def test_the_filter_answers_as_its_rules_mean(listed: list[Rule], number: int, arguments: list[int]) -> None:
    assert run(assemble(ARCH, LAST, listed), called(number, arguments)) == meant(listed, number, arguments)


@pytest.mark.parametrize("number", [LAST + 1, 0x4000_0001, 0xFFFF_FFFF])
def test_a_call_that_is_newer_than_the_list_is_unknown(number: int) -> None:
    assert run(assemble(ARCH, LAST, []), called(number)) == UNKNOWN
    assert UNKNOWN & 0xFFFF == errno.ENOSYS


def test_a_call_of_another_architecture_ends_the_process() -> None:
    program = assemble(ARCH, LAST, [Rule(1)])
    assert run(program, called(1)) == ALLOW
    assert run(program, called(1, arch=0x4000_0003)) == KILL


def test_what_is_too_long_for_a_jump_is_refused() -> None:
    with pytest.raises(ValueError, match="call 7"):
        assemble(ARCH, LAST, [Rule(7, (Check(0, "in", tuple(range(300))),))])
    with pytest.raises(ValueError, match="no such check"):
        assemble(ARCH, LAST, [Rule(7, (Check(0, "odd"),))])
