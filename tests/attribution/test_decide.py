"""Each rule of attribution: kinds in their order, confidence, ECH, conflicts, blind reasons."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.catalogues import DAY, app, build, company, endpoint, sample

from netwatch.attribution import decide
from netwatch.attribution.candidates import TIERS
from netwatch.attribution.decide import Attributor, FlowFacts, Judgement, Sighting
from netwatch.attribution.prefixes import parse_address
from netwatch.model.limits import EVIDENCE

CATALOGUE = sample()
FAR = parse_address("203.0.113.7") or 0
TIKTOK_NET = parse_address("71.18.0.1") or 0
FACEBOOK_NET = parse_address("157.240.1.1") or 0
AKAMAI_NET = parse_address("23.40.0.1") or 0
AKAMAI_SHARED = parse_address("10.9.0.1") or 0
RESOLVER = parse_address("1.1.1.1") or 0


def facts(*seen: tuple[str, str] | tuple[str, str, int], **more: Any) -> FlowFacts:
    """A TLS flow to nobody's network; seen: (kind, name, packet), DNS names of one packet are one chain."""
    sightings = tuple(
        Sighting(one[0], one[1], 1_000 + at, one[2] if len(one) > 2 else at + 1) for at, one in enumerate(seen)
    )
    base = FlowFacts(
        sightings=sightings,
        protocol="tls",
        transport=6,
        server=FAR,
        server_port=443,
        server_local=False,
        asn=None,
        ech_offered=False,
        ech_answer=False,
        handshake=True,
        hello=any(one[0] == "sni" for one in seen),
        cut=False,
        undecryptable=False,
        payload=True,
        start=77,
        packet=5,
        day=DAY,
    )
    return base._replace(**more)


def judge(*seen: Any, **more: Any) -> Judgement:
    return Attributor(CATALOGUE).judge(facts(*seen, **more))


def short(judgement: Judgement) -> tuple[str | None, str | None, str | None, str | None]:
    label = judgement.label
    return label.name_source, label.app_id, label.confidence, judgement.blind


def test_a_name_gives_the_whole_label_and_its_evidence() -> None:
    one = judge(("sni", "LOG-sg.tiktokv.com"))
    assert one.label._asdict() == {
        "name": "log-sg.tiktokv.com",
        "name_source": "sni",
        "app_id": "tiktok",
        "app": "Tiktok",
        "app_kind": "app",
        "role": "telemetry",
        "owner_id": "bytedance",
        "owner": "Bytedance",
        "control_country": "CN",
        "domicile": "CN",
        "confidence": "high",
        "conflict": None,
    }
    rule = "signatures/bytedance/tiktok.toml#tiktokv.com"
    assert [tuple(piece) for piece in one.evidence] == [("sni", "log-sg.tiktokv.com", 1_000, 1, rule)]
    assert one.blind is one.ech is None


@pytest.mark.parametrize(
    ("kind", "confidence"),
    [
        ("sni", "high"),
        ("quic_sni", "high"),
        ("http_host", "high"),
        ("certificate", "medium"),
        ("dns_answer", "medium"),
        ("dns_answer_other", "low"),
    ],
)
def test_each_kind_has_its_confidence(kind: str, confidence: str) -> None:
    assert short(judge((kind, "www.tiktok.com"))) == (kind, "tiktok", confidence, None)


@pytest.mark.parametrize(
    ("name", "steps"), [("www.douyin.com", ["medium", "low", "low"]), ("instagram.com", ["low"] * 3)]
)
def test_a_step_down_ends_at_low(name: str, steps: list[str]) -> None:
    found = [judge((kind, name)).label.confidence for kind in ("sni", "dns_answer", "dns_answer_other")]
    assert found == steps


