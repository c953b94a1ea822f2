"""Live capture as a whole, on a cable in a network of its own: what is told is what was sent, whatever breaks down."""

import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from engine.lab import GATEWAY_MAC, Host, outside, tls
from policy.household import household, write
from support import netns
from support.live import USER, send, watching
from support.sandboxed import LINUX

from netwatch.cli.main import main

pytestmark = [netns.needs_root, LINUX, pytest.mark.usefixtures("cable")]
FRAMES = household("doh", "sni", much=True)
QUIET = {
    "device_id",
    "device_name",
    "client_ip",
    "client_port",
    "server_ip",
    "server_port",
    "protocol",
    "name",
    "app_id",
}
SHOPS = b"""
schema = 1
id = "mine"
title = "Mine"
date = "2026-11-25"
basis = "a rule of our own"
sources = ["own"]
[[forbid]]
app = ["temu"]
"""
COUNTS = ("packets_out", "packets_in", "bytes_out", "bytes_in", "wire_bytes_out", "wire_bytes_in", "owner_id", "blind")


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def bare(found: list[dict[str, Any]]) -> list[list[Any]]:
    """What of the records does not depend on the time of the capture."""
    return sorted(([one[key] for key in (*sorted(QUIET), *COUNTS)] for one in found), key=str)


def test_what_is_captured_is_what_a_replay_says(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = [one for one in FRAMES if one.wirelen is None]
    with watching("watch", "--headless", "--every", "1s", "-w", str(folder / "live.jsonl")) as live:
        live.wait_for(" 0 packets")
        send(whole)
        live.wait_for(f" {len(whole)} packets")
        said = live.end()
    assert live.process.returncode == 0
    assert said["ledger"]["seen"] == len(whole)
    assert (said["ledger"]["kernel_dropped"], said["ledger"]["queue_dropped"]) == (0, 0)
    assert said["captures"][0]["format"] == "live"
    write(whole, tmp_path / "sent.pcap")
    assert main(["replay", str(tmp_path / "sent.pcap"), "-w", str(tmp_path / "file.jsonl"), "--json"]) == 0
    capsys.readouterr()
    assert bare(rows(folder / "live.jsonl")) == bare(rows(tmp_path / "file.jsonl"))
    assert len(rows(folder / "live.lookups.jsonl")) == len(rows(tmp_path / "file.lookups.jsonl"))
    assert json.loads((folder / "live.summary.json").read_text()) == said


def test_m9_a_capture_process_that_is_killed_is_replaced_and_the_gap_is_counted(folder: Path) -> None:
    whole = [one for one in FRAMES if one.wirelen is None]
    with watching("watch", "--headless", "--every", "1s", "-w", str(folder / "live.jsonl")) as live:
        live.wait_for(" 0 packets")
        send(whole)
        live.wait_for(f" {len(whole)} packets")
        time.sleep(1.2)  # a snapshot is told
        first, second, *_ = live.children()
        begun = time.monotonic()
        os.kill(first, signal.SIGKILL)
        assert "SIGKILL" in live.wait_for("broke down")
        assert time.monotonic() - begun < 1.5
        assert live.children()[0] == second
        send(whole)
        live.wait_for(f" {2 * len(whole)} packets")
        said = live.end()
    ledger = said["ledger"]
    assert ledger["seen"] + ledger["queue_dropped"] + ledger["kernel_dropped"] == 2 * len(whole)
    found = rows(folder / "live.jsonl")
    assert len({one["flow_id"] for one in found}) == len(found)
    assert ledger["flows_created"] == ledger["flows_ended"] == len(found) + ledger["export_dropped"]
    assert sum(one["app_id"] == "tiktok" for one in found) == 2
    assert not said["captures"][0]["complete"]


def test_m9_a_capture_process_that_hangs_is_ended_and_replaced() -> None:
    with watching("watch", "--headless", "--every", "1s") as live:
        live.wait_for(" 0 packets")
        os.kill(live.children()[0], signal.SIGSTOP)
        live.wait_for("broke down", 15)
        send(FRAMES[:10])
        live.wait_for(" 10 packets")


def test_a_live_check_says_what_it_saw_when_it_is_stopped() -> None:
    with watching("check", "--for", "60s", "--policy", "us-eo-2020") as live:
        time.sleep(3)
        send([one for one in FRAMES if one.wirelen is None])
        time.sleep(1)
        said = live.end()
    assert live.process.returncode == 1
    assert said["verdict"] == "FAIL"
    assert "short_watch" in [one["reason"] for one in said["reasons"]]


def test_a_live_check_ends_by_itself() -> None:
    with watching("check", "--for", "2s", "--policy", "us-eo-2020") as live:
        out, _ = live.process.communicate(timeout=30)
    assert live.process.returncode == 4
    assert json.loads(out)["reasons"][0]["reason"] == "inactive"


def test_an_interface_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "-i", "nowhere0", "--headless"]) == 3
    assert "nowhere0: no such interface; there are lo, nw" in capsys.readouterr().err


