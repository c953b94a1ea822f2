"""Names that look like an app's, or that anybody rents, and are no app's: the shipped catalogue claims none of them."""

from collections.abc import Iterable
from functools import cache

import pytest

from netwatch.attribution.catalogue import Catalogue
from netwatch.runtime import signatures

BRANDS = [
    *("tiktok.com", "tiktokv.com", "bytedance.com", "douyin.com", "capcut.com", "facebook.com", "instagram.com"),
    *("whatsapp.com", "whatsapp.net", "messenger.com", "google.com", "youtube.com", "googlevideo.com", "gmail.com"),
    *("doubleclick.net", "microsoft.com", "live.com", "skype.com", "linkedin.com", "apple.com", "icloud.com"),
    *("amazon.com", "netflix.com", "nflxvideo.net", "spotify.com", "scdn.co", "twitter.com", "snapchat.com"),
    *("telegram.org", "signal.org", "zoom.us", "discord.com", "reddit.com", "pinterest.com", "twitch.tv"),
    *("dropbox.com", "paypal.com", "ebay.com", "booking.com", "airbnb.com", "uber.com", "shein.com", "temu.com"),
    *("aliexpress.com", "taobao.com", "alipay.com", "wechat.com", "qq.com", "baidu.com", "xiaomi.com"),
    *("huawei.com", "samsung.com", "roku.com", "tesla.com", "disneyplus.com", "openai.com", "yandex.ru", "vk.com"),
    *("kaspersky.com", "adjust.com", "appsflyer.com", "branch.io", "sentry.io", "criteo.com", "adobe.com", "zalo.me"),
]
OTHERS_SUFFIXES = ["com.se", "co.com", "com.example", "net.pw", "gb.net", "evil.example", "com-secure.example"]
NOBODYS_TLDS = ["zip", "cfd", "sbs", "icu", "rest", "bond", "invalid"]
CYRILLIC = dict(zip("aceopxyis", "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456\u0455", strict=True))

