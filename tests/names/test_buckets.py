import pytest

from netwatch.names import buckets as room
from netwatch.names.buckets import Buckets

SECOND = 10**9


def test_p8_tokens_come_back_with_capture_time() -> None:
    buckets = Buckets(10, 4)
    assert [buckets.take(1, 0) for _ in range(6)] == [True] * 4 + [False] * 2
    assert [buckets.take(1, SECOND // 2) for _ in range(3)] == [True, True, False]
    assert sum(buckets.take(source, 10 * SECOND) for source in range(20)) == 10


def test_a_clock_that_goes_back_refills_nothing() -> None:
    buckets = Buckets(10, 1)
    assert buckets.take(1, 100 * SECOND)
    assert not buckets.take(1, 50 * SECOND)
    assert buckets.take(1, 51 * SECOND)


def test_m3_sources_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "HOSTS", 50)
    buckets = Buckets(10_000, 1)
    for source in range(500):
        assert buckets.take(source, 0)
    assert len(buckets._sources) == 50
