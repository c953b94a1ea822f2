"""SIGHUP: what is judged by changes while flows are under way, and none of them is lost (RELIABILITY C8)."""

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from engine.lab import LAPTOP, PHONE, RESOLVER, T0, datagram, hello, laid, outside, question, tls, vendor
from support import netns
from support.catalogues import app, build, company, endpoint
from support.live import USER, send, watching
from support.mmdb import mmdb
from support.sandboxed import LINUX

from netwatch.engine.engine import Engine
from netwatch.model.address import from_bytes
from netwatch.model.errors import DataError, UsageError
from netwatch.model.records import Release
from netwatch.places.local import LocalNetworks
from netwatch.runtime import datafiles, signatures
from netwatch.runtime.live import reload as reloading
from netwatch.runtime.live.crew import Crew, Member
from netwatch.runtime.live.link import Link, pair
from netwatch.runtime.live.messages import Reload, decode, encode
from netwatch.runtime.live.reload import Again
from netwatch.runtime.live.worker import STOP, Worker

SERVER = outside("198.51.100.20")
NAME = b"api.madeup.example"
BEFORE = build([company("other")], [app("other", "other", endpoint("else.example"))])
AFTER = build([company("inventors", "CN")], [app("madeup", "inventors", endpoint("madeup.example"))])
MADE_UP = {
    "_company.toml": """
schema = 1
id = "inventors"
name = "Inventors"
parents = []
[[control]]
entity = "Inventors"
legal_domicile = "CN"
control_country = "CN"
region = "*"
from = "2017-01"
basis = "test"
confidence = "medium"
sources = ["https://example.org"]
""",
    "madeup.toml": """
schema = 1
[app]
id = "madeup"
name = "Made Up"
kind = "app"
company = "inventors"
aliases = []
homepage = "https://example.org"
[[endpoint]]
suffix = "madeup-app.com"
role = "api"
confidence = "high"
verified = "2026-11"
sources = ["https://example.org"]
[test]
match = ["api.madeup-app.com"]
no_match = ["notmadeup-app.com"]
""",
}


def engine() -> Engine:
    draw = random.Random(0).getrandbits
    return Engine(BEFORE, datafiles.places(), vendor, LocalNetworks(), max_flows=1_000, draw=draw)


def labels(releases: list[Release]) -> tuple[list[str | None], list[str | None]]:
    flows = [one.flows.labels[code].app_id for one in releases for code in one.flows.label.tolist()]
    return flows, [lookup.app_id for one in releases for lookup in one.lookups]


def test_flows_that_are_live_and_later_lookups_are_judged_by_what_is_new() -> None:
    asked = datagram(PHONE, RESOLVER, question(NAME.decode()), 0, ports=(40_000, 53))
    later = datagram(PHONE, RESOLVER, question(NAME.decode(), ident=9), 30, ports=(40_001, 53))
    made = engine()
    first = list(made.feed(laid([asked, *tls(PHONE, SERVER, 1, data=hello(NAME))])))
    first += list(made.tick(T0 + 15 * 10**9))
    made.reload(AFTER, datafiles.places())
    rest = [*made.feed(laid([later, *tls(LAPTOP, SERVER, 31, data=hello(NAME))])), *made.finish()]
    assert labels(first) == ([], [None])
    assert labels(rest)[0].count("madeup") == 2
    assert labels(rest)[1] == ["madeup"]
    ledger = made.ledger()
    assert ledger.flows_created == ledger.flows_ended == sum(len(one.flows) for one in [*first, *rest])


def test_a_catalogue_is_the_same_behind_the_link() -> None:
    whole = signatures.load()
    message = decode(encode(Reload(whole.to_bytes(), {}, [])))
    assert isinstance(message, Reload)
    again = type(whole).from_bytes(message.catalogue)
    assert (again.version, again.counts) == (whole.version, whole.counts)
    for name in ("log-sg.tiktokv.com", "www.example.org"):
        assert again.match(name) == whole.match(name)
    assert again.documents == whole.documents


def test_places_are_the_same_behind_the_link() -> None:
    addresses = [from_bytes(bytes(octets)) for octets in ((8, 8, 8, 8), (71, 18, 1, 1), (1, 1, 1, 1), (10, 0, 0, 1))]
    mine, theirs = datafiles.places(), datafiles.places_from(datafiles.tables(), [])
    assert theirs.describe(addresses) == mine.describe(addresses)
    own = mmdb([("8.8.8.0/24", {"country_code": "ZZ"}), ("1.1.1.0/24", {"country_code": "YY"})], 4)
    theirs = datafiles.places_from(datafiles.tables(), [own])
    assert [one.server_country for one in theirs.describe(addresses[:1])] in (["ZZ"], [None])  # None: anycast
    with pytest.raises(DataError, match="MaxMind"):
        datafiles.places_from({}, [b"nothing of the kind"])


