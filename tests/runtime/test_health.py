"""`doctor` runs each check, goes on after one that fails, and never leaves a problem without its next step."""

from collections.abc import Iterator
from datetime import date

import pytest

from netwatch.model.errors import DataError
from netwatch.runtime import health
from netwatch.runtime.finding import Finding


def test_every_problem_has_a_next_step() -> None:
    found = list(health.findings())
    assert {one.check for one in found} == set(health.CHECKS)
    assert all(one.step for one in found if one.state != "ok")
    assert {one.state for one in found} <= {"ok", "old", "no"}


def test_old_data_are_said_to_be_old() -> None:
    found = list(health.findings("databases", date(2030, 1, 1)))
    assert {one.state for one in found} == {"old"}


def test_a_check_that_fails_is_a_finding_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: date) -> Iterator[Finding]:
        raise DataError("asn.bin: it does not match")
        yield

    monkeypatch.setitem(health.CHECKS, "databases", broken)
    found = {one.check: one for one in health.findings()}
    assert (found["databases"].state, found["databases"].text) == ("bad", "asn.bin: it does not match")
    assert found["memory"].text
