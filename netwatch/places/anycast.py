"""Networks that answer from many places at once: their servers have no country."""

from typing import Final

ANYCAST_ASNS: Final = frozenset(
    {
        *(13335, 14789, 209242),  # Cloudflare
        54113,  # Fastly
        *(20940, 16625, 35994, 32787),  # Akamai
        15133,  # Edgecast
        60068,  # Datacamp (CDN77)
        22822,  # Limelight
        36692,  # Cisco OpenDNS
        42,  # Packet Clearing House (WoodyNet)
        19281,  # Quad9
    }
)
"""CDNs and anycast operators; the place of one of their addresses tells nothing about where data goes."""

ANYCAST_NETWORKS: Final = (
    *("1.1.1.0/24", "1.0.0.0/24", "2606:4700:4700::/48"),  # Cloudflare DNS
    *("8.8.8.0/24", "8.8.4.0/24", "2001:4860:4860::/48"),  # Google Public DNS
    *("9.9.9.0/24", "149.112.112.0/24", "2620:fe::/48"),  # Quad9
    *("208.67.216.0/21", "2620:119:35::/48", "2620:119:53::/48", "2620:0:ccc::/48", "2620:0:ccd::/48"),  # OpenDNS
    *("223.5.5.0/24", "223.6.6.0/24", "2400:3200::/48", "2400:3200:baba::/48"),  # AliDNS
    *("119.29.29.29", "1.12.12.12", "120.53.53.53"),  # DNSPod: the blocks around them are ordinary servers
    *("94.140.14.0/24", "94.140.15.0/24", "2a10:50c0::/48"),  # AdGuard DNS
    *("45.90.28.0/24", "45.90.30.0/24", "2a07:a8c0::/48", "2a07:a8c1::/48"),  # NextDNS
)
"""Public resolvers whose operators document anycast, inside networks that are not anycast as a whole."""
