"""What a device resolved, for how long it counts, and what is refused."""

import random

import pytest

from netwatch.attribution import memory as room
from netwatch.attribution.memory import DnsMemory
from netwatch.model.limits import DNS_GRACE_NS, DNS_MEMORY, DNS_NAMES
from netwatch.model.reading import DnsAnswer, DnsMessage, DnsQuestion

SECOND = 10**9
SERVER, OTHER = 0xCB007107, 0xCB007142
NOW = 1_000 * SECOND


def a(name: str, address: int = SERVER, ttl: int = 60) -> DnsAnswer:
    return DnsAnswer(name, "A", "", ttl, address, ech=False)


def cname(name: str, target: str, ttl: int = 60) -> DnsAnswer:
    return DnsAnswer(name, "CNAME", target, ttl, None, ech=False)


def https(name: str, ech: bool = True) -> DnsAnswer:
    return DnsAnswer(name, "HTTPS", "0001", 60, None, ech=ech)


def answer(question: str | None, *answers: DnsAnswer, rcode: str = "NOERROR", response: bool = True) -> DnsMessage:
    questions = () if question is None else (DnsQuestion(question, "A"),)
    return DnsMessage(7, response, rcode, questions, answers)


def told(*messages: DnsMessage, device: str = "d", asked: bool = True) -> DnsMemory:
    memory = DnsMemory()
    for packet, message in enumerate(messages, 1):
        memory.learn(device, message, NOW + packet, packet, asked)
    return memory


def names(memory: DnsMemory, device: str = "d", now: int = NOW + 50, address: int = SERVER) -> list[tuple[str, str]]:
    return [(one.kind, one.value) for one in memory.names(device, address, now)]


def test_the_device_that_asked_has_a_dns_answer_and_another_device_only_a_hint() -> None:
    memory = told(answer("tiktok.com", a("tiktok.com")))
    assert names(memory) == [("dns_answer", "tiktok.com")]
    assert names(memory, "other") == [("dns_answer_other", "tiktok.com")]
    one = memory.names("d", SERVER, NOW + 50)[0]
    assert (one.time, one.packet) == (NOW + 1, 1)
    assert SERVER in memory
    assert OTHER not in memory


def test_an_answer_counts_for_its_ttl_and_the_grace_and_is_a_hint_afterwards() -> None:
    memory = told(answer("tiktok.com", a("tiktok.com", ttl=60)))
    end = NOW + 1 + 60 * SECOND + DNS_GRACE_NS
    assert names(memory, now=end) == [("dns_answer", "tiktok.com")]
    assert names(memory, now=end + 1) == [("dns_answer_other", "tiktok.com")]


def test_an_answer_after_the_beginning_of_the_flow_names_nothing() -> None:
    assert names(told(answer("tiktok.com", a("tiktok.com"))), now=NOW) == []


def test_an_answer_given_again_keeps_its_first_time_for_a_flow_between() -> None:
    memory = told(answer("tiktok.com", a("tiktok.com")))
    memory.learn("d", answer("tiktok.com", a("tiktok.com")), NOW + 100, 9)
    between = memory.names("d", SERVER, NOW + 50)[0]
    after = memory.names("d", SERVER, NOW + 100)[0]
    assert (between.kind, between.packet, after.packet) == ("dns_answer", 1, 9)


def test_an_answer_after_a_gap_starts_anew() -> None:
    memory = told(answer("tiktok.com", a("tiktok.com", ttl=0)))
    late = NOW + DNS_GRACE_NS + 100
    memory.learn("d", answer("tiktok.com", a("tiktok.com")), late, 9)
    assert names(memory, now=late - 1) == []


def test_the_cname_chain_counts_asked_name_first_with_the_shortest_ttl() -> None:
    chain = (cname("www.x.com", "x.cdn.net", ttl=5), cname("x.cdn.net", "e.cdn.net"), a("e.cdn.net", ttl=9_000))
    memory = told(answer("www.x.com", *reversed(chain)))
    assert [value for _, value in names(memory)] == ["www.x.com", "x.cdn.net", "e.cdn.net"]
    assert len({one.packet for one in memory.names("d", SERVER, NOW + 50)}) == 1
    assert names(memory, now=NOW + 1 + 5 * SECOND + DNS_GRACE_NS + 1)[0][0] == "dns_answer_other"


