"""Files to start from: a skeleton is sound but for what is to be filled in, a policy says what was asked for."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.catalogues import sample

from netwatch.model.errors import UsageError
from netwatch.runtime import policies, signatures
from netwatch.runtime.signature_lint import lint
from netwatch.runtime.skeletons import policy, skeleton
from netwatch.runtime.tomlfiles import FILL_IN

SHIPPED = sample()
NOTHING: dict[str, list[str]] = {"app": [], "owner": [], "control_country": []}


def write(at: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (at / path).parent.mkdir(exist_ok=True)
        (at / path).write_text(text, "utf-8")
    (at / "VERSION").write_text("2025.11\n", "utf-8")
    return at


@pytest.mark.parametrize("kind", ["app", "sdk", "platform", "infra"])
@pytest.mark.parametrize(
    "suffixes", [[], ["chat.example"], ["log.acme.example", "Chat.Example.", "acme.example", "log.acme.example"]]
)
def test_a_skeleton_is_sound_but_for_what_is_to_be_filled_in(tmp_path: Path, kind: str, suffixes: list[str]) -> None:
    files = skeleton(SHIPPED, "acme/acme_chat", kind, suffixes)
    assert list(files) == ["acme/_company.toml", "acme/acme_chat.toml"]
    found = lint(write(tmp_path, files))
    marked = [
        f"{tmp_path / path}:{number}: still to be filled in"
        for path, text in files.items()
        for number, line in enumerate(text.split("\n"), 1)
        if FILL_IN in line
    ]
    assert [one.text for one in found] == marked
    assert len(marked) > 8


def test_a_skeleton_that_was_filled_in_proves_itself(tmp_path: Path) -> None:
    files = skeleton(SHIPPED, "acme/acme_chat", "app", ["log.acme.example", "chat.example", "acme.example"])
    values = {"legal_domicile": "US", "control_country": "US", "from": "2001", "homepage": "https://acme.example"}
    for path, text in files.items():
        files[path] = re.sub(
            rf'(?m)^(\w+)( = \[?)"{FILL_IN}[^"]*"', lambda hit: f'{hit[1]}{hit[2]}"{values.get(hit[1], "text")}"', text
        )
    write(tmp_path, files)
    assert lint(tmp_path) == []
    assert signatures.self_test(tmp_path) == []
    match = signatures.read_folder(tmp_path).match("log.acme.example")
    assert match is not None
    assert (match.app.id, match.role, match.confidence) == ("acme_chat", "telemetry", "medium")


def test_a_company_that_is_known_gets_no_file() -> None:
    assert list(skeleton(SHIPPED, "bytedance/lark", "app", [])) == ["bytedance/lark.toml"]


@pytest.mark.parametrize(
    ("word", "suffixes", "text"),
    [
        ("acme", [], "COMPANY/APP"),
        ("acme/", [], "COMPANY/APP"),
        ("Acme/chat", [], "COMPANY/APP"),
        ("../../etc/x", [], "COMPANY/APP"),
        ("acme/..", [], "COMPANY/APP"),
        ("acme/x\n", [], "COMPANY/APP"),
        ("bytedance/tiktok", [], "tiktok: stands in signatures/bytedance/tiktok.toml"),
        ("acme/chat", ["co.uk"], "public suffix"),
        ("acme/chat", ["github.io"], "public suffix"),
        ("acme/chat", ["10.0.0.1"], "no host name"),
        ("acme/chat", ['a"b.example'], "no host name"),
        ("acme/chat", ["tiktokv.com"], "stands in signatures/bytedance/tiktok.toml"),
    ],
)
def test_a_skeleton_of_what_cannot_be_is_refused(word: str, suffixes: list[str], text: str) -> None:
    with pytest.raises(UsageError, match=re.escape(text)):
        skeleton(SHIPPED, word, "app", suffixes)


def loaded(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "mine.toml"
    path.write_text(text, "utf-8")
    content, file = policies.load_policy(path)
    policies.check_words(content, file, SHIPPED)
    return content


def test_a_policy_says_what_was_asked_for(tmp_path: Path) -> None:
    forbid = {"app": ["tiktok", "douyin", "tiktok"], "owner": ["meta"], "control_country": ["cn", "RU"]}
    text = policy(SHIPPED, "2026-11-24", forbid, ["Ana's phone", 'the "other" \\ one'])
    content = loaded(tmp_path, text)
    assert (content.schema, content.id, content.date) == (1, "no-tiktok-douyin-meta-cn-ru", "2026-11-24")
    assert content.title == "No Tiktok, Douyin, app of Meta, app under control of CN, app under control of RU"
    devices = frozenset(("Ana's phone", 'the "other" \\ one'))
    assert [(row.words("app"), row.words("owner"), row.words("control_country")) for row in content.forbid] == [
        (frozenset(("tiktok", "douyin")), None, None),
        (None, frozenset(("meta",)), None),
        (None, None, frozenset(("CN", "RU"))),
    ]
    assert {row.words("devices") for row in content.forbid} == {devices}
    assert text == policy(SHIPPED, "2026-11-24", forbid, ["Ana's phone", 'the "other" \\ one'])


def test_a_policy_has_the_title_and_the_id_that_it_is_given(tmp_path: Path) -> None:
    text = policy(SHIPPED, "2026-11-24", {**NOTHING, "app": ["tiktok"]}, (), "Clean lab", "clean-lab")
    content = loaded(tmp_path, text)
    assert (content.id, content.title, content.forbid[0].words("devices")) == ("clean-lab", "Clean lab", None)


@pytest.mark.parametrize(
    ("forbid", "text"),
    [
        ({}, "nothing is forbidden"),
        ({"app": ["TikTok"]}, "--forbid-app TikTok: no app has this id; near it: tiktok"),
        ({"app": ["tiktk"]}, "near it: tiktok"),
        ({"owner": ["byetdance"]}, "--forbid-owner byetdance: no owner has this id; near it: bytedance"),
        ({"app": ["zzzzzzzz"]}, "no app has this id; netwatch apps lists them"),
        ({"control_country": ["CHN"]}, "no country code"),
        ({"control_country": ["C1"]}, "no country code"),
    ],
)
def test_a_policy_of_what_nobody_knows_is_refused(forbid: dict[str, list[str]], text: str) -> None:
    with pytest.raises(UsageError, match=re.escape(text)):
        policy(SHIPPED, "2026-11-24", {**NOTHING, **forbid})


@pytest.mark.parametrize(
    ("devices", "title", "identifier"),
    [(["a\nb"], None, None), ([""], None, None), ([], "a\x1b[31m", None), ([], "x" * 201, None),
     ([], None, "Mine"), ([], None, "../x"), ([], None, "x" * 65), ([], "\udcff", None)],
)  # fmt: skip
def test_a_policy_takes_no_word_that_a_file_cannot_hold(devices: list[str], title: Any, identifier: Any) -> None:
    with pytest.raises(UsageError):
        policy(SHIPPED, "2026-11-24", {**NOTHING, "app": ["tiktok"]}, devices, title, identifier)


@given(
    st.text(min_size=1, max_size=40).filter(str.isprintable), st.text(min_size=1, max_size=40).filter(str.isprintable)
)
def test_any_printable_name_comes_back_from_the_file(title: str, device: str) -> None:
    import tomllib

    text = policy(SHIPPED, "2026-11-24", {**NOTHING, "owner": ["meta"]}, [device], title)
    content = tomllib.loads(text)
    assert (content["title"], content["forbid"]) == (title, [{"owner": ["meta"], "devices": [device]}])
