"""Names are looked up once a kind, in one form, with what decisions ask of them."""

import pytest
from support.catalogues import sample

from netwatch.attribution import candidates as room
from netwatch.attribution.candidates import TIERS, Candidates, domain

CATALOGUE = sample()


@pytest.mark.parametrize("kind", TIERS)
def test_a_candidate_is_its_name_in_normal_form_with_the_signature(kind: str) -> None:
    one = Candidates(CATALOGUE).find(kind, "LOG-sg.tiktokv.com")
    assert (one.kind, one.tier, one.name, one.clear, one.role) == (
        kind,
        TIERS[kind],
        "log-sg.tiktokv.com",
        True,
        "telemetry",
    )
    assert one.match is not None
    assert one.app is one.match
    assert one.rule == one.match.rule == "signatures/bytedance/tiktok.toml#tiktokv.com"


def test_an_operators_name_is_no_app() -> None:
    one = Candidates(CATALOGUE).find("sni", "a1.akamaized.net")
    assert one.match is not None
    assert (one.app, one.rule) == (None, one.match.rule)


@pytest.mark.parametrize(
    ("value", "name", "clear"),
    [
        ("Shop.Example", "shop.example", True),
        ("nas.local", "nas.local", True),
        ("odd name\x07", "odd name\x07", True),
        ("203.0.113.7:80", "203.0.113.7", False),
        ("[2001:db8::1]", "[2001:db8::1]", False),
        ("", "", False),
    ],
)
def test_a_name_without_a_signature_is_shown_as_seen_or_in_normal_form(value: str, name: str, clear: bool) -> None:
    one = Candidates(CATALOGUE).find("sni", value)
    assert (one.name, one.clear, one.match, one.app, one.role, one.rule) == (name, clear, None, None, None, None)


def test_a_candidate_is_found_again_by_kind_and_value() -> None:
    candidates = Candidates(CATALOGUE)
    one, other = (candidates.find(kind, "tiktok.com") for kind in ("sni", "dns_answer"))
    assert candidates.known == {("sni", "tiktok.com"): one, ("dns_answer", "tiktok.com"): other}
    assert one.match is other.match


def test_m3_the_caches_stay_below_their_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LABEL_CACHE", 10)
    candidates = Candidates(CATALOGUE)
    for at in range(25):
        assert candidates.find("sni", f"n{at}.tiktok.com").app is not None
        assert candidates.name(f"m{at}.tiktok.com").match is not None
        assert len(candidates.known) <= 10
        assert len(candidates._names) <= 10


def test_a_domain_is_what_one_party_registers() -> None:
    names = ("a.b.shop.example", "shop.example", "example", "a.shop.co.uk", "shop.co.uk")
    assert [domain(name) for name in names] == ["shop.example"] * 2 + ["example"] + ["shop.co.uk"] * 2
