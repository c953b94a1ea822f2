"""The report is one safe, whole file: whatever stands on the wire, its elements are the same and it fetches nothing."""

import base64
import errno
import hashlib
import os
import re
import stat
import subprocess
import sys
import unicodedata
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from support.exports import design_release
from support.flows import PHONE, SECOND, T0, TIKTOK, Flow, Question, release, tiktok_flow
from support.pages import Page, record, strings, verdict, written

from netwatch.model.blind import EXPLAINED
from netwatch.model.errors import SinkError
from netwatch.model.records import BLIND, Device, Evidence, Label
from netwatch.runtime.datafiles import data_files
from netwatch.sinks import atomic, open_sink
from netwatch.sinks.html import Report
from netwatch.sinks.report import tally
from netwatch.sinks.report.words import ATTRIBUTIONS

SECTIONS = ["watched", "apps", "owners", "servers", "timeline", "evidence", "blind", "ledger", "sources"]
CAPTURES = Path(__file__).resolve().parents[2] / "captures"
PAYLOADS = {
    "script": "</script><script>alert(1)</script>",
    "style": "</style></title><style>*{display:none}",
    "img": "<img src=x onerror=alert(1)>",
    "svg": '"><svg/onload=alert(1)>',
    "quote": "' onmouseover='alert(1)",
    "comment": "<!-- --!> <![CDATA[ ]]> <?php",
    "entity": "&lt;b&gt;&#60;&#x3c&amp;",
    "plaintext": "<plaintext><textarea></table></details>",
    "lines": "a\u2028b\u2029c\nd\re\x85f",
    "bidi": "\u202egnp.exe\u2066\u200f\u05d0\u05d1",
    "osc": "\x1b]0;owned\x07\x1b]8;;http://x.example\x07\x1b[2J\x9b31m",
    "nul": "a\0b\x7f",
    "long": "W" * 5_000,
    "marks": "a" + "\u0301" * 200,
    "markup": "[b]x[/b] [x] [@click=quit]y[/] [link=http://x.example]z[/link]",
    "link": "https://tracker.example/?q=1 javascript:alert(1) //x.example/y",
    "surrogate": "\ud800\udfff\ufffe\U000e0041\ue000",
    "cell": "=cmd|'/c calc'!A1",
}


def benign(what: str) -> str:
    return what


def hostile(payload: str) -> Any:
    """Return what says the payload in place of everything; numbers keep apart what has to stay apart."""
    return lambda what: f"{payload}{what[-1]}" if what[-1].isdigit() else f"{payload}{what}"


def apart(payload: str) -> Any:
    """As `hostile`, with the name of what is said in front, so that no two are one after a cut."""
    return lambda what: f"{what}{payload}"


def test_sections_stand_in_order_and_the_page_is_a_proper_document(tmp_path: Path) -> None:
    page = Page(written(tmp_path, benign, "FAIL"))
    assert page.declared == "DOCTYPE html"
    assert page.open == []
    assert page.all("html") == [{"lang": "en"}]
    assert [one["id"] for one in page.all("section")] == ["verdict", *SECTIONS]
    assert [name for name, _ in page.elements if name in ("h1", "main", "header", "footer", "nav")] == [
        "header", "h1", "nav", "main", "footer",
    ]  # fmt: skip
    ids = [attrs["id"] for name, some in page.elements if (attrs := dict(some)).get("id")]
    assert len(ids) == len(set(ids))
    links = [one["href"] for one in page.all("a")]
    assert links
    assert {str(link)[1:] for link in links} <= set(ids)
    assert all(str(link).startswith("#") for link in links)


def test_without_a_verdict_nothing_claims_one(tmp_path: Path) -> None:
    page = Page(written(tmp_path, benign))
    assert [one["id"] for one in page.all("section")] == SECTIONS
    assert "A report, not a verdict" in page.text
    assert not [one for one in page.all("span") if "badge" in (one.get("class") or "")]


def test_every_table_has_a_caption_and_scopes(tmp_path: Path) -> None:
    page = Page(written(tmp_path, benign, "FAIL"))
    names = [name for name, _ in page.elements]
    tables = names.count("table")
    assert tables > 10
    assert names.count("caption") == tables
    following = [names[at + 1] for at, name in enumerate(names) if name == "table"]
    assert set(following) == {"caption"}
    assert {one.get("scope") for one in page.all("th")} == {"col", "row"}
    heads = {one["data-h"] for one in page.all("td")}
    assert heads <= set(page.texts)


