"""One record for each question seen; answers find their questions."""

import pytest
from support.catalogues import sample

from netwatch.attribution import lookups as room
from netwatch.attribution.decide import Attributor
from netwatch.attribution.lookups import Lookups
from netwatch.model.address import V6
from netwatch.model.limits import LOOKUP_WAIT_NS
from netwatch.model.reading import DnsAnswer, DnsMessage, DnsQuestion
from netwatch.model.records import Device, Label, Lookup, LookupAnswer

SECOND = 10**9
NOW = 1_764_000_000 * SECOND  # 2025-11-24
DEVICE = Device("mac:8e:12:34:56:78:9a", None, None)
CLIENT, ROUTER, PUBLIC, GROUP = 0xC0A80117, 0xC0A80101, 0x08080808, 0xE00000FB


class Home:
    """192.168.0.0/16 is local."""

    def contains_one(self, value: int, /) -> bool:
        return value >> 16 == 0xC0A8


class Desk:
    """Short calls of one client and its resolver."""

    def __init__(self) -> None:
        self.lookups = Lookups(Attributor(sample()), Home())
        self.packet = 0

    def ask(
        self, *names: str, at: int = NOW, ident: int = 1, port: int = 50_000, resolver: int = ROUTER, over: str = "udp"
    ) -> None:
        self.packet += 1
        questions = tuple(DnsQuestion(name, "A") for name in names)
        message = DnsMessage(ident, False, "NOERROR", questions, ())
        self.lookups.query(DEVICE, CLIENT, port, resolver, over, message, at, self.packet)

    def reply(
        self,
        *names: str,
        at: int = NOW + 1,
        ident: int = 1,
        port: int = 50_000,
        resolver: int = ROUTER,
        over: str = "udp",
        rcode: str = "NOERROR",
        address: int = 7,
        questions: bool = True,
    ) -> bool:
        self.packet += 1
        asked = tuple(DnsQuestion(name, "A") for name in names) if questions else ()
        answers = tuple(DnsAnswer(name, "A", "data", 60, address, ech=False) for name in names)
        message = DnsMessage(ident, True, rcode, asked, answers if rcode == "NOERROR" else ())
        return self.lookups.answer(DEVICE, CLIENT, port, resolver, over, message, at, self.packet)

    def end(self) -> list[Lookup]:
        return self.lookups.finish()


def test_a_question_and_its_answer_are_one_record_at_the_questions_time() -> None:
    desk = Desk()
    desk.ask("log-sg.tiktokv.com")
    assert desk.reply("log-sg.tiktokv.com")
    (one,) = desk.end()
    assert one == Lookup(
        time=NOW,
        packet=1,
        device=DEVICE,
        client=CLIENT,
        resolver=ROUTER,
        transport="udp",
        query="log-sg.tiktokv.com",
        type="A",
        rcode="NOERROR",
        answers=(LookupAnswer("log-sg.tiktokv.com", "A", "data", 60),),
        blocked=False,
        app_id="tiktok",
        app="Tiktok",
        app_kind="app",
        role="telemetry",
        owner_id="bytedance",
        owner="Bytedance",
        control_country="CN",
        domicile="CN",
        confidence="high",
    )


def test_a_question_without_an_answer_has_no_rcode() -> None:
    desk = Desk()
    desk.ask("shop.example")
    assert desk.lookups.due(NOW + LOOKUP_WAIT_NS) == []
    (one,) = desk.lookups.due(NOW + LOOKUP_WAIT_NS + 1)
    assert (one.rcode, one.answers, one.app_id) == (None, (), None)
    assert desk.end() == []


def test_an_answer_within_ten_seconds_counts_and_a_later_one_is_its_own_record() -> None:
    for early in (True, False):
        desk = Desk()
        desk.ask("x.example")
        assert desk.reply("x.example", at=NOW + LOOKUP_WAIT_NS + (not early)) is early
        assert [one.rcode for one in desk.end()] == (["NOERROR"] if early else [None, "NOERROR"])


def test_an_answer_without_a_seen_question_has_the_answers_time() -> None:
    desk = Desk()
    assert not desk.reply("x.example")
    (one,) = desk.end()
    assert (one.time, one.packet, one.client, one.resolver, one.rcode) == (NOW + 1, 1, CLIENT, ROUTER, "NOERROR")


def test_each_question_seen_is_a_record_and_one_answer_settles_them_all() -> None:
    desk = Desk()
    desk.ask("x.example")
    desk.ask("x.example", at=NOW + SECOND)
    assert desk.reply("x.example", at=NOW + 2 * SECOND)
    assert desk.reply("x.example", at=NOW + 3 * SECOND)  # the second answer is no record
    assert [(one.time, one.rcode) for one in desk.end()] == [(NOW, "NOERROR"), (NOW + SECOND, "NOERROR")]


def test_each_question_of_a_message_is_a_record() -> None:
    desk = Desk()
    desk.ask("x.example", "y.example")
    assert desk.reply("x.example", "y.example")
    assert sorted(one.query for one in desk.end()) == ["x.example", "y.example"]


