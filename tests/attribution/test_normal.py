"""Names are compared in one form; what is no host name has none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.attribution.normal import is_literal, matchable, normal_form


@pytest.mark.parametrize(
    ("seen", "normal"),
    [
        ("LOG-sg.TikTokv.com.", "log-sg.tiktokv.com"),
        ("tiktok.com:443", "tiktok.com"),
        ("*.tiktok.com", "tiktok.com"),
        ("_dmarc.tiktok.com", "_dmarc.tiktok.com"),
        ("B\u00dcCHER.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("\uff54iktok\u3002com", "tiktok.com"),
        ("localhost", "localhost"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_rule_2_case_dot_port_star_and_u_labels_go(seen: str, normal: str) -> None:
    assert normal_form(seen) == normal


@pytest.mark.parametrize(
    "seen",
    [
        *("", ".", "a..b", ".a", "tiktok.com..", "a" * 64 + ".example", "a." * 127 + "aa", "tik tok.com", "[::1]"),
        *("good.example\\x00.evil.example", "tiktok.com/x", "tiktok.com:https", "2001:db8::1", "\x1b]0;x.tiktok.com"),
        *("tiktok\u2024com", "tiktok\ufe52com", "www.tiktok\u2488com"),
        *("\u2025com", "a\u2044b.example", "\u202etiktok.com", "\u00fc" * 64 + ".example"),
    ],
)
def test_p10_what_is_no_host_name_has_no_normal_form(seen: str) -> None:
    assert normal_form(seen) is None


def test_rule_2_a_look_alike_letter_becomes_another_name() -> None:
    assert normal_form("ti\u043atok.com") == "ti\u043atok.com".encode("idna").decode() != "tiktok.com"


@pytest.mark.parametrize(
    "name",
    [
        *("203.0.113.7", "1.2", "0x7f.0x1", "printer", "x.local", "local", "nas.lan", "a.home.arpa", "home.arpa"),
        *("7.113.0.203.in-addr.arpa", "1.ip6.arpa"),
    ],
)
def test_rule_2_literals_single_labels_and_local_names_match_nothing(name: str) -> None:
    assert normal_form(name) == name
    assert not matchable(name)


@pytest.mark.parametrize("name", ["tiktok.com", "lan.example", "1.tiktok.com", "arpa.com", "thelocal.se"])
def test_rule_2_other_names_may_match(name: str) -> None:
    assert matchable(name)


def test_a_literal_is_known_by_its_last_label() -> None:
    assert is_literal("203.0.113.7")
    assert not is_literal("7.example")


@given(st.text(max_size=80) | st.from_regex(r"[a-zA-Z0-9_.:*-]{1,40}", fullmatch=True))
def test_p1_the_normal_form_is_its_own_normal_form(text: str) -> None:
    normal = normal_form(text)
    assert normal is None or (normal_form(normal) == normal and normal.isascii() and len(normal) <= 253)