SAID = [(make, payload) for make in (hostile, apart) for payload in PAYLOADS]
SAID.remove((hostile, "long"))  # cut before one can be told from the other
SAID.remove((hostile, "marks"))


@cache
def calm(word: str | None) -> Page:
    with TemporaryDirectory() as folder:
        return Page(written(Path(folder), benign, word))


@pytest.mark.parametrize("word", [None, "FAIL", "INCONCLUSIVE"])
@pytest.mark.parametrize(("make", "payload"), SAID)
def test_e7_hostile_text_makes_the_same_elements_as_benign_text(
    tmp_path: Path, make: Any, payload: str, word: str | None
) -> None:
    raw = written(tmp_path, make(PAYLOADS[payload]), word)
    page = Page(raw)
    assert page.elements == calm(word).elements
    assert page.style == calm(word).style
    assert page.open == []
    strange = {
        char for char in raw.decode("utf-8") if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    }
    assert strange <= {"\n"}


def test_d1_hostile_text_is_shown_and_cut(tmp_path: Path) -> None:
    page = Page(written(tmp_path, apart(PAYLOADS["img"]), "FAIL"))
    places = ("device name 1", "vendor 2", "app 1", "owner 1", "control 1", "role 2", "server 1", "registered 4")
    proofs = ("value 1 sni", "rule 1", "query", "proof")
    for what in (*places, *proofs, "capture", "database", "version", "title", "source"):
        assert f"{what}<img src=x"[:23] in page.text, what
    longest = max(max(map(len, text.split())) for text in Page(written(tmp_path, apart(PAYLOADS["long"]))).texts)
    assert 200 < longest <= 253


@pytest.mark.parametrize("word", [None, "FAIL"])
def test_e7_nothing_can_be_fetched_or_run(tmp_path: Path, word: str | None) -> None:
    page = Page(written(tmp_path, hostile(PAYLOADS["link"]), word))
    assert not {name for name, _ in page.elements} & {
        "script", "img", "link", "iframe", "object", "embed", "base", "form", "input", "video", "audio", "image", "use",
    }  # fmt: skip
    for _, attrs in page.elements:
        for name, value in attrs:
            assert not name.startswith("on")
            assert name not in ("style", "src", "srcset", "action", "ping", "xlink:href")
            assert not re.search(r"//|javascript:|data:", value or "")
    assert "//" not in page.style
    assert not re.search(r"url\(|@import|@font-face|image-set|expression", page.style)


def test_e7_the_policy_allows_the_style_by_its_hash_and_nothing_else(tmp_path: Path) -> None:
    page = Page(written(tmp_path, benign))
    content = next(one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert content == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    first = [name for name, _ in page.elements].index("style")
    policy = next(
        at for at, (_, attrs) in enumerate(page.elements) if ("http-equiv", "Content-Security-Policy") in attrs
    )
    assert policy < first


RUN = """
import sys
from support.pages import written
from pathlib import Path
sys.stdout.buffer.write(written(Path(sys.argv[1]), lambda what: what, "FAIL"))
"""


def test_e11_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    tests = str(Path(__file__).resolve().parents[1])
    pages = [
        subprocess.run(
            [sys.executable, "-c", RUN, str(tmp_path)],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "PYTHONPATH": tests},
            check=True,
            capture_output=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Kathmandu"))
    ]
    assert pages[0] == pages[1]
    assert len(pages[0]) > 10_000


def test_m3_ten_thousand_rows_of_long_names_stay_below_five_megabytes(tmp_path: Path) -> None:
    sink, run = Report(tmp_path / "big.html"), []
    for device in range(100):
        owner = Device(f"mac:02:00:00:00:00:{device:02x}", f"<{device}>" + '"' * 2_000, '"' * 2_000)
        flows = []
        for app in range(100):
            name = f"{app}-{device}-" + '"' * 2_000
            label = Label(name, "sni", f"app{app}", name, "app", f"r{app}", f"own{app}", name, "CN", "KY", "high", None)
            pieces = tuple(Evidence("sni", f"{n}{name}", T0, n + 1, name) for n in range(5))
            flows.append(
                Flow(flow_id=device * 100 + app, octets=(app + 1, 1), device=owner, label=label, evidence=pieces)
            )
        run.append(release(flows))
    for one in run:
        sink.write(one)
    sink.close(record(benign, *run))
    raw = (tmp_path / "big.html").read_bytes()
    page = Page(raw)
    assert len(raw) < 5_000_000
    assert "and 40 more apps or owners of this device" in page.text
    assert "The page shows the first 500 rows of 10,000" in page.text
    assert re.search(r"and [\d,]+ more rows whose evidence has no room here", page.text)


def test_m3_what_is_kept_between_releases_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "EVIDENCE_ROWS", 10)
    monkeypatch.setattr(tally, "PLACES", 5)
    kept = tally.Tally()
    for at in range(100):
        device = Device(f"ip:10.0.0.{at}", None, None)
        place = tiktok_flow().place._replace(registration_country=str(at))
        kept.add(release([tiktok_flow(device=device, place=place)], [Question(device=device)]))
    assert len(kept.evidence) == 10
    assert len(kept.places) == 6
    assert sum(flows for flows, _, _ in kept.places.values()) == 100


