from struct import Struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.errors import ParseError
from netwatch.names.cursor import Budget, Cursor


def test_blocks_share_the_budget_and_nothing_is_read_beyond_them() -> None:
    cursor = Cursor.over(b"\x00\x02ab\xff")
    block = cursor.block(2)
    assert (block.left, cursor.left) == (2, 1)
    assert block.take(2) == b"ab"
    with pytest.raises(ParseError, match="truncated"):
        block.uint(1)
    block.budget.steps = 0
    with pytest.raises(ParseError, match="step_budget_spent"):
        cursor.step()


def test_numbers_are_big_endian_and_varints_as_rfc_9000() -> None:
    assert Cursor.over(b"\x01\x02\x03").uint(3) == 0x010203
    for text, value in (("c2197c5eff14e88c", 151_288_809_941_952_652), ("9d7f3e7d", 494_878_333), ("7bbd", 15_293)):
        assert Cursor.over(bytes.fromhex(text)).varint() == value  # RFC 9000 appendix A.1
    assert Cursor.over(b"\x25").varint() == 37


READS = ("uint", "skip", "take", "sub", "block", "bytes_block", "numbers")


@given(st.binary(max_size=40), st.integers(0, 40), st.sampled_from(READS))
def test_p1_every_read_stays_inside_or_is_a_parse_error(data: bytes, count: int, method: str) -> None:
    cursor = Cursor(data + b"beyond", 0, len(data), Budget())
    try:
        out = getattr(cursor, method)(count if method in ("skip", "take", "sub") else 1 + count % 3)
    except ParseError:
        return
    assert cursor.at <= len(data)
    if isinstance(out, bytes):
        assert out in data


def test_typed_gives_bounds_and_refuses_more_than_its_limit() -> None:
    cursor = Cursor.over(b"\x00\x05\x00\x01x\x00\x06\x00\x00")
    assert cursor.typed(2, "tls_extensions") == [(5, 4, 5), (6, 9, 9)]
    assert Cursor.over(b"ab").within(1, 2).rest() == b"b"
    with pytest.raises(ParseError, match="tls_extensions"):
        Cursor.over(b"\x00\x05\x00\x00" * 3).typed(2, "tls_extensions")
    for cut in (b"\x00\x05\x00", b"\x00\x05\x00\x02x"):
        with pytest.raises(ParseError, match="truncated"):
            Cursor.over(cut).typed(2, "tls_extensions")


def test_a_layout_is_read_whole_or_not() -> None:
    layout = Struct(">HB")
    assert Cursor.over(b"\x01\x02\x03\x04").unpack(layout) == (0x0102, 3)
    with pytest.raises(ParseError, match="truncated"):
        Cursor.over(b"\x01\x02").unpack(layout)


def test_strings_end_exactly() -> None:
    assert Cursor.over(b"\x01a\x02bc").strings() == [b"a", b"bc"]
    with pytest.raises(ParseError, match="truncated"):
        Cursor.over(b"\x01a\x03bc").strings()