@pytest.mark.parametrize(
    "other", [{"ident": 2}, {"port": 50_001}, {"resolver": PUBLIC}, {"over": "tcp"}, {"name": "y.example"}]
)
def test_an_answer_to_another_question_settles_nothing(other: dict[str, object]) -> None:
    desk = Desk()
    desk.ask("x.example")
    name = str(other.pop("name", "x.example"))
    assert not desk.reply(name, **other)  # type: ignore[arg-type]
    assert sorted((one.rcode is None, one.packet) for one in desk.end()) == [(False, 2), (True, 1)]


@pytest.mark.parametrize(
    ("name", "reply", "blocked"),
    [
        ("www.tiktok.com", {"rcode": "NXDOMAIN"}, True),
        ("www.tiktok.com", {"address": 0}, True),
        ("www.tiktok.com", {"address": V6}, True),
        ("www.tiktok.com", {}, False),
        ("www.tiktok.com", {"rcode": "SERVFAIL"}, False),
        ("www.tiktok.com", {"rcode": "NXDOMAIN", "resolver": PUBLIC}, False),
        ("shop.example", {"rcode": "NXDOMAIN"}, False),
    ],
)
def test_blocked_is_a_refusal_of_a_local_resolver_for_a_known_name(
    name: str, reply: dict[str, object], blocked: bool
) -> None:
    desk = Desk()
    desk.ask(name, resolver=int(str(reply.get("resolver", ROUTER))))
    assert desk.reply(name, **reply)  # type: ignore[arg-type]
    assert [one.blocked for one in desk.end()] == [blocked]


def test_mdns_answers_are_lookups_only_where_somebody_asked() -> None:
    desk = Desk()
    assert not desk.reply("nas.local", over="mdns", questions=False)
    desk.ask("tv.local", over="mdns", resolver=GROUP, ident=0)
    assert desk.reply("tv.local", over="mdns", resolver=0xC0A80199, port=5353, ident=0, questions=False)
    (one,) = desk.end()
    assert (one.query, one.transport, one.resolver, one.rcode) == ("tv.local", "mdns", GROUP, "NOERROR")


def test_llmnr_is_answered_by_whoever_knows() -> None:
    desk = Desk()
    desk.ask("printer", over="llmnr", resolver=0xE00000FC)
    assert desk.reply("printer", over="llmnr", resolver=0xC0A80120)
    assert [(one.transport, one.rcode) for one in desk.end()] == [("llmnr", "NOERROR")]


def test_records_leave_by_time_and_packet() -> None:
    desk = Desk()
    for at in (5, 3, 4, 3):
        desk.ask(f"n{at}.example", at=NOW + at)
    assert [(one.time - NOW, one.packet) for one in desk.end()] == [(3, 2), (3, 4), (4, 3), (5, 1)]


def test_what_is_due_does_not_depend_on_when_it_is_asked_for() -> None:
    outs = []
    for step in (1, 3, 1_000):
        desk, out = Desk(), []
        for at in range(30):
            desk.ask(f"n{at}.example", at=NOW + at * SECOND, ident=at)
            if at % 3:
                desk.reply(f"n{at - at % 5}.example", at=NOW + at * SECOND + 5, ident=at - at % 5)
            if at % step == 0:
                out += desk.lookups.due(NOW + at * SECOND)
        outs.append(sorted(out + desk.end()))
    assert outs[0] == outs[1] == outs[2]
    assert len(outs[0]) == 30


def test_m3_open_questions_are_capped_and_the_oldest_count_as_unanswered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LOOKUPS_OPEN", 10)
    desk = Desk()
    for at in range(100):
        desk.ask(f"n{at % 50}.example", at=NOW + at)
    assert desk.lookups._waiting == sum(map(len, desk.lookups._open.values())) == 10
    assert desk.lookups.anomalies == {"lookups_evicted": 90}
    assert len(desk.end()) == 100
    for at in range(100):
        desk.ask("x.example", at=NOW, ident=at)
        desk.reply("x.example", ident=at)
    assert len(desk.lookups._settled) <= 10


def test_m3_very_many_equal_questions_are_settled_in_one_pass() -> None:
    desk = Desk()
    for _ in range(20_000):
        desk.ask("x.example")
    assert desk.reply("x.example")
    assert len(desk.end()) == 20_000


def test_m3_labels_at_hand_are_capped_and_of_one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LABELS", 3)
    desk = Desk()
    asked: list[tuple[str, str]] = []

    def look_up(name: str, day: str) -> Label:
        asked.append((name, day))
        return Label(app_id=f"{name} {day}")

    monkeypatch.setattr(desk.lookups._attributor, "lookup", look_up)
    for at in range(20):
        desk.ask(f"n{at % 5}.example", "same.example", at=NOW + at // 10 * 86_400 * SECOND, ident=at)
    apps = [one.app_id for one in desk.end()]
    assert apps == [
        f"{name} 2025-11-2{4 + at // 10}" for at in range(20) for name in (f"n{at % 5}.example", "same.example")
    ]
    assert len(desk.lookups._labels) <= 3
    assert len(asked) < 40