def test_p5_a_cname_loop_ends() -> None:
    memory = told(answer("a.x", cname("a.x", "b.x"), cname("b.x", "a.x"), a("b.x")))
    assert [value for _, value in names(memory)] == ["a.x", "b.x"]


def test_the_newest_answer_stands_first() -> None:
    memory = told(answer("old.x", a("old.x")), answer("new.x", a("new.x")))
    assert [value for _, value in names(memory)] == ["new.x", "old.x"]


def test_an_answer_between_two_looks_counts_in_the_second() -> None:
    memory = told(answer("old.x", a("old.x")))
    assert [value for _, value in names(memory)] == ["old.x"]
    memory.learn("d", answer("new.x", a("new.x")), NOW + 20, 9)
    assert [value for _, value in names(memory)] == ["new.x", "old.x"]
    memory.learn("d", answer("old.x", a("old.x")), NOW + 30, 10)
    assert [value for _, value in names(memory)] == ["old.x", "new.x"]
    assert [value for _, value in names(memory, now=NOW + 10)] == ["old.x"]


def test_an_answer_that_is_stamped_before_the_last_one_stands_behind_it() -> None:
    memory = told(answer("new.x", a("new.x")))
    memory.learn("d", answer("late.x", a("late.x")), NOW - 20, 9)
    assert [value for _, value in names(memory)] == ["new.x", "late.x"]
    assert [value for _, value in names(memory, now=NOW)] == ["late.x"]


def test_dns_answer_other_name_many_refused_addresses_of_one_message_are_all_counted() -> None:
    others = [a(f"n{at}.example.org", OTHER) for at in range(256)]
    assert told(answer("shop.example", *others)).anomalies == {"dns_answer_other_name": 256}


def test_dns_answer_other_name_an_address_of_a_name_that_was_not_asked_for_is_refused() -> None:
    memory = told(answer("shop.example", a("bank.example.org", OTHER), a("shop.example")))
    assert names(memory, address=OTHER) == []
    assert names(memory) == [("dns_answer", "shop.example")]
    assert memory.anomalies == {"dns_answer_other_name": 1}


def test_glue_of_name_servers_is_neither_taken_nor_an_anomaly() -> None:
    server = DnsAnswer("shop.example", "NS", "ns.example", 60, None, ech=False)
    memory = told(answer("shop.example", a("shop.example"), server, a("ns.example", OTHER)))
    assert OTHER not in memory
    assert not memory.anomalies


def test_an_answer_that_nobody_was_seen_to_ask_for_is_a_hint() -> None:
    memory = told(answer("tiktok.com", a("tiktok.com")), asked=False)
    assert names(memory) == [("dns_answer_other", "tiktok.com")]
    memory.learn("d", answer("tiktok.com", a("tiktok.com")), NOW + 20, 9)
    assert names(memory) == [("dns_answer", "tiktok.com")]
    assert names(memory, now=NOW + 10) == []


def test_an_answer_without_a_question_tells_local_names_only() -> None:
    memory = told(answer(None, a("nas.local"), a("bank.example.org", OTHER)))
    assert [value for _, value in names(memory)] == ["nas.local"]
    assert OTHER not in memory


@pytest.mark.parametrize(
    "message",
    [
        answer("x.com", a("x.com"), rcode="NXDOMAIN"),
        answer("x.com", a("x.com"), response=False),
        answer("x.com"),
    ],
)
def test_only_good_responses_are_taken(message: DnsMessage) -> None:
    assert len(told(message)) == 0


def test_ech_is_known_for_addresses_of_a_name_whose_https_record_has_keys() -> None:
    memory = told(answer("x.com", a("x.com")), answer("x.com", https("x.com")))
    assert memory.ech(SERVER, NOW + 50)
    assert not memory.ech(SERVER, NOW)
    assert not memory.ech(SERVER, NOW + 61 * SECOND + DNS_GRACE_NS)
    assert not memory.ech(OTHER, NOW + 50)


def test_ech_needs_the_keys_and_the_asked_name() -> None:
    assert not told(answer("x.com", a("x.com")), answer("x.com", https("x.com", ech=False))).ech(SERVER, NOW + 50)
    assert not told(answer("x.com", a("x.com")), answer("y.com", https("x.com"))).ech(SERVER, NOW + 50)


