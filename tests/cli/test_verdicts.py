"""A verdict in each format: the facts in words, and no hostile string that is more than a string there."""

import copy
import json
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from support.verdicts import EVIDENCE, coverage, device, failed, passed, reason, unsettled, verdict, violation

from netwatch.cli.verdicts import FORMATS
from netwatch.cli.verdicts.sarif import sarif
from netwatch.cli.verdicts.text import text
from netwatch.cli.verdicts.words import Names
from netwatch.cli.verdicts.wrap import cells, wrapped

SGR = re.compile("\x1b\\[[0-9;]*m")
HOSTILE = [
    "a\n::error title=owned::x\r\n::set-output name=a::b",
    "%0A::error::x%25",
    "</testcase><testcase name='x'>]]>&lt;&#0;",
    "a | b `c` ``` d\\|e",
    "<script>alert(1)</script><img src=x onerror=y>",
    "[click](https://evil.example) ![x](y) <https://evil.example>",
    "www.evil.example http://evil.example me@evil.example @admin #1",
    "**bold** _em_ ~~gone~~ # head &amp; - 1.",
    "\x1b]0;owned\x07\x1b[31mred\x9b2J",
    "abc\u202etxt.exe\u2066\u200b\ufeff",
    "\udcff\ud800\ufffe\U0001f600",
    "{0} {1} [a](1) [b]",
    "e\u0301" * 40 + "\u4e16\u754c" * 200,
    "",
    " ",
]
KINDS: dict[str, Callable[[], dict[str, Any]]] = {"PASS": passed, "FAIL": failed, "INCONCLUSIVE": unsettled}


def hostile(string: str) -> dict[str, Any]:
    """Return a FAIL with a string wherever the wire, a policy or the catalogue may put one."""
    piece = {**EVIDENCE, "value": string, "rule": f"signatures/{string}"}
    bad = violation(evidence=[piece], app_id=string or None)
    out = verdict(
        "FAIL",
        device("FAIL", bad, device_id=f"ip:{string}", device_name=string or None),
        device("INCONCLUSIVE", device_id="ip:192.0.2.1", device_name=string, coverage=coverage(ech=1)),
        reasons=[reason(device_id="ip:192.0.2.1", text=string, settle=string), reason(device_id=string)],
        limits=[{"limit": "doh", "device_id": None, "bytes": 5, "text": string}],
    )
    out["policy"] = {"id": "mine", "title": string, "date": "2020", "source": f"/tmp/{string}"}
    return out


def shown(name: str, what: dict[str, Any]) -> str:
    out = FORMATS[name](what)
    assert out.endswith("\n")
    assert out == FORMATS[name](copy.deepcopy(what))
    return out


def visible(line: str) -> bool:
    return all(char.isprintable() and ord(char) not in (0x200B, 0x202E, 0xFEFF) for char in line)


# --- text ---


def test_text_of_a_fail() -> None:
    lines = text(failed(), names=Names({"tiktok": "TikTok"}, {"bytedance": "ByteDance"}), ascii_only=False).split("\n")
    assert lines[:4] == [
        "✗ FAIL  Executive orders 13942 and 13943",
        "  policy us-eo-2020 of 2020-08-06, signatures/policies/us-eo-2020.toml",
        "  seen: 42 packets, 2025-11-24 19:51:00 to 19:51:14 UTC (14.5 s)",
        "  devices: 2 fail, 1 inconclusive, 0 pass",
    ]
    assert lines[5:13] == [
        "✗ FAIL  Ana-iPhone (mac:8e:12:34:56:78:9a)",
        "  TikTok (ByteDance → CN): sent 8.2 kB in 1 flow, received 5.4 kB",
        "    forbid 1, confidence high, 19:51:02 to 19:51:14",
        "    packet 12, 19:51:02.114, SNI log-sg.tiktokv.com,",
        "      rule signatures/bytedance/tiktok.toml#tiktokv.com",
        "  wechat (tencent → CN): asked for its name, no flow seen",
        "    forbid 1, confidence high, 19:51:02 to 19:51:14",
        "    packet 12, 19:51:02.114, SNI log-sg.tiktokv.com,",
    ]
    whole = "\n".join(lines)
    assert "  no app known of ByteDance → CN: asked for its name, the local resolver refused\n" in whole
    assert whole.count("packet 12") == 1 + 1 + 3
    assert "    and 2 more pieces of evidence\n" in whole
    assert "? INCONCLUSIVE  ip:192.0.2.7\n  why: ech (233 kB): 94.5% of its bytes are hidden\n" in whole
    assert "    to settle it: Turn off Encrypted ClientHello in the browser," in whole
    assert "    hidden 233 kB in 1 flow, ech: the name is hidden by Encrypted ClientHello\n" in whole
    assert lines[-2:] == ["Exit code 1.", ""]


