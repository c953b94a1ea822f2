"""Every command as a person meets it: help, version, explain, apps, signatures."""

import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from netwatch import __version__
from netwatch.cli.main import COMMANDS, build_parser, main

ROOT = Path(__file__).resolve().parents[2]
NETWATCH = [sys.executable, "-m", "netwatch"]
EXPLAIN_KEYS = [
    *("input", "normalised", "app_id", "app", "kind", "role", "owner_id", "owner", "ultimate_owner"),
    *("control_country", "confidence", "rule", "server_country", "asn"),
]  # fmt: skip


@pytest.fixture
def netwatch(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*words: str) -> tuple[int, str, str]:
        return (int(main(list(words))), *capsys.readouterr())

    return run


Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_fits_and_names_every_option(
    command: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*([command] if command else []), "--help"]
    monkeypatch.setattr(sys, "argv", ["netwatch", *words])
    with pytest.raises(SystemExit) as end:
        main(words)
    out, err = capsys.readouterr()
    assert (end.value.code, err) == (0, "")
    assert 5 < out.count("\n") < 100
    assert max(map(len, out.splitlines())) <= 120
    parser = build_parser(command)
    if command:
        (sub,) = (one for one in parser._actions if isinstance(one.choices, dict))
        parser = sub.choices[command]  # type: ignore[index, assignment]
    hidden = "==SUPPRESS=="
    options = [word for one in parser._actions if one.help != hidden for word in one.option_strings]
    assert [word for word in options if word not in out] == []
    assert "--help" in options


def test_help_is_plain_where_it_goes_to_a_file() -> None:
    ran = subprocess.run([*NETWATCH, "replay", "--help"], capture_output=True, check=True)
    assert b"\x1b" not in ran.stdout


