"""Community ID v1: one text for a flow that Zeek, Suricata and Wireshark write alike."""

from binascii import b2a_base64
from hashlib import sha1
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from netwatch.model.arrays import Bool
from netwatch.model.records import FlowBatch

_TAIL: list[tuple[str, DTypeLike]] = [
    *(("protocol", "u1"), ("pad", "u1")),
    *(("low_port", ">u2"), ("high_port", ">u2")),
]
_V4 = np.dtype([("seed", ">u2"), ("low", ">u4"), ("high", ">u4"), *_TAIL])
_V6 = np.dtype([("seed", ">u2"), *((name, ">u8") for name in ("low_hi", "low", "high_hi", "high")), *_TAIL])
Column: TypeAlias = NDArray[np.integer[Any]]

_PORTS = 4  # bytes at the end that a protocol without ports does not hash
DIGEST: Final = 28  # characters of a digest


def community_ids(batch: FlowBatch) -> list[str]:
    """Return the Community ID of each flow, as text."""
    text = community_digests(batch).tobytes().decode("ascii")
    return [f"1:{text[at : at + DIGEST]}" for at in range(0, len(text), DIGEST)]


def community_digests(batch: FlowBatch) -> NDArray[np.bytes_]:
    """Return what stands behind `1:` in each Community ID, seed 0, S28[N]: SHA-1 over the ordered end points.

    They are hashed big-endian. Flows without ports are hashed as the protocols that have none: for ICMP, whose type and
    code no flow record carries, and for ports that a fragment hides, the text differs from that of tools which know
    them. Source: https://github.com/corelight/community-id-spec
    """
    swap = batch.client_port > batch.server_port  # the most significant decides last
    swap = (batch.client_lo > batch.server_lo) | (batch.client_lo == batch.server_lo) & swap
    swap = (batch.client_hi > batch.server_hi) | (batch.client_hi == batch.server_hi) & swap
    low_hi, high_hi = _ordered(batch.client_hi, batch.server_hi, swap)
    low, high = _ordered(batch.client_lo, batch.server_lo, swap)
    low_port, high_port = _ordered(batch.client_port, batch.server_port, swap)
    digests: list[bytes] = []
    order = [np.flatnonzero(batch.family == family) for family in (4, 6)]
    for rows, layout in zip(order, (_V4, _V6), strict=True):
        head = np.zeros(len(rows), layout)
        if layout is _V6:
            head["low_hi"], head["high_hi"] = low_hi[rows], high_hi[rows]
        head["low"], head["high"] = low[rows], high[rows]
        head["protocol"] = batch.transport[rows]
        head["low_port"], head["high_port"] = low_port[rows], high_port[rows]
        digests += _digests(head, low_port[rows] < 0)
    # 21 bytes are 28 characters without a remainder: one pass encodes all, "=" stands where the zero byte ended
    text = b2a_base64(b"\0".join([*digests, b""]), newline=False)
    out = np.empty(len(batch), f"S{DIGEST}")
    out[np.concatenate(order)] = np.frombuffer(text, out.dtype)
    out.view(np.uint8)[DIGEST - 1 :: DIGEST] = ord("=")
    return out


def _ordered(client: Column, server: Column, swap: Bool) -> tuple[Column, Column]:
    return np.where(swap, server, client), np.where(swap, client, server)


def _digests(head: NDArray[np.void], bare: Bool) -> list[bytes]:
    """Return the digest of each row of `head`; `bare` rows have no ports."""
    raw = head.tobytes()
    start = np.arange(len(head)) * head.itemsize
    end = start + np.where(bare, head.itemsize - _PORTS, head.itemsize)
    return [
        sha1(raw[begin:stop], usedforsecurity=False).digest()
        for begin, stop in zip(start.tolist(), end.tolist(), strict=True)
    ]