def test_text_of_a_pass_says_what_it_does_not_mean() -> None:
    out = text(passed(), ascii_only=False)
    assert out.startswith("✓ PASS  Executive orders 13942 and 13943\n")
    assert "  coverage: 93.8% of 14.5 kB to and from the outside named\n    hidden 900 B in 1 flow, ech: " in out
    assert "  not seen, of no weight here:\n    ech_offered (1.2 kB): the name is probably real\n" in out
    assert out.endswith('\nNot seen is never "not installed". Exit code 0.\n')


def test_text_of_an_inconclusive_says_what_would_settle_it() -> None:
    out = text(unsettled(), ascii_only=False)
    assert out.startswith("? INCONCLUSIVE  Executive orders")
    assert "  seen: 42 packets\n" in out
    assert "? INCONCLUSIVE  the capture as a whole\n  why: inactive: no device left" in out
    assert "    to settle it: Use it.\n" in out
    assert out.endswith("\nExit code 4.\n")


def test_text_of_a_fail_keeps_apart_what_is_not_settled() -> None:
    what = verdict("FAIL", device("FAIL", violation()), reasons=[reason()])
    assert "\n  not settled: ech (233 kB): 94.5% of its bytes are hidden\n" in text(what, ascii_only=False)


def test_text_names_the_day_where_there_are_several_and_what_was_dropped() -> None:
    what = failed()
    what["span"]["last"] = "2025-11-25T08:00:00.000000000Z"
    what["span"]["seconds"] = 43_740.0
    what["ledger"]["kernel_dropped"] = 7
    out = text(what, ascii_only=False, width=120)
    assert "seen: 42 packets and 7 dropped, 2025-11-24 19:51:00 to 2025-11-25 08:00:00 UTC (12 h 9 m)" in out
    assert "packet 12, 2025-11-24 19:51:02.114, SNI" in out


@pytest.mark.parametrize("kind", KINDS)
def test_text_says_in_ascii_and_without_colour_what_it_says_with_them(kind: str) -> None:
    what = KINDS[kind]()
    plain = text(what, ascii_only=False)
    coloured = text(what, colour=True, ascii_only=False)
    assert SGR.sub("", coloured) == plain
    colours = {"PASS": "0;114;178", "FAIL": "213;94;0", "INCONCLUSIVE": "240;228;66"}
    mark = plain.split("  ", maxsplit=1)[0]
    assert coloured.startswith(f"\x1b[1;38;2;{colours[kind]}m{mark}\x1b[0m")
    simple = text(what, ascii_only=True)
    assert simple.isascii()
    assert kind in simple.split("\n", maxsplit=1)[0]


def test_text_is_ascii_where_stdout_can_say_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    for encoding, ascii_only in (("ascii", True), ("latin-1", True), ("utf-8", False)):
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
        out = text(hostile("\u4e16\u754c"))
        assert out.isascii() is ascii_only
        sys.stdout.write(out)
        sys.stdout.flush()


@pytest.mark.parametrize("width", [40, 80, 133])
@pytest.mark.parametrize("string", HOSTILE)
def test_d1_text_has_no_foreign_byte_and_no_line_that_is_too_wide(string: str, width: int) -> None:
    out = text(hostile(string), colour=True, width=width, ascii_only=False)
    for line in SGR.sub("", out).split("\n"):
        assert visible(line)
        assert cells(line) <= width
    assert "\x1b" not in text(hostile(string), width=width)


@given(st.text(st.characters(categories=["L", "N", "P", "Mn"], include_characters=" "), max_size=300))
def test_wrapping_loses_nothing(string: str) -> None:
    lines = wrapped(string, 30, "> ", "  ")
    assert "".join(line[2:] for line in lines).replace(" ", "") == string.replace(" ", "")
    assert max(map(cells, lines)) <= 30


# --- json ---


@pytest.mark.parametrize("string", HOSTILE)
def test_json_is_the_verdict_itself(string: str) -> None:
    out = shown("json", hostile(string))
    assert json.loads(out) == hostile(string)
    assert out.isascii()
    assert out.count("\n") == 1


