"""`doctor` runs each check, goes on after one that fails, and never leaves a problem without its next step."""

from collections.abc import Iterator
from datetime import date

import pytest
from support.netns import needs_root
from support.sandboxed import sandboxed

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


@needs_root
def test_all_of_it_is_looked_at_by_who_may_not_read_the_home_it_was_given() -> None:
    """HOME is another user's after setpriv, and after sudo in a capture that gave up its rights."""
    code = """
        import json, os
        from netwatch.runtime import health
        from support.inside import become_nobody
        list(health.findings())  # loads what it needs, where only root reads Python
        os.environ["HOME"] = "/proc/1/root"
        os.environ.pop("XDG_CONFIG_HOME", None)
        become_nobody()
        print(json.dumps([one for one in health.findings()]))
    """
    found = sandboxed(code)
    assert {one[0] for one in found} == set(health.CHECKS)
    assert [one for one in found if one[1] == "bad"] == []
    assert "this user may not capture" in next(one[2] for one in found if one[0] == "permissions")