def test_the_best_evidence_is_kept_by_kind_then_time() -> None:
    kept = tally.Tally()
    weak = Label(None, None, None, None, None, None, "bytedance", "ByteDance", "CN", "KY", "low", None)
    kept.add(release([], [Question(query=f"q{at}.example", time=T0 + at) for at in range(100)]))
    for at in range(9):
        pieces = (
            Evidence("sni" if at == 8 else "dns_answer", f"n{at}.example", T0 - at * SECOND, at + 1, "r"),
            Evidence("network", "192.0.2.0/24", T0, at + 1, "r"),
        )
        kept.add(release([tiktok_flow(label=TIKTOK._replace(name=f"n{at}.example"), evidence=pieces)]))
    kept.add(release([tiktok_flow(label=weak, evidence=(Evidence("network", "192.0.2.0/24", T0, 1, "r"),))]))
    best = kept.evidence[tally.Who(PHONE.device_id, "tiktok", "bytedance")].best
    assert [piece.value for piece in best] == [f"n{at}.example" for at in (8, 7, 6, 5, 4)]
    assert [p.kind for p in kept.evidence[tally.Who(PHONE.device_id, None, "bytedance")].best] == ["network"]


def shown(tmp_path: Path, run: Any, word: str | None = None, **changes: Any) -> Page:
    sink = Report(tmp_path / "page.html")
    sink.write(run)
    summary = record(benign, run) | changes
    sink.close(summary, None if word is None else verdict(benign, summary, word))
    return Page((tmp_path / "page.html").read_bytes())


def test_a_row_says_app_owner_control_role_server_and_evidence(tmp_path: Path) -> None:
    text = shown(tmp_path, design_release()).text
    assert "TikTok ByteDance \u2192 CN basis 8.2 kB 5.4 kB 1 1 telemetry 13.6 kB (100 %) SG" in text
    assert "log-sg.tiktokv.com sni , packet 12, details" in text
    assert "signatures/bytedance/_company.toml" in text
    assert "IP Geolocation by DB-IP (https://db-ip.com)" in text
    assert "Not seen is never not installed" in text
    assert "mac:8e:12:34:56:78:9a , randomised address" in text


@pytest.mark.parametrize(
    ("word", "mark", "lead"),
    [
        ("FAIL", "\u2717 FAIL", "What the policy forbids was seen."),
        ("PASS", "\u2713 PASS", "Nothing that the policy forbids was seen, and enough was seen to say so."),
        ("INCONCLUSIVE", "? INCONCLUSIVE", "Nothing firm can be said: what would settle it stands below."),
        ("<b>", "? INCONCLUSIVE", "Nothing firm can be said: what would settle it stands below."),
    ],
)
def test_a_verdict_is_a_word_a_mark_and_a_colour(tmp_path: Path, word: str, mark: str, lead: str) -> None:
    page = shown(tmp_path, strings(benign), word)
    assert f"Policy check: {mark} {lead}" in page.text
    assert "Policy: title ( policy id , of policy date ), read from source ." in page.text
    badges = [one["class"] for one in page.all("span")]
    assert badges[0] == f"badge {mark.split()[1].lower()}"
    assert ("forbidden, rule 1" in page.text) == (word == "FAIL")
    assert ("To settle it: " + EXPLAINED["ech"][1] in page.text) == (word == "INCONCLUSIVE")
    assert "Names went to resolver." in page.text