# --- junit ---


def cases(what: dict[str, Any]) -> tuple[ET.Element, list[ET.Element]]:
    out = shown("junit", what)
    assert out.isascii()
    root = ET.fromstring(out)
    (suite,) = root.findall("testsuite")
    found = suite.findall("testcase")
    for one in (root, suite):
        assert int(one.attrib["tests"]) == len(found)
        assert int(one.attrib["failures"]) == len(suite.findall("testcase/failure"))
        assert int(one.attrib["errors"]) == len(suite.findall("testcase/error"))
    return suite, found


def test_junit_turns_red_for_a_fail_and_for_what_cannot_be_judged() -> None:
    suite, (ana, other, unknown) = cases(failed())
    assert suite.attrib["name"] == "us-eo-2020: Executive orders 13942 and 13943"
    assert ana.attrib == {"classname": "netwatch.us-eo-2020", "name": "Ana-iPhone (mac:8e:12:34:56:78:9a)", "time": "0"}
    failure = ana.find("failure")
    assert failure is not None
    assert failure.attrib["message"].startswith(
        "tiktok (bytedance → CN): sent 8.2 kB in 1 flow, received 5.4 kB; wechat"
    )
    assert "SNI log-sg.tiktokv.com" in (failure.text or "")
    assert other.find("failure") is not None
    error = unknown.find("error")
    assert error is not None
    assert (error.attrib["type"], error.attrib["message"]) == (
        "INCONCLUSIVE",
        "ech (233 kB): 94.5% of its bytes are hidden",
    )
    assert "to settle it: Turn off" in (error.text or "")


def test_junit_of_a_pass_and_of_a_capture_without_a_device() -> None:
    _, (ana,) = cases(passed())
    assert [one.tag for one in ana] == ["system-out"]
    _, (whole,) = cases(unsettled())
    assert whole.attrib["name"] == "the capture as a whole"
    assert whole.find("error") is not None


@pytest.mark.parametrize("word", ["FAIL", "INCONCLUSIVE"])
@pytest.mark.parametrize("devices", [[], [device("PASS")]])
def test_no_format_turns_green_where_the_whole_did_not_pass(word: str, devices: list[dict[str, Any]]) -> None:
    what = verdict(word, *devices)
    suite, _ = cases(what)
    assert suite.findall("testcase/failure") + suite.findall("testcase/error") != []
    assert not shown("github", what).startswith("::notice")
    for name in ("text", "md"):
        assert word in shown(name, what).split("\n")[0]
    assert json.loads(shown("sarif", what))["runs"][0]["invocations"][0]["exitCode"] == {"FAIL": 1}.get(word, 4)


@pytest.mark.parametrize("string", HOSTILE)
def test_junit_keeps_hostile_strings_in_their_place(string: str) -> None:
    suite, found = cases(hostile(string))
    assert {one.tag for one in suite.iter()} <= {
        *("testsuite", "properties", "property", "testcase", "failure", "error", "system-out"),
    }  # fmt: skip
    assert len(found) == 3
    for one in suite.iter():
        assert all(visible(line) for value in [*one.attrib.values(), one.text or ""] for line in value.split("\n"))


# --- github ---

COMMAND = re.compile(r"::(error|warning|notice) title=([^:,\r\n]*)::([^\r\n]*)")


def commands(what: dict[str, Any]) -> list[tuple[str, str, str]]:
    out = []
    for line in shown("github", what).removesuffix("\n").split("\n"):
        found = COMMAND.fullmatch(line)
        assert found, line
        out.append((found[1], found[2], found[3]))
    return out


def test_github_annotates_what_failed_first() -> None:
    found = commands(failed())
    assert [level for level, _, _ in found] == ["error"] * 4 + ["warning"]
    assert found[0][1] == "FAIL%3A Executive orders 13942 and 13943"
    assert found[1][1] == "FAIL%3A Ana-iPhone (mac%3A8e%3A12%3A34%3A56%3A78%3A9a)"
    assert found[1][2].startswith("tiktok (bytedance → CN): sent 8.2 kB in 1 flow, received 5.4 kB%0Aforbid 1, ")
    assert found[4][1:] == (
        "Not settled%3A ip%3A192.0.2.7",
        "ech (233 kB): 94.5%25 of its bytes are hidden%0A"
        "To settle it: Turn off Encrypted ClientHello in the browser, and capture again.",
    )