def test_a_verdict_that_turns_runs_the_hook(folder: Path) -> None:
    """The hook runs as who called sudo, and gets the verdict."""
    told = folder / "told.json"
    hook = f"sh -c '(cat; echo; id -u) > {told}.part && mv {told}.part {told}'"
    words = ("--headless", "--every", "1s", "--policy", "us-eo-2020", "--hook", hook)
    with watching("watch", *words) as live:
        live.wait_for("inconclusive")
        send([one for one in FRAMES if one.wirelen is None])
        live.wait_for("1 fail")
        until = time.monotonic() + 10
        while not (told.exists() and '"verdict":"FAIL"' in told.read_text()) and time.monotonic() < until:
            time.sleep(0.05)
        verdict, user = told.read_text().splitlines()
        live.end()
    assert json.loads(verdict)["verdict"] == "FAIL"
    assert int(user) == USER


def test_a_service_manager_is_told(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "notify"))
        manager.settimeout(20)
        os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"] = str(folder / "notify"), "1000000"
        try:
            with watching("watch", "--headless", "-q") as live:
                said = [manager.recv(100) for _ in range(3)]
                live.process.send_signal(signal.SIGTERM)
                live.process.communicate(timeout=30)
        finally:
            del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]
    assert said[0].startswith(b"READY=1")
    assert said[1:] == [b"WATCHDOG=1"] * 2
    assert live.process.returncode == 0


def test_a_filter_of_packets_works_in_the_kernel(folder: Path) -> None:
    """What it leaves out is never counted; names are still known, since DNS passes."""
    whole = [one for one in FRAMES if one.wirelen is None]
    words = ("--headless", "--every", "1s", "-f", "host 192.168.1.23", "-w", str(folder / "live.jsonl"))
    with watching("watch", *words) as live:
        live.wait_for(" 0 packets")
        send(whole)
        time.sleep(1.5)
        said = live.end()
    assert 0 < said["ledger"]["seen"] < len(whole)
    assert {one["client_ip"] for one in rows(folder / "live.jsonl")} == {"192.168.1.23"}


LONG = " or ".join(["host 192.168.1.23", *(f"host 2001:db8:{n:x}::1" for n in range(500))])


def test_the_same_records_come_by_each_way_of_filtering(folder: Path) -> None:
    """In the kernel by netwatch's compiler, by libpcap's, and in the records alone (lookups aside)."""
    found, seen = [], []
    ways = (("host 192.168.1.23", ""), ("src host 192.168.1.23 or dst host 192.168.1.23", "libpcap's filter decides"))
    for number, (text, said) in enumerate((*ways, (LONG, "too long for the kernel"))):
        out = folder / f"{number}.jsonl"
        with watching("watch", "--headless", "--every", "1s", "-f", text, "-w", str(out)) as live:
            live.wait_for(said or " 0 packets")
            live.wait_for(" packets, ")
            send([one for one in FRAMES if one.wirelen is None])
            time.sleep(1)
            seen.append(live.end()["ledger"]["seen"])
        found.append(bare([one for one in rows(out) if one["server_port"] != 53]))
    assert found[0]
    assert found[1] == found[0]
    assert found[2] == found[0]
    assert seen[0] == seen[1] < seen[2]


