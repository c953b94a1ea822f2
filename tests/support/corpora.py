"""The test corpora beside the project: read in place, never copied."""

import gzip
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "corpora"
needs_corpora = pytest.mark.skipif(
    not (CORPORA / "truth.jsonl.gz").exists(), reason="no ../shared/corpora beside the project: corpus tests skipped"
)


# conversations that no reader agrees on: damaged on purpose (README of the corpora)
DAMAGED: Final = frozenset(
    {
        "zeek__trunc__mpls-6in6-broken.pcap.gz",
        "zeek__quic__383379789-decrypt-crash.pcap",
        "ndpi__fuzz-2006-09-29-28586.pcap",
        "ndpi__fuzz-2021-10-13.pcap",
        "ndpi__ip_fragmented_garbage.pcap",
        "tcpdump__ipv6_frag6_negative_len.pcap",
    }
)


@cache
def truth() -> list[dict[str, Any]]:
    """Return one object for each real capture, [] where the corpora are absent."""
    if not (CORPORA / "truth.jsonl.gz").exists():
        return []
    with gzip.open(CORPORA / "truth.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@cache
def adversarial() -> list[dict[str, Any]]:
    """Return one object for each hostile input, [] where the corpora are absent."""
    path = CORPORA / "adversarial" / "expect.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def capture(name: str, sha256: str) -> Path:
    """Return the path of a real capture whose contents are the ones that the truth speaks of."""
    path = CORPORA / "captures" / name
    assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256, f"{name} differs from the one in the truth"
    return path