def test_github_of_a_pass_and_of_no_verdict() -> None:
    assert [level for level, _, _ in commands(passed())] == ["notice", "notice"]
    assert 'Not seen is never "not installed".' in commands(passed())[0][2]
    assert [level for level, _, _ in commands(unsettled())] == ["warning", "warning"]


@pytest.mark.parametrize("string", HOSTILE)
def test_github_keeps_hostile_strings_in_their_command(string: str) -> None:
    found = commands(hostile(string))
    assert len(found) == 5
    for _, *texts in found:
        for one in texts:
            assert visible(one)
            assert re.sub(r"%(25|0A|3A|2C)", "", one).count("%") == 0


# --- markdown ---

BLOCKS = {"heading", "table", "thead", "tbody", "tr", "th", "td", "paragraph"}


def nodes(out: str) -> Iterator[Any]:
    for token in MarkdownIt("gfm-like").parse(out):
        yield token
        yield from token.children or ()


def test_markdown_has_the_facts_in_tables() -> None:
    out = shown("md", failed())
    assert out.startswith("### ✗ FAIL: Executive orders 13942 and 13943\n\n| Policy |")
    for fact in (
        "| ✗ FAIL | Ana-iPhone (`mac:8e:12:34:56:78:9a`) | 100.0% of 13.6 kB to and from the outside named |",
        "| tiktok (bytedance → CN): sent 8.2 kB in 1 flow, received 5.4 kB | forbid 1, confidence high, 19:51:02 to",
        "SNI `log-sg.tiktokv.com`, rule `signatures/bytedance/tiktok.toml#tiktokv.com`",
        "| `ip:192.0.2.7` | ech (233 kB): 94.5% of its bytes are hidden | Turn off Encrypted ClientHello in the",
        "| `ip:192.0.2.7` | 233 kB in 1 flow, ech: the name is hidden by Encrypted ClientHello |",
    ):
        assert fact in out
    assert 'Not seen is never "not installed".\n' in shown("md", passed())
    assert "### ? INCONCLUSIVE: " in shown("md", unsettled())


@pytest.mark.parametrize("string", HOSTILE)
def test_markdown_makes_nothing_of_hostile_strings(string: str) -> None:
    out = shown("md", hostile(string))
    kinds = {node.type for node in nodes(out)}
    allowed = {f"{name}_{end}" for name in BLOCKS for end in ("open", "close")}
    assert kinds <= {*allowed, "inline", "text", "code_inline", "html_inline"}
    assert {node.content for node in nodes(out) if node.type == "html_inline"} <= {"<br>"}
    cells_of = [line.count("|") for line in out.split("\n") if line.startswith("|")]
    heads = [line.count("|") for line in out.split("\n") if line.startswith("| ---")]
    assert sorted(set(cells_of)) == sorted(set(heads))
    assert all(visible(line) for line in out.split("\n"))
    prose = " ".join(node.content for node in nodes(out) if node.type == "text")
    assert not re.search(r"[<>\[\]*_~`@#&\\{}|$^=]|://|www\.|[^\W\d]\.[^\W\d]", prose)


@given(st.text(st.characters(exclude_categories=["C", "Z"]), max_size=40), st.text(max_size=30))
def test_markdown_shows_a_name_as_it_is(name: str, other: str) -> None:
    what = verdict("FAIL", device("FAIL", violation(), device_name=f"{name} {other}"))
    kinds = {node.type for node in nodes(shown("md", what))}
    assert not kinds & {"link_open", "em_open", "strong_open", "image", "s_open", "html_block", "fence", "hr"}
    assert len([node for node in nodes(shown("md", what)) if node.type == "tr_open"]) == 2 + 2 + 2


# --- sarif ---

REQUIRED = {  # SARIF 2.1.0 schema: the keys that an object must have, and all that we write
    "log": ({"version", "runs"}, {"$schema"}),
    "run": ({"tool"}, {"invocations", "artifacts", "results", "properties"}),
    "driver": ({"name"}, {"version", "rules"}),
    "rule": ({"id"}, {"shortDescription", "defaultConfiguration"}),
    "invocation": ({"executionSuccessful"}, {"exitCode", "exitCodeDescription"}),
    "result": ({"message"}, {"ruleId", "ruleIndex", "level", "locations", "partialFingerprints", "properties"}),
    "location": (set(), {"physicalLocation", "logicalLocations"}),
}


