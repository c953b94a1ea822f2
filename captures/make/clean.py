"""Make captures/clean.pcap: a laptop that talks to ordinary hosts only, by IPv4 and IPv6."""

import sys
import time
from pathlib import Path

from lab import HERE, LAPTOP_MAC, TOOLS, Lab, need

NAMES = {
    "en.wikipedia.org": ("185.15.59.224", "2a02:ec80:300:ed1a::1"),
    "upload.wikimedia.org": ("185.15.59.240", "2a02:ec80:300:ed1a::2:b"),
    "deb.debian.org": "debian.map.fastlydns.net",
    "debian.map.fastlydns.net": ("151.101.2.132", "2a04:4e42::644"),
    "github.com": "140.82.121.4",
    "pypi.org": ("151.101.0.223", "2a04:4e42::223"),
}


def main(out: Path) -> None:
    need({**TOOLS, "chromium": "chromium"})
    tls = ["en.wikipedia.org", "upload.wikimedia.org", "deb.debian.org", "github.com", "pypi.org"]
    with Lab(NAMES, tls=tls, h3=["upload.wikimedia.org", "en.wikipedia.org"], ipv6=True) as lab, lab.capture(out):
        lab.plug_in("laptop", LAPTOP_MAC)
        lab.lease("laptop", "bo-latitude", "192.168.1.40")
        time.sleep(4)  # until the IPv6 address is the laptop's own
        lab.curl("laptop", "-6", "https://en.wikipedia.org/wiki/9000")
        lab.curl("laptop", "-4", "http://deb.debian.org/debian/dists/12000")
        lab.curl("laptop", "https://github.com/8000", "--tls-max", "1.2")
        lab.curl("laptop", "https://pypi.org/simple/6000")
        lab.chromium("laptop", "https://en.wikipedia.org/wiki/11000", "--origin-to-force-quic-on=en.wikipedia.org:443")
        lab.run(
            "laptop", [sys.executable, str(HERE / "http3_client.py"), lab.ca, "upload.wikimedia.org", "/thumb/9000"]
        )
        lab.dig("laptop", "-x", "185.15.59.224")


if __name__ == "__main__":
    main(HERE.parent / "clean.pcap")