def test_blind_spots_stand_in_bytes_with_a_sentence(tmp_path: Path) -> None:
    text = shown(tmp_path, strings(benign)).text
    means, settles = EXPLAINED["ech"]
    assert f"ech 5.6 kB 15.2 % 1 {means} {settles}" in text
    assert "anycast, no place" in text


def test_weak_names_are_a_blind_spot_too(tmp_path: Path) -> None:
    weak = tiktok_flow(label=TIKTOK._replace(name_source="dns_answer_other"))
    assert "weak_evidence 13.6 kB 100.0 % 1" in shown(tmp_path, release([weak])).text


def test_every_reason_for_blindness_is_explained() -> None:
    assert set(BLIND) - {None} <= set(EXPLAINED)
    assert {"dropped", "inactive", "short_watch", "weak_evidence", "partial_input", "self_test"} <= set(EXPLAINED)
    assert all(text.endswith(".") for pair in EXPLAINED.values() for text in pair)


def test_m5_the_law_of_the_ledger_is_shown_and_checked(tmp_path: Path) -> None:
    run = design_release()
    ledger = record(benign, run)["ledger"]
    law = "seen = ok + non_ip + malformed + truncated + too_deep : 42 = 40 + 2 + 0 + 0 + 0 packets."
    text = shown(tmp_path, run).text
    assert f"{law} \u2713 The account closes." in text
    assert text.count("The account closes.") == 2
    text = shown(tmp_path, run, ledger={**ledger, "seen": 43}).text
    assert "43 = 40 + 2 + 0 + 0 + 0 packets. \u2717 The account does not close: please report." in text
    assert "not told by the input" in text


def test_an_empty_run_makes_a_page(tmp_path: Path) -> None:
    text = shown(tmp_path, release()).text
    assert "No flow: nothing here talked over IP." in text
    assert "No flow left the local network" in text


def test_absurd_times_and_devices_make_a_page(tmp_path: Path) -> None:
    flows = [Flow(flow_id=1, start=-(2**63) + 1, end=-(2**63) + 5), Flow(flow_id=2, start=2**63 - 9, end=2**63 - 1)]
    run = release([*flows, Flow(flow_id=3, device=Device("mac:no", None, None))])
    assert "mac:no" in shown(tmp_path, run, captures=[]).text


def test_what_licences_ask_for_is_what_the_shipped_manifest_says() -> None:
    assert {entry.name: entry.attribution for entry in data_files()} == ATTRIBUTIONS


def test_e5_the_file_is_its_owners_alone_and_nothing_else_stands_beside_it(tmp_path: Path) -> None:
    os.umask(os.umask(0o022))
    sink = open_sink(str(tmp_path / "report.html"))
    sink.write(design_release())
    assert not (tmp_path / "report.html").exists()
    sink.close(record(benign, design_release()))
    sink.close(record(benign, design_release()))
    sink.abort()
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert stat.S_IMODE((tmp_path / "report.html").stat().st_mode) == 0o600


def test_e1_an_abort_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("before")
    sink = open_sink(str(tmp_path / "report.html"))
    sink.write(design_release())
    sink.abort()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_e1_an_error_at_the_end_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def no_space(*_args: Any, **_keywords: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    sink = open_sink(str(tmp_path / "report.html"))
    sink.write(design_release())
    monkeypatch.setattr(atomic.os, call, no_space)
    with pytest.raises(SinkError, match=r"report\.html: No space left on device; the report is not on disk"):
        sink.close(record(benign, design_release()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["clean.pcap", "phone-and-laptop.pcap", "hidden.pcapng"])
def test_our_captures_make_a_page(tmp_path: Path, name: str) -> None:
    from netwatch.runtime.session import replay

    target = tmp_path / "out.html"
    result = replay([str(CAPTURES / name)], writes=[str(target)])
    page = Page(target.read_bytes())
    assert page.open == []
    for row in result.summary["apps"]:  # type: ignore[attr-defined]
        assert row["app"] in page.text


def test_a_flow_of_each_batch_adds_up(tmp_path: Path) -> None:
    flows = [replace(tiktok_flow(), flow_id=at, start=T0 + at, octets=(1000, 2000)) for at in range(10)]
    sink = Report(tmp_path / "a.html")
    for flow in flows:
        sink.write(release([flow]))
    sink.close(record(benign, release(flows)))
    assert "10.0 kB sent, highest bar" in Page((tmp_path / "a.html").read_bytes()).text
