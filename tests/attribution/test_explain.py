"""The object of `explain --json`."""

import pytest
from support.catalogues import DAY, sample

from netwatch.attribution.explain import explain

CATALOGUE = sample()
KEYS = (
    "input normalised app_id app kind role owner_id owner ultimate_owner control_country confidence rule "
    "server_country asn"
)


def test_a_name_is_explained_in_the_order_of_the_contract() -> None:
    one = explain(CATALOGUE, "LOG-sg.tiktokv.com.", DAY)
    assert list(one) == KEYS.split()
    assert list(one.values()) == [
        *(
            "LOG-sg.tiktokv.com.",
            "log-sg.tiktokv.com",
            "tiktok",
            "Tiktok",
            "app",
            "telemetry",
            "bytedance",
            "Bytedance",
        ),
        *("Bytedance", "CN", "high", "signatures/bytedance/tiktok.toml#tiktokv.com", None, None),
    ]


def test_the_topmost_parent_of_the_day_is_the_ultimate_owner() -> None:
    days = ("2012-01-01", "2013-01-01")
    assert [explain(CATALOGUE, "instagram.com", day)["ultimate_owner"] for day in days] == ["Instagram_Llc", "Meta"]


@pytest.mark.parametrize("text", ["71.18.0.1", "2001:DB8:1:0::1", "[2001:db8:1::1]", "71.18.0.1:443"])
def test_an_address_names_the_owner_of_its_network_and_no_app(text: str) -> None:
    one = explain(CATALOGUE, text, DAY)
    assert (one["owner_id"], one["confidence"], one["app_id"], one["kind"]) == ("bytedance", "medium", None, None)
    assert one["normalised"] in {"71.18.0.1", "2001:db8:1::1"}


def test_places_give_the_as_number_that_finds_the_network() -> None:
    one = explain(CATALOGUE, "203.0.113.9", DAY, lambda _: ("SG", 396986))
    assert (one["server_country"], one["asn"], one["owner_id"]) == ("SG", 396986, "bytedance")
    assert explain(CATALOGUE, "tiktok.com", DAY, lambda _: ("SG", 1))["asn"] is None


@pytest.mark.parametrize(
    ("text", "normalised"),
    [("nottiktok.com", "nottiktok.com"), ("Printer", "printer"), ("x y", None), ("", None), ("0.0.0.0", "0.0.0.0")],
)
def test_what_matches_nothing_is_null(text: str, normalised: str | None) -> None:
    one = explain(CATALOGUE, text, DAY)
    assert (one["input"], one["normalised"]) == (text, normalised)
    assert {value for key, value in one.items() if key not in {"input", "normalised"}} == {None}
