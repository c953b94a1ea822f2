from collections import Counter

import pytest

from netwatch.names import store as room
from netwatch.names.store import Store


class Held:
    def __init__(self, size: int) -> None:
        self.size = size


def test_m3_the_cap_holds_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "REASSEMBLY_BYTES", 1_000)
    store = Store(Counter())
    for flow in range(100):
        store.put(flow, Held(100))
        assert store.bytes <= 1_000
    assert store.anomalies["reassembly_evicted"] == 90
    assert [flow for flow in range(100) if store.get(flow)] == list(range(90, 100))


def test_a_state_is_charged_once_and_its_last_use_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "REASSEMBLY_BYTES", 1_000)
    store = Store(Counter())
    one = Held(400)
    store.put(1, one)
    store.put(2, Held(400))
    one.size = 500
    store.put(1, one)
    assert store.bytes == 900
    store.put(3, Held(400))
    assert (store.get(2), store.get(1)) == (None, one)
    for flow in (1, 2, 3, 4):
        store.drop(flow)
    assert (store.bytes, len(store)) == (0, 0)
