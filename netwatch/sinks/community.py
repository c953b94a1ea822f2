"""Community ID v1: one text for a flow that Zeek, Suricata and Wireshark write alike."""

from binascii import b2a_base64
from hashlib import sha1
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from netwatch.model.arrays import I64, Bool
from netwatch.model.records import FlowBatch

_TAIL: list[tuple[str, DTypeLike]] = [
    *(("protocol", "u1"), ("pad", "u1")),
    *(("low_port", ">u2"), ("high_port", ">u2")),
]
_V4 = np.dtype([("seed", ">u2"), ("low", ">u4"), ("high", ">u4"), *_TAIL])
_V6 = np.dtype([("seed", ">u2"), *((name, ">u8") for name in ("low_hi", "low", "high_hi", "high")), *_TAIL])
Column: TypeAlias = NDArray[np.integer[Any]]

_PORTS = 4  # bytes at the end that a protocol without ports does not hash


def community_ids(batch: FlowBatch) -> list[str]:
    """Return the Community ID of each flow, seed 0: SHA-1 over the ordered end points, big-endian.

    Flows without ports are hashed as the protocols that have none: for ICMP, whose type and code no flow record
    carries, and for ports that a fragment hides, the text differs from that of tools which know them.
    Source: https://github.com/corelight/community-id-spec
    """
    swap = batch.client_port > batch.server_port  # the most significant decides last
    swap = (batch.client_lo > batch.server_lo) | (batch.client_lo == batch.server_lo) & swap
    swap = (batch.client_hi > batch.server_hi) | (batch.client_hi == batch.server_hi) & swap
    low_hi, high_hi = _ordered(batch.client_hi, batch.server_hi, swap)
    low, high = _ordered(batch.client_lo, batch.server_lo, swap)
    low_port, high_port = _ordered(batch.client_port, batch.server_port, swap)
    digests: list[bytes] = [b""] * len(batch)
    for family, layout in ((4, _V4), (6, _V6)):
        rows = np.flatnonzero(batch.family == family)
        head = np.zeros(len(rows), layout)
        if family == 6:
            head["low_hi"], head["high_hi"] = low_hi[rows], high_hi[rows]
        head["low"], head["high"] = low[rows], high[rows]
        head["protocol"] = batch.transport[rows]
        head["low_port"], head["high_port"] = low_port[rows], high_port[rows]
        _digest(head, rows, low_port[rows] < 0, digests)
    # 21 bytes are 28 characters without a remainder: one pass encodes all, "=" stands where the zero byte ended
    text = b2a_base64(b"\0".join(digests) + b"\0", newline=False).decode("ascii") if digests else ""
    return [f"1:{text[at : at + 27]}=" for at in range(0, len(text), 28)]


def _ordered(client: Column, server: Column, swap: Bool) -> tuple[Column, Column]:
    return np.where(swap, server, client), np.where(swap, client, server)


def _digest(head: NDArray[np.void], rows: I64, bare: Bool, digests: list[bytes]) -> None:
    """Put the digest of each row of `head` to its place; `bare` rows have no ports."""
    size = head.itemsize
    raw = head.tobytes()
    for at, (row, no_ports) in enumerate(zip(rows.tolist(), bare.tolist(), strict=True)):
        end = (at + 1) * size - (_PORTS if no_ports else 0)
        digests[row] = sha1(raw[at * size : end], usedforsecurity=False).digest()