RENTED = [
    *("d1234abcd.cloudfront.net", "d3abcdefgh1234.cloudfront.net", "e1234.dscb.akamaiedge.net"),
    *("e98765.a.akamaiedge.net", "a1234.dscd.akamai.net", "a5.g.akamai.net", "y.edgekey.net", "www.y.com.edgekey.net"),
    *("y.com.edgesuite.net", "video-y.akamaized.net", "y.akamaihd.net", "foo.azureedge.net", "foo.azurewebsites.net"),
    *("foo.blob.core.windows.net", "foo.z6.web.core.windows.net", "foo.trafficmanager.net", "foo.cloudapp.net"),
    *("foo.westeurope.cloudapp.azure.com", "foo.azurefd.net", "foo.b01.azurefd.net", "foo.azurestaticapps.net"),
    *("foo.database.windows.net", "foo.servicebus.windows.net", "foo.vault.azure.net", "foo.search.windows.net"),
    *("bar.s3.amazonaws.com", "bar.s3.eu-west-1.amazonaws.com", "s3-eu-west-1.amazonaws.com"),
    *("bar.s3-website-us-east-1.amazonaws.com", "ec2-203-0-113-7.compute-1.amazonaws.com"),
    *("ec2-203-0-113-7.eu-west-1.compute.amazonaws.com", "abc123.execute-api.us-east-1.amazonaws.com"),
    *("foo-1234567890.us-east-1.elb.amazonaws.com", "foo.us-east-1.elasticbeanstalk.com", "foo.awsapprunner.com"),
    *("abc.lambda-url.us-east-1.on.aws", "abc-ats.iot.us-east-1.amazonaws.com", "foo.awsglobalaccelerator.com"),
    *("main.d1abcd.amplifyapp.com", "x.fastly.net", "x.global.ssl.fastly.net", "x.map.fastly.net", "x.fastlylb.net"),
    *("x.freetls.fastly.net", "foo.cdn.cloudflare.net", "foo.workers.dev", "foo.pages.dev", "pub-12ab34.r2.dev"),
    *("x.r2.dev", "abc.r2.cloudflarestorage.com", "foo.trycloudflare.com", "bucket.oss-cn-hangzhou.aliyuncs.com"),
    *("bucket.oss-us-west-1.aliyuncs.com", "foo.w.kunlunar.com", "foo.w.kunlunsl.com"),
    *("cos.ap-guangzhou.myqcloud.com", "bucket-125.cos.ap-guangzhou.myqcloud.com", "foo.file.myqcloud.com"),
    *("foo.cdn.dnsv1.com", "foo.tdnsv5.com", "foo.obs.cn-north-4.myhuaweicloud.com", "foo.bj.bcebos.com"),
    *("foo.cdn.bcebos.com", "foo.tos-cn-beijing.volces.com", "foo.github.io", "foo.gitlab.io", "foo.web.app"),
    *("foo.firebaseapp.com", "foo.herokuapp.com", "foo.appspot.com", "foo.uc.r.appspot.com", "foo-abc-uc.a.run.app"),
    *("us-central1-foo.cloudfunctions.net", "foo.storage.googleapis.com", "storage.googleapis.com"),
    *("7.113.0.203.bc.googleusercontent.com", "foo.c.storage.googleapis.com", "foo.blogspot.com", "foo.netlify.app"),
    *(
        "foo.vercel.app",
        "foo.now.sh",
        "foo.onrender.com",
        "foo.fly.dev",
        "foo.deno.dev",
        "foo.surge.sh",
        "foo.glitch.me",
    ),
    *("foo.ngrok.io", "foo.ngrok-free.app", "foo.b-cdn.net", "foo.cdn77.org", "foo.rsc.cdn77.org", "foo.kxcdn.com"),
    *("foo.gcdn.co", "foo.cachefly.net", "foo.llnwd.net", "foo.lldns.net", "foo.systemcdn.net", "foo.edgecastcdn.net"),
    *("cs1234.wpc.v0cdn.net", "foo.stackpathdns.com", "foo.hwcdn.net", "foo.incapdns.net", "foo.x.incapdns.net"),
    *("foo.ams3.digitaloceanspaces.com", "foo.ams3.cdn.digitaloceanspaces.com", "foo.ondigitalocean.app"),
    *("static.7.113.0.203.clients.your-server.de", "foo.your-storagebox.de", "vps-1234.vps.ovh.net"),
    *("ns1234.ip-203-0-113.eu", "foo.s3.gra.io.cloud.ovh.net", "203-0-113-7.ip.linodeusercontent.com"),
    *("foo.eu-central-1.linodeobjects.com", "203.0.113.7.vultrusercontent.com", "foo.s3.wasabisys.com"),
    *(
        "f001.backblazeb2.com",
        "foo.s3.us-west-002.backblazeb2.com",
        "foo.s3.fr-par.scw.cloud",
        "foo.functions.fnc.fr-par.scw.cloud",
    ),
    *(
        "foo.imgix.net",
        "res.cloudinary.com",
        "foo.supabase.co",
        "foo.mongodb.net",
        "cluster0-shard-00-00.abcde.mongodb.net",
    ),
    *("foo.us-south.cf.appdomain.cloud", "foo.us-east.mybluemix.net", "foo.objectstorage.us-phoenix-1.oraclecloud.com"),
    *("foo.dyndns.org", "foo.duckdns.org", "foo.no-ip.org", "foo.ddns.net", "foo.synology.me", "foo.myqnapcloud.com"),
    *("foo.asuscomm.com", "foo.myfritz.net", "foo.ui.nabu.casa", "foo.tail1234.ts.net", "foo.wixsite.com"),
]
# what apps are called, as labels that any customer may choose
LABELS = ["tiktok", "facebook-login", "whatsapp", "com-netflix-api", "google-analytics", "spotify"]
LETTING = [
    *("cloudfront.net", "akamaized.net", "azureedge.net", "azurewebsites.net", "s3.amazonaws.com", "fastly.net"),
    *(
        "cdn.cloudflare.net",
        "workers.dev",
        "pages.dev",
        "oss-cn-hangzhou.aliyuncs.com",
        "cos.ap-guangzhou.myqcloud.com",
    ),
    *(
        "github.io",
        "web.app",
        "firebaseapp.com",
        "herokuapp.com",
        "appspot.com",
        "netlify.app",
        "vercel.app",
        "b-cdn.net",
    ),
]

