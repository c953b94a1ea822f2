"""Where the product and the truth of the corpora differ, and why the product is right or cannot know.

Each entry is (capture, row as tests/support/judge.py writes it) -> the reason in words. An entry that no longer applies
fails the test, so that this list only holds what is so.
"""

from typing import Any, Final

# captures that end with exit code 4
PARTIAL: Final = {
    "ndpi__fuzz-2021-10-13.pcap": "the file ends inside its second record",
    "tcpdump__dsa.pcap": "link type 284 (DSA) is not read",
    "tcpdump__unsupported-link-type-160.pcap": "link type 160 is not read",
}

TLS_BEYOND: Final[dict[tuple[str, Any], str]] = {}
TLS_MISSING: Final[dict[tuple[str, Any], str]] = {
    (
        "ndpi__tls_invalid_reads.pcap",
        ("10.191.139.17", 58552, "54.221.224.45", 443, "tcp", "e.crashlytics.com"),
    ): "the hello is not whole: its IP packet claims more bytes than the frame has; a part of a hello names nothing",
}

_IN_HTTP2 = "DNS over HTTP/2 in clear: the flow is HTTP, and what an HTTP body holds is not a lookup"
_ANNOUNCED = "announced by mDNS without a question: a lookup record stands for a question"
DNS_MISSING: Final[dict[tuple[str, Any], str]] = {
    **{
        ("suricata__dns-over-http2-post__dns_over_https_POST.pcap", (name, "A", address)): _IN_HTTP2
        for name, address in (
            ("a1089.dscd.akamai.net", "95.101.142.10"),
            ("a1089.dscd.akamai.net", "95.101.142.57"),
            ("consent.google.com", "172.217.22.174"),
            ("id.google.com", "216.58.211.131"),
            ("pagead46.l.doubleclick.net", "172.217.20.34"),
            ("plus.l.google.com", "172.217.21.174"),
            ("ssl.gstatic.com", "172.217.20.35"),
            ("www.google.com", "216.58.211.132"),
            ("www.gstatic.com", "172.217.21.163"),
            ("www3.l.google.com", "172.217.21.174"),
        )
    },
    **{
        ("suricata__dns-over-http2__dns_over_https.pcap", (name, "A", address)): _IN_HTTP2
        for name, address in (
            ("wd-prod-ss-eu-west-2-fe.westeurope.cloudapp.azure.com", "20.86.249.62"),
            ("www.gstatic.com", "142.250.185.227"),
        )
    },
    ("ndpi__whatsapp_login_call.pcap", ("lucas-imac.local", "A", "192.168.2.1")): _ANNOUNCED,
    ("ndpi__whatsapp_login_call.pcap", ("lucas-imac.local", "AAAA", "fe80::c42c:3ff:fe60:6a64")): _ANNOUNCED,
    (
        "suricata__dns__dns-answer-name__dns-udp-request-with-answer.pcap",
        ("oisf.net", "A", "10.10.10.10"),
    ): "an answer inside a question: the one who asks answers nothing",
    (
        "ndpi__malformed_dns.pcap",
        ("www.xt.com", "A", "66.66.66.66"),
    ): "the name of its second question is longer than 255 bytes: what stands behind it is not read",
}
