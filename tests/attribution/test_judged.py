"""Names drawn at random and judged by hand: the shipped catalogue gives the owner, country and role that a judge gave.

The judge wrote an answer to each name before seeing the catalogue's. Names: those of public test captures, lists of
makers' tracking hosts, well-known systems and the apps most in use; `random.Random(20261126)`.
"""

from functools import cache
from typing import Final

from netwatch.attribution.catalogue import Catalogue
from netwatch.runtime import signatures

DAY: Final = "2026-11-25"  # of the judgement: owners change

# (owners, countries) that are right -> names; `nobody` with no answer, or the operator that is right where there is one
JUDGED: Final = {
    ("activision_blizzard", "US"): "llnw.blizzard.com eu.battle.net",
    ("adjust", "US"): "app.adjust.com",
    ("adobe nba", "US"): "metrics.nba.com",
    ("akamai electronic_arts", "SA US"): "origin-a.akamaihd.net",
    ("akamai microsoft", "US"): "vortex.data.microsoft.com.akadns.net onecollector.cloudapp.aria.akadns.net",
    ("alibaba", "CN"): "g.alicdn.com acjstb.aliyun.com",
    ("amazon", "US"): (
        "data.alexa.com d1jwpcr0q4pcq0.cloudfront.net d1v5ir2lpwr8os.cloudfront.net amazon.dev "
        "primevideo.info d2xmjdvx03ij56.cloudfront.net primeday.com.cn"
    ),
    ("aol", "IT"): "aol.com",
    ("apple", "US"): (
        "41-courier.push.apple.com notes-analytics-events.news.apple-dns.net gsp12-cn.ls.apple.com "
        "app-site-association.cdn-apple.com"
    ),
    ("aruba_it", "IT"): "ocsp07.actalis.it",
    ("baidu", "CN"): "h2tcbox.baidu.com",
    ("braze", "US"): "dev.appboy.com",
    ("bytedance", "CN"): (
        "byteimg.com dig.bdurl.net tiktokv.com bytedance.com analytics.tiktok.com byteadverts.com "
        "pangleglobal.com douyinpic.com capcut.com muscdn.com tiktokglobalshopv.com pangle.io douyincdn.com "
        "tiktokcdn-eu.com"
    ),
    ("canal_plus", "FR"): "www.ocs.fr",
    ("canonical", "GB"): "assets.ubuntu.com",
    ("cloudflare", "US"): "api.cloudflareclient.com cloudflare.com",
    ("comcast", "US"): "nbc-jite.nbcuni.com",
    ("deepseek", "CN"): "deepseek.com",
    ("discord", "US"): "discord.media click.discord.com discordsays.com",
    ("epic_games", "US"): "unrealengine.com",
    ("epic_games fastly", "US"): "egdownload.fastly-edge.com",
    ("fastly spotify", "SE US"): "spotify.map.fastlylb.net",
    ("foxtel", "GB"): "a1.resources.foxtel.com.au",
    ("gaijin", "CY HU"): "yupmaster.gaijinent.com",
    ("gameanalytics", "CN DK"): "api.gameanalytics.com",
    ("gitlab", "US"): "www.gitlab.com",
    ("google", "US"): (
        "4.google.com weave-logsink.nest.com clientservices.googleapis.com ade.googlesyndication.com "
        "www.l.google.com ocsp.pki.goog 8a755a3fef0b189d8ab5b0d10758f68a.safeframe.googlesyndication.com "
        "ssl.gstatic.com googleplus.com r1---sn-hju7enel.googlevideo.com clients2.googleusercontent.com "
        "9.google.com www-google-analytics.l.google.com"
    ),
    ("grammarly", "US"): "capi.grammarly.com",
    ("hikvision", "CN"): "hik-cloud.com",
    ("hisense", "CN"): "auth-launcher-na.hismarttv.com api.us.hismarttv.com api-launcher-na.hismarttv.com",
    ("hotjar", "FR"): "insights.hotjar.com",
    ("huawei", "CN"): "metrics2.data.hicloud.com logservice1.hicloud.com datacollector-dre.dt.hicloud.com",
    ("isc", "US"): "www.isc.org",
    ("jd", "CN"): "jcloudvideo.net",
    ("kakao", "KR"): "plus-talk.kakao.com up-c.talk.kakao.com auth.kakao.com",
    ("kaspersky", "RU"): "p05.upd.kaspersky.com",
    ("kuaishou", "CN"): "kspkg.com",
    ("leanplum", "IN US"): "www.leanplum.com",
    ("meta", "US"): (
        "photos-g.ak.instagram.com pps.whatsapp.net connect.facebook.net www.facebook.com fb.com "
        "facebook.net accountkit.com an.facebook.com"
    ),
    ("microsoft", "US"): (
        "onedrive.live.com msquic.net dl.delivery.mp.microsoft.com api.teams.skype.com "
        "11.tlu.dl.delivery.mp.microsoft.com go.microsoft.com config.teams.microsoft.com "
        "az43064.vo.msecnd.net gate.hockeyapp.net microsoftuwp.com"
    ),
    ("microsoft openai", "US"): "openaiapi-site.azureedge.net",
    ("mobvista", "CN"): "setting.rayjump.com",
    ("nobody", "*"): (
        "www.tsunami.gov www.nohrsc.l.noaa.gov edge-hdq.woc.noaa.gov www.gleeble.org google.open-js.com "
        "content4.novoporn.com wtfismyip.com upload.wikimedia.org.ncsa.uiuc.edu www.perdu.com ns3.irs.gov "
        "http.com www.goes.noaa.gov gslb02.nlm.nih.gov ncb1sdv00721.dir.ad.dla.mil vlb.ncdc.noaa.gov"
    ),
    ("nobody ebay", "*"): "ebayheels.com",
    ("nobody meta", "*"): "fasebook.com mobilefacebook.com",
    ("nobody mumble", "*"): "publist.mumble.info",
    ("nobody paypal", "*"): "beibao.com.cn",
    ("nobody seby", "*"): "doh.seby.io",
    ("nobody tencent", "*"): "fymallqa1.com",
    ("nobody zeek", "*"): "bro.org zeek.org",
    ("ntop", "IT"): "dati.ntop.org www.ntop.org",
    ("ntppool", "*"): "1.debian.pool.ntp.org",
    ("onekxun", "CN"): "release.bigdata.1kxun.com messages.1kxun.mobi mangaweb.1kxun.mobi",
    ("openai", "US"): "chat.com",
    ("panasonic", "JP"): (
        "collect-eu-fy2018.myhomescreen.tv collect-us-fy2014.myhomescreen.tv usage-us-fy2021.myhomescreen.tv"
    ),
    ("paramount", "US"): "kerve.last.fm",
    ("pinterest", "US"): "pinterest.com.vn",
    ("reddit", "US"): "emoji.redditmedia.com b.thumbs.redditmedia.com oauth.reddit.com redditmedia.com",
    ("roblox", "US"): "roblox.vn roblox.dk",
    ("roku", "US"): "mobile.logs.roku.com",
    ("salesforce", "US"): "help.salesforce.com slack-imgs.com",
    ("samsung", "KR"): (
        "targeted-config-test.samsungacr.com vdterms.samsungcloudsolution.com prov.samsungcloudsolution.com "
        "osb.samsungqbe.com cpu.samsungelectronics.com bpu.samsungelectronics.com "
        "kpu.samsungelectronics.com upu.samsungelectronics.com log.internetat.tv samsungcloudcn.com"
    ),
    ("signal", "US"): "signal.org signal.group",
    ("snap", "US"): "euc.adserver.snapads.com feelinsonice.com sc-jpl.com",
    ("sony", "JP"): "b02.black.ndmdhs.com call.me.sel.sony.com",
    ("spotify", "SE"): "spotify.com audio-ak-spotify-com.akamaized.net",
    ("start_io", "IL US"): "va.origin.startappservice.com",
    ("supercell", "CN"): "brawlstars.com",
    ("supercell zendesk", "CN US"): "supercell.zendesk.com",
    ("tapjoy", "US"): "connect.tapjoy.com",
    ("tata_communications", "IN"): "matterhorn.teleglobe.net",
    ("tencent", "CN"): (
        "short.weixin.qq.com cgi.connect.qq.com e.qq.com mdt.qq.com qpic.cn trace.qq.com "
        "tpstelemetry.tencent.com idqqimg.com qlogo.cn l.qq.com tenpay.com wechatpay.cn adslvseed.qq.com"
    ),
    ("tesla", "US"): "tesla.cn hermes-prd.ap.tesla.services",
    ("thetake", "US"): "api.thetake.com",
    ("twitch", "US"): "ttvnw.net",
    ("umg", "NL US"): "universalmusic.com",
    ("vianova", "IT"): "massarosa-1.speedtest.welcomeitalia.it",
    ("vizio", "US"): "control-zoo-dai-default.tvinteractive.tv",
    ("wikimedia", "US"): "wikipedia.org",
    ("x_corp", "US"): "ads-api.twitter.com twittercommunity.com",
    ("xiaomi", "CN"): "sdkconfig.ad.intl.xiaomi.com",
    ("yandex", "RU"): "music.yandex.kz",
    ("zoom", "US"): "zoomfrn99mmr.zoom.us zoom.com",
}
ROLES: Final = {
    "ads": (
        "adservice.google.se www.googletagservices.com www.googleadservices.com adservice.google.fr "
        "adservice.google.com us.ad.lgsmartad.com ads.twitter.com ad.samsungadhub.com ads.api.vungle.com "
        "ad.lgappstv.com ads.tiktok.com ad.intl.xiaomi.com"
    ),
    "ads api": "tw.api.vpon.com ads-api.duolingo.com",
    "ads cdn": "static.doubleclick.net tknet-cdn.rayjump.com cdn.liftoff.io",
    "ads telemetry": "analytics.rayjump.com pixel.facebook.com",
    "api": (
        "api.steampowered.com api.accuweather.com content-autofill.googleapis.com "
        "api.flightproxy.teams.microsoft.com api.lyft.com roblox-api.arkoselabs.com api-edge.apps.apple.com"
    ),
    "api telemetry": "api.cid.samba.tv api-hub.samsungyosemite.com us-api.samsungyosemite.com sa.api.intl.miui.com",
    "attribution telemetry": "events.appsflyer.com",
    "cdn": (
        "www.gstatic.com assets.pinterest.com cdn.syndication.twimg.com vktech-static.ru "
        "cds-cdn.v.aaplimg.com ml.cdn-apple.com swscan-cdn.apple.com.akadns.net devimages-cdn.apple.com "
        "cdn-telegram.org dnl-04.geo.kaspersky.com mbs.download.prss.microsoft.com eac-cdn.com "
        "collaborate.download.prss.microsoft.com azuremigratetest.download.prss.microsoft.com baidu-cdn.net "
        "vscode.download.prss.microsoft.com byted-static.com cdn-apple.com"
    ),
    "config": "firefox.settings.services.mozilla.com",
    "crash": "reports.crashlytics.com",
    "crash telemetry": "e.crashlytics.com",
    "dns doh": "dns.google dns.aa.net.uk dns.google.com",
    "dns doh dot": "dns.nextdns.io",
    "doh": (
        "mozilla.cloudflare-dns.com doh.dnslify.com fi.doh.dns.snopyta.org doh.bortzmeyer.fr doh.crypto.sx "
        "doh.ffmuc.net"
    ),
    "location web": "maps.google.com",
    "login": (
        "login.microsoftonline.com accounts.google.com login.taobao.com accounts.pinterest.com auth-em.hismarttv.com"
    ),
    "push": "init-s01st.push.apple.com",
    "telemetry": (
        "telemetry.dropbox.com log.getdropbox.com www.google-analytics.com tracking.miui.com "
        "vortex.data.microsoft.com logs.roku.com scribe.logs.roku.com log.musical.ly "
        "collect-eu-fy2019.myhomescreen.tv stats.gc.apple.com tracking.intl.miui.com cooper.logs.roku.com "
        "metrics.dt.dbankcloud.cn metrics-dra.dt.dbankcloud.cn notes-analytics-events.apple.com "
        "austin.logs.roku.com analytics.vk.ru"
    ),
    "web": (
        "www3.zoom.us www.wikipedia.org www.primevideo.com www.ebay.com www.linkedin.com www.badoo.com "
        "www.google.it www.google.nl www.activision.com www.speedtest.net www.dota2.com www.dazn.com "
        "www.blogger.com www.weibo.com"
    ),
}


