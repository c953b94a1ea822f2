"""Make captures/hidden.pcapng: one laptop that hides what it asks and with whom it talks."""

import time
from pathlib import Path

from lab import HERE, LAPTOP_MAC, TOOLS, Lab, need, sh

WIREGUARD, OPENVPN, OLD = "193.138.218.74", "185.159.157.10", "71.18.1.20"
NAMES = {
    "dns.google": "8.8.8.8",
    "cloudflare-dns.com": "104.16.248.249",
    "en.wikipedia.org": "185.15.59.224",
    "www.tiktok.com": "104.18.10.20",  # behind Cloudflare, for this capture
    "chat.example.org": "104.18.10.21",
    "log-sg.tiktokv.com": "101.45.248.10",
}
OUTER = "cloudflare-ech.com"


def ech_config(public_name: str) -> bytes:
    """Return an ECHConfigList of one X25519, HKDF-SHA256, AES-128-GCM key (RFC 9849 section 4)."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    key = X25519PrivateKey.generate().public_key().public_bytes_raw()
    suite = bytes.fromhex("00010001")
    contents = b"\x2a" + bytes.fromhex("0020") + block(2, key) + block(2, suite)
    contents += b"\x00" + block(1, public_name.encode()) + block(2, b"")
    return block(2, bytes.fromhex("fe0d") + block(2, contents))


def https_record(name: str, ech: bytes) -> str:
    """Return dnsmasq's line for an HTTPS record (RFC 9460): priority 1, target `.`, alpn h2, ech."""
    data = b"\x00\x01\x00" + b"\x00\x01" + block(2, b"\x02h2") + b"\x00\x05" + block(2, ech)
    return f"dns-rr={name},65,{data.hex()}"


def block(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size, "big") + data


def wireguard(lab: Lab) -> None:
    """Join laptop and servers by WireGuard's program in user space; 10.8.0.1 is the far end."""
    keys = {end: sh("wg", "genkey").strip() for end in ("laptop", "servers")}
    public = {end: sh("wg", "pubkey", stdin=key).strip() for end, key in keys.items()}
    for end, other, device, address in (
        ("servers", "laptop", "nwlabs", "10.8.0.1"),
        ("laptop", "servers", "nwlabc", "10.8.0.2"),
    ):
        lab.start(end, ["wireguard-go", "--foreground", device])
        lab.wait(f"/var/run/wireguard/{device}.sock")
        config = lab.folder / f"{device}.conf"
        lines = [f"[Interface]\nPrivateKey={keys[end]}\n", "ListenPort=51820\n" if end == "servers" else "",
                 f"[Peer]\nPublicKey={public[other]}\nAllowedIPs=10.8.0.0/24\n",
                 f"Endpoint={WIREGUARD}:51820\n" if end == "laptop" else ""]  # fmt: skip
        config.write_text("".join(lines))
        lab.run(end, ["wg", "setconf", device, str(config)])
        lab.run(end, ["ip", "addr", "add", f"{address}/24", "dev", device])
        lab.run(end, ["ip", "link", "set", device, "mtu", "1380", "up"])


def openvpn(lab: Lab) -> None:
    """Join laptop and servers by OpenVPN with TLS over UDP; 10.9.0.1 is the far end."""
    for end, device, own, peer, more in (
        ("servers", "nwlabo", "10.9.0.1", "10.9.0.2", ["--tls-server", "--dh", "none", "--local", OPENVPN]),
        ("laptop", "nwlabq", "10.9.0.2", "10.9.0.1", ["--tls-client", "--nobind", "--remote", OPENVPN]),
    ):
        certificate, key = lab.certificate(f"openvpn-{end}", [end])
        lab.start(end, [
            "openvpn", "--dev", device, "--dev-type", "tun", "--proto", "udp", "--port", "1194",
            "--ifconfig", own, peer, "--ca", lab.ca, "--cert", certificate, "--key", key, *more,
        ])  # fmt: skip
    until = time.monotonic() + 5
    while b"10.9.0.2" not in lab.run("laptop", ["ip", "addr", "show"]):  # else the next packets leave in clear
        if time.monotonic() > until:
            raise RuntimeError("the OpenVPN tunnel did not come up")
        time.sleep(0.1)


def main(out: Path) -> None:
    need(
        {
            **TOOLS,
            "chromium": "chromium",
            "wireguard-go": "wireguard-go",
            "wg": "wireguard-tools",
            "openvpn": "openvpn",
            "editcap": "wireshark-common",
        }
    )
    ech = ech_config(OUTER)
    records = [https_record(name, ech) for name in ("www.tiktok.com", "chat.example.org")]
    front = ["dns.google", "cloudflare-dns.com", "en.wikipedia.org", "log-sg.tiktokv.com"]
    more = [WIREGUARD, OPENVPN, OLD]
    with Lab(NAMES, tls=front, dot=["dns.google"], addresses=more, records=records) as lab:
        # no client trusts this one: a browser whose ECH is refused would else try again with the name in clear
        certificate, key = lab.certificate("outer", [OUTER])
        lab.front(["104.18.10.20", "104.18.10.21"], certificate, key)
        lab.front([OLD], *lab.certificate("old", ["mon.tiktokv.com"]))
        lab.plug_in("laptop", LAPTOP_MAC)
        lab.lease("laptop", "bo-latitude", "192.168.1.40")
        old = lab.start("laptop", ["curl", "-sSk", "-o", "/dev/null", f"https://{OLD}/slow/60000"])
        time.sleep(1)
        raw = lab.folder / "hidden.pcap"
        with lab.capture(raw):
            lab.lease("laptop", "bo-latitude", "192.168.1.40")
            # questions nobody on the path can read
            lab.dig("laptop", "+https", "@dns.google", "log-sg.tiktokv.com")
            lab.dig("laptop", "+tls", "@dns.google", "log-sg.tiktokv.com")
            lab.curl(
                "laptop",
                "https://en.wikipedia.org/wiki/3000",
                "--doh-url",
                "https://cloudflare-dns.com/dns-query",
                "--doh-insecure",
            )
            # GREASE beside a true name; ECH with the key from plain DNS; ECH with the key from DNS over HTTPS
            lab.chromium("laptop", "https://en.wikipedia.org/wiki/4000")
            lab.chromium("laptop", "https://chat.example.org/")
            lab.chromium("laptop", "https://www.tiktok.com/", doh="https://cloudflare-dns.com/dns-query")
            # tunnels
            wireguard(lab)
            inside = "log-sg.tiktokv.com:8080"
            lab.curl("laptop", f"http://{inside}/20000", "--resolve", f"{inside}:10.8.0.1")
            openvpn(lab)
            lab.curl(
                "laptop", "http://10.9.0.1:8080/9000", "--retry", "5", "--retry-connrefused", "--connect-timeout", "4"
            )
        lab.end(old)
        sh("editcap", "-F", "pcapng", str(raw), str(out))
        out.chmod(0o644)


if __name__ == "__main__":
    main(HERE.parent / "hidden.pcapng")