def test_a_folder_in_which_nobody_may_write_is_refused_early(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    tmp_path.chmod(0o700)
    assert main(["watch", "-i", "nw1", "--headless", "-w", str(tmp_path / "out.jsonl")]) == 3
    assert "who may not write there" in capsys.readouterr().err


def test_packets_are_recorded_beside_the_records_and_replay_says_the_same(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = [one for one in FRAMES if one.wirelen is None]
    outputs = ("-w", str(folder / "live.jsonl"), "-w", str(folder / "rec.pcapng"))
    with watching("watch", "--headless", "--every", "1s", *outputs) as live:
        live.wait_for(" 0 packets")
        send(whole)
        live.wait_for(f" {len(whole)} packets")
        live.end()
    recorded = folder / "rec.pcapng"
    assert recorded.stat().st_mode & 0o777 == 0o600
    assert main(["replay", str(recorded), "-w", str(tmp_path / "file.jsonl"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ledger"]["seen"] == len(whole)
    assert bare(rows(folder / "live.jsonl")) == bare(rows(tmp_path / "file.jsonl"))


def test_c8_sighup_reads_the_signatures_again_and_loses_nothing() -> None:
    whole = [one for one in FRAMES if one.wirelen is None]
    with watching("watch", "--headless", "--every", "1s") as live:
        live.wait_for(" 0 packets")
        send(whole)
        live.wait_for(f" {len(whole)} packets")
        live.process.send_signal(signal.SIGHUP)
        assert "not read" not in live.wait_for("read again")
        send(whole)
        live.wait_for(f" {2 * len(whole)} packets")
        said = live.end()
    assert said["ledger"]["seen"] == 2 * len(whole)
    assert "tiktok" in [one["app_id"] for one in said["apps"]]


def test_c8_a_live_check_reads_its_policy_again(folder: Path) -> None:
    """Another policy than before leaves no PASS: what was seen until then was not kept for it."""
    policy = folder / "mine.toml"
    policy.write_bytes(SHOPS)
    os.chown(policy, USER, USER)
    whole = [one for one in FRAMES if one.wirelen is None]
    with watching("check", "--policy", str(policy)) as live:
        time.sleep(3)
        send(whole)
        time.sleep(1)
        policy.write_bytes(SHOPS.replace(b"temu", b"tiktok"))
        live.process.send_signal(signal.SIGHUP)
        assert "not read" not in live.wait_for("read again")
        send(whole)
        time.sleep(1)
        said = live.end()
    assert (live.process.returncode, said["verdict"]) == (1, "FAIL")
    assert "partial_input" in [one["reason"] for one in said["reasons"]]


def test_e4_a_live_check_begins_new_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = [one for one in FRAMES if one.wirelen is None]
    outputs = ("-w", str(folder / "live.jsonl"), "-w", str(folder / "live.pcapng"))
    with watching("check", "--policy", "us-eo-2020", "--rotate", "1s", *outputs) as live:
        time.sleep(2)
        for _ in range(2):
            send(whole)
            time.sleep(1.6)
        said = live.end()
    assert said["verdict"] == "FAIL"
    recorded, written = sorted(folder.glob("live*.pcapng")), sorted(folder.glob("live*.jsonl"))
    assert len(recorded) >= 2
    assert [path.name for path in written if path.name == "live.jsonl"] == []
    seen = 0
    for path in recorded:
        assert main(["replay", str(path), "--json"]) == 0
        seen += json.loads(capsys.readouterr().out)["ledger"]["seen"]
    assert seen == 2 * len(whole)


def test_files_are_checked_without_rotation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "x.pcap", "--policy", "us-eo-2020", "--rotate", "1h"]) == 2
    assert "--rotate: for a live capture" in capsys.readouterr().err


@pytest.mark.parametrize("user", [0, USER])
def test_a_check_of_an_interface_that_is_not_there_names_those_that_are(
    user: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is asked for the right to capture."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert main(["check", "-i", "nowhere0", "--policy", "us-eo-2020"]) == 3
    assert "nowhere0: no such interface; there are lo, nw" in capsys.readouterr().err


def test_which_side_is_here_is_told_by_the_routes(folder: Path) -> None:
    """Devices behind the LAN's public prefixes are devices, also where they are the ones that are asked."""
    netns.ip("addr add 203.0.113.1/28 dev nw1", "addr add 2001:db8:5::1/64 dev nw1 nodad")
    four, six = (
        Host(0x02_00_00_00_00_05, bytes((203, 0, 113, 5))),
        Host(0x02_00_00_00_00_06, socket.inet_pton(socket.AF_INET6, "2001:db8:5::6")),
    )
    far = Host(GATEWAY_MAC, socket.inet_pton(socket.AF_INET6, "2001:4860::8"))
    with watching("watch", "--headless", "--every", "1s", "-w", str(folder / "live.jsonl")) as live:
        live.wait_for(" packets")
        send([*tls(outside("8.8.8.8"), four), *tls(far, six)])
        time.sleep(1)
        live.end()
    found = {(one["device_id"], one["server_ip"]) for one in rows(folder / "live.jsonl") if one["name"]}
    assert found == {("mac:02:00:00:00:00:05", "203.0.113.5"), ("mac:02:00:00:00:00:06", "2001:db8:5::6")}