def test_rule_1_the_best_kind_wins_and_the_others_stay_as_evidence_best_first() -> None:
    kinds = ["sni", "http_host", "certificate", "dns_answer", "dns_answer_other"]
    for best in range(len(kinds)):
        seen = [(kind, "tiktok.com" if kind == kinds[best] else "www.facebook.com") for kind in reversed(kinds[best:])]
        one = judge(*seen)
        assert (one.label.name_source, one.label.app_id) == (kinds[best], "tiktok")
        assert [piece.kind for piece in one.evidence] == kinds[best:]


def test_rule_1_within_a_kind_exact_then_the_longest_match_wins() -> None:
    hosts = ("tiktok.com", "a.ads.tiktok.com", "p16-tiktokcdn-com.akamaized.net")
    assert judge(*(("http_host", host) for host in hosts)).label.name == hosts[2]
    assert judge(*(("http_host", host) for host in hosts[:2])).label.name == hosts[1]


def test_rule_1_a_clear_name_outside_the_catalogue_wins_over_a_dns_answer() -> None:
    one = judge(("sni", "shop.example"), ("dns_answer", "tiktok.com"))
    assert (one.label.name, one.label.app_id, one.label.owner_id, one.blind) == ("shop.example", None, None, None)
    assert [piece.rule for piece in one.evidence] == [None, "signatures/bytedance/tiktok.toml#tiktok.com"]


@pytest.mark.parametrize("name", ["nas.local", "printer", "odd name\x07", "good.example\\x00.tiktok.com"])
def test_rule_2_a_name_that_matches_nothing_is_a_name_all_the_same(name: str) -> None:
    one = judge(("sni", name))
    assert (one.label.name, one.label.app_id, one.blind) == (name, None, None)


@pytest.mark.parametrize("name", ["203.0.113.7", "203.0.113.7:8080", "[2001:db8::1]:80"])
def test_rule_2_an_address_as_host_is_shown_but_names_nothing(name: str) -> None:
    one = judge(("http_host", name), protocol="http")
    assert (one.label.name_source, one.label.app_id, one.blind) == ("http_host", None, "ip_only")
    assert one.label.name == name.removesuffix(":8080")
    better = judge(("http_host", name), ("dns_answer", "tiktok.com"), protocol="http")
    assert short(better) == ("dns_answer", "tiktok", "medium", None)


def test_rule_3_a_shared_cdn_name_is_its_operator_and_no_app() -> None:
    label = judge(("sni", "a1.akamaized.net")).label
    assert (label.app_kind, label.owner_id, label.confidence) == ("infra", "akamai", "high")


def test_rule_3_an_exact_name_of_a_customer_is_the_customers_at_most_medium() -> None:
    label = judge(("sni", "p16-tiktokcdn-com.akamaized.net")).label
    assert (label.app_id, label.owner_id, label.confidence) == ("tiktok", "bytedance", "medium")


def test_rule_4_an_sdk_says_so_and_a_tenants_label_is_the_third_partys() -> None:
    label = judge(("sni", "tiktok.omtrdc.net")).label
    assert (label.app_id, label.app_kind, label.owner_id) == ("adobe_analytics", "sdk", "adobe")


def test_rule_6_the_capture_day_chooses_the_owner() -> None:
    rows = [
        {"entity": "e", "legal_domicile": "US", "control_country": "US", "from": "2010", "to": "2020"},
        {"entity": "e", "legal_domicile": "US", "control_country": "CN", "from": "2020"},
    ]
    rows = [{**row, "basis": "b", "sources": ["s"]} for row in rows]
    one = Attributor(build([{**company("a"), "control": rows}], [app("x", "a", endpoint("x.example"))]))
    days = ("2009-01-01", "2019-12-31", "2020-01-01")
    found = [one.judge(facts(("sni", "x.example"), day=day)).label.control_country for day in days]
    assert found == [None, "US", "CN"]


def test_certificate_with_names_of_several_customers_is_low() -> None:
    assert judge(("certificate", "*.tiktok.com"), ("certificate", "tiktokv.com")).label.confidence == "medium"
    for other in ("www.facebook.com", "shop.example"):
        one = judge(("certificate", "*.tiktok.com"), ("certificate", other))
        assert (one.label.name_source, one.label.confidence, one.blind) == ("certificate", "low", None)


