"""How much of what needs a name has one, from the finest sums of a summary (DESIGN section 4)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Final

from netwatch.model.records import BLIND
from netwatch.sinks.cells import Cell, split

CLEAR: Final = ("sni", "quic_sni", "http_host", "certificate", "dns_answer")  # kinds that name a flow for coverage


def coverages(
    cells: Mapping[int, Sequence[int]], devices: Mapping[str | None, int], kinds: Sequence[str | None]
) -> Callable[[str | None], dict[str, object]]:
    """Return what gives the coverage of a device by its id, of all for None; zeros for one that was not seen.

    cells: Cell as one number -> flows, bytes out, bytes in, ...   devices: id -> index.   kinds: of evidence, by index.
    by_evidence counts flows by the kind of their name, by_blind those whose name is hidden; no flow is in both.
    """
    covered: dict[int, list[tuple[Cell, int, int]]] = {}
    for key, (flows, out, back, *_) in cells.items():
        cell = split(key)
        if cell.in_coverage:
            covered.setdefault(cell.device, []).append((cell, flows, out + back))

    @cache
    def coverage(device_id: str | None) -> dict[str, object]:
        if device_id is None:
            return _coverage(chain.from_iterable(covered.values()), kinds)
        return _coverage(covered.get(devices.get(device_id, -1), ()), kinds)

    return coverage


def _coverage(cells: Iterable[tuple[Cell, int, int]], kinds: Sequence[str | None]) -> dict[str, object]:
    flows = octets = named_flows = named_bytes = 0
    by_kind: dict[int, list[int]] = {}
    by_blind: dict[int, list[int]] = {}
    for cell, count, size in cells:
        flows += count
        octets += size
        if cell.blind:
            _count(by_blind, cell.blind, count, size)
        elif cell.named:
            _count(by_kind, cell.kind, count, size)
            if kinds[cell.kind] in CLEAR:
                named_flows += count
                named_bytes += size
    return {
        "flows": flows,
        "bytes": octets,
        "named_flows": named_flows,
        "named_bytes": named_bytes,
        "named_share": round(named_bytes / octets, 6) if octets else None,
        "by_evidence": {str(kinds[k]): {"flows": n, "bytes": size} for k, (n, size) in sorted(by_kind.items())},
        "by_blind": {str(BLIND[why]): {"flows": n, "bytes": size} for why, (n, size) in sorted(by_blind.items())},
    }


def _count(counts: dict[int, list[int]], key: int, flows: int, size: int) -> None:
    counted = counts.setdefault(key, [0, 0])
    counted[0] += flows
    counted[1] += size
