"""The filter language: what it accepts, and what it says about the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.flows import number

from netwatch.filters.expression import (
    And,
    Expression,
    Hosts,
    Labelled,
    Not,
    Or,
    Ports,
    Protocol,
    Version,
    Vlan,
    ids,
    name_test,
)
from netwatch.filters.parse import parse
from netwatch.model.errors import UsageError

HTTPS, HTTP, DNS = Ports(443, 443), Ports(80, 80), Ports(53, 53)


def hosts(first: str, last: str | None = None) -> Hosts:
    return Hosts(number(first), number(last or first))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("host 192.0.2.1", hosts("192.0.2.1")),
        ("192.0.2.1", hosts("192.0.2.1")),
        ("host 2001:DB8::1", hosts("2001:db8::1")),
        ("2001:db8::1 or fe80::1", Or((hosts("2001:db8::1"), hosts("fe80::1")))),
        ("net 192.0.2.0/24", hosts("192.0.2.0", "192.0.2.255")),
        ("net 192.0.2.77/24", hosts("192.0.2.0", "192.0.2.255")),
        ("net 10", hosts("10.0.0.0", "10.255.255.255")),
        ("net 192.168", hosts("192.168.0.0", "192.168.255.255")),
        ("net 2001:db8::/32", hosts("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")),
        ("port 443", HTTPS),
        ("portrange 8000-8080", Ports(8000, 8080)),
        ("portrange 8080-8000", Ports(8000, 8080)),
        ("tcp", Protocol(6)),
        ("icmp6", Protocol(58)),
        ("proto 47", Protocol(47)),
        ("proto udp", Protocol(17)),
        ("ip proto 17", And((Version(4), Protocol(17)))),
        ("ip6", Version(6)),
        ("vlan", Vlan(None)),
        ("vlan 5 and udp", And((Vlan(5), Protocol(17)))),
        ("tcp port 80", And((Protocol(6), HTTP))),
        ("tcp port 80 or 443", Or((And((Protocol(6), HTTP)), And((Protocol(6), HTTPS))))),
        ("port 80 or 443", Or((HTTP, HTTPS))),
        ("port 80 or host 192.0.2.1 or 192.0.2.2", Or((HTTP, hosts("192.0.2.1"), hosts("192.0.2.2")))),
        ("not tcp port 80", Not(And((Protocol(6), HTTP)))),
        ("! ! ! udp", Not(Protocol(17))),
        ("not not udp", Protocol(17)),
        ("port 80 || port 443 && udp", And((Or((HTTP, HTTPS)), Protocol(17)))),
        ("port 80 or (port 443 and udp)", Or((HTTP, And((HTTPS, Protocol(17)))))),
        ("PORT 443 AND Not UDP", And((HTTPS, Not(Protocol(17))))),
        ("app:TikTok", Labelled("app", "tiktok")),
        ('device:"Ana\'s iPhone"', Labelled("device", "ana's iphone")),
        ("device:mac:8e:12:34:56:78:9a", Labelled("device", "mac:8e:12:34:56:78:9a")),
        ("name:*.TikTokV.com.", Labelled("name", "*.tiktokv.com")),
        ("app:tiktok&&(!role:cdn)", And((Labelled("app", "tiktok"), Not(Labelled("role", "cdn"))))),
        ('"app:and" or app:"or"', Or((Labelled("app", "and"), Labelled("app", "or")))),
    ],
)
def test_what_an_expression_means(text: str, tree: Expression) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "column 1: the expression is empty"),
        ("  ", "column 1: the expression is empty"),
        (
            "app:x and colour:red",
            'column 11: there is no "colour":; there are app: owner: control: device: name: role: kind:',
        ),
        ("app:", "column 1: app: lacks a value: app id or name"),
        ("name:.", "column 1: name: lacks a value"),
        ("port 80 port 443", 'column 9: and or or is missing before "port"'),
        ("app:tiktok device:ana", 'column 12: and or or is missing before "device:ana"'),
        ("port", "column 5: port lacks what it asks for"),
        ("port and udp", "column 6: port lacks what it asks for"),
        ("port 65536", 'column 6: a port is a number up to 65535, not "65536"'),
        ("port \u0663", "column 6: a port is a number up to 65535"),
        ("port https", 'column 6: a port is a number up to 65535, not "https"'),
        ("portrange 1", "column 11: an end of a portrange such as 8000-8080 is a number"),
        ("proto 256", "column 7: a protocol is a number up to 255"),
        ("vlan 4096", "column 6: a VLAN is a number up to 4095"),
        ("host example.com", 'column 6: an address is due, not "example.com"; no name is looked up'),
        ("host 192.0.2.0/24", "column 6: an address is due"),
        ("host fe80::1%eth0", "column 6: an address is due"),
        ("net 192.0.2.0/33", "column 5: a network such as 192.0.2.0/24 is due"),
        ("net 300", "column 5: a network such as"),
        ("(port 80", "column 1: a ( without its )"),
        ("port 80)", "column 8: a ) without its ("),
        ("()", 'column 2: ")" stands where a primitive is due'),
        ("port 80 and", "column 12: the expression ends where a primitive is due"),
        ("or port 80", 'column 1: "or" stands where a primitive is due'),
        ("port 80 & udp", "column 9: '&' has no meaning here; operators are and, or, not, &&, ||, !"),
        ('app:"x', 'column 5: a quote " that does not end'),
        ("tiktok", 'column 1: "tiktok" is no word of the language; there are and host icmp icmp6 ip ip6 net not or'),
        ("src host 192.0.2.1", 'column 1: "src" is no word of the language'),
        ("\x1b]0;x\x07", r'column 1: "\x1b]0;x\x07" is no word of the language'),
    ],
)
def test_an_error_says_where_and_what_is_possible(text: str, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(text)
    assert str(raised.value).startswith(f"-f: {says}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 1_000_000 + ")" * 1_000_000,
        "(" * 30_000,
        "not " * 16_000,
        "not (" * 13_000,
        "!" * 65_000,
        "port 1 and port 2 or " * 3_000,
        "port 1 or " * 6_500 + "udp",
        '"' * 65_001,
        "a" * 2_000_000,
        "name:" + "*" * 65_000,
        "net " + "1." * 30_000,
        "host " + ":" * 65_000,
        "port " + "9" * 65_000,
    ],
    ids=lambda text: text[:12],
)
def test_b3_hostile_text_is_bounded(text: str) -> None:
    try:
        expression = parse(text)
    except UsageError as error:
        assert len(str(error)) < 400  # noqa: PT017 either outcome is right
    else:
        ids(expression)


WORDS = ["and ", "or ", "not ", "port ", "host ", "net ", "tcp ", "app:x ", "80 ", *'() !&|"*:/.-19\n']


@given(st.lists(st.sampled_from(WORDS), max_size=30).map("".join))
def test_any_text_is_an_expression_or_a_usage_error(text: str) -> None:
    try:
        parse(text)
    except UsageError:
        return


def test_ids_are_what_the_labels_ask_for() -> None:
    found = ids(parse("not (app:TikTok or app:wechat) and control:CN and port 443"))
    assert found == {"app": {"tiktok", "wechat"}, "control": {"cn"}}


@pytest.mark.parametrize(
    ("value", "name", "holds"),
    [
        ("tiktokv.com", "tiktokv.com", True),
        ("tiktokv.com", "LOG.TikTokV.com.", True),
        ("tiktokv.com", "nottiktokv.com", False),
        ("tiktokv.com", "tiktokv.com.evil.example", False),
        ("*.tiktokv.com", "a.b.tiktokv.com", True),
        ("*.tiktokv.com", "tiktokv.com", False),
        ("*tiktok*", "log.tiktokv.com", True),
        ("log*.com", "log.tiktokv.com", True),
        ("log*log", "log", False),
        ("a*b*c", "a-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("*ab*ab*", "xabx", False),
        ("*", "x", True),
        ("*", None, False),
    ],
)
def test_name_matches_on_label_boundaries_or_by_words(value: str, name: str | None, holds: bool) -> None:
    assert name_test(value, name) is holds


def test_b3_a_glob_of_many_stars_takes_linear_time() -> None:
    assert not name_test("*a" * 500 + "*b", "a" * 1_024)