@cache
def shipped() -> Catalogue:
    return signatures.load([])


def verdict(name: str, owners: list[str], countries: list[str]) -> str:
    """Return `right`, `missing` or `wrong`."""
    match = shipped().match(name)
    if match is None:
        return "right" if "nobody" in owners else "missing"
    owner = shipped().owner_on(match.app.owner_id, DAY)
    assert owner is not None
    known = not {owner.owner_id, owner.ultimate_id}.isdisjoint(owners)
    return "right" if known and ("*" in countries or owner.control_country in countries) else "wrong"


def test_owners_and_countries_are_those_of_the_judge() -> None:
    found = {
        name: verdict(name, owners.split(), countries.split())
        for (owners, countries), names in JUDGED.items()
        for name in names.split()
    }
    assert len(found) == 200
    right = sum(said == "right" for said in found.values())
    wrong = sum(said == "wrong" for said in found.values())
    assert right >= 0.97 * len(found), [name for name, said in found.items() if said != "right"]
    assert wrong <= 0.005 * len(found), [name for name, said in found.items() if said == "wrong"]


def test_roles_are_those_of_the_judge() -> None:
    found = {}
    for roles, names in ROLES.items():
        for name in names.split():
            match = shipped().match(name)
            found[name] = match is not None and match.role in roles.split()
    assert len(found) == 100
    assert sum(found.values()) >= 0.90 * len(found), [name for name, right in found.items() if not right]
