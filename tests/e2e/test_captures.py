"""The captures that this project made itself give what captures/README.md promises of them."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from support import judge
from support.run import Run, replay

CAPTURES = Path(__file__).resolve().parents[2] / "captures"
COLUMNS = ("device_name", "protocol", "name", "name_source", "app_id", "owner_id", "control_country", "ech", "blind")
NO_NAME_NEEDED = {"dns", "mdns", "dhcp", "icmp", "icmp6"}
FORBIDDEN = {"tiktok", "wechat"}
NAMES = sorted(path.name for path in CAPTURES.iterdir() if path.suffix in (".pcap", ".pcapng", ".gz"))


@cache
def run_of(name: str) -> Run:
    with TemporaryDirectory() as folder:
        return replay(CAPTURES / name, Path(folder))


@cache
def promised() -> dict[str, set[tuple[str, ...]]]:
    """Return the rows of the table below each `## file` of captures/README.md."""
    tables: dict[str, set[tuple[str, ...]]] = {}
    file = ""
    for line in (CAPTURES / "README.md").read_text("utf-8").splitlines():
        if line.startswith("## "):
            file = line.removeprefix("## ").strip("`")
        cells = tuple(cell.strip() for cell in line.strip("|").split("|"))
        if line.startswith("| ") and len(cells) == len(COLUMNS) and cells != COLUMNS and set(cells[0]) != {"-"}:
            tables.setdefault(file, set()).add(cells)
    return tables


def told(flow: dict[str, Any]) -> tuple[str, ...]:
    return tuple("" if flow[column] is None else str(flow[column]) for column in COLUMNS)


def needs_name(flow: dict[str, Any]) -> bool:
    return flow["protocol"] not in NO_NAME_NEEDED and flow["transport"] in ("tcp", "udp")


@pytest.mark.parametrize("name", NAMES)
def test_each_flow_is_told_as_the_readme_says(name: str) -> None:
    run = run_of(name)
    assert run.exit_code == 0, run.stderr
    assert {told(flow) for flow in run.flows if needs_name(flow)} == promised()[name]


@pytest.mark.parametrize("name", NAMES)
def test_p11_every_packet_is_accounted_for(name: str) -> None:
    run = run_of(name)
    assert judge.ledger_faults(run) == []
    assert run.ledger["ok"] + run.ledger["non_ip"] == run.ledger["seen"]
    assert "parser_bug" not in run.ledger["anomalies"]


def test_the_phone_talks_to_tiktok_and_wechat_and_the_laptop_does_not() -> None:
    run = run_of("phone-and-laptop.pcap")
    devices = {row["device_id"]: row for row in run.summary["devices"]}
    assert devices["mac:8e:12:34:56:78:9a"]["device_name"] == "Ana-iPhone"
    assert devices["mac:8e:12:34:56:78:9a"]["device_vendor"] is None, "a random address has no vendor"
    assert devices["mac:a4:4c:c8:1b:2d:3e"]["device_name"] == "bo-latitude"
    assert devices["mac:a4:4c:c8:1b:2d:3e"]["device_vendor"].startswith("Dell")
    talked = {(row["device_id"], row["app_id"]) for row in run.summary["cross"] if row["app_id"] in FORBIDDEN}
    assert talked == {("mac:8e:12:34:56:78:9a", app) for app in FORBIDDEN}
    apps = {row["app_id"]: row for row in run.summary["apps"]}
    assert {apps[app]["control_country"] for app in FORBIDDEN} == {"CN"}
    assert apps["tiktok"]["evidence"].keys() == {"sni", "quic_sni", "dns_answer"}
    assert apps["wechat"]["evidence"].keys() == {"sni", "http_host", "certificate"}


def test_the_clean_laptop_talks_to_nothing_that_china_controls() -> None:
    run = run_of("clean.pcap")
    assert run.summary["coverage"]["named_share"] == 1.0
    assert [row for row in run.summary["cross"] if row["control_country"] == "CN"] == []
    devices = {row["device_id"] for row in run.summary["devices"] if row["bytes_in"] > 10_000}
    assert devices == {"mac:a4:4c:c8:1b:2d:3e"}, "its IPv4 and IPv6 addresses are one device"


def test_the_hidden_laptop_shows_no_app_and_every_reason_for_it() -> None:
    run = run_of("hidden.pcapng")
    assert not FORBIDDEN & {row["app_id"] for row in run.summary["apps"]}
    assert run.summary["coverage"]["by_blind"].keys() >= {"ech", "doh", "dot", "vpn", "no_handshake"}
    assert {"www.tiktok.com", "log-sg.tiktokv.com"}.isdisjoint(lookup["query"] for lookup in run.lookups)
