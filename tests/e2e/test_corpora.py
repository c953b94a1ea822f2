"""The product on 386 real captures, held against what tshark, capinfos and tcpdump say of them."""

import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from e2e import exceptions
from support import judge
from support.corpora import DAMAGED, capture, needs_corpora, truth
from support.run import Run, replay

pytestmark = needs_corpora
TRUTH = {row["name"]: row for row in truth()}
SHOWN = 40  # rows printed where a bar is missed


@cache
def run_of(name: str) -> Run:
    """Replay a capture once in a test process."""
    with tempfile.TemporaryDirectory() as folder:
        return replay(capture(name, TRUTH[name]["sha256"]), Path(folder))


def dissected() -> Iterator[tuple[str, dict[str, Any], Run]]:
    for name, row in TRUTH.items():
        if row["dissected"]:
            yield name, row, run_of(name)


@pytest.mark.parametrize("name", TRUTH)
def test_p11_each_capture_is_read_to_its_end_and_every_packet_is_accounted_for(name: str) -> None:
    row, run = TRUTH[name], run_of(name)
    assert run.exit_code == (4 if name in exceptions.PARTIAL else 0), run.stderr
    assert run.ledger["seen"] == row["packets"]
    assert judge.ledger_faults(run) == []
    assert run.ledger["anomalies"].get("parser_bug", 0) == 0


def totals(judged: Callable[[dict[str, Any], Run], judge.Compared]) -> tuple[int, list[Any], list[Any]]:
    """Return (rows found, (capture, row) missing, (capture, row) beyond) over all captures."""
    found, missing, beyond = 0, [], []
    for name, row, run in dissected():
        compared = judged(row, run)
        found += len(compared.found)
        missing += [(name, item) for item in sorted(compared.missing)]
        beyond += [(name, item) for item in sorted(compared.beyond, key=str)]
    return found, missing, beyond


def told(share: float, rows: list[Any]) -> str:
    return f"{share:.4%}; {len(rows)} rows:\n" + "\n".join(map(repr, rows[:SHOWN]))


def test_p11_names_of_tls_quic_and_dtls_are_found_and_none_is_invented() -> None:
    found, missing, beyond = totals(judge.tls_names)
    unexplained = [item for item in beyond if not ndpi_saw(*item) and item not in exceptions.TLS_BEYOND]
    assert not unexplained, told(len(unexplained) / max(1, found), unexplained)
    share = found / (found + len(missing))
    assert share >= 0.995, told(share, missing)


def ndpi_saw(name: str, row: tuple[Any, ...]) -> bool:
    """Tell whether nDPI found this name where tshark did not."""
    return row[-1] in map(judge.plain, TRUTH[name].get("sni_ndpi_only") or ())


def test_p11_addresses_in_dns_answers_are_found() -> None:
    found, missing, _ = totals(judge.dns_answers)
    unexplained = [item for item in missing if item not in exceptions.DNS_MISSING]
    share = found / (found + len(unexplained))
    assert share >= 0.995, told(share, unexplained)


def test_the_lists_of_exceptions_hold_only_what_still_applies() -> None:
    _, tls_missing, tls_beyond = totals(judge.tls_names)
    _, dns_missing, _ = totals(judge.dns_answers)
    assert exceptions.TLS_BEYOND.keys() <= set(tls_beyond)
    assert exceptions.TLS_MISSING.keys() <= set(tls_missing)
    assert exceptions.DNS_MISSING.keys() <= set(dns_missing)


def test_p11_hosts_of_clear_http_requests_are_found() -> None:
    found, missing, _ = totals(judge.http_hosts)
    share = found / (found + len(missing))
    assert share >= 0.98, told(share, missing)


def test_p11_dhcp_host_names_name_the_devices() -> None:
    found, missing, _ = totals(judge.device_names)
    share = found / (found + len(missing))
    assert share >= 0.9, told(share, missing)


def test_p11_conversations_have_the_packets_and_bytes_that_tshark_counts() -> None:
    rows, faults = 0, []
    for name, row, run in dissected():
        if name in DAMAGED:
            continue
        expected, seen = judge.conversations(row, run)
        rows += len(expected)
        faults += [(name, ends, sums, seen.get(ends)) for ends, sums in expected.items() if seen.get(ends) != sums]
    share = 1 - len(faults) / rows
    assert share >= 0.98, told(share, faults)
