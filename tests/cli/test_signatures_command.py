"""`netwatch signatures`: lint, test, page, new and new-policy as a contributor meets them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from runtime.test_signature_lint import POLICY, SOUND
from runtime.test_signatures import APP, COMPANY, folder
from support.catalogues import app, build, company, endpoint, network, sample

from netwatch.cli.catalogue_page import page
from netwatch.cli.main import main
from netwatch.model.errors import UsageError
from netwatch.runtime import policies, signatures

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def netwatch(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> tuple[int, str, str]:
        return (int(main(list(words))), *capsys.readouterr())

    return run


@pytest.fixture(autouse=True)
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let one small folder be all that netwatch has."""
    at = folder(tmp_path / "signatures", SOUND)
    monkeypatch.setattr(signatures, "CLONE", at)
    monkeypatch.setattr(signatures, "COMPILED", tmp_path / "none")
    monkeypatch.setattr(policies, "IN_CLONE", at / "policies")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return at


def add_policy(at: Path, text: str = POLICY) -> Path:
    (at / "policies").mkdir()
    path = at / "policies" / "mine.toml"
    path.write_text(text, "utf-8")
    return path


# --- lint, test ---


def test_lint_of_sound_files(netwatch: Run, clone: Path) -> None:
    add_policy(clone)
    assert netwatch("signatures", "lint") == (0, "0 errors, 0 warnings\n", "")
    assert netwatch("signatures", "lint", str(clone)) == (0, "0 errors, 0 warnings\n", "")


def test_lint_names_errors_and_warnings_on_stderr_and_only_errors_fail(netwatch: Run, clone: Path) -> None:
    folder(clone, APP)
    code, out, err = netwatch("signatures", "lint")
    assert (code, out) == (0, "0 errors, 2 warnings\n")
    path = clone / "acme" / "chat.toml"
    assert err.splitlines()[0] == f"{path}:3: warning: no homepage"
    folder(clone, APP.replace('"api"', '"apii"').replace('"web"', '"webb"'))
    code, out, err = netwatch("signatures", "lint")
    assert (code, out) == (1, "2 errors, 1 warnings\n")
    assert f"{path}:16: Invalid enum value 'apii'\n" in err
    assert f"{path}:22: Invalid enum value 'webb'\n" in err


@pytest.mark.parametrize("words", [[], ["FOLDER"]])
@pytest.mark.parametrize("action", ["lint", "test"])
def test_policies_are_checked_with_the_signatures(netwatch: Run, clone: Path, action: str, words: list[str]) -> None:
    path = add_policy(clone, POLICY.replace("acme_chat", "nobody"))
    code, _, err = netwatch("signatures", action, *(str(clone) for _ in words))
    assert code == 1
    assert err.startswith(f"{path}:9: ")
    assert "nobody" in err


def test_d1_lint_shows_no_hostile_byte(netwatch: Run, tmp_path: Path) -> None:
    at = tmp_path / "\x1b[31mevil"
    folder(at / "x", APP.replace('"api"', '"\\u001b[31m"'))
    code, _, err = netwatch("signatures", "lint", str(at / "x"))
    assert code == 1
    assert all(char.isprintable() for line in err.splitlines() for char in line)


@pytest.mark.parametrize("action", ["lint", "test", "page"])
def test_a_folder_that_is_not_there_is_exit_3(netwatch: Run, tmp_path: Path, action: str) -> None:
    code, out, err = netwatch("signatures", action, str(tmp_path / "nowhere"))
    assert (code, out) == (3, "")
    assert "no such folder" in err


def test_lint_without_files_says_what_to_name(netwatch: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "CLONE", tmp_path / "gone")
    code, out, err = netwatch("signatures", "lint")
    assert (code, out) == (3, "")
    assert "name the signatures folder of a clone" in err


# --- new ---


def test_new_prints_the_files_of_a_new_company(netwatch: Run) -> None:
    code, out, err = netwatch("signatures", "new", "nova/nova_app", "--kind", "sdk", "--suffix", "nova.example")
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if line.startswith("# signatures/")] == [
        "# signatures/nova/_company.toml",
        "# signatures/nova/nova_app.toml",
    ]
    for line in ('id = "nova_app"', 'suffix = "nova.example"', 'no_match = ["notnova.example", "nova.example.evil.'):
        assert line in out
    assert 'kind = "sdk"' in out
    assert "[[control]]" not in netwatch("signatures", "new", "acme/acme_mail")[1]


def test_new_writes_files_and_overwrites_none(netwatch: Run, clone: Path) -> None:
    words = ["signatures", "new", "nova/nova_app", "-o", str(clone)]
    code, out, err = netwatch(*words)
    written, companys = clone / "nova" / "nova_app.toml", clone / "nova" / "_company.toml"
    assert (code, out) == (0, "")
    assert f"wrote {written}" in err
    assert f"wrote {companys}" in err
    companys.write_text(COMPANY.replace("acme", "nova"), "utf-8")
    written.unlink()
    (clone / "acme" / "acme_mail.toml").write_text(SOUND.replace("chat", "post").replace("www.", "www2."), "utf-8")
    before = {path: path.read_text("utf-8") for path in clone.glob("**/*.toml")}
    code, out, err = netwatch("signatures", "new", "acme/acme_mail", "-o", str(clone))  # its file has another id
    assert (code, out) == (3, "")
    assert err == f"netwatch: {clone}/acme/acme_mail.toml: is there already; nothing was written\n"
    assert netwatch(*words)[0] == 0
    assert {path: path.read_text("utf-8") for path in clone.glob("**/*.toml") if path != written} == before


