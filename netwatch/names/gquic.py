"""gQUIC: the name in a CHLO, the ClientHello of Google's QUIC before TLS (versions Q024 to Q050).

Source: the QUIC Crypto specification (Langley, Chang, 2016), message format: little-endian tags and end offsets.
"""

from typing import Final

from netwatch.model.errors import ParseError
from netwatch.names.cursor import Cursor

_CHLO: Final = b"CHLO"
_SNI: Final = b"SNI\0"
_TAGS: Final = 128  # the specification's own limit
_SEARCH: Final = 64  # packet header, hash, frame header


PUBLIC_FLAGS: Final = frozenset(flags for flags in range(256) if flags & 0xC9 == 0x09)  # with an id and a version


def public_version(payload: bytes) -> str | None:
    """Return the version of a client's packet with a public header (up to Q043): flags, 8-byte id, version."""
    if len(payload) > 30 and payload[0] in PUBLIC_FLAGS and payload[9:10] == b"Q" and payload[10:13].isdigit():
        return payload[9:13].decode("ascii")
    return None


def parse_chlo(payload: Cursor) -> bytes | None:
    """Return the name of a CHLO that begins in the first bytes, None without a CHLO or a name that is whole.

    Raises ParseError: truncated, gquic_tags, step_budget_spent.
    """
    start = bytes(payload.data[payload.at : min(payload.end, payload.at + _SEARCH)]).find(_CHLO)
    if start < 0:
        return None
    payload.skip(start + 4)
    count = int.from_bytes(payload.take(2), "little")
    payload.skip(2)
    if count > _TAGS:
        raise ParseError("gquic_tags", payload.at)
    payload.step(count)
    last = 0
    found: tuple[int, int] | None = None
    for _ in range(count):
        tag, end = payload.take(4), int.from_bytes(payload.take(4), "little")
        if end < last:
            raise ParseError("gquic_tags", payload.at)
        if tag == _SNI:
            found = last, end
        last = end
    if found is None or found[1] > payload.left:
        return None
    payload.skip(found[0])
    return payload.take(found[1] - found[0]) or None
