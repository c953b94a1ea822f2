"""What a start costs: each command imports what it uses, and nothing heavy on the way."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from engine.lab import PHONE, SERVER, resolved, tls
from runtime.test_session import capture

HEAVY = {"numpy", "textual", "scapy", "cryptography", "rich", "msgspec", "dpkt", "maxminddb", "zstandard", "tomllib"}


def imported(*words: str) -> set[str]:
    """Return the packages that a command imports."""
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "netwatch", *words], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in re.findall(r"^import time:.*\| +(\S+)$", ran.stderr, re.MULTILINE)}


@pytest.mark.parametrize("words", [["--version"], ["--version", "-v"], []])
def test_what_needs_no_engine_imports_none(words: list[str]) -> None:
    assert imported(*words) & (HEAVY - ({"numpy"} if "-v" in words else set())) == set()


def test_replay_imports_no_parser_that_it_does_not_need(tmp_path: Path) -> None:
    path = tmp_path / "plain.pcap"
    path.write_bytes(capture([*resolved(PHONE, "api.tiktokv.com", SERVER), *tls(PHONE, SERVER, 1)]))
    used = imported("replay", str(path), "-w", str(tmp_path / "out.jsonl")) & HEAVY
    assert used <= {"numpy", "msgspec", "tomllib"}


def test_explain_of_a_name_opens_no_database() -> None:
    assert (
        imported("explain", "www.tiktok.com") & {"maxminddb", "cryptography", "scapy", "dpkt", "textual", "rich"}
        == set()
    )


def test_the_engine_loads_nothing_that_can_open_a_connection() -> None:
    code = "import sys, netwatch.engine.engine; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert {"socket", "asyncio", "ssl", "urllib.request"} & loaded == set()
