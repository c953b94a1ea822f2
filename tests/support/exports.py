"""A small run with every kind of row, for the tests of exports."""

from dataclasses import dataclass

from support.flows import PHONE, SECOND, T0, TIKTOK, Flow, Question, release, tiktok_flow

from netwatch.model.ledger import Ledger
from netwatch.model.records import Device, Evidence, Label, Place, Release, Talk

HOSTILE = '=cmd|"/c calc"!A1\x1b]0;x\x07\r\n,;\u202eé\u65e5\\xff'


@dataclass
class Capture:
    """What a source tells."""

    name: str = "phone.pcap"
    format: str = "pcap"
    packets: int = 42
    first: int | None = T0 - 2 * SECOND
    last: int | None = T0 + 12_470_000_000
    complete: bool = True


@dataclass(frozen=True)
class Counts:
    apps: int = 312
    owners: int = 160
    endpoints: int = 2514


@dataclass(frozen=True)
class Known:
    """What the catalogue tells."""

    version: str = "2026.11"
    counts: Counts = Counts()


DATABASES = [
    {"name": "dbip-country", "use": "server_country", "date": "2026-06-01", "licence": "CC BY 4.0"},
]


def design_ledger() -> Ledger:
    """Return the ledger of DESIGN section 4."""
    return Ledger(
        states=[40, 2, 0, 0, 0],
        state_bytes=[14_320, 84, 0, 0, 0],
        in_flows=40,
        bytes_in_flows=14_320,
        flows_created=2,
        flows_ended=2,
        lookups=1,
    )


def design_release() -> Release:
    """Return the two flows and the lookup of DESIGN section 4."""
    dns = Flow(
        flow_id=2,
        start=T0 + 30_000_000,
        end=T0 + 51_000_000,
        server="192.168.1.1",
        server_port=53,
        transport=17,
        octets=(64, 96),
        device=PHONE,
        talk=Talk("dns"),
        in_coverage=False,
    )
    return release([dns, tiktok_flow()], [Question()])


def varied_release() -> Release:
    """Return rows that take every way through the writers."""
    other = Device("ip:2001:db8::5", HOSTILE, "Vendor, Inc.")
    return release(
        [
            *(
                Flow(
                    flow_id=0, start=-1, end=-1, client="::1", server="::ffff:192.0.2.1", transport=58, client_port=None
                ),
            ),
            tiktok_flow(),
            Flow(
                flow_id=2**64 - 1,
                start=T0,
                end=2**63 - 1,
                client="2001:db8::5",
                server="2001:db8::1",
                client_port=0,
                server_port=65_535,
                transport=47,
                vlan=4095,
                packets=(2**63 - 1, 0),
                flags=(0, 255),
                end_reason="lack_of_resources",
                blind="ech",
                device=other,
                tunnel="gre/ipip",
                interface="100% eth0",
                talk=Talk("quic", "h3", None, None, "used"),
                label=Label(name=HOSTILE, name_source="quic_sni", conflict="sni_vs_dns"),
                place=Place(None, "US", 13335, "CLOUDFLARENET, US", True),
                evidence=(Evidence("quic_sni", HOSTILE, T0, 1, None),),
            ),
        ],
        [
            Question(),
            Question(query=HOSTILE, rcode=None, answers=(), label=Label(), device=other, transport="mdns"),
            Question(blocked=True, rcode="NXDOMAIN", answers=(("a", "TXT", HOSTILE, 0), ("b", "A", "192.0.2.1", 1))),
            Question(label=TIKTOK._replace(app_id="100%"), client="2001:db8::5", resolver="::1"),
        ],
    )
