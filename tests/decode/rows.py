"""A row of decoded columns as a plain dictionary, the shape of the plain reader's answer."""

from typing import Any

from netwatch.decode.packets import decode
from netwatch.model.batch import PacketBatch
from netwatch.model.packets import NO_MAC, Packets


def row(packets: Packets, batch: PacketBatch, at: int) -> dict[str, Any]:
    """Return what row `at` says; as in Plain.out."""
    take = {name: column[at].item() for name, column in packets._asdict().items() if hasattr(column, "dtype")}
    out = {"state": take["state"], "in_flow": take["in_flow"], "vlan": take["vlan"]}
    if take["src_mac"] != NO_MAC:
        out["src_mac"] = take["src_mac"]
    if take["dst_mac"] != NO_MAC:
        out["dst_mac"] = take["dst_mac"]
    if not take["in_flow"]:
        return out
    start, length = take["payload"], take["payload_len"]
    return out | {
        "family": take["family"],
        "src": take["src_hi"] << 64 | take["src_lo"],
        "dst": take["dst_hi"] << 64 | take["dst_lo"],
        "protocol": take["protocol"],
        "ip_bytes": take["ip_bytes"],
        "tunnel": packets.tunnels[take["tunnel"]],
        "ports": (take["src_port"], take["dst_port"]) if take["ports"] else None,
        "flags": take["tcp_flags"],
        "seq": take["seq"],
        "payload": batch.data[start : start + length].tobytes(),
        "cut": take["cut"],
        "fragment": (take["fragment_id"], take["fragment_at"], take["fragment_last"]) if take["fragment"] else None,
    }


def rows(batch: PacketBatch) -> list[dict[str, Any]]:
    """Decode a batch; return all rows."""
    packets = decode(batch)
    return [row(packets, batch, at) for at in range(len(batch.offset))]
