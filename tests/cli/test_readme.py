"""The README tells the truth: the page that it shows is the one that its first command prints."""

from pathlib import Path

import pytest

from netwatch.cli.main import main

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_in_the_readme_is_what_the_command_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["replay", "captures/phone-and-laptop.pcap"]) == 0
    assert capsys.readouterr().out.strip() in (ROOT / "README.md").read_text("utf-8")


def test_the_verdict_in_the_readme_is_what_the_command_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["check", "captures/phone-and-laptop.pcap", "--policy", "us-eo-2020"]) == 1
    assert capsys.readouterr().out.strip() in (ROOT / "README.md").read_text("utf-8")
