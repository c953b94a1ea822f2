"""What lint says of signature files: every broken rule once, with file and line, and warnings that are no errors."""

from pathlib import Path

import pytest
from runtime.test_signatures import APP, BROKEN, COMPANY, folder

from netwatch.runtime import signatures
from netwatch.runtime.signature_lint import lint, policy_problems
from netwatch.runtime.tomlfiles import read_all, read_toml

HOME = 'company = "acme"\nhomepage = "https://acme.example"'
SOURCED = 'confidence = "high"\nsources = ["test", "https://acme.example/firewall"]'
SOUND = APP.replace('company = "acme"', HOME).replace('confidence = "high"\nsources = ["test"]', SOURCED)
POLICY = """\
schema = 1
id = "mine"
title = "No Acme Chat"
date = "2025"
basis = "test"
sources = ["test"]

[[forbid]]
app = "acme_chat"
"""


def findings(at: Path) -> tuple[list[str], list[str]]:
    found = lint(at)
    for one in found:
        assert ("warning: " in one.text) is not one.is_error
    errors, soft = ([one.text for one in found if one.is_error is kind] for kind in (True, False))
    return [text.removeprefix(f"{at}/") for text in errors], [text.removeprefix(f"{at}/") for text in soft]


def test_a_sound_folder_has_no_finding(tmp_path: Path) -> None:
    assert findings(folder(tmp_path, SOUND)) == ([], [])


def test_all_errors_of_a_file_are_named_with_their_lines(tmp_path: Path) -> None:
    broken = (
        SOUND.replace('kind = "app"', 'kind = "application"\ncolour = "red"')
        .replace('category = "location"', 'category = "mood"')
        .replace('role = "api"', 'role = "apii"\nport = 443')
        .replace('confidence = "medium"\nsources = ["test"]\n\n[[label', 'confidence = "medium"\n\n[[label')
        .replace("[test]\n", "[test]\nmatches = 5\n")
    )
    errors, _ = findings(folder(tmp_path, broken, COMPANY.replace("2001", "soon").replace('"US"', '"usa"')))
    assert [error.split(": ")[0] for error in errors] == [
        *("acme/_company.toml:8", "acme/_company.toml:9", "acme/_company.toml:10"),
        *(f"acme/chat.toml:{line}" for line in (6, 7, 12, 18, 19, 23, 41)),
    ]
    assert [error.partition(": ")[2] for error in errors[3:]] == [
        "Invalid enum value 'application'",
        "Object contains unknown field `colour`",
        "Invalid enum value 'mood'",
        "Invalid enum value 'apii'",
        "Object contains unknown field `port`",
        "Object missing required field `sources`",
        "Object contains unknown field `matches`",
    ]


def test_rules_between_rows_are_checked_beside_a_row_that_is_wrong(tmp_path: Path) -> None:
    broken = SOUND.replace('role = "api"', 'role = "apii"').replace('exact = "www.acme.example"', 'exact = "co.uk"')
    broken = broken.replace('prefixes = ["198.51.100.0/24"]', "prefixes = []")
    errors, _ = findings(folder(tmp_path, broken))
    assert errors == [
        "acme/chat.toml:17: Invalid enum value 'apii'",
        "acme/chat.toml:22: co.uk is a public suffix: names below it belong to many",
        "acme/chat.toml:31: a network has prefixes or an asn",
    ]


@pytest.mark.parametrize(("old", "new", "line", "text"), BROKEN)
def test_one_broken_rule_is_one_error(tmp_path: Path, old: str, new: str, line: int, text: str) -> None:
    errors, _ = findings(folder(tmp_path, APP.replace(old, new, 1)))
    assert len(errors) == 1
    assert errors[0].startswith(f"acme/chat.toml:{line}: ")
    assert text in errors[0]


def test_errors_of_several_files_are_in_order_and_a_duplicate_names_the_other_file(tmp_path: Path) -> None:
    folder(tmp_path, SOUND)
    folder(tmp_path, SOUND.replace("acme_chat", "zulu").replace('"web"', '"webb"'), file="zulu")
    (tmp_path / "stray.toml").write_text("", "utf-8")
    (tmp_path / "acme" / "no.toml").write_text("a = [", "utf-8")
    errors, _ = findings(tmp_path)
    assert [error.split(": ")[0] for error in errors] == [
        *("acme/no.toml:1", "acme/zulu.toml:15", "acme/zulu.toml:23", "stray.toml"),
    ]  # fmt: skip
    assert errors[1].endswith("chat.example stands in signatures/acme/chat.toml too")
    assert errors[3].endswith("<company>/<app>.toml")


def test_apps_of_a_company_whose_file_is_wrong_are_no_errors_of_their_own(tmp_path: Path) -> None:
    errors, _ = findings(folder(tmp_path, SOUND, COMPANY.replace("schema = 1", "")))
    assert errors == ["acme/_company.toml:1: Object missing required field `schema`"]


