"""Small catalogues for tests: real owners and names as far as the rules need them, one of each kind."""

from typing import Any

from msgspec import convert

from netwatch.attribution.catalogue import Catalogue
from netwatch.attribution.compiling import compile_documents
from netwatch.attribution.documents import Documents

DAY = "2025-11-24"


def company(name: str, country: str = "US", **more: Any) -> dict[str, Any]:
    """Make a company under one country's control since 2000."""
    control = {
        "entity": name,
        "legal_domicile": country,
        "control_country": country,
        "from": "2000",
        "basis": "test",
        "sources": ["test"],
    }
    return {"schema": 1, "id": name, "name": name.title(), "control": [control], **more}


def endpoint(name: str, role: str = "api", confidence: str = "high", **more: Any) -> dict[str, Any]:
    """Make a suffix, or an exact name of `=name`."""
    key = {"exact": name[1:]} if name.startswith("=") else {"suffix": name}
    return {**key, "role": role, "confidence": confidence, "sources": ["test"], **more}


def network(**more: Any) -> dict[str, Any]:
    """Make a dedicated network of an owner."""
    row = {"name": "net", "tenancy": "dedicated", "claim": "owner", "confidence": "medium", "sources": ["test"]}
    return {**row, **more}


def app(name: str, owner: str, *endpoints: dict[str, Any], kind: str = "app", **more: Any) -> dict[str, Any]:
    """Make an app's file."""
    info = {"id": name, "name": name.title(), "kind": kind, "company": owner}
    return {"schema": 1, "app": info, "endpoint": list(endpoints), **more}


def build(companies: list[dict[str, Any]], apps: list[dict[str, Any]]) -> Catalogue:
    """Compile a catalogue from files as plain data."""
    files = {file["app"]["id"]: (f"{file['app']['company']}/{file['app']['id']}.toml", file) for file in apps}
    plain = {"companies": {one["id"]: one for one in companies}, "apps": files}
    return Catalogue(compile_documents(convert(plain, Documents), "2025.11"))


def sample() -> Catalogue:
    """Return a catalogue with an app, an SDK, operators, resolvers, known ECH outer names and networks."""
    return build(
        [
            *(company("bytedance", "CN"), company("meta"), company("adobe"), company("akamai"), company("cloudflare")),
            company("instagram_llc", parents=[{"id": "meta", "from": "2012-09", "sources": ["test"]}]),
        ],
        [
            app(
                "tiktok",
                "bytedance",
                endpoint("tiktokv.com"),
                endpoint("tiktok.com", "web"),
                endpoint("ads.tiktok.com", "ads"),
                endpoint("=p16-tiktokcdn-com.akamaized.net", "cdn", "high", operator="akamai"),
                label_role=[
                    {"words": ["log", "mon"], "role": "telemetry"},
                    {"words": ["ad", "ad-log"], "role": "ads"},
                ],
                network=[network(asn=396986), network(prefixes=["71.18.0.0/16", "2001:db8:1::/48"])],
            ),
            app("douyin", "bytedance", endpoint("douyin.com", confidence="medium")),
            app(
                "facebook",
                "meta",
                endpoint("facebook.com", "web"),
                network=[network(prefixes=["157.240.0.0/16"], confidence="high")],
            ),
            app("facebook_sdk", "meta", endpoint("graph.facebook.com"), kind="sdk"),
            app("instagram", "instagram_llc", endpoint("instagram.com", confidence="low")),
            app("adobe_analytics", "adobe", endpoint("omtrdc.net", "telemetry"), kind="sdk"),
            app(
                "akamai_cdn",
                "akamai",
                endpoint("akamaized.net", "cdn"),
                kind="infra",
                network=[network(prefixes=["23.32.0.0/11"]), network(prefixes=["10.9.0.0/16"], tenancy="shared")],
            ),
            app(
                "cloudflare_cdn",
                "cloudflare",
                endpoint("=cloudflare-ech.com", "ech"),
                endpoint("=cloudflare-dns.com", "doh"),
                kind="infra",
                network=[
                    network(prefixes=["1.1.1.0/24", "2606:4700:4700::1111/128"], claim="resolver"),
                    network(prefixes=["1.0.0.0/8"], tenancy="shared"),
                ],
            ),
        ],
    )
