"""Our own words on the page: kinds of evidence, roles of a verdict, what the databases ask to be said."""

from typing import Final

KIND_WORDS: Final = {
    "sni": "server name in a TLS hello",
    "quic_sni": "server name in a QUIC hello",
    "http_host": "host of an unencrypted request",
    "certificate": "name in the server's certificate",
    "dns_answer": "this device looked the name up and got this address",
    "dns_answer_other": "another device's look-up, or an expired one: weak",
    "dns_query": "a name was asked for; no connection of this row shows it",
    "network": "the address lies in the owner's own network: says who, not which app",
}

USE_WORDS: Final = {
    "server_country": "where a server seems to be",
    "registration_country": "where an address block is registered",
    "asn": "which network an address belongs to",
    "device_vendor": "who made a device",
}

VIA_WORDS: Final = {
    "flow": "connection",
    "lookup": "look-up alone",
    "blocked_lookup": "look-up, blocked by the resolver",
}

MARKS: Final = {"FAIL": "\u2717", "INCONCLUSIVE": "?", "PASS": "\u2713"}  # the worst first

LEADS: Final = {
    "FAIL": "What the policy forbids was seen.",
    "PASS": "Nothing that the policy forbids was seen, and enough was seen to say so.",
    "INCONCLUSIVE": "Nothing firm can be said: what would settle it stands below.",
}

NOT_SEEN: Final = (
    "Not seen is never not installed: an app that was silent while this was recorded leaves no trace here."
)

# database -> what its licence asks to be shown wherever its data are
ATTRIBUTIONS: Final = {
    "dbip-country": "IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0, reformatted",
    "nro-registration": "Registration data by the Number Resource Organization (https://www.nro.net), CC BY 4.0,"
    " reformatted",
    "asn": "AS numbers by RouteViews (https://www.routeviews.org), DB-IP (https://db-ip.com) and the Number Resource"
    " Organization (https://www.nro.net), CC BY 4.0, reformatted",
    "ieee-oui": "MAC address blocks by the IEEE Registration Authority (https://standards.ieee.org), public listing,"
    " reformatted",
}