def test_new_into_a_folder_that_is_not_there_is_exit_3(netwatch: Run, tmp_path: Path) -> None:
    code, out, err = netwatch("signatures", "new", "nova/x", "-o", str(tmp_path / "nowhere"))
    assert (code, out) == (3, "")
    assert err.startswith(f"netwatch: {tmp_path}/nowhere/nova/_company.toml: ")


@pytest.mark.parametrize("words", [["acme"], ["../x/y"], ["acme/acme_chat"], ["a/b", "--suffix", "co.uk"], []])
def test_new_of_what_cannot_be_is_exit_2(netwatch: Run, words: list[str]) -> None:
    code, out, err = netwatch("signatures", "new", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)


# --- new-policy ---


def test_new_policy_prints_a_policy_that_check_takes(netwatch: Run, tmp_path: Path) -> None:
    code, out, err = netwatch(
        "signatures", "new-policy", "--forbid-app", "acme_chat", "--forbid-control", "cn", "ru",
        "--forbid-owner", "acme", "--device", "Ana-iPhone", "--title", "House rule", "--id", "house",
    )  # fmt: skip
    assert (code, err) == (0, "")
    path = tmp_path / "house.toml"
    path.write_text(out, "utf-8")
    loaded = policies.load(str(path), signatures.load())
    assert (loaded.policy.id, loaded.policy.title, len(loaded.policy.forbid)) == ("house", "House rule", 3)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--forbid-app", "acme_chta"], "near it: acme_chat"),
        (["--forbid-owner", "acne"], "near it: acme"),
        (["--forbid-control", "China"], "no country code"),
        ([], "nothing is forbidden"),
        (["--title", "x"], "nothing is forbidden"),
        (["--forbid-app"], "expected at least one argument"),
    ],
)
def test_new_policy_of_what_nobody_knows_is_exit_2(netwatch: Run, words: list[str], text: str) -> None:
    code, out, err = netwatch("signatures", "new-policy", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert text in err


def test_an_action_is_wanted(netwatch: Run) -> None:
    code, out, err = netwatch("signatures")
    assert (code, out) == (2, "")
    assert "ACTION" in err
    assert UsageError.exit_code == 2


# --- page ---

PAGE = """\
# Catalogue 2025.11

4 apps and SDKs, 5 owners, 6 endpoints.
Made by `netwatch signatures page`; do not edit.

## CN

| Owner | Domicile | Control since | Basis | Apps | Sources |
| --- | --- | --- | --- | --- | --- |
| Bytedance | CN | 2000 | test | Douyin (app), 1 endpoint: api<br>Tiktok (app), 2 endpoints: ads, api, telemetry | 1 |

## US

| Owner | Domicile | Control since | Basis | Apps | Sources |
| --- | --- | --- | --- | --- | --- |
| `A|B` | US | 2000 | test |  | 1 |
| Instagram`_`, part of Meta | US | 2012 | bought | Instagram (sdk), 1 endpoint: api | 1 |
| Meta | US | 2000 | test | Facebook (app), 1 endpoint: web<br>Net (infra), 0 endpoints | 2 |

## Not known

| Owner | Domicile | Control since | Basis | Apps | Sources |
| --- | --- | --- | --- | --- | --- |
| Nobody | ? |  |  | Orphan (infra), 1 endpoint: cdn | 1 |
""".replace("`A|B`", r"`A\x7cB`").replace("Instagram`_`", "`Instagram_Llc`")


def test_the_page_lists_owners_by_country_and_their_apps() -> None:
    since = {"entity": "x", "legal_domicile": "US", "control_country": "US", "basis": "bought", "sources": ["test"]}
    catalogue = build(
        [
            *(company("meta"), company("bytedance", "CN"), company("nobody", control=[])),
            {**company("x"), "name": "A|B"},
            company(
                "instagram_llc",
                parents=[{"id": "meta", "from": "2012", "sources": ["test"]}],
                control=[{**since, "from": "2010", "to": "2012"}, {**since, "from": "2012"}],
            ),
        ],
        [
            app("tiktok", "bytedance", endpoint("tiktokv.com"), endpoint("ads.tiktok.com", "ads"),
                label_role=[{"words": ["log"], "role": "telemetry"}]),
            app("douyin", "bytedance", endpoint("douyin.com")),
            app("instagram", "instagram_llc", endpoint("instagram.com"), kind="sdk"),
            app("facebook", "meta", endpoint("facebook.com", "web")),
            app("net", "meta", kind="infra", network=[network(asn=64_496, sources=["other"])]),
            app("orphan", "nobody", endpoint("orphan.example", "cdn"), kind="infra"),
        ],
    )  # fmt: skip
    assert page(catalogue) == PAGE


def test_the_page_is_that_of_the_folder_and_the_same_each_time(netwatch: Run, clone: Path) -> None:
    code, out, err = netwatch("signatures", "page")
    assert (code, err) == (0, "")
    assert netwatch("signatures", "page", str(clone))[1] == out
    assert "| Acme | US | 2001 | test | Acme Chat (app), 2 endpoints: api, telemetry, web | 2 |\n" in out


def test_an_owner_without_a_row_has_its_parents() -> None:
    rows = [line for line in page(sample()).split("\n") if "Instagram" in line]
    assert rows == ["| `Instagram_Llc`, part of Meta | US | 2000 | test | Instagram (app), 1 endpoint: api | 1 |"]