def test_ech_follows_aliases_both_ways() -> None:
    memory = told(
        answer("www.x.com", cname("www.x.com", "x.cdn.net"), a("x.cdn.net")),
        answer("www.x.com", cname("www.x.com", "x.cdn.net"), https("x.cdn.net")),
    )
    assert memory.ech(SERVER, NOW + 50)


def test_m3_the_memory_holds_its_cap_and_counts_what_goes() -> None:
    memory = DnsMemory()
    for address in range(3 * DNS_MEMORY):
        memory.learn("d", answer("x.com", a("x.com", address)), NOW, 1)
    assert len(memory) == len(memory._devices) == DNS_MEMORY
    assert memory.anomalies == {"dns_memory_evicted": 2 * DNS_MEMORY}
    assert 2 * DNS_MEMORY - 1 not in memory
    assert 2 * DNS_MEMORY in memory


def test_m3_an_address_in_use_outlives_older_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "DNS_MEMORY", 4)
    memory = DnsMemory()
    for address in range(1, 20):
        memory.learn("d", answer("used.x", a("used.x", 0)), NOW, 1)
        memory.learn("d", answer("x.com", a("x.com", address)), NOW, 1)
    assert 0 in memory
    assert len(memory) == 4


def test_m3_the_pair_that_goes_is_the_one_told_longest_ago_and_the_queue_has_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "DNS_MEMORY", 6)
    memory, model = DnsMemory(), dict[int, None]()
    draw = random.Random(5)
    for _ in range(2_000):
        address = draw.choice((1, 1, 2, 3, draw.randrange(20)))
        memory.learn("d", answer("x.com", a("x.com", address)), NOW, 1)
        if model.pop(address, address) is not None and len(model) == 6:
            del model[next(iter(model))]
        model[address] = None
        assert [one for one in range(20) if one in memory] == sorted(model)
        assert len(memory) == len(model)
        assert len(memory._queue) <= room.QUEUED * 6 + 1
        assert sum(pair.uses for devices in memory._devices.values() for pair in devices.values()) == len(memory._queue)


def test_a_row_of_an_older_chain_counts_though_its_head_was_told_again() -> None:
    memory = told(
        answer("x.com", cname("x.com", "one.cdn"), a("one.cdn")),
        answer("x.com", cname("x.com", "two.cdn"), a("two.cdn")),
    )
    memory.learn("other", answer("x.com", a("x.com")), NOW + 3, 3)
    assert [value for _, value in names(memory, "third")] == ["x.com", "one.cdn"]


def test_other_devices_are_asked_only_where_this_one_was_told_nothing_that_holds() -> None:
    memory = told(answer("x.com", cname("x.com", "one.cdn"), a("one.cdn")))
    memory.learn("other", answer("y.com", a("y.com")), NOW + 3, 3)
    assert names(memory, "other") == [("dns_answer", "y.com")]
    later = NOW + 3 + 10 * DNS_GRACE_NS
    assert [kind for kind, _ in names(memory, "other", now=later)] == ["dns_answer_other"] * 3


def test_m3_an_address_keeps_its_newest_names() -> None:
    memory = told(*(answer(f"n{at}.x", a(f"n{at}.x")) for at in range(10 * DNS_NAMES)))
    assert [value for _, value in names(memory, now=NOW + 99)] == [
        f"n{at}.x" for at in reversed(range(9 * DNS_NAMES, 10 * DNS_NAMES))
    ]
    assert memory.anomalies == {"dns_names_evicted": 9 * DNS_NAMES}


def test_m3_a_long_chain_is_cut_and_many_devices_are_not_all_looked_at() -> None:
    links = [cname(f"c{at}.x", f"c{at + 1}.x") for at in range(200)]
    memory = told(answer("c0.x", *links, a("c200.x")))
    assert len(names(memory)) == DNS_NAMES
    for at in range(500):
        memory.learn(f"d{at}", answer("x.com", a("x.com", OTHER)), NOW, 1)
    assert names(memory, "d499", address=OTHER) == [("dns_answer", "x.com")]
    assert names(memory, "none", address=OTHER) == [("dns_answer_other", "x.com")]


def test_m3_names_with_ech_keys_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "DNS_MEMORY", 5)
    memory = told(*(answer(f"n{at}.x", https(f"n{at}.x")) for at in range(50)))
    assert memory.anomalies == {"dns_ech_evicted": 45}
