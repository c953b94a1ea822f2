"""The counters of all capture processes of one capture, as one ledger."""

from collections.abc import Sequence
from typing import Any

from netwatch.model.ledger import Ledger
from netwatch.model.packets import STATES
from netwatch.runtime.live.messages import Beat


def joined(beats: Sequence[Beat]) -> Ledger:
    """Add up the ledgers of all workers of a capture. What the kernel took and no worker counted was lost in a gap."""
    whole = Ledger()
    for beat in beats:
        said: dict[str, Any] = beat.ledger
        for place, state in enumerate(STATES):
            whole.states[place] += said[state]
            whole.state_bytes[place] += said[f"bytes_{state}"]
        for name in ("in_flows", "bytes_in_flows", "flows_created", "flows_ended", "lookups"):
            setattr(whole, name, getattr(whole, name) + said[name])
        whole.anomalies.update(said["anomalies"])
    whole.kernel_dropped = sum(beat.dropped for beat in beats)
    if len(beats) > 1:  # what one of them had in hand; until the end, also what the last one has not read yet
        whole.queue_dropped = max(0, sum(beat.taken for beat in beats) - sum(whole.states))
    return whole
