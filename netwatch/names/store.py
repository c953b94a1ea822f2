"""What parsers remember of flows, within one bound for all of them (RELIABILITY P7, M3)."""

from collections import Counter
from typing import Protocol

from netwatch.model.limits import REASSEMBLY_BYTES


class State(Protocol):
    """What a parser keeps of one flow."""

    @property
    def size(self) -> int:
        """Bytes in memory, roughly."""


class Store:
    """States by flow; beyond REASSEMBLY_BYTES the one that waited longest is forgotten and counted."""

    __slots__ = ("_sizes", "_states", "anomalies", "bytes")

    def __init__(self, anomalies: Counter[str]) -> None:
        self.anomalies = anomalies
        self.bytes = 0
        self._states: dict[int, State] = {}
        self._sizes: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._states)

    def __contains__(self, flow: int) -> bool:
        return flow in self._states

    def get(self, flow: int) -> State | None:
        """Return what is known of a flow."""
        return self._states.get(flow)

    def put(self, flow: int, state: State) -> None:
        """Keep a state, as the one used last."""
        size = state.size
        self.bytes += size - self._sizes.pop(flow, 0)
        self._states.pop(flow, None)
        self._states[flow] = state
        self._sizes[flow] = size
        while self.bytes > REASSEMBLY_BYTES and len(self._states) > 1:
            self.drop(next(iter(self._states)))
            self.anomalies["reassembly_evicted"] += 1

    def drop(self, flow: int) -> None:
        """Forget a flow."""
        if self._states.pop(flow, None) is not None:
            self.bytes -= self._sizes.pop(flow)
