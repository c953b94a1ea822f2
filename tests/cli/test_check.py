"""`netwatch check`: what it prints, and the exit codes of DESIGN section 7."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from policy.household import household, write
from support.captures import pcap

from netwatch.cli.main import main
from netwatch.model.errors import ExitCode

CAPTURES = Path(__file__).parents[2] / "captures"
PHONE, CLEAN, HIDDEN = (str(CAPTURES / name) for name in ("phone-and-laptop.pcap", "clean.pcap", "hidden.pcapng"))


@pytest.mark.parametrize(
    ("capture", "verdict", "code"),
    [(PHONE, "FAIL", 1), (CLEAN, "PASS", 0), (HIDDEN, "INCONCLUSIVE", 4)],
)
def test_the_shipped_captures(capture: str, verdict: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", capture, "--policy", "us-eo-2020", "--json"]) == code
    out = capsys.readouterr()
    assert json.loads(out.out)["verdict"] == verdict
    assert out.out.count("\n") == 1
    assert out.err == ""


def test_the_object_has_the_keys_of_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", PHONE, "--policy", "us-eo-2020", "--json"])
    said = json.loads(capsys.readouterr().out)
    keys = ["schema", "verdict", "policy", "span", "devices", "coverage", "ledger", "databases", "catalogue", "reasons"]
    assert list(said)[: len(keys)] == keys
    assert list(said["policy"]) == ["id", "title", "date", "source"]
    assert list(said["span"]) == ["first", "last", "seconds"]
    device = said["devices"][0]
    assert list(device) == ["device_id", "device_name", "verdict", "violations", "coverage"]
    violation = device["violations"][0]
    assert list(violation) == [
        *("forbid", "app_id", "owner_id", "control_country", "via", "confidence", "first", "last"),
        *("flows", "lookups", "bytes_out", "bytes_in", "evidence"),
    ]
    assert list(violation["evidence"][0]) == ["kind", "value", "time", "packet", "rule"]
    assert list(device["coverage"]) == list(said["coverage"])
    assert said["self_test"]["probes"] == said["self_test"]["matched"] > 4


@pytest.mark.parametrize("policy", ["control-cn", "control-ru", "no-ads-telemetry", "separate-phone", "us-parties"])
def test_every_format_says_the_verdict(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    codes = set()
    for style in ("text", "json", "sarif", "junit", "github", "md"):
        codes.add(main(["check", PHONE, "--policy", policy, "--format", style]))
        assert capsys.readouterr().out.strip()
    assert len(codes) == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([PHONE], ExitCode.USAGE, "no policy given"),
        (["--policy", "us-eo-2020"], ExitCode.USAGE, "give captures"),
        ([PHONE, "--policy", "nonsense"], ExitCode.USAGE, "no policy has this id; there are control-cn"),
        ([PHONE, "--policy", "./nowhere.toml"], ExitCode.UNREADABLE, "No such file"),
        (["nowhere.pcap", "--policy", "us-eo-2020"], ExitCode.UNREADABLE, "no such file"),
        ([PHONE, "--policy", "us-eo-2020", "--for", "soon"], ExitCode.USAGE, "no length of time"),
        ([PHONE, "--policy", "us-eo-2020", "-w", "-"], ExitCode.USAGE, "stdout carries the verdict"),
        ([PHONE, "--policy", "us-eo-2020", "-w", "x.doc"], ExitCode.USAGE, "no format has the ending"),
    ],
)
def test_what_cannot_be_checked(
    words: list[str], code: ExitCode, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *words]) == code
    out = capsys.readouterr()
    assert out.out == ""
    assert message in out.err


def test_a_capture_without_a_packet_is_inconclusive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty.pcap"
    empty.write_bytes(pcap([]))
    assert main(["check", str(empty), "--policy", "us-eo-2020", "--json"]) == ExitCode.PARTIAL
    said = json.loads(capsys.readouterr().out)
    assert [one["reason"] for one in said["reasons"]] == ["inactive"]
    assert said["span"] == {"first": None, "last": None, "seconds": 0.0}


def test_a_cut_capture_keeps_its_fail_and_loses_its_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for capture, code in ((PHONE, ExitCode.FAIL), (CLEAN, ExitCode.PARTIAL)):
        cut = tmp_path / "cut.pcap"
        cut.write_bytes(Path(capture).read_bytes()[:-7])
        assert main(["check", str(cut), "--policy", "us-eo-2020", "--json"]) == code
        said = json.loads(capsys.readouterr().out)
        assert "partial_input" in [one["reason"] for one in said["reasons"]]


def test_for_ends_a_file_after_so_much_of_its_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The app talks at second 5, the watch ends at second 3: what came before is whole, not partial."""
    capture = write(household(None, "sni", much=True), tmp_path / "a.pcap")
    assert main(["check", str(capture), "--policy", "us-eo-2020", "--json"]) == ExitCode.FAIL
    capsys.readouterr()
    assert main(["check", str(capture), "--policy", "us-eo-2020", "--json", "--for", "3s"]) == ExitCode.PARTIAL
    said = json.loads(capsys.readouterr().out)
    assert [one["reason"] for one in said["reasons"]] == ["short_watch"]
    assert said["span"]["seconds"] <= 3


def test_for_leaves_a_pipe_on_which_nothing_comes(tmp_path: Path) -> None:
    capture = write(household(None, "sni", much=True), tmp_path / "a.pcap")
    words = [sys.executable, "-m", "netwatch", "check", "-", "--policy", "us-eo-2020", "--json", "--for", "1s"]
    begun = time.monotonic()
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        run.stdin.write(capture.read_bytes()[:2_000])
        run.stdin.flush()
        said = json.loads(run.stdout.read())
        assert run.wait(30) == ExitCode.PARTIAL
    assert time.monotonic() - begun < 20
    assert "short_watch" in [one["reason"] for one in said["reasons"]]


def test_only_one_device(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", PHONE, "--policy", "us-eo-2020", "--device", "bo-latitude", "--json"]) == ExitCode.OK
    said = json.loads(capsys.readouterr().out)
    assert [one["device_name"] for one in said["devices"]] == ["bo-latitude"]


def test_the_policies_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--policy", "list"]) == ExitCode.OK
    assert "us-federal-2022" in capsys.readouterr().out


def test_a_report_holds_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.html"
    assert main(["check", PHONE, "--policy", "us-eo-2020", "-w", str(report)]) == ExitCode.FAIL
    capsys.readouterr()
    text = report.read_text("utf-8")
    assert "FAIL" in text
    assert "log-sg.tiktokv.com" in text


def test_doctor_says_what_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == ExitCode.OK
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {one["check"] for one in found} == {
        *("catalogue", "self_test", "databases", "policies"),
        *("permissions", "interface", "kernel", "clock", "memory"),
    }
    assert {one["state"] for one in found} <= {"ok", "old", "no"}


def test_doctor_can_run_the_self_test_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--self-test"]) == ExitCode.OK
    assert "probes came back as their own app" in capsys.readouterr().out