PLUMBING = [
    *("ocsp.digicert.com", "crl3.digicert.com", "cacerts.digicert.com", "ocsp.thawte.com", "r3.o.lencr.org"),
    *("e6.o.lencr.org", "x1.c.lencr.org", "r10.i.lencr.org", "acme-v02.api.letsencrypt.org", "ocsp.sectigo.com"),
    *("crl.sectigo.com", "ocsp.usertrust.com", "ocsp.comodoca.com", "ocsp.globalsign.com", "crl.globalsign.net"),
    *("secure.globalsign.com", "ocsp.entrust.net", "crl.entrust.net", "ocsp.godaddy.com", "certificates.godaddy.com"),
    *(
        "ocsp.pki.goog",
        "c.pki.goog",
        "o.pki.goog",
        "i.pki.goog",
        "ocsp.sca1b.amazontrust.com",
        "crl.rootca1.amazontrust.com",
    ),
    *(
        "ocsp.rootg2.amazontrust.com",
        "o.ss2.us",
        "ocsp.apple.com",
        "ocsp2.apple.com",
        "crl.apple.com",
        "certs.apple.com",
    ),
    *("valid.apple.com", "oneocsp.microsoft.com", "ocsp.msocsp.com", "ocsp.verisign.com", "crl.verisign.com"),
    *("isrg.trustid.ocsp.identrust.com", "apps.identrust.com", "ocsp.telesec.de", "ocsp.certum.pl", "crl.certum.pl"),
    *(
        "ocsp.quovadisglobal.com",
        "ocsp.buypass.com",
        "status.geotrust.com",
        "status.rapidssl.com",
        "ocsp.trust-provider.cn",
    ),
    *("pool.ntp.org", "0.pool.ntp.org", "3.pool.ntp.org", "de.pool.ntp.org", "2.android.pool.ntp.org"),
    *("1.debian.pool.ntp.org", "0.openwrt.pool.ntp.org", "0.ubuntu.pool.ntp.org", "time.apple.com", "time.google.com"),
    *(
        "time.android.com",
        "time.windows.com",
        "time.nist.gov",
        "time.cloudflare.com",
        "ntp.ubuntu.com",
        "ntp.aliyun.com",
    ),
    *(
        "ptbtime1.ptb.de",
        "time.euro.apple.com",
        "time1.google.com",
        "time.facebook.com",
        "ntp.nict.jp",
        "ntp1.netnod.se",
    ),
    *(
        "dns.google",
        "dns64.dns.google",
        "8888.google",
        "one.one.one.one",
        "cloudflare-dns.com",
        "mozilla.cloudflare-dns.com",
    ),
    *(
        "security.cloudflare-dns.com",
        "1dot1dot1dot1.cloudflare-dns.com",
        "dns.quad9.net",
        "dns9.quad9.net",
        "dns.adguard.com",
    ),
    *("dns.adguard-dns.com", "abcdef.dns.nextdns.io", "dns.nextdns.io", "doh.opendns.com", "dns.alidns.com", "doh.pub"),
    *("dot.pub", "dns.mullvad.net", "doh.dns.sb", "dns.controld.com", "doh.cleanbrowsing.org", "dns.yandex.ru"),
    *("doh.360.cn", "resolver1.opendns.com", "dns0.eu", "unfiltered.joindns4.eu", "dns.digitale-gesellschaft.ch"),
    *("cloudflare-ech.com", "a.root-servers.net", "a.gtld-servers.net", "l.gtld-servers.net", "ns1.registrar.example"),
    *("connectivitycheck.gstatic.com", "connectivitycheck.android.com", "clients3.google.com", "captive.apple.com"),
    *("www.msftconnecttest.com", "dns.msftncsi.com", "ipv6.msftconnecttest.com", "detectportal.firefox.com"),
    *("connectivity-check.ubuntu.com", "nmcheck.gnome.org", "networkcheck.kde.org", "network-test.debian.org"),
    *("connectivitycheck.platform.hicloud.com", "connect.rom.miui.com", "conn1.oppomobile.com"),
    *(
        "connectivitycheck.grapheneos.network",
        "test.steampowered.com",
        "www.gstatic.com",
        "api.ipify.org",
        "icanhazip.com",
    ),
    *(
        "ipinfo.io",
        "ifconfig.me",
        "checkip.amazonaws.com",
        "checkip.dyndns.org",
        "myip.opendns.com",
        "whoami.akamai.net",
    ),
]

