"""Wire bytes survive as text, and no text from the wire does anything to a terminal."""

import random
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.text import display, dns_text, wire_bytes, wire_text

HOSTILE = {
    "osc 0": "\x1b]0;owned\x07",
    "osc 8": "\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "osc 52": "\x1b]52;c;b3duZWQ=\x07",
    "csi": "\x1b[2J\x1b[31m",
    "dcs": "\x1bPq#0\x1b\\",
    "c1 csi": "\x9b31m",
    "c1 osc": "\x9d0;x\x9c",
    "nul": "a\0b",
    "newline": "a\r\nb\tc",
    "delete": "a\x7fb",
    "bidi override": "abc\u202egnp.exe",
    "bidi isolate": "\u2066x\u2069",
    "zero width": "tik\u200btok\u200d\ufeff",
    "tag characters": "a\U000e0041",
    "line separators": "a\u2028b\u2029c",
    "surrogate": "a\ud800b",
    "private": "a\ue000b",
    "unassigned": "a\u0378b",
    "no-break space": "a\u00a0b\u3000c",
    "filler": "a\u3164b\u115f\u2800",
    "variation selectors": "a\ufe0fb\U000e0100",
    "200 combining": "a" + "\u0323" * 200,
    "combining first": "\u0301a",
    "5,000 characters": "x" * 5_000,
    "5,000 wide": "\u65e5" * 5_000,
}
FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def cells(text: str) -> int:
    return sum(
        0 if unicodedata.category(char)[0] == "M" else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def assert_harmless(shown: str, width: int = 253) -> None:
    assert not [char for char in shown if unicodedata.category(char) in FORBIDDEN]
    assert cells(shown) <= width
    marks = 2  # none may come first
    for char in shown:
        marks = marks + 1 if unicodedata.category(char)[0] == "M" else 0
        assert marks <= 2


@given(st.binary())
def test_p10_bytes_survive_as_text(raw: bytes) -> None:
    assert wire_bytes(wire_text(raw)) == raw


@given(st.lists(st.sampled_from([b"\\", b"\\x41", b"x", b"4", b"\xc3", b"\xa9", b"\xff", "é".encode(), b"\0"])))
def test_p10_escapes_in_the_bytes_themselves_survive(parts: list[bytes]) -> None:
    raw = b"".join(parts)
    assert wire_bytes(wire_text(raw)) == raw


def test_p10_many_random_byte_strings_survive() -> None:
    draw = random.Random(1)
    for _ in range(20_000):
        raw = draw.randbytes(draw.randrange(24))
        assert wire_bytes(wire_text(raw)) == raw


def test_p10_text_stays_readable() -> None:
    assert wire_text("tiktokv.com é".encode()) == "tiktokv.com é"
    assert wire_text(b"a\xffb\\c") == r"a\xffb\x5cc"
    assert wire_text(b"a\x1bb") == "a\x1bb"


@pytest.mark.parametrize("text", ["\\", "a\\q", "\\x", "\\x4", "\\xzz"])
def test_p10_an_escape_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"escape|literal"):
        wire_bytes(text)


def test_dns_text_joins_labels_in_lower_case_of_ascii_letters_only() -> None:
    assert dns_text([b"LOG-sg", b"TikTokV", b"com"]) == "log-sg.tiktokv.com"
    assert dns_text(iter([b"\xc3\x84B"])) == "Äb"
    assert dns_text([]) == ""


@given(st.lists(st.binary(min_size=1, max_size=12), max_size=6))
def test_p10_labels_survive_in_lower_case(labels: list[bytes]) -> None:
    assert dns_text(labels).count(".") == max(0, len(labels) - 1)
    if labels:
        assert [wire_bytes(part) for part in dns_text(labels).split(".")] == [label.lower() for label in labels]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("width", [None, 0, 1, 5, 20])
def test_d1_hostile_text_is_harmless(text: str, width: int | None) -> None:
    assert_harmless(display(text, width), 253 if width is None else width)


@given(st.text(st.characters(exclude_categories=())), st.integers(0, 300))
def test_d1_any_text_is_harmless_at_any_width(text: str, width: int) -> None:
    assert_harmless(display(text, width), min(width, 253))


@given(st.text(st.sampled_from("a\u0301\u0323\u0345\u1160\u202e\x1b\x9b é\u65e5\\")))
def test_d1_marks_and_controls_mixed_are_harmless(text: str) -> None:
    assert_harmless(display(text))


def test_d1_what_is_not_printable_becomes_visible() -> None:
    assert display("[/x]\x1b]0;owned\x07") == r"[/x]\x1b]0;owned\x07"
    assert display("a\x9bb\u202ec\U000e0041") == r"a\u009bb\u202ec\U000e0041"
    assert display("x\u0323\u0323\u0323\u0323") == "x\u0323\u0323" + r"\u0323\u0323"


def test_d1_text_that_is_not_normal_shows_its_bytes() -> None:
    assert display("e\u0301a") == r"e\xcc\x81a"
    assert display("é") == "é"


def test_d1_what_is_cut_ends_in_a_mark() -> None:
    assert display("x" * 253) == "x" * 253
    assert display("x" * 254) == "x" * 252 + "…"
    assert display("tiktokv.com", 5) == "tikt…"
    assert display("日本語", 5) == "日本…"
    assert display("ab\x1bcd", 5) == "ab…"
    assert display("abc", 1000) == "abc"


def test_plain_names_load_no_unicode_table() -> None:
    code = (
        "import sys; sys.modules['unicodedata'] = None\n"
        "from netwatch.model.text import *; display('a\\x1bb'); display('a' * 300); wire_text(b'a\\xff')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
