"""What could not be seen, said even where it changes no verdict: one sentence a device and kind."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from netwatch.policy.observed import Observed, Seen, Tally

PLACES_NAMED: Final = 3  # where the most went, a sentence
CLIENTS_MANY: Final = 3  # IPv4 addresses of one link-layer address, from which on others seem to stand behind it

# kind -> the sentence; {where}: names or networks, {flows}: how many flows
TEXTS: Final = {
    "ech": "Encrypted ClientHello was used in {flows} to {where}: the names behind it are hidden.",
    "ech_used": "Encrypted ClientHello was used in {flows} to {where}; DNS answers of this device named them instead.",
    "ech_offered": "{flows} offered Encrypted ClientHello, which may be a disguise alone (GREASE): their names are"
    " probably the true ones.",
    "doh": "Names were looked up over HTTPS (DoH) at {where}: what was asked there is not seen.",
    "dot": "Names were looked up over TLS or QUIC (DoT, DoQ) at {where}: what was asked there is not seen.",
    "vpn": "A tunnel to {where} carried {flows}: what is inside is not seen.",
    "mmtls": "{flows} to {where} spoke mmtls, WeChat's own encryption: it shows no name.",
    "httpdns": "An app asked {where} for addresses over HTTP (HTTPDNS): names looked up that way are not seen.",
}
NAT: Final = (
    "One link-layer address speaks for {count} IPv4 addresses: a router or access point seems to stand in front, and"
    " the devices behind it are one row here."
)


class Limitation(NamedTuple):
    """One thing that was not seen. limit: a key of TEXTS, or `nat`."""

    limit: str
    device_id: str | None
    bytes: int
    text: str


def limitations(observed: Observed, devices: Iterable[str]) -> list[Limitation]:
    """Return what could not be seen of some devices, by device, then by bytes, falling."""
    wanted = set(devices)
    sums: dict[tuple[str, str], dict[str, Tally]] = {}
    for (device_id, hidden), tally in observed.hidden.items():
        if device_id in wanted and hidden.what in TEXTS:
            sums.setdefault((device_id, hidden.what), {})[hidden.where] = tally
    out = [
        Limitation(what, device_id, sum(tally.bytes for tally in places.values()), _text(what, places))
        for (device_id, what), places in sums.items()
    ]
    for device_id in wanted:
        seen = observed.devices.get(device_id)
        if seen is not None and _several(seen):
            out.append(Limitation("nat", device_id, 0, NAT.format(count=len(_ipv4(seen.addresses)))))
    return sorted(out, key=lambda one: (one.device_id or "", -one.bytes, one.limit))


def _text(what: str, places: dict[str, Tally]) -> str:
    ranked = sorted(places, key=lambda place: (-places[place].bytes, place))
    where = ", ".join(ranked[:PLACES_NAMED])
    if len(ranked) > PLACES_NAMED:
        where += f" and {len(ranked) - PLACES_NAMED} more"
    count = sum(tally.flows for tally in places.values())
    text = TEXTS[what].format(where=where, flows="1 flow" if count == 1 else f"{count} flows")
    return text[0].upper() + text[1:]


def _several(seen: Seen) -> bool:
    return seen.device.device_id.startswith("mac:") and len(_ipv4(seen.addresses)) >= CLIENTS_MANY


def _ipv4(addresses: Iterable[str]) -> Sequence[str]:
    return [text for text in addresses if ":" not in text]