def test_certificate_names_of_one_owner_and_its_operator_are_one_customer() -> None:
    same = judge(
        ("certificate", "*.facebook.com"), ("certificate", "graph.facebook.com"), ("certificate", "x.akamaized.net")
    )
    assert same.label.confidence == "medium"


def test_dns_an_address_that_names_of_several_apps_share_is_low() -> None:
    both = judge(("dns_answer", "tiktok.com", 9), ("dns_answer", "facebook.com", 3))
    assert short(both) == ("dns_answer", "tiktok", "low", None)
    assert judge(("dns_answer", "tiktok.com", 9), ("dns_answer", "tiktokv.com", 3)).label.confidence == "medium"


def test_dns_a_name_outside_the_catalogue_shares_an_address_too() -> None:
    both = judge(("dns_answer", "shop.example", 9), ("dns_answer", "tiktok.com", 3))
    assert short(both) == ("dns_answer", "tiktok", "low", None)


def test_dns_the_cname_chain_counts_and_its_operator_is_no_party() -> None:
    chain = judge(("dns_answer", "www.tiktok.com", 3), ("dns_answer", "x.akamaized.net", 3))
    assert (chain.label.name, *short(chain)) == ("www.tiktok.com", "dns_answer", "tiktok", "medium", None)
    alone = judge(("dns_answer", "x.akamaized.net", 9), ("dns_answer", "www.tiktok.com", 3))
    assert short(alone) == ("dns_answer", "tiktok", "medium", None)


def test_dns_names_of_one_chain_are_one_party() -> None:
    chain = judge(("dns_answer", "www.instagram.com", 3), ("dns_answer", "star.c10r.facebook.com", 3))
    assert chain.label.app_id == "instagram"
    chain = judge(("dns_answer", "cdn.shop.example", 3), ("dns_answer", "www.tiktok.com", 3))
    assert short(chain) == ("dns_answer", "tiktok", "medium", None)


def test_dns_a_first_party_name_in_front_of_an_sdk_is_the_sdk() -> None:
    chain = judge(("dns_answer", "metrics.tiktok.com", 3), ("dns_answer", "tiktok.com.sc.omtrdc.net", 3))
    assert (chain.label.app_id, chain.label.name) == ("adobe_analytics", "tiktok.com.sc.omtrdc.net")


@pytest.mark.parametrize("asn", [None, 396986])
def test_a_network_names_the_owner_only(asn: int | None) -> None:
    one = judge(server=FAR if asn else TIKTOK_NET, asn=asn)
    label = one.label
    assert (label.name, label.app_id, label.app_kind, label.role) == (None, None, None, None)
    assert (label.owner_id, label.control_country, label.confidence) == ("bytedance", "CN", "medium")
    text = "AS396986" if asn else "71.18.0.0/16"
    assert one.evidence == (("network", text, 77, 5, f"signatures/bytedance/tiktok.toml#{text}"),)
    assert one.blind == "encrypted_unknown"


def test_a_network_says_whose_an_unknown_name_is_where_it_is_the_owners_own() -> None:
    own, shared = judge(("sni", "new.example"), server=TIKTOK_NET), judge(("sni", "new.example"), server=AKAMAI_SHARED)
    assert (own.label.owner_id, own.label.confidence, own.label.app_id) == ("bytedance", "medium", None)
    assert (shared.label.owner_id, shared.label.confidence) == (None, None)
    assert judge(server=AKAMAI_SHARED).label.confidence == "low"


def test_a_local_server_lies_in_nobodys_network() -> None:
    assert judge(server=TIKTOK_NET, server_local=True).evidence == ()


