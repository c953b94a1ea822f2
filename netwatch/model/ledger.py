"""The counters of which every packet is in exactly one (DESIGN section 3.7, RELIABILITY M5)."""

from collections import Counter
from dataclasses import dataclass, field

from netwatch.model.packets import STATES


@dataclass(slots=True)
class Ledger:
    """seen = ok + non_ip + malformed + truncated + too_deep; flows_created = flows_live + flows_ended."""

    states: list[int] = field(default_factory=lambda: [0] * len(STATES))
    state_bytes: list[int] = field(default_factory=lambda: [0] * len(STATES))
    in_flows: int = 0
    bytes_in_flows: int = 0
    kernel_dropped: int | None = None
    queue_dropped: int = 0
    export_dropped: int = 0
    flows_created: int = 0
    flows_ended: int = 0
    lookups: int = 0
    anomalies: Counter[str] = field(default_factory=Counter)

    def record(self) -> dict[str, object]:
        """Return the ledger of the summary record, keys in the order of the contract."""
        out: dict[str, object] = {"seen": sum(self.states)}
        out.update(zip(STATES, self.states, strict=True))
        out["in_flows"] = self.in_flows
        out["bytes_seen"] = sum(self.state_bytes)
        out.update((f"bytes_{name}", count) for name, count in zip(STATES, self.state_bytes, strict=True))
        out["bytes_in_flows"] = self.bytes_in_flows
        out["kernel_dropped"] = self.kernel_dropped
        out["queue_dropped"] = self.queue_dropped
        out["export_dropped"] = self.export_dropped
        out["flows_created"] = self.flows_created
        out["flows_live"] = self.flows_created - self.flows_ended
        out["flows_ended"] = self.flows_ended
        out["lookups"] = self.lookups
        out["anomalies"] = dict(sorted(self.anomalies.items()))
        return out
