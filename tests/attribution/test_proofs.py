"""The catalogue's own test finds what is wrong with its files."""

from typing import Any

import pytest
from support.catalogues import app, build, company, endpoint

from netwatch.attribution.proofs import problems

TEST = {"match": ["a.x.example"], "no_match": ["notx.example"]}


def found(*apps: dict[str, Any], companies: list[dict[str, Any]] | None = None) -> list[str]:
    return problems(build(companies or [company("a"), company("b")], list(apps)))


def test_a_catalogue_that_proves_itself_has_no_problems() -> None:
    assert found(app("x", "a", endpoint("x.example"), test=TEST)) == []


@pytest.mark.parametrize(
    ("row", "more", "text"),
    [
        (endpoint("x.example"), {}, "[test] needs names"),
        (endpoint("x.example"), {"test": {**TEST, "match": ["y.example"]}}, "[test] y.example is not matched"),
        (endpoint("x.example"), {"test": {**TEST, "no_match": ["b.x.example"]}}, "[test] b.x.example is matched"),
        (endpoint("x.example", "doh"), {"test": TEST}, "x.example has role doh, which only infra has"),
        (endpoint("x.example", operator="b"), {"test": TEST}, "x.example stands on b: at most medium"),
        (endpoint("x.example", confidence="low", operator="c"), {"test": TEST}, "an operator that is not known: c"),
    ],
)
def test_b3_each_broken_rule_is_named_with_its_file(row: dict[str, Any], more: dict[str, Any], text: str) -> None:
    lines = found(app("x", "a", row, **more))
    assert any(text in line and line.startswith("signatures/a/x.toml: ") for line in lines)


def test_a_customers_name_inside_an_sdk_of_another_owner_is_found() -> None:
    sdk = app("s", "b", endpoint("sdk.example"), kind="sdk", test={"match": ["sdk.example"], "no_match": ["n.example"]})
    mine = app("x", "a", endpoint("=x.sdk.example"), test={"match": ["x.sdk.example"], "no_match": ["n.example"]})
    assert found(sdk, mine) == ["signatures/a/x.toml: x.sdk.example is a customer's name inside s, to which it belongs"]


def test_a_company_without_a_row_for_all_regions_or_with_a_backward_row_is_found() -> None:
    bare = {**company("a"), "control": []}
    assert found(companies=[bare]) == ["signatures/a/_company.toml: no [[control]] row of region *"]
    rows = [{**company("a")["control"][0], "to": "1999"}]
    lines = found(companies=[{**company("a"), "control": rows}])
    assert lines == ["signatures/a/_company.toml: a row ends (1999) before it begins (2000)"]