ECH = [
    # (outer name, offered, answered with ech=) -> ech, app, blind
    ("www.tiktok.com", False, False, None, "tiktok", None),
    ("www.tiktok.com", True, False, "offered", "tiktok", None),  # GREASE
    ("www.tiktok.com", True, True, "used", None, "ech"),
    ("cloudflare-ech.com", True, False, "used", None, "ech"),
    ("cloudflare-ech.com", True, True, "used", None, "ech"),
    ("cloudflare-ech.com", False, False, None, "cloudflare_cdn", None),
    ("cloudflare-ech.com.evil.example", True, False, "offered", None, None),
    ("www.tiktok.com", False, True, None, "tiktok", None),
]


@pytest.mark.parametrize(("name", "offered", "answered", "ech", "app_id", "blind"), ECH)
@pytest.mark.parametrize("kind", ["sni", "quic_sni"])
def test_ech_offered_may_be_grease_and_used_hides_the_true_name(
    kind: str, name: str, offered: bool, answered: bool, ech: str | None, app_id: str | None, blind: str | None
) -> None:
    one = judge((kind, name), ech_offered=offered, ech_answer=answered)
    assert (one.ech, one.label.app_id, one.blind) == (ech, app_id, blind)
    assert (one.label.name, one.label.name_source) == (name, kind)


def test_ech_the_outer_name_shows_its_operator_but_no_owner_of_an_app() -> None:
    known = judge(("sni", "cloudflare-ech.com"), ech_offered=True).label
    assert (known.owner_id, known.confidence, known.role) == ("cloudflare", "high", None)
    other = judge(("sni", "www.tiktok.com"), ech_offered=True, ech_answer=True).label
    assert (other.owner_id, other.confidence) == (None, None)


def test_ech_a_dns_answer_of_the_same_device_still_names_the_flow_one_step_lower() -> None:
    one = judge(("sni", "cloudflare-ech.com"), ("dns_answer", "www.tiktok.com"), ech_offered=True)
    assert (one.ech, one.label.name, *short(one)) == ("used", "www.tiktok.com", "dns_answer", "tiktok", "medium", None)
    assert [piece.kind for piece in one.evidence] == ["dns_answer", "sni"]
    outer = judge(("sni", "cloudflare-ech.com"), ("dns_answer", "cloudflare-ech.com"), ech_offered=True)
    assert (outer.label.app_id, outer.blind) == (None, "ech")


CONFLICTS = [
    # an SNI of TikTok, and:
    ([("dns_answer", "www.facebook.com")], FAR, "sni_vs_dns"),
    ([("dns_answer", "www.facebook.com", 9), ("dns_answer", "shop.example", 8)], FAR, "sni_vs_dns"),
    ([("dns_answer", "www.facebook.com", 9), ("dns_answer", "www.tiktok.com", 8)], FAR, None),
    ([("dns_answer", "www.facebook.com", 9), ("dns_answer", "www.douyin.com", 8)], FAR, None),
    ([("dns_answer", "x.akamaized.net")], FAR, None),
    ([("dns_answer", "shop.example")], FAR, None),
    ([("dns_answer_other", "www.facebook.com")], FAR, None),
    ([("http_host", "www.facebook.com")], FAR, "sni_vs_host"),
    ([("http_host", "www.douyin.com")], FAR, None),
    ([("http_host", "x.akamaized.net")], FAR, None),
    ([], FACEBOOK_NET, "sni_vs_network"),
    ([], TIKTOK_NET, None),
    ([], AKAMAI_NET, None),
    ([], AKAMAI_SHARED, None),
    ([("dns_answer", "www.facebook.com"), ("http_host", "www.facebook.com")], FACEBOOK_NET, "sni_vs_dns"),
]


@pytest.mark.parametrize(("others", "server", "conflict"), CONFLICTS)
def test_conflict_only_where_two_owners_are_named(others: list[Any], server: int, conflict: str | None) -> None:
    one = judge(("sni", "www.tiktok.com"), *others, server=server)
    assert (one.label.conflict, one.label.app_id, one.label.confidence) == (conflict, "tiktok", "high")


