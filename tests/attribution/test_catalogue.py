"""Matching on label boundaries, dated owners, networks."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.catalogues import DAY, app, build, company, endpoint, network, sample

from netwatch.attribution.catalogue import Catalogue
from netwatch.attribution.prefixes import parse_address
from netwatch.model.errors import DataError

SAMPLE = sample()


def named(name: str) -> str | None:
    match = SAMPLE.match(name)
    return None if match is None else match.app.id


def at(text: str, asn: int | None = None) -> str | None:
    address = parse_address(text)
    assert address is not None
    found = SAMPLE.network(address, asn)
    return None if found is None else found.rule


def test_a_name_meets_its_endpoint_and_says_where_it_stands() -> None:
    match = SAMPLE.match("LOG-sg.tiktokv.com.")
    assert match is not None
    assert match.rule == "signatures/bytedance/tiktok.toml#tiktokv.com"
    assert (match.app.id, match.app.owner_id, match.confidence, match.exact) == ("tiktok", "bytedance", "high", False)


def test_rule_1_the_longest_suffix_wins() -> None:
    match = SAMPLE.match("x.ads.tiktok.com")
    assert match is not None
    assert (match.endpoint, match.role) == ("ads.tiktok.com", "ads")


def test_rule_1_exact_beats_suffix_and_names_only_itself() -> None:
    assert named("p16-tiktokcdn-com.akamaized.net") == "tiktok"
    assert named("x.p16-tiktokcdn-com.akamaized.net") == "akamai_cdn"


def test_rule_1_exact_beats_a_suffix_of_the_same_name() -> None:
    both = build([company("a"), company("b")], [app("x", "a", endpoint("x.com")), app("y", "b", endpoint("=x.com"))])
    assert [both.match(name).app.id for name in ("x.com", "z.x.com")] == ["y", "x"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "name",
    [
        *("nottiktok.com", "tiktok.com.evil.example", "tiktok.co", "com", "tiktok-com.example", "ti\u043atok.com"),
        *("tiktok.com\\x00", "tiktokv.com.local", "tiktok", "203.0.113.7", "tiktokcom"),
    ],
)
def test_b3_look_alikes_match_nothing(name: str) -> None:
    assert SAMPLE.match(name) is None


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("log.tiktokv.com", "telemetry"),
        ("log-sg.tiktokv.com", "telemetry"),
        ("log5.tiktokv.com", "telemetry"),
        ("logs.tiktokv.com", "api"),
        ("login.tiktokv.com", "api"),
        ("x.log.tiktokv.com", "api"),
        ("ad-log-1.tiktokv.com", "ads"),
        ("ad1.tiktokv.com", "ads"),
        ("-1.tiktokv.com", "api"),
        ("tiktokv.com", "api"),
        ("ads.tiktok.com", "ads"),
        ("mon.ads.tiktok.com", "telemetry"),
        ("log.douyin.com", "api"),
    ],
)
def test_label_roles_take_the_word_or_the_word_with_a_digit_or_hyphen(name: str, role: str) -> None:
    match = SAMPLE.match(name)
    assert match is not None
    assert match.role == role


def test_rule_3_a_customers_name_on_a_shared_cdn_is_at_most_medium() -> None:
    match = SAMPLE.match("p16-tiktokcdn-com.akamaized.net")
    assert match is not None
    assert (match.confidence, match.operator) == ("medium", "akamai")


def test_rule_3_it_is_medium_where_the_file_forgets_the_operator_but_not_for_the_operators_own() -> None:
    catalogue = build(
        [company("a"), company("amazon")],
        [
            app("cloud", "amazon", endpoint("cloud.example", "cloud"), kind="infra"),
            app("customer", "a", endpoint("=a.cloud.example")),
            app("own", "amazon", endpoint("=b.cloud.example")),
        ],
    )
    found = [catalogue.match(f"{label}.cloud.example") for label in "abc"]
    assert [match and match.confidence for match in found] == ["medium", "high", "high"]


def test_rule_4_a_customers_label_inside_a_third_partys_domain_belongs_to_the_third_party() -> None:
    assert named("tiktok.omtrdc.net") == "adobe_analytics"


labels = st.sampled_from(["a", "b", "ab", "x-1", "com"])
names = st.lists(labels, min_size=2, max_size=5).map(".".join)


@given(st.sets(names, max_size=8), st.sets(names, max_size=3), names)
def test_the_walk_over_labels_is_endswith_on_their_boundaries(suffixes: set[str], exact: set[str], name: str) -> None:
    rows = [endpoint(one) for one in sorted(suffixes)] + [endpoint(f"={one}") for one in sorted(exact)]
    match = build([company("a")], [app("x", "a", *rows)]).match(name)
    fitting = [one for one in suffixes if f".{name}".endswith(f".{one}")]
    expected = name if name in exact else max(fitting, key=len, default=None)
    assert (match.endpoint if match else None) == expected


class Counting(dict[str, Any]):
    """A table that counts how often it is asked."""

    asked = 0

    def get(self, key: str, default: Any = None) -> Any:
        self.asked += 1
        return super().get(key, default)


def test_b3_a_match_asks_once_a_label_whatever_the_number_of_endpoints() -> None:
    catalogue = build([company("a")], [app("x", "a", *(endpoint(f"e{n}.example") for n in range(20_000)))])
    table = Counting(catalogue._suffix)
    catalogue._suffix = table
    assert catalogue.match("a.b.c.e19999.example") is not None
    assert table.asked == 4
    assert catalogue.match("x." * 120 + "example") is None
    assert table.asked == 4 + 121
    assert catalogue.counts.endpoints == 20_000


def test_counts_hold_apps_and_sdks_only() -> None:
    assert SAMPLE.counts == (6, 6, 12)


def test_what_is_not_known_is_none() -> None:
    assert (SAMPLE.app("none"), SAMPLE.owner("none"), SAMPLE.owner_on("none", DAY)) == (None, None, None)
    assert SAMPLE.regional("none", DAY) == SAMPLE.investors("none", DAY) == []


def test_apps_and_owners_are_found_by_id() -> None:
    tiktok, meta = SAMPLE.app("tiktok"), SAMPLE.owner("meta")
    assert tiktok is not None
    assert meta is not None
    assert (tiktok.name, meta.name) == ("Tiktok", "Meta")
    assert [one.id for one in SAMPLE.apps()] == sorted(one.id for one in SAMPLE.apps())
    assert "bytedance" in {one.id for one in SAMPLE.owners()}


def control(country: str, since: str, until: str | None = None, region: str = "*") -> dict[str, Any]:
    row = {"entity": "e", "legal_domicile": "KY", "control_country": country, "from": since, "region": region}
    return {**row, "basis": "b", "sources": ["s"], **({"to": until} if until else {})}


@pytest.mark.parametrize(
    ("day", "country"),
    [
        ("2015-12-31", None),
        ("2016-01-01", "CN"),
        ("2020-06-30", "CN"),
        ("2020-07-01", "SG"),
        ("2021-03-14", "SG"),
        ("2021-03-15", "US"),
        ("2030-01-01", "US"),
    ],
)
def test_rule_6_the_row_valid_on_the_day_is_used(day: str, country: str | None) -> None:
    rows = [control("US", "2021-03-15"), control("CN", "2016", "2020-07"), control("SG", "2020-07", "2021-03-15")]
    catalogue = build([{**company("a"), "control": rows}], [])
    owner = catalogue.owner_on("a", day)
    assert owner is not None
    assert owner.control_country == country
    assert owner.domicile == ("KY" if country else None)


def test_rule_6_of_two_valid_rows_the_later_counts() -> None:
    catalogue = build([{**company("a"), "control": [control("CN", "2016"), control("US", "2018")]}], [])
    owner = catalogue.owner_on("a", DAY)
    assert owner is not None
    assert owner.control_country == "US"


def test_a_regional_row_stands_beside_the_answer_and_never_changes_it() -> None:
    rows = [control("CN", "2017"), control("US", "2026-01-22", region="US")]
    catalogue = build([{**company("a"), "control": rows}], [])
    owner = catalogue.owner_on("a", "2026-02-01")
    assert owner is not None
    assert owner.control_country == "CN"
    assert [row.control_country for row in catalogue.regional("a", "2026-02-01")] == ["US"]
    assert catalogue.regional("a", DAY) == []


def test_rule_6_parents_are_dated_and_the_topmost_is_the_ultimate_owner() -> None:
    before, after = SAMPLE.owner_on("instagram_llc", "2012-08-31"), SAMPLE.owner_on("instagram_llc", "2012-09-01")
    assert before is not None
    assert after is not None
    assert (before.ultimate_id, before.ancestors) == ("instagram_llc", ())
    assert (after.ultimate_id, after.ultimate_owner, after.ancestors) == ("meta", "Meta", ("meta",))
    assert after.owner == "Instagram_Llc"


def test_an_owner_without_a_row_of_its_own_has_its_parents_country() -> None:
    child = {**company("child"), "control": [], "parents": [{"id": "top", "sources": ["s"]}]}
    owner = build([child, company("top", "JP")], []).owner_on("child", DAY)
    assert owner is not None
    assert owner.control_country == "JP"


def test_parents_in_a_circle_end() -> None:
    ring = [company(one, parents=[{"id": other, "sources": ["s"]}]) for one, other in (("a", "b"), ("b", "a"))]
    owner = build(ring, []).owner_on("a", DAY)
    assert owner is not None
    assert owner.ancestors == ("b",)


def test_rule_6_an_investor_is_shown_and_owns_nothing() -> None:
    stake = {"id": "t", "name": "Tencent", "share": "9 %", "from": "2018", "to": "2024", "sources": ["s"]}
    catalogue = build([company("a", "SE", investor=[stake])], [])
    owner = catalogue.owner_on("a", "2020-01-01")
    assert owner is not None
    assert (owner.control_country, owner.ultimate_id) == ("SE", "a")
    assert [row.name for row in catalogue.investors("a", "2020-01-01")] == ["Tencent"]
    assert catalogue.investors("a", "2024-01-01") == []


def test_a_network_is_found_by_prefix_in_both_families_then_by_as_number() -> None:
    prefix = "signatures/bytedance/tiktok.toml#71.18.0.0/16"
    assert at("71.18.255.255") == prefix
    assert at("71.18.0.0", asn=1) == prefix
    assert at("71.19.0.0") is at("71.17.255.255") is at("0.0.0.1") is at("2001:db9::") is None
    assert at("2001:db8:1::7") == "signatures/bytedance/tiktok.toml#2001:db8:1::/48"
    assert at("203.0.113.1", asn=396986) == "signatures/bytedance/tiktok.toml#AS396986"
    assert at("203.0.113.1", asn=396987) is None


def test_the_longest_prefix_wins_and_a_shared_network_is_low() -> None:
    inner, outer = SAMPLE.network(0x01010101), SAMPLE.network(0x01020304)
    assert inner is not None
    assert outer is not None
    assert (inner.text, inner.claim) == ("1.1.1.0/24", "resolver")
    assert (outer.text, outer.dedicated, outer.confidence) == ("1.0.0.0/8", False, "low")


def test_an_anycast_claim_hides_no_owner_and_a_resolvers_comes_before_an_equal_owners() -> None:
    rows = [network(prefixes=["9.9.9.0/24"], claim=claim) for claim in ("anycast", "owner", "resolver")]
    found = build([company("a")], [app("x", "a", network=rows)]).network(0x09090909)
    assert found is not None
    assert found.claim == "resolver"
    only = build([company("a")], [app("x", "a", network=rows[:1])])
    assert only.network(0x09090909) is None


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b'{"version": 1}', b"\xff", b"[" * 100_000])
def test_b1_a_damaged_compiled_form_is_a_data_error(raw: bytes) -> None:
    with pytest.raises(DataError, match="install netwatch again"):
        Catalogue.from_bytes(raw)
