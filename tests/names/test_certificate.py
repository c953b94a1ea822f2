import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hellos import self_signed

from netwatch.model.errors import ParseError
from netwatch.model.limits import CERTIFICATE_NAMES
from netwatch.names.certificate import parse_names
from netwatch.names.cursor import Cursor

DER = self_signed("common.example.org", ["one.example.org", "two.example.org"])


def test_alternatives_before_the_common_name() -> None:
    assert parse_names(Cursor.over(DER)) == [b"one.example.org", b"two.example.org"]
    assert parse_names(Cursor.over(self_signed("common.example.org"))) == [b"common.example.org"]


def test_so_many_names_are_kept() -> None:
    many = self_signed("x", [f"n{number}.example.org" for number in range(CERTIFICATE_NAMES + 20)])
    assert len(parse_names(Cursor.over(many))) == CERTIFICATE_NAMES


@given(st.integers(0, len(DER) - 1), st.integers(0, 255))
def test_p1_one_wrong_byte_is_names_or_a_parse_error(at: int, byte: int) -> None:
    cursor = Cursor.over(DER[:at] + bytes([byte]) + DER[at + 1 :])
    try:
        names = parse_names(cursor)
    except ParseError:
        return
    assert len(names) <= CERTIFICATE_NAMES


def test_p1_a_certificate_cut_anywhere_is_a_parse_error() -> None:
    for end in range(len(DER)):
        with pytest.raises(ParseError):
            parse_names(Cursor.over(DER[:end]))


def test_an_indefinite_length_is_refused() -> None:
    with pytest.raises(ParseError, match="der_length"):
        parse_names(Cursor.over(b"\x30\x80" + DER))