@pytest.mark.parametrize("name", ["x.akamaized.net", "shop.example", "www.instagram.com"])
def test_conflict_none_where_the_sni_names_no_owner_or_a_subsidiary(name: str) -> None:
    assert judge(("sni", name), ("dns_answer", "www.facebook.com"), server=FACEBOOK_NET).label.conflict is None


def test_conflict_none_for_an_outer_name() -> None:
    one = judge(("sni", "www.tiktok.com"), ("dns_answer", "facebook.com"), ech_offered=True, ech_answer=True)
    assert (one.label.conflict, one.label.app_id) == (None, "facebook")


BLIND = [
    ([("sni", "www.tiktok.com")], {}, None),
    ([("dns_answer_other", "shop.example")], {}, None),
    ([("sni", "www.tiktok.com")], {"protocol": "openvpn"}, "vpn"),
    ([("sni", "www.tiktok.com")], {"server_port": 853}, "dot"),
    ([("sni", "cloudflare-dns.com")], {}, "doh"),
    ([("sni", "cloudflare-dns.com")], {"ech_offered": True, "ech_answer": True}, "doh"),
    ([("dns_answer", "cloudflare-dns.com")], {}, "doh"),
    ([("sni", "www.tiktok.com"), ("dns_answer", "cloudflare-dns.com")], {}, None),
    ([], {"server": RESOLVER}, "doh"),
    ([("sni", "shop.example")], {"server": RESOLVER, "protocol": "quic", "transport": 17}, "doh"),
    ([], {"server": RESOLVER, "protocol": "dns", "transport": 17, "server_port": 53}, None),
    ([], {"cut": True, "undecryptable": True}, "snaplen_cut"),
    ([("sni", "www.tiktok.com")], {"cut": True}, None),
    ([], {"protocol": "quic", "transport": 17, "undecryptable": True}, "undecryptable"),
    ([], {"hello": True}, "no_name_offered"),
    ([], {"handshake": False}, "no_handshake"),
    ([], {"server": TIKTOK_NET}, "encrypted_unknown"),
    ([], {"protocol": None, "payload": False}, "ip_only"),
]


@pytest.mark.parametrize(("seen", "more", "blind"), BLIND)
def test_blind_has_the_first_reason_that_holds(seen: list[Any], more: dict[str, Any], blind: str | None) -> None:
    assert judge(*seen, **more).blind == blind


def test_m3_evidence_is_capped_and_keeps_the_network() -> None:
    one = judge(*(("certificate", f"n{at}.example") for at in range(40)), server=TIKTOK_NET)
    assert len(one.evidence) == EVIDENCE
    assert one.evidence[-1].kind == "network"


def test_a_cached_judgement_has_the_times_of_its_own_flow() -> None:
    attributor = Attributor(CATALOGUE)
    first = attributor.judge(facts(("sni", "tiktok.com"), server=TIKTOK_NET))
    later = facts(("sni", "tiktok.com"), server=TIKTOK_NET, start=900, packet=90)
    later = later._replace(sightings=(later.sightings[0]._replace(time=901, packet=91),))
    second = attributor.judge(later)
    assert second.label is first.label
    assert [(piece.time, piece.packet) for piece in first.evidence] == [(1_000, 1), (77, 5)]
    assert [(piece.time, piece.packet) for piece in second.evidence] == [(901, 91), (900, 90)]


@pytest.mark.parametrize(
    "change",
    [
        *({"day": "2012-01-01"}, {"ech_offered": True, "ech_answer": True}, {"server_port": 853}, {"server": RESOLVER}),
        *({"protocol": "wireguard"}, {"server": FACEBOOK_NET}, {"transport": 47}),
    ],
)
def test_a_cached_judgement_is_not_taken_for_other_facts(change: dict[str, Any]) -> None:
    attributor, seen = Attributor(CATALOGUE), ("sni", "www.instagram.com")
    attributor.judge(facts(seen))
    assert attributor.judge(facts(seen, **change)) == Attributor(CATALOGUE).judge(facts(seen, **change))
    assert attributor.judge(facts(seen)) == Attributor(CATALOGUE).judge(facts(seen))


