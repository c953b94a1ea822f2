"""What the catalogue says of one name or address: the object of `explain --json` (DESIGN section 7)."""

from collections.abc import Callable
from typing import TypeAlias

from netwatch.attribution.catalogue import Catalogue
from netwatch.attribution.normal import normal_form
from netwatch.attribution.prefixes import parse_address
from netwatch.model.address import address_text
from netwatch.model.reading import Address

PlaceOf: TypeAlias = Callable[[Address], tuple[str | None, int | None]]
"""Tells the server country and the AS number of an address."""


def explain(catalogue: Catalogue, text: str, day: str, places: PlaceOf | None = None) -> dict[str, object]:
    """Explain a name or an address as typed; null where nothing is known. day: `2025-11-24`.

    An address names the owner of its network at most, never an app.
    """
    normalised = normal_form(text.strip())
    address = parse_address(normalised or text.strip().removeprefix("[").removesuffix("]"))
    country, asn = places(address) if places is not None and address is not None else (None, None)
    app_id = app = kind = role = owner_id = confidence = rule = None
    if address is not None:
        normalised = address_text(address)
        network = catalogue.network(address, asn)
        if network is not None:
            owner_id, confidence, rule = network.app.owner_id, network.confidence, network.rule
    else:
        match = catalogue.match(normalised) if normalised is not None else None
        if match is not None:
            app_id, app, kind, owner_id = match.app.id, match.app.name, match.app.kind, match.app.owner_id
            role, confidence, rule = match.role, match.confidence, match.rule
    owner = catalogue.owner_on(owner_id, day) if owner_id is not None else None
    return {
        "input": text,
        "normalised": normalised,
        "app_id": app_id,
        "app": app,
        "kind": kind,
        "role": role,
        "owner_id": owner_id,
        "owner": owner.owner if owner else None,
        "ultimate_owner": owner.ultimate_owner if owner else None,
        "control_country": owner.control_country if owner else None,
        "confidence": confidence,
        "rule": rule,
        "server_country": country,
        "asn": asn,
    }
