"""What reaches a terminal, a pipe and a file: facts, colour only where wanted, no byte that was not meant."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

CAPTURES = Path(__file__).resolve().parents[2] / "captures"
PHONE = str(CAPTURES / "phone-and-laptop.pcap")
NETWATCH = [sys.executable, "-m", "netwatch"]
SGR = re.compile(rb"\x1b\[[0-9;]*m")
BARE = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}


def netwatch(*words: str, **environ: str) -> bytes:
    ran = subprocess.run([*NETWATCH, *words], env={**BARE, **environ}, capture_output=True, check=True)
    assert ran.stderr == b""
    return ran.stdout


def test_the_page_holds_the_facts() -> None:
    text = netwatch("replay", PHONE).decode()
    for fact in ("461 packets", "Ana-iPhone (mac:8e:12:34:56:78:9a, randomised address)", "bo-latitude", "Dell",
                 "TikTok", "ByteDance → CN", "WeChat", "Tencent → CN", "sni 2", "quic_sni 1",
                 "http_host 1", "certificate 1", "looked up",
                 "no_name_offered", "Ledger: 461 packets seen = 457 ok, 4 non_ip, 0 malformed",
                 "dbip-country"):  # fmt: skip
        assert fact in text
    assert max(map(len, text.splitlines())) <= 200
    assert [line for line in text.splitlines() if line != line.rstrip()] == []


def test_the_page_says_why_names_are_missing() -> None:
    text = netwatch("replay", str(CAPTURES / "hidden.pcapng")).decode()
    for reason in ("ech", "doh", "dot", "vpn", "no_handshake"):
        assert re.search(rf"^  {reason} +\d+ flows ", text, re.MULTILINE)


def test_d1_nothing_but_text_without_colour_and_only_colour_with_it() -> None:
    plain = netwatch("replay", PHONE)
    assert b"\x1b" not in plain
    coloured = netwatch("replay", PHONE, "--color", "always")
    assert SGR.search(coloured)
    assert SGR.sub(b"", coloured) == plain
    assert netwatch("replay", PHONE, "--color", "never") == plain
    assert netwatch("replay", PHONE, "--no-color") == plain


def on_terminal(words: list[str], *, which: str, **environ: str) -> tuple[bytes, bytes]:
    """Run with stdout or stderr on a terminal; return what the terminal got, and what the other stream got."""
    leader, follower = pty.openpty()
    other = "stderr" if which == "stdout" else "stdout"
    process = subprocess.Popen(
        words,
        env={**BARE, "TERM": "xterm", **environ},
        **{which: follower, other: subprocess.PIPE},  # type: ignore[call-overload]
    )
    os.close(follower)
    shown = bytearray()
    while True:
        try:
            part = os.read(leader, 65_536)
        except OSError:  # Linux says EIO when the last writer is gone
            break
        if not part:
            break
        shown += part
    rest = getattr(process, other).read()
    getattr(process, other).close()
    os.close(leader)
    assert process.wait() == 0
    return bytes(shown), rest


def test_colour_is_for_terminals_and_never_with_no_color() -> None:
    words = [*NETWATCH, "replay", PHONE]
    coloured, _ = on_terminal(words, which="stdout")
    assert SGR.search(coloured)
    plain, _ = on_terminal(words, which="stdout", NO_COLOR="1")
    assert b"\x1b" not in plain
    assert SGR.sub(b"", coloured) == plain


HURRIED = """
import sys
import netwatch.cli.progress as progress
from netwatch.cli.main import main
progress.SHOW_AFTER_S = progress.REFRESH_S = 0.0
sys.exit(main(sys.argv[1:]))
"""


def test_the_progress_bar_is_on_stderr_and_only_on_a_terminal() -> None:
    words = [sys.executable, "-c", HURRIED, "replay", PHONE]
    bar, out = on_terminal(words, which="stderr")
    assert b"461 packets" in bar
    assert out == netwatch("replay", PHONE)
    quiet, _ = on_terminal([*words, "-q"], which="stderr")
    assert quiet == b""
    ran = subprocess.run(words, capture_output=True, check=True)
    assert (ran.stderr, ran.stdout) == (b"", out)


def test_a_short_job_shows_no_bar() -> None:
    shown, _ = on_terminal([*NETWATCH, "replay", PHONE], which="stderr")
    assert shown == b""


@pytest.mark.parametrize(
    "words", [["apps", "--json"], ["replay", PHONE], ["replay", PHONE, "-w", "-"], ["replay", PHONE, "--json"]]
)
def test_a_reader_that_goes_away_is_no_error(words: list[str]) -> None:
    process = subprocess.Popen([*NETWATCH, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-"])
@pytest.mark.parametrize("words", [["--version"], ["apps", "tiktok"], ["replay", PHONE], ["replay", PHONE, "-w", "-"]])
def test_a_stream_that_is_closed_is_no_error(words: list[str], closed: str) -> None:
    ran = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" "$@" {closed}', *NETWATCH, *words], capture_output=True, check=True
    )
    assert b"Traceback" not in ran.stderr
    assert (ran.stdout == b"") == (closed == ">&-")


def test_a_closed_standard_input_is_an_empty_one() -> None:
    words = ["/bin/sh", "-c", 'exec "$0" "$@" <&-', *NETWATCH, "replay", "-"]
    ran = subprocess.run(words, capture_output=True, check=False)
    assert (ran.returncode, ran.stdout) == (3, b"")
    assert ran.stderr.startswith(b"netwatch: -: empty")


def test_json_is_one_object_alone_on_stdout() -> None:
    out = netwatch("replay", PHONE, "--json")
    assert out.count(b"\n") == 1
    assert out.isascii()
    assert out == netwatch("replay", PHONE, "--format", "json")


@pytest.mark.parametrize(
    ("words", "start"),
    [
        (["-w", "-"], b'{"flow_id":'),
        (["--format", "jsonl"], b'{"flow_id":'),
        (["--format", "csv"], b"flow_id,"),
        (["-w", "-", "--json"], b'{"flow_id":'),
    ],
)
def test_flow_records_have_stdout_to_themselves(words: list[str], start: bytes) -> None:
    out = netwatch("replay", PHONE, *words)
    assert all(line.startswith(start) for line in (out.splitlines() if start != b"flow_id," else out.splitlines()[:1]))
    assert out.count(b"\n") == (63 if start != b"flow_id," else 64)