def test_a_cached_judgement_tells_chains_from_separate_answers() -> None:
    attributor, names = Attributor(CATALOGUE), ("www.instagram.com", "www.tiktok.com")
    chain = attributor.judge(facts(*(("dns_answer", name, 3) for name in names)))
    apart = attributor.judge(facts(*(("dns_answer", name, at) for at, name in enumerate(names))))
    assert chain.label.app_id == apart.label.app_id == "instagram"
    high = attributor.judge(facts(("dns_answer", "x.shop.example", 3), ("dns_answer", names[1], 3)))
    low = attributor.judge(facts(("dns_answer", "x.shop.example", 3), ("dns_answer", names[1], 4)))
    assert (high.label.confidence, low.label.confidence) == ("medium", "low")


NAMES = (
    *("www.tiktok.com", "www.instagram.com", "x.akamaized.net", "tiktok.omtrdc.net", "cloudflare-ech.com"),
    *("cloudflare-dns.com", "shop.example", "203.0.113.7"),
)
SEEN = st.lists(st.tuples(st.sampled_from(sorted(TIERS)), st.sampled_from(NAMES), st.integers(1, 3)), max_size=6)
WARM = Attributor(CATALOGUE)


@given(SEEN, st.booleans(), st.booleans(), st.sampled_from((FAR, FACEBOOK_NET, AKAMAI_SHARED, RESOLVER)))
def test_a_name_that_the_key_of_a_cached_judgement_leaves_out_changes_nothing(
    seen: list[Any], offered: bool, answered: bool, server: int
) -> None:
    flow = facts(*seen, ech_offered=offered, ech_answer=answered, server=server)
    one, fresh = WARM.judge(flow), Attributor(CATALOGUE)
    order = sorted(range(len(seen)), key=lambda at: TIERS[seen[at][0]])
    every = fresh._look_up([flow.sightings[at] for at in order])
    chains = decide._chains(flow.sightings, order)
    verdict = fresh._decide(flow, every, chains, CATALOGUE.network(server))
    assert (one.label, one.blind, one.ech) == (verdict.label, verdict.blind, verdict.ech)
    order.insert(0, order.pop(verdict.first) if order else 0)
    times = [flow.sightings[at].time for at in order[: len(seen)]]
    assert [piece.time for piece in one.evidence if piece.kind != "network"] == times


def test_a_chain_ends_where_another_answer_stands_between_though_kinds_part_them() -> None:
    chain = [("dns_answer", "cdn.shop.example", 3), ("dns_answer", "www.tiktok.com", 3)]
    between = [chain[0], ("dns_answer_other", "x.example", 9), chain[1]]
    assert judge(*chain).label.confidence == "medium"
    assert judge(*between).label.confidence == "low"


def test_m3_the_caches_stay_below_their_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwatch.attribution.decide.LABEL_CACHE", 10)
    attributor = Attributor(CATALOGUE)
    for at in range(25):
        assert attributor.judge(facts(("sni", f"n{at}.tiktok.com"))).label.app_id == "tiktok"
        assert attributor.lookup(f"n{at}.tiktok.com", DAY).app_id == "tiktok"
        assert len(attributor._verdicts) <= 10
        assert len(attributor._labels) <= 10


def test_a_question_is_labelled_as_its_name() -> None:
    label = Attributor(CATALOGUE).lookup("Log-sg.tiktokv.com", DAY)
    assert (label.name, label.name_source, label.role) == ("log-sg.tiktokv.com", "dns_query", "telemetry")
    assert (label.app_id, label.owner_id, label.control_country, label.confidence) == (
        "tiktok",
        "bytedance",
        "CN",
        "high",
    )
    assert Attributor(CATALOGUE).lookup("x.local", DAY).app_id is None
