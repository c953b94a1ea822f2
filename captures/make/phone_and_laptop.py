"""Make captures/phone-and-laptop.pcap: a phone that talks to TikTok and WeChat beside a laptop that does not."""

import sys
from pathlib import Path

from lab import HERE, LAPTOP_MAC, PHONE_MAC, TOOLS, Lab, need

NAMES = {
    "log-sg.tiktokv.com": "101.45.248.10",  # AS138699
    "mon.tiktokv.com": "71.18.1.20",  # AS396986
    "api16-normal.tiktokv.com": "71.18.247.12",  # AS138699
    "v16-cdn.tiktokcdn.com": "v16-cdn.tiktokcdn.com.edgesuite.net",
    "v16-cdn.tiktokcdn.com.edgesuite.net": "2.16.0.10",  # Akamai
    "szshort.weixin.qq.com": "203.205.239.150",  # AS132203
    "wx.qq.com": "43.154.240.10",  # AS132203
    "en.wikipedia.org": "185.15.59.224",
    "upload.wikimedia.org": "185.15.59.240",
    "github.com": "140.82.121.4",
    "www.debian.org": "151.101.2.132",
}
TLS = ["log-sg.tiktokv.com", "mon.tiktokv.com", "api16-normal.tiktokv.com", "v16-cdn.tiktokcdn.com", "en.wikipedia.org",
       "upload.wikimedia.org", "github.com", "www.debian.org"]  # fmt: skip
QUIC = ["v16-cdn.tiktokcdn.com", "upload.wikimedia.org"]


def main(out: Path) -> None:
    need({**TOOLS, "chromium": "chromium", "avahi-daemon": "avahi-daemon"})
    with Lab(NAMES, tls=TLS, h3=QUIC) as lab:
        certificate, key = lab.certificate("wechat", ["wx.qq.com"])
        lab.start(
            "servers",
            [
                "openssl",
                "s_server",
                "-accept",
                "43.154.240.10:443",
                "-cert",
                certificate,
                "-key",
                key,
                "-www",
                "-quiet",
            ],
        )
        lab.plug_in("phone", PHONE_MAC)
        lab.plug_in("laptop", LAPTOP_MAC)
        with lab.capture(out):
            lab.lease("phone", "Ana-iPhone", "192.168.1.23")
            lab.lease("laptop", "bo-latitude", "192.168.1.40")
            lab.mdns("phone", "Ana-iPhone")
            # the phone: TikTok by TLS, by QUIC and by an address alone
            lab.curl("phone", "https://log-sg.tiktokv.com/service/2/app_log/900", "-d", "x" * 1_800)
            lab.curl("laptop", "https://en.wikipedia.org/wiki/9000")
            lab.curl("phone", "https://api16-normal.tiktokv.com/aweme/v1/feed/14000")
            quic = "--origin-to-force-quic-on=v16-cdn.tiktokcdn.com:443"
            lab.chromium("phone", "https://v16-cdn.tiktokcdn.com/video/30000", quic)
            lab.curl("phone", "https://71.18.1.20/batch/700", "--insecure")
            silent = ["openssl", "s_client", "-connect", "71.18.247.12:443", "-noservername"]
            lab.run("phone", silent, stdin=b"")
            # the phone: WeChat by HTTP, by TLS with a name, and by TLS 1.2 without one
            lab.curl("phone", "http://szshort.weixin.qq.com/mmtls/600", "-A", "MicroMessenger Client", "-d", "x" * 400)
            lab.run(
                "phone",
                ["openssl", "s_client", "-connect", "wx.qq.com:443", "-servername", "wx.qq.com"],
                stdin=b"GET / HTTP/1.0\r\n\r\n",
            )
            lab.run(
                "phone",
                ["openssl", "s_client", "-connect", "43.154.240.10:443", "-noservername", "-tls1_2"],
                stdin=b"GET / HTTP/1.0\r\n\r\n",
            )
            lab.dig("phone", "mon.tiktokv.com", "HTTPS")
            # the laptop: ordinary hosts, the last by a browser over TCP and by QUIC from aioquic
            lab.curl("laptop", "https://github.com/7000")
            lab.dig("laptop", "+tcp", "www.debian.org", "AAAA")
            lab.chromium("laptop", "https://www.debian.org/6000")
            lab.run(
                "laptop",
                [sys.executable, str(HERE / "http3_client.py"), lab.ca, "upload.wikimedia.org", "/thumb/12000"],
            )


if __name__ == "__main__":
    main(HERE.parent / "phone-and-laptop.pcap")
