"""Writes databases in MaxMind's format, version 2.0 (https://maxmind.github.io/MaxMind-DB/), as small as tests need."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from netwatch.places.cidr import parse_network

Value: TypeAlias = "str | int | list[str] | Mapping[str, Value]"

MARKER = b"\xab\xcd\xefMaxMind.com"
STRING, UINT16, UINT32, MAP, UINT64, ARRAY = 2, 5, 6, 7, 9, 11
METADATA = {"record_size": UINT16, "ip_version": UINT16, "build_epoch": UINT64}
METADATA |= {"binary_format_major_version": UINT16, "binary_format_minor_version": UINT16}


def _head(kind: int, size: int) -> bytes:
    """Control byte, then the number of an extended type, then what the size has beyond 28."""
    short, rest = (
        (size, b"") if size < 29 else (29, bytes([size - 29])) if size < 285 else (30, (size - 285).to_bytes(2))
    )
    return bytes([(kind if kind < 8 else 0) << 5 | short]) + (b"" if kind < 8 else bytes([kind - 7])) + rest


def encode(value: Value, kinds: Mapping[str, int] = {}, kind: int = UINT32) -> bytes:
    """Return a value; whole numbers are of the kind that is named for their key."""
    if isinstance(value, str):
        return _head(STRING, len(value.encode())) + value.encode()
    if isinstance(value, int):
        raw = value.to_bytes((value.bit_length() + 7) // 8)
        return _head(kind, len(raw)) + raw
    if isinstance(value, list):
        return _head(ARRAY, len(value)) + b"".join(map(encode, value))
    return _head(MAP, len(value)) + b"".join(
        encode(key) + encode(item, kinds, kinds.get(key, UINT32)) for key, item in value.items()
    )


def mmdb(
    records: Sequence[tuple[str, Value]], ip_version: int = 6, kind: str = "Test", built: int = 1_780_272_000
) -> bytes:
    """Return a database of (network, record); the networks do not overlap; IPv4 lies in ::/96 of an IPv6 tree."""
    nodes: list[list[int | bytes | None]] = [[None, None]]
    for text, record in records:
        network = parse_network(text)
        width = 32 if ip_version == 4 else 128
        free = (network.last - network.first).bit_length()
        node = 0
        for depth in range(width - free - 1):
            bit = network.first >> width - 1 - depth & 1
            if nodes[node][bit] is None:
                nodes.append([None, None])
                nodes[node][bit] = len(nodes) - 1
            below = nodes[node][bit]
            assert isinstance(below, int), "networks overlap"
            node = below
        nodes[node][network.first >> free & 1] = encode(record)
    data, tree = bytearray(), bytearray()
    for node_records in nodes:
        for target in node_records:
            if isinstance(target, bytes):
                pointer = len(nodes) + 16 + len(data)
                data += target
            else:
                pointer = len(nodes) if target is None else target
            tree += pointer.to_bytes(4)
    about = {"node_count": len(nodes), "record_size": 32, "ip_version": ip_version, "database_type": kind}
    about |= {"languages": ["en"], "binary_format_major_version": 2, "binary_format_minor_version": 0}
    about |= {"build_epoch": built, "description": {"en": "test"}}
    return bytes(tree) + bytes(16) + bytes(data) + MARKER + encode(about, METADATA)