SOFT = [
    (HOME, 'company = "acme"', 3, "no homepage"),
    (SOURCED, 'confidence = "high"\nsources = ["test"]', 18, "chat.example: high, yet its sources are of one"),
    (SOURCED, 'confidence = "high"\nsources = ["v2fly:a", "v2fly:b"]', 18, "sources are of one family (v2fly:a)"),
    (SOURCED, 'confidence = "high"\nsources = ["https://a.example/1", "https://www.a.example/2"]', 18, "one family"),
    ('"chat.example"\nrole', '"log.chat.example"\nrole', 17, "role api, while its first label says telemetry"),
    ('"chat.example"\nrole', '"ads-2.chat.example"\nrole', 17, "role api, while its first label says ads"),
    ('role = "web"', 'role = "ads"', 21, "www.acme.example stands behind chat.example: sort by role, then name"),
]


@pytest.mark.parametrize(("old", "new", "line", "text"), SOFT)
def test_what_looks_unfinished_is_a_warning(tmp_path: Path, old: str, new: str, line: int, text: str) -> None:
    assert old in SOUND
    errors, soft = findings(folder(tmp_path, SOUND.replace(old, new, 1)))
    assert errors == []
    assert len(soft) == 1
    assert soft[0].startswith(f"acme/chat.toml:{line}: warning: ")
    assert text in soft[0]


@pytest.mark.parametrize(
    "name", ["log.example", "logistics.chat.example", "chatlog.chat.example", "cdnlog.chat.example"]
)
def test_a_first_label_that_says_nothing_is_no_warning(tmp_path: Path, name: str) -> None:
    assert findings(folder(tmp_path, SOUND.replace('"chat.example"', f'"{name}"'))) == ([], [])


def test_tables_out_of_order_are_a_warning(tmp_path: Path) -> None:
    label = '[[label_role]]\nwords = ["log"]\nrole = "telemetry"\n\n'
    moved = SOUND.replace(label, "").replace("[[endpoint]]", label + "[[endpoint]]", 1)
    _, soft = findings(folder(tmp_path, moved))
    assert soft == [
        "acme/chat.toml:19: warning: [endpoint] stands behind [label_role]",
        "acme/chat.toml:25: warning: [endpoint] stands behind [label_role]",
    ]


def test_an_owner_whom_nobody_controls_today_is_a_warning(tmp_path: Path) -> None:
    _, soft = findings(folder(tmp_path, SOUND, COMPANY.replace('from = "2001"', 'from = "2001"\nto = "2010"')))
    assert soft == [
        "acme/_company.toml:6: warning: no [[control]] row of region * holds today: who controls it?",
    ]
    _, soft = findings(folder(tmp_path, SOUND, COMPANY.split("\n[[control]]")[0]))
    assert [text.split(": no")[0] for text in soft] == ["acme/_company.toml:1: warning"]


def test_what_a_skeleton_asks_for_is_one_error_a_line(tmp_path: Path) -> None:
    unfilled = SOUND.replace('"chat.example"', '"FILL IN: a name"').replace('"https://acme.example"', '"FILL IN"')
    errors, soft = findings(folder(tmp_path, unfilled.replace('kind = "app"', 'kind = "FILL IN: a kind"')))
    assert errors == [f"acme/chat.toml:{line}: still to be filled in" for line in (6, 8, 16)]
    assert signatures.self_test(tmp_path)[0].endswith("still to be filled in")
    assert "FILL IN" in (tmp_path / "acme" / "chat.toml").read_text("utf-8")
    assert soft == []


def test_policies_are_checked_too(tmp_path: Path) -> None:
    folder(tmp_path, SOUND)
    (tmp_path / "policies").mkdir()
    for name, text in (
        ("mine", POLICY),
        ("other", POLICY),
        ("third", POLICY.replace('"mine"', '"third"').replace("acme_chat", "nobody")),
        ("fourth", POLICY.replace('date = "2025"', "when = 5")),
    ):
        (tmp_path / "policies" / f"{name}.toml").write_text(text, "utf-8")
    errors, _ = findings(tmp_path)
    assert [error.split(": ")[0] for error in errors] == [
        *("policies/fourth.toml:4", "policies/other.toml:2", "policies/third.toml:9"),
    ]  # fmt: skip
    catalogue = signatures.read_folder(tmp_path)
    assert len(policy_problems(tmp_path, catalogue)) == 3
    assert len(policy_problems(tmp_path, None)) == 2


def test_the_files_of_a_user_stand_on_what_is_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "CLONE", folder(tmp_path / "shipped", SOUND))
    monkeypatch.setattr(signatures, "COMPILED", tmp_path / "none")
    own = tmp_path / "own" / "acme"
    own.mkdir(parents=True)
    (own / "mail.toml").write_text(SOUND.replace("acme_chat", "acme_mail"), "utf-8")
    errors, _ = findings(tmp_path / "own")
    assert [error.partition(": ")[2] for error in errors] == [
        "chat.example stands in signatures/acme/chat.toml too",
        "www.acme.example stands in signatures/acme/chat.toml too",
    ]


def test_read_all_is_read_toml_where_nothing_is_wrong(tmp_path: Path) -> None:
    from netwatch.attribution.documents import AppFile

    path = folder(tmp_path, SOUND) / "acme" / "chat.toml"
    content, file, errors = read_all(path, AppFile)
    assert (content, errors, file.kept) == (read_toml(path, AppFile)[0], [], {})


def test_the_shipped_signatures_have_no_error() -> None:
    assert [one.text for one in lint(Path(__file__).resolve().parents[2] / "signatures") if one.is_error] == []