@pytest.fixture
def ends() -> Iterator[tuple[Link, Link]]:
    one, other = pair()
    with one, other:
        yield Link(one), Link(other)


class Quiet:
    """A source without a packet."""

    def poll(self, _timeout_ms: int) -> None:
        return None

    def counts(self) -> Any:
        return SimpleNamespace(taken=0, dropped=0)

    def events(self) -> list[str]:
        return []

    def stop(self) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize("early", [False, True])
def test_a_worker_takes_news_and_goes_on_without_what_is_none(ends: tuple[Link, Link], *, early: bool) -> None:
    mine, theirs = ends
    made = engine()
    taken = []
    made.reload = lambda catalogue, _places: taken.append(catalogue.version)  # type: ignore[method-assign]
    told = [encode(Reload(AFTER.to_bytes(), {}, [])), encode(Reload(b"{", {}, [])), b"nonsense", STOP]
    if not early:
        for one in told:
            mine.send(one)
    Worker(theirs, Quiet(), lambda: made, said=told if early else ()).run()
    assert taken == [AFTER.version]
    said = str([decode(one) for one in mine.receive()])
    assert said.count("what was read again is not used") == 2


def test_who_takes_over_is_told_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = [pair() for _ in range(2)]
    made = iter([Member(0, Link(mine)) for mine, _ in ends])
    monkeypatch.setattr("netwatch.runtime.live.crew.forked", lambda _work: next(made))
    monkeypatch.setattr("netwatch.runtime.live.crew.reap", lambda _pid: "gone")
    crew = Crew(cast("Any", None), spares=1)
    crew._go()
    assert crew.tell(b"older")
    assert crew.tell(b"newer")
    ends[0][1].close()
    crew.messages(0)
    assert Link(ends[1][1]).receive() == [b"go", b"newer"]
    ends[1][1].close()
    crew.close()


def test_what_has_to_be_readable_are_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is replaced is another one for Landlock."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    paths = Again([str(tmp_path / "geo" / "a.mmdb")], None, str(tmp_path / "mine.toml")).paths()
    assert {tmp_path / "geo", tmp_path, tmp_path / "config/netwatch/signatures", datafiles.DATA} <= set(paths)
    assert tmp_path / "us-eo-2020" not in Again(policy="us-eo-2020").paths()


def test_nothing_is_taken_where_a_part_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Again(filter_text="app:tiktok", policy="us-eo-2020").read()
    assert fresh.chosen is not None
    assert fresh.policy is not None
    for again in (Again(filter_text="app:nothing"), Again(policy="nothing")):
        with pytest.raises(UsageError):
            again.read()
    with pytest.raises(DataError, match="No such file"):
        Again(geo=[str(tmp_path / "a.mmdb")]).read()
    monkeypatch.setattr(reloading, "MESSAGE_MAX", 1_000)
    with pytest.raises(DataError, match="when a capture is started"):
        Again().read()


def own(folder: Path, name: str, text: str) -> None:
    """Write a file of the user's."""
    (folder / name).write_text(text)
    os.chown(folder / name, USER, USER)


@pytest.mark.usefixtures("cable")
@netns.needs_root
@LINUX
def test_c8_sighup_takes_new_signatures_and_refuses_broken_ones(folder: Path) -> None:
    mine = folder / "netwatch" / "signatures" / "inventors"
    mine.mkdir(parents=True)
    for path in (mine, *list(mine.parents)[:2]):
        os.chown(path, USER, USER)
    frames = [tls(PHONE, SERVER, port=port, data=hello(b"api.madeup-app.com")) for port in (50_001, 50_002, 50_003)]
    words = ("--headless", "--every", "1s", "-w", str(folder / "out.jsonl"))
    with watching("watch", *words, XDG_CONFIG_HOME=str(folder)) as live:
        live.wait_for(" 0 packets")
        send(frames[0])
        live.wait_for(" 3 packets")
        for name, text in MADE_UP.items():
            own(mine, name, text)
        live.process.send_signal(signal.SIGHUP)
        assert "+user" in live.wait_for("were read again")
        own(mine, "madeup.toml", "schema = 1\n[app]\nid = 7\n")
        live.process.send_signal(signal.SIGHUP)
        assert "madeup.toml:3" in live.wait_for("not read again")
        send(frames[1])
        live.wait_for(" 6 packets")  # counted, so that none of them is lost with the process
        live.wait_for("Made Up")
        os.kill(live.children()[0], signal.SIGKILL)
        live.wait_for("broke down")
        send(frames[2])
        live.wait_for(" 9 packets")
        said = live.end()
    assert {row["app_id"]: row["flows"] for row in said["apps"]} == {"madeup": 3}
    assert said["catalogue"]["version"].endswith("+user")
    assert said["ledger"]["flows_created"] == said["ledger"]["flows_ended"] == 3