TRAPS = [
    *(
        "h4g3z1-native.tiktok.web.app",
        "native.tiktok.web.app",
        "groups.com",
        "newsfeed.com",
        "i.org",
        "online-deals.net",
    ),
    *("facebok.com", "faceboook.com", "facebbook.com", "facbook.com", "www.facebok.com", "instagrm.com", "whatsap.com"),
    *("watsapp.com", "tiktoc.com", "tik-tok.com", "titkok.com", "gooogle.example", "goog1e.com", "rnicrosoft.com"),
    *("rnessenger.com", "paypa1.com", "arnazon.com", "app1e.com", "netfIix.example", "netfl1x.com", "twiter.example"),
    *(
        "teIegram.example",
        "telegrarn.org",
        "signaI.example",
        "spotlfy.com",
        "dlscord.com",
        "linkedln.com",
        "snapchaat.com",
    ),
]

THIRD_PARTIES = [
    *(("spotify.demdex.net", "adobe"), ("cnn.demdex.net", "adobe"), ("disney.sc.omtrdc.net", "adobe")),
    *(("adidas.onelink.me", "appsflyer"), ("tiktok.onelink.me", "appsflyer"), ("shein.onelink.me", "appsflyer")),
    *(("disney.my.sentry.io", "sentry"), ("o1234.ingest.sentry.io", "sentry")),
    *(
        ("spotify.app.link", "branch"),
        ("reddit.app.link", "branch"),
        ("paypal.d1.sc.omtrdc.net", "adobe"),
        ("disney.zendesk.com", "zendesk"),
        ("spotify.qualtrics.com", "qualtrics"),
        ("spotify.mparticle.com", "mparticle"),
        ("disney.my.salesforce.com", "salesforce"),
        ("amazon.tealiumiq.com", "tealium"),
        ("reddit.widget.intercom.io", "intercom"),
        ("cbs.imrworldwide.com", "nielsen"),
        ("uber.atlassian.net", "atlassian"),
        ("netflix.kochava.com", "kochava"),
    ),
    *(("uber.zendesk.com", "zendesk"), ("tiktok.zendesk.com", "zendesk"), ("spotify.2o7.net", "adobe")),
    *(("netflix.122.2o7.net", "adobe"), ("airbnb.mixpanel.com", "mixpanel"), ("reddit.tt.omtrdc.net", "adobe")),
]

NO_NAMES = [
    *("203.0.113.7", "8.8.8.8", "1.1.1.1", "157.240.1.35", "203.0.113.7:443", "0x7f.1", "127.1", "[2001:db8::1]"),
    *("2001:db8::1", "fe80::1", "::ffff:157.240.1.35", "localhost", "tiktok", "facebook", "google", "com", "net"),
    *("wpad", "router", "fritz", "apple", "amazon", "xn--p1ai", "printer.local", "tiktok.local", "tiktok.com.local"),
    *("_spotify-connect._tcp.local", "_googlecast._tcp.local", "facebook.com.lan", "nas.lan", "netflix.com.home.arpa"),
    *("hub.home.arpa", "7.113.0.203.in-addr.arpa", "35.1.240.157.in-addr.arpa", "8.8.8.8.in-addr.arpa"),
    *(f"1.{'0.' * 23}8.b.d.0.1.0.0.2.ip6.arpa", "b._dns-sd._udp.0.2.168.192.in-addr.arpa", "", ".", "..", "*.", "*"),
    *(
        ".com",
        "tiktok..com",
        "tik tok.com",
        "tiktok.com/login",
        "https://tiktok.com",
        "user@tiktok.com",
        "tiktok.com\x00",
    ),
    *("tiktok.com#.example", "tiktok.com\\x2eexample", "tiktok\u2215com.example", "-", "_", "--.--"),
]


@cache
def shipped() -> Catalogue:
    return signatures.load([])


def claims(names: Iterable[str], allowed: Iterable[str] = ()) -> list[str]:
    """Return a line for each name that the catalogue gives to somebody of a kind that is not allowed."""
    found = [(name, shipped().match(name)) for name in names]
    return [f"{name} -> {match.rule}" for name, match in found if match is not None and match.app.kind not in allowed]


