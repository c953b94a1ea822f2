"""Where the product and the truth of the corpora differ, and why the product is right or cannot know.

Each entry is (capture, row as tests/support/judge.py writes it) -> the reason in words. An entry that no longer applies
fails the test, so that this list only holds what is so.
"""

from typing import Any, Final

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

TLS_BEYOND: Final[dict[tuple[str, Any], str]] = {}
TLS_MISSING: Final[dict[tuple[str, Any], str]] = {}
PARTIAL: Final[dict[str, str]] = {}  # captures that end with exit code 4