def sound(kind: str, value: dict[str, Any]) -> None:
    needed, more = REQUIRED[kind]
    assert needed <= set(value) <= needed | more, kind


def sound_run(out: str) -> dict[str, Any]:
    """Check a log by the rules of the schema, and the references within it; return its run."""
    log = json.loads(out)
    sound("log", log)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    sound("run", run)
    assert set(run["tool"]) == {"driver"}
    driver = run["tool"]["driver"]
    sound("driver", driver)
    rules = [rule["id"] for rule in driver["rules"]]
    assert len(set(rules)) == len(rules)
    for rule in driver["rules"]:
        sound("rule", rule)
        assert set(rule["shortDescription"]) == {"text"}
        assert rule["defaultConfiguration"]["level"] in {"none", "note", "warning", "error"}
    for one in run["invocations"]:
        sound("invocation", one)
        assert isinstance(one["executionSuccessful"], bool)
    for one in run["artifacts"]:
        assert re.fullmatch(r"(?!//)[A-Za-z0-9._~/%-]+", one["location"]["uri"])
    for one in run["results"]:
        sound("result", one)
        assert rules[one["ruleIndex"]] == one["ruleId"]
        assert one["level"] in {"note", "warning", "error"}
        assert set(one["message"]) == {"text"}
        assert not set("[]{}") & set(one["message"]["text"])
        assert all(isinstance(value, str) for value in one["partialFingerprints"].values())
        for place in one["locations"]:
            sound("location", place)
            at = place.get("physicalLocation", {"artifactLocation": None})["artifactLocation"]
            assert at is None or run["artifacts"][at["index"]]["location"]["uri"] == at["uri"]
    return run  # type: ignore[no-any-return]


def test_sarif_has_a_result_for_each_violation_and_each_reason() -> None:
    run = sound_run(sarif(failed(), captures=["phone.pcap"], forbids=["app tiktok", "owner bytedance", "app x"]))
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [
        *("us-eo-2020/forbid-1", "us-eo-2020/forbid-2", "us-eo-2020/forbid-3", "warning/ech"),
    ]  # fmt: skip
    assert [(one["ruleId"], one["level"]) for one in run["results"]] == [
        ("us-eo-2020/forbid-1", "error"),
        ("us-eo-2020/forbid-1", "error"),
        ("us-eo-2020/forbid-2", "error"),
        ("warning/ech", "warning"),
    ]
    first = run["results"][0]
    assert first["properties"]["evidence"] == [EVIDENCE]
    assert first["locations"] == [
        {
            "physicalLocation": {"artifactLocation": {"uri": "phone.pcap", "index": 0}},
            "logicalLocations": [
                {
                    "name": "mac:8e:12:34:56:78:9a",
                    "fullyQualifiedName": "mac:8e:12:34:56:78:9a",
                    "kind": "device",
                }
            ],
        }
    ]
    assert run["invocations"] == [{"executionSuccessful": True, "exitCode": 1, "exitCodeDescription": "FAIL"}]
    marks = [one["partialFingerprints"]["netwatch/v1"] for one in run["results"]]
    assert len(set(marks)) == len(marks)


def test_sarif_of_a_pass_and_of_no_verdict() -> None:
    run = sound_run(sarif(passed()))
    assert [(one["ruleId"], one["level"], one["locations"]) for one in run["results"]] == [
        ("note/ech_offered", "note", [])
    ]
    run = sound_run(sarif(unsettled(), captures=["a.pcap", "b.pcap"]))
    assert [one["level"] for one in run["results"]] == ["warning"]
    assert run["invocations"][0]["exitCode"] == 4


@pytest.mark.parametrize("string", HOSTILE)
def test_sarif_keeps_hostile_strings_as_strings(string: str) -> None:
    file = string.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
    out = sarif(hostile(string), captures=[file, f"//{file}"], forbids=[string])
    assert out.isascii()
    run = sound_run(out)
    assert len(run["results"]) == 4
    assert run["results"][0]["properties"]["evidence"][0]["value"] == string
    for one in run["results"]:
        assert all(visible(line) for line in one["message"]["text"].split("\n"))


def test_every_format_takes_every_kind_of_verdict() -> None:
    assert list(FORMATS) == ["text", "json", "sarif", "junit", "github", "md"]
    for name in FORMATS:
        for make in KINDS.values():
            assert shown(name, make())