def glued() -> list[str]:
    return [text for name in BRANDS for text in (f"not{name}", f"x{name}", f"www-{name}", f"my-{name}")]


def in_front_of_others() -> list[str]:
    labels = [name.partition(".")[0] for name in BRANDS]
    whole = [f"{name}.{other}" for name in BRANDS for other in ("evil.example", "com-secure.example")]
    return [*whole, *(f"{label}.{other}" for label in labels for other in OTHERS_SUFFIXES)]


def hyphened() -> list[str]:
    return [f"{name.rpartition('.')[0]}{end}.com" for name in BRANDS for end in ("-login", "-secure-account", "-com")]


def swapped() -> list[str]:
    return [f"{name.rpartition('.')[0]}.{tld}" for name in BRANDS for tld in NOBODYS_TLDS]


def mistyped() -> list[str]:
    """Write each long brand with one letter too few, and with two letters that changed places."""
    out = []
    for name in BRANDS:
        label, dot, rest = name.partition(".")
        for at in range(1, len(label) - 1) if len(label) >= 7 else ():
            dropped, changed = label[:at] + label[at + 1 :], label[:at] + label[at + 1] + label[at] + label[at + 2 :]
            out += [f"{typed}{dot}{rest}" for typed in (dropped, changed) if typed != label]
    return out


def homoglyphs() -> list[str]:
    """Write each brand with one Cyrillic letter, as text and as its A-label, and with all that there are."""
    out = []
    for name in BRANDS:
        label, dot, rest = name.partition(".")
        forms = [label[:at] + CYRILLIC[char] + label[at + 1 :] for at, char in enumerate(label) if char in CYRILLIC]
        forms.append("".join(CYRILLIC.get(char, char) for char in label))
        for form in dict.fromkeys(forms):
            if not form.isascii():
                out += [f"{form}{dot}{rest}", f"xn--{form.encode('punycode').decode('ascii')}{dot}{rest}"]
    return out


def written_into_others() -> list[str]:
    out = []
    for name in BRANDS:
        dashed = name.replace(".", "-")
        out += [f"www-{dashed}.web.app", f"{dashed}.github.io", f"{name}-login.example.net", f"{dashed}.example.org"]
        out += [f"login.{name}.session-1.example", f"{name.replace('.', '_')}.example.net", f"{name}--x.pages.dev"]
    return out


def rented() -> list[str]:
    return [*RENTED, *(f"{label}.{host}" for host in LETTING for label in LABELS)]


FAMILIES = {
    "a prefix is glued to a brand": (glued, ()),
    "a brand stands in front of somebody else's name": (in_front_of_others, ()),
    "a word hangs on a brand": (hyphened, ()),
    "a brand under a TLD where nobody known has it": (swapped, ()),
    "a brand with typing errors": (mistyped, ()),
    "a brand with Cyrillic letters": (homoglyphs, ()),
    "a brand is written into somebody else's name": (written_into_others, ("infra",)),
    "customers of CDNs and clouds": (rented, ("infra",)),
    "certificates, time, resolvers, connectivity checks": (lambda: PLUMBING, ("infra", "platform")),
    "canary names and typing errors": (lambda: TRAPS, ("infra",)),
    "literals, single labels, local and reverse names, no names at all": (lambda: NO_NAMES, ()),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_rule_2_no_app_is_claimed_where(family: str) -> None:
    names, allowed = FAMILIES[family]
    assert claims(names(), allowed) == []


@pytest.mark.parametrize(("name", "owner"), THIRD_PARTIES)
def test_rule_4_a_customers_label_inside_a_third_partys_name_belongs_to_the_third_party(name: str, owner: str) -> None:
    match = shipped().match(name)
    assert match is not None
    assert match.app.owner_id == owner


def test_the_list_is_long_and_the_brands_themselves_are_known() -> None:
    names = {name for make, _ in FAMILIES.values() for name in make()} | {name for name, _ in THIRD_PARTIES}
    assert len(names) >= 500
    assert [name for name in BRANDS if shipped().match(name) is None] == []
    assert names.isdisjoint(BRANDS)