def test_no_command_shows_the_three_worth_trying(netwatch: Run) -> None:
    code, out, err = netwatch()
    assert (code, err) == (0, "")
    assert [line.split()[:2] for line in out.splitlines() if line.startswith("  ")] == [
        ["netwatch", "replay"], ["netwatch", "check"], ["netwatch", "explain"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "words", [["nonsense"], ["replay", "--nonsense"], ["apps", "--kind", "x"], ["-v"], ["explain"]]
)
def test_a_wrong_word_is_one_line_and_exit_2(words: list[str], netwatch: Run) -> None:
    code, out, err = netwatch(*words)
    assert (code, out) == (2, "")
    assert err.startswith("netwatch: ")
    assert err.count("\n") == 1
    assert "--help" in err


def test_version_and_the_attributions_that_licences_ask_for(netwatch: Run) -> None:
    assert netwatch("--version") == (0, f"netwatch {__version__}\n", "")
    code, out, _ = netwatch("--version", "-v")
    assert code == 0
    assert out.startswith(f"netwatch {__version__}\n")
    for owner in ("DB-IP (https://db-ip.com)", "nro.net", "RouteViews", "IEEE"):
        assert owner in out
    assert re.search(r"as of \d{4}-\d\d-\d\d", out)


def test_an_error_that_nobody_foresaw_is_a_bug_and_exit_70(netwatch: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_more: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("netwatch.runtime.session.replay", fail)
    code, out, err = netwatch("replay", "x.pcap")
    assert (code, out) == (70, "")
    assert "ZeroDivisionError" in err
    assert "this is a bug" in err


def test_ctrl_c_is_130_without_a_traceback(netwatch: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_args: object, **_more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("netwatch.runtime.session.replay", stop)
    assert netwatch("replay", "x.pcap") == (130, "", "")


# --- explain ---


def objects(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_explain_in_words(netwatch: Run) -> None:
    code, out, err = netwatch("explain", "LOG-sg.tiktokv.com.")
    assert (code, err) == (0, "")
    assert out.startswith("LOG-sg.tiktokv.com.\n")
    for fact in (
        "TikTok (app), telemetry",
        "ByteDance",
        "control   CN",
        "signatures/bytedance/tiktok.toml#tiktokv.com",
    ):
        assert fact in out


def test_explain_as_json_keeps_the_order_of_keys_and_of_the_input(netwatch: Run) -> None:
    code, out, err = netwatch("explain", "--json", "LOG-sg.tiktokv.com.", "nothing.example", "1.1.1.1")
    assert (code, err) == (0, "")
    known, unknown, address = objects(out)
    assert [list(one) for one in (known, unknown, address)] == [EXPLAIN_KEYS] * 3
    assert known == {
        "input": "LOG-sg.tiktokv.com.", "normalised": "log-sg.tiktokv.com", "app_id": "tiktok", "app": "TikTok",
        "kind": "app", "role": "telemetry", "owner_id": "bytedance", "owner": "ByteDance",
        "ultimate_owner": "ByteDance", "control_country": "CN", "confidence": "high",
        "rule": "signatures/bytedance/tiktok.toml#tiktokv.com", "server_country": None, "asn": None,
    }  # fmt: skip
    assert {key: unknown[key] for key in EXPLAIN_KEYS[2:]} == dict.fromkeys(EXPLAIN_KEYS[2:])
    assert (unknown["input"], unknown["normalised"]) == ("nothing.example", "nothing.example")
    assert (address["app_id"], address["owner"], address["asn"]) == (None, "Cloudflare", 13335)
    assert " " not in out.splitlines()[1]


def test_explain_of_nothing_known_says_so_and_claims_nothing(netwatch: Run) -> None:
    code, out, _ = netwatch("explain", "nothing.example")
    assert code == 0
    assert out == "nothing.example\n  not in the catalogue: nothing is claimed about it\n"


def test_explain_reads_one_name_a_line(netwatch: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("www.tiktok.com\n\n  \nnothing.example\r\n"))
    _, out, _ = netwatch("explain", "--json", "a.example", "-", "z.example")
    assert [one["input"] for one in objects(out)] == ["a.example", "www.tiktok.com", "nothing.example", "z.example"]


def test_explain_knows_owners_of_a_day(netwatch: Run) -> None:
    owners = [
        objects(netwatch("explain", "--json", "--date", day, "www.linkedin.com")[1])[0]
        for day in ("2010-01-01", "2025-01-01")
    ]
    assert [one["ultimate_owner"] for one in owners] == ["LinkedIn", "Microsoft"]


@pytest.mark.parametrize("day", ["2025-13-01", "yesterday", "2025-1-1", "2025-01-01\n", ""])
def test_explain_refuses_what_is_no_day(day: str, netwatch: Run) -> None:
    code, out, err = netwatch("explain", "--date", day, "x.example")
    assert (code, out, err.count("\n")) == (2, "", 1)


HOSTILE = "\x1b]0;owned\x07\x9b31m\u202e.tiktokv.com"


def test_d1_explain_shows_no_hostile_byte(netwatch: Run) -> None:
    code, out, _ = netwatch("explain", HOSTILE)
    assert code == 0
    assert all(char.isprintable() for line in out.splitlines() for char in line)
    code, out, _ = netwatch("explain", "--json", HOSTILE)
    assert out.isascii()
    assert out.removesuffix("\n").isprintable()
    assert objects(out)[0]["input"] == HOSTILE


def test_explain_takes_bytes_that_are_no_utf8() -> None:
    for words in (["--json"], []):
        ran = subprocess.run(
            [*NETWATCH, "explain", *words, "-"],
            input=b"\xff\xfe.example\nwww.tiktok.com\n",
            capture_output=True,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, b"")
        assert b"tiktok" in ran.stdout
    ran = subprocess.run([*NETWATCH, "explain", b"\xff.example"], capture_output=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"")


@pytest.mark.parametrize("command", ["explain", "replay"])
def test_a_database_that_is_missing_is_exit_3(command: str, netwatch: Run) -> None:
    code, out, err = netwatch(command, "--geo", "none.mmdb", "1.1.1.1")
    assert (code, out) == (3, "")
    assert err.startswith("netwatch: --geo none.mmdb: ")


# --- apps ---


def test_apps_lists_the_catalogue(netwatch: Run) -> None:
    code, out, err = netwatch("apps", "tiktok")
    assert code == 0
    assert re.search(r"^tiktok +TikTok +app +ByteDance → CN$", out, re.MULTILINE)
    assert re.fullmatch(r"\d+ of \d+ entries; catalogue \S+: \d+ apps and SDKs, \d+ owners, \d+ endpoints\n", err)


def test_apps_as_json_by_control_and_kind(netwatch: Run) -> None:
    everything = objects(netwatch("apps", "--json")[1])
    chinese = objects(netwatch("apps", "--json", "--control", "cn")[1])
    kits = objects(netwatch("apps", "--json", "--control", "CN", "--kind", "sdk")[1])
    assert list(everything[0]) == [
        *("app_id", "app", "kind", "owner_id", "owner", "ultimate_owner", "control_country", "domicile"),
    ]  # fmt: skip
    assert {"tiktok", "wechat"} <= {one["app_id"] for one in chinese}
    assert {one["control_country"] for one in chinese} == {"CN"}
    assert {one["kind"] for one in kits} == {"sdk"}
    assert 0 < len(kits) < len(chinese) < len(everything)


def test_apps_that_match_nothing_are_none(netwatch: Run) -> None:
    code, out, err = netwatch("apps", "no-such-word-anywhere")
    assert (code, out) == (0, "")
    assert err.startswith("0 of ")
    assert netwatch("apps", "--control", "CHN")[0] == 2


# --- signatures ---


def test_signatures_test_passes_on_what_is_shipped(netwatch: Run) -> None:
    code, out, err = netwatch("signatures", "test")
    assert (code, err) == (0, "")
    assert out.endswith("endpoints: no problem\n")
    assert netwatch("signatures", "test", str(ROOT / "signatures"))[0] == 0


def test_signatures_test_names_file_and_line(netwatch: Run, tmp_path: Path) -> None:
    folder = tmp_path / "signatures"
    shutil.copytree(ROOT / "signatures" / "bytedance", folder / "bytedance")
    file = folder / "bytedance" / "tiktok.toml"
    lines = file.read_text("utf-8").split("\n")
    at = next(number for number, line in enumerate(lines) if line.startswith("suffix = "))
    lines[at] = 'suffix = "Not A Name"'
    file.write_text("\n".join(lines), "utf-8")
    code, out, err = netwatch("signatures", "test", str(folder))
    assert (code, out) == (1, "1 problems\n")
    assert err.startswith(f"{file}:{at + 1}: ")


def test_signatures_test_counts_the_folder_that_it_tests(netwatch: Run, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "signatures" / "wikimedia", tmp_path / "wikimedia")
    code, out, err = netwatch("signatures", "test", str(tmp_path))
    assert (code, err) == (0, "")
    assert ", 1 owners, " in out


def test_signatures_test_of_a_folder_that_is_not_there(netwatch: Run, tmp_path: Path) -> None:
    code, out, err = netwatch("signatures", "test", str(tmp_path / "none"))
    assert (code, out) == (3, "")
    assert err.startswith(f"netwatch: {tmp_path}/none: no such folder")


def test_d1_signatures_test_shows_no_hostile_byte(netwatch: Run, tmp_path: Path) -> None:
    folder = tmp_path / "\x1b[31mevil"
    folder.mkdir()
    (folder / "company.toml").write_text("id = '\x9b'\n", "utf-8")
    code, _, err = netwatch("signatures", "test", str(tmp_path))
    assert code == 1
    assert all(char.isprintable() for line in err.splitlines() for char in line)


def test_explain_of_an_address_without_a_place_names_none(netwatch: Run) -> None:
    out = netwatch("explain", "1.1.1.1")[1]
    assert "  server    AS13335, no place known\n" in out
