"""Policies from the disk: by id, by file, and what is refused."""

from pathlib import Path

import pytest
from support.catalogues import sample

from netwatch.model.errors import DataError, UsageError
from netwatch.runtime import policies, signatures

GOOD = """\
schema = 1
id = "mine"
title = "Mine"
date = "2025-01"
basis = "house rule"
sources = ["me"]

[[forbid]]
app = "tiktok"
"""


def written(folder: Path, text: str, name: str = "mine.toml") -> str:
    path = folder / name
    path.write_text(text, "utf-8")
    return str(path)


def test_every_shipped_policy_can_be_used() -> None:
    catalogue = signatures.load()
    ids = [path.stem for path in policies.shipped()]
    assert ids == sorted(
        [
            *("us-eo-2020", "us-dod-2019", "us-parties", "us-federal-2022", "us-adversary-2024"),
            *("control-cn", "control-ru", "no-ads-telemetry", "separate-phone"),
        ]
    )
    for one in ids:
        loaded = policies.load(one, catalogue)
        assert (loaded.policy.id, loaded.source) == (one, f"signatures/policies/{one}.toml")
        assert loaded.policy.sources


def test_a_file_is_known_by_its_path(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    assert policies.load(path, sample()) == (policies.load_policy(Path(path))[0], path)


def test_a_policy_of_the_user_goes_before_a_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "netwatch" / "policies"
    folder.mkdir(parents=True)
    written(folder, GOOD, "us-eo-2020.toml")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert policies.load("us-eo-2020", sample()).policy.title == "Mine"


def test_an_id_that_nobody_has_names_those_that_are_there() -> None:
    with pytest.raises(
        UsageError, match=r"--policy nonsense: no policy has this id; there are control-cn, .*us-eo-2020"
    ):
        policies.load("nonsense", sample())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('app = "tiktok"', 'app = "tiktak"', r"mine.toml:9: no app is called tiktak; netwatch apps lists them"),
        ('app = "tiktok"', 'owner = "nobody"', r"mine.toml:9: no owner is called nobody"),
        ('app = "tiktok"', 'role = ["ads", "fun"]', r"mine.toml:9: no role is called fun; there are api, web"),
        ('app = "tiktok"', 'kind = "toy"', r"mine.toml:9: no kind is called toy; there are app, sdk"),
    ],
)
def test_words_that_nobody_knows(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        policies.load(written(tmp_path, GOOD.replace(old, new)), sample())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('app = "tiktok"', 'appp = "tiktok"', r"mine.toml:9: .*unknown field `appp`"),
        ('app = "tiktok"', 'control_country = "China"', r"mine.toml:9: "),
        ('app = "tiktok"', "", r"mine.toml:8: a \[\[forbid\]\] without a key"),
        ('app = "tiktok"', 'note = "all of it"', r"mine.toml:8: a \[\[forbid\]\] without a key"),
        ('[[forbid]]\napp = "tiktok"\n', "", r"missing required field `forbid`"),
        ('sources = ["me"]', "sources = []", r"mine.toml:6: "),
        ("schema = 1", "schema = 2", r"mine.toml:1: "),
    ],
)
def test_a_file_that_breaks_a_rule_is_named_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        policies.load(written(tmp_path, GOOD.replace(old, new)), sample())


def test_b4_a_file_that_others_may_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, GOOD)
    Path(path).chmod(0o666)
    monkeypatch.setattr("netwatch.runtime.tomlfiles.os.geteuid", lambda: 0)
    with pytest.raises(DataError, match="others may write it"):
        policies.load(path, sample())
