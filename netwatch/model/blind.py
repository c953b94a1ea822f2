"""What each reason for blindness, and each reason for an INCONCLUSIVE, means and what would settle it (DESIGN 4, 7)."""

from typing import Final

# reason -> (what it means, what would settle it), whole sentences for a person who is no expert
EXPLAINED: Final[dict[str, tuple[str, str]]] = {
    "ech": (
        "Encrypted ClientHello hid the name of the server.",
        "Turn off Encrypted ClientHello or secure DNS in the browser or app, or capture on the device itself.",
    ),
    "doh": (
        "Names were looked up over HTTPS (DoH), where only the resolver can see them.",
        "Turn off secure DNS on the device, or let it use the router's resolver, and watch again.",
    ),
    "dot": (
        "Names were looked up over TLS or QUIC (DoT, DoQ), where only the resolver can see them.",
        "Turn off private DNS on the device, or let it use the router's resolver, and watch again.",
    ),
    "vpn": (
        "A VPN or tunnel carried the traffic; what is inside cannot be told apart.",
        "Switch the VPN off and watch again, or capture on the device before the tunnel.",
    ),
    "no_handshake": (
        "The connection was already open when the watch began, so its hello was not seen.",
        "Start the capture before the device connects, for example before it is switched on.",
    ),
    "no_name_offered": (
        "The hello was seen, and it named no server.",
        "Capture from before the device looks the name up, so that DNS gives it.",
    ),
    "snaplen_cut": (
        "The capture kept only the first bytes of each packet, and the name lay behind them.",
        "Capture whole packets (tcpdump -s 0, or at least -s 2048).",
    ),
    "encrypted_unknown": (
        "The traffic is encrypted or of an unknown protocol, and no name for it was seen.",
        "Capture from before the device looks names up, or on the device itself, where programs have names.",
    ),
    "ip_only": (
        "Only an address is known: no name was looked up or spoken.",
        "Capture from before the device looks the name up, or on the device itself.",
    ),
    "undecryptable": (
        "A QUIC hello could not be opened: of an unknown version, damaged or not whole.",
        "Capture whole packets from before the connection begins, or switch QUIC off in the app and watch again.",
    ),
    "dropped": (
        "Packets were lost before they could be read.",
        "Capture with a larger buffer, on a faster machine, or only the device in question.",
    ),
    "inactive": (
        "The device sent nothing to the outside, so nothing can be said of it.",
        "Use the device and its apps while the watch runs, and check that its traffic passes here.",
    ),
    "short_watch": (
        "The watch was shorter than the policy asks for.",
        "Watch for longer, while the device is in use.",
    ),
    "weak_evidence": (
        "What points to the app is too weak for a verdict: an owner's network, another device's look-up, an address or"
        " a certificate that several apps share.",
        "Capture from before the connection begins, so that the name of the server is seen.",
    ),
    "partial_input": (
        "A part of the input could not be read.",
        "Make the capture again, and let it end before it is copied.",
    ),
    "self_test": (
        "The catalogue did not recognise its own examples, so what it does not find means nothing.",
        "Install netwatch again, or run netwatch signatures test on your own signatures.",
    ),
}
