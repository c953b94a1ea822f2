import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from support.hellos import Lengths, dns_message, dns_name, pointer, record, u16

from netwatch.model.address import from_bytes
from netwatch.model.errors import ParseError
from netwatch.model.limits import DNS_RECORDS
from netwatch.model.reading import DnsMessage, Reading
from netwatch.names import dns as room
from netwatch.names import dnsusual as usual
from netwatch.names.cursor import Budget, Cursor
from netwatch.names.dns import parse_message
from netwatch.names.dnswords import rcode_word, type_word
from netwatch.names.inspector import Inspector
from netwatch.names.store import Store
from netwatch.names.talk import Datagram

WWW = dns_name(b"www", b"example", b"org")
AT = pointer(12)  # the name of the first question
V4, V6 = bytes([203, 0, 113, 7]), bytes.fromhex("20010db8000000000000000000000007")


def parse(message: bytes) -> DnsMessage:
    return parse_message(Cursor.over(message))[0]


def ask(
    inspector: Inspector, payload: bytes, *, port: int = 53, source: int = 1, response: bool = False, cut: bool = False
) -> Reading | None:
    ports = (port, 50_000) if response else (50_000, port)
    return inspector.datagram(1, int(response), payload, cut, *ports, source, 0)


def test_a_question_and_its_answers() -> None:
    message = parse(
        dns_message(
            [(dns_name(b"WWW", b"Example", b"org"), 1)],
            [
                record(AT, 5, b"\x03cdn" + pointer(16)),
                record(b"\x03cdn" + pointer(16), 1, V4, ttl=300),
                record(AT, 28, V6),
                record(AT, 15, u16(10) + b"\x04mail" + pointer(16)),
                record(AT, 33, u16(0, 5, 443) + b"\x03srv" + pointer(16)),
                record(AT, 16, b"\x05hello"),
                record(AT, 65_280, b"\xab\xcd"),
            ],
        )
    )
    assert (message.ident, message.response, message.rcode) == (0x1234, True, "NOERROR")
    assert [(question.name, question.type) for question in message.questions] == [("www.example.org", "A")]
    assert [(answer.name, answer.type, answer.data) for answer in message.answers] == [
        ("www.example.org", "CNAME", "cdn.example.org"),
        ("cdn.example.org", "A", "203.0.113.7"),
        ("www.example.org", "AAAA", "2001:db8::7"),
        ("www.example.org", "MX", "mail.example.org"),
        ("www.example.org", "SRV", "srv.example.org"),
        ("www.example.org", "TXT", "0568656c6c6f"),
        ("www.example.org", "TYPE65280", "abcd"),
    ]
    assert [answer.address for answer in message.answers[1:3]] == [from_bytes(V4), from_bytes(V6)]
    assert message.answers[1].ttl == 300


def test_registered_words() -> None:
    words = ["A", "AAAA", "HTTPS", "SVCB", "ANY", "TYPE65280"]
    assert [type_word(number) for number in (1, 28, 65, 64, 255, 65_280)] == words
    assert [rcode_word(number) for number in (0, 3, 5, 12)] == ["NOERROR", "NXDOMAIN", "REFUSED", "RCODE12"]


def test_an_option_record_is_no_answer_and_extends_the_code() -> None:
    message = parse(dns_message([(WWW, 1)], [record(b"\0", 41, b"", ttl=1 << 24, family=1_232)], flags=0x8180))
    assert (message.answers, message.rcode) == ((), "BADVERS")


@pytest.mark.parametrize(
    ("parameters", "ech"),
    [(u16(1, 3) + b"\x02h3", False), (u16(1, 3) + b"\x02h3" + u16(5, 2) + b"\0\0", True), (b"", False)],
)
def test_a_service_binding_with_ech_is_flagged(parameters: bytes, ech: bool) -> None:
    for kind in (64, 65):
        (answer,) = parse(dns_message([(WWW, kind)], [record(AT, kind, u16(1) + WWW + parameters)])).answers
        assert answer.ech == ech


def test_mdns_reads_over_its_flag_bits_and_learns_the_senders_name() -> None:
    ana = dns_name(b"Ana-iPhone", b"local")
    source = from_bytes(V4)
    payload = dns_message([], [record(ana, 1, V4, family=0x8001)], flags=0x8400)
    reading = ask(Inspector(), payload, port=5353, source=source, response=True)
    assert reading is not None
    assert (reading.protocol, reading.from_client) == ("mdns", None)
    assert reading.device is not None
    assert (reading.device.name, reading.device.mac, reading.device.address) == ("Ana-iPhone", None, source)
    assert reading.messages[0].answers[0].name == "ana-iphone.local"
    for other in (ask(Inspector(), payload, port=5353, source=1), ask(Inspector(), payload, source=source)):
        assert other is not None
        assert other.device is None
    deep = dns_message([], [record(dns_name(b"a", b"b", b"local"), 1, V4)], flags=0x8400)
    reading = ask(Inspector(), deep, port=5353, source=source)
    assert reading is not None
    assert reading.device is None


def test_the_ports_give_the_word_and_the_flag_gives_the_client() -> None:
    for port, word in ((53, "dns"), (5353, "mdns"), (5355, "llmnr")):
        reading = ask(Inspector(), dns_message([(WWW, 1)], flags=0x0100), port=port)
        assert reading is not None
        assert (reading.protocol, reading.from_client, reading.done) == (word, True, False)


def test_an_update_asks_nothing() -> None:
    update = dns_message([(WWW, 6)], [record(WWW, 1, b"", family=255)], flags=0x2800)
    assert ask(Inspector(), update) == Reading("dns", from_client=True)
    assert parse(update).answers[0].address is None


def test_p5_what_stood_before_a_broken_record_is_kept() -> None:
    good = record(AT, 1, V4)
    for broken, anomaly in (
        (record(AT, 1, b"abc"), "dns_address_length"),
        (record(AT, 28, V4), "dns_address_length"),
        (record(pointer(200), 1, V4), "dns_pointer_forward"),
        (record(b"\x40x\0", 1, V4), "dns_label_type"),
        (record(AT, 1, V4)[:-2], "truncated"),
        (record(AT, 5, b"\x3fx"), "truncated"),
        (record(dns_name(*[b"x" * 63] * 4), 1, V4), "dns_name_too_long"),
        (record(b"\x01a" + pointer(12 + len(WWW) + 4 + 16), 1, V4), "dns_pointer_forward"),  # itself
    ):
        cursor = Cursor.over(dns_message([(WWW, 1)], [good, broken], counts=(1, 3, 0, 0)))
        message, _ = parse_message(cursor)
        assert [answer.address for answer in message.answers] == [from_bytes(V4)], anomaly
        assert cursor.budget.broken == [anomaly]


def test_p5_a_message_of_which_nothing_is_read_is_a_parse_error() -> None:
    for payload, anomaly in (
        (bytes(11), "truncated"),
        (dns_message([(b"\xc0\x0c", 1)]), "dns_pointer_forward"),
        (dns_message([(b"\x3fabc", 1)]), "truncated"),
        (dns_message([(dns_name(*[b"n" * 60] * 9), 1)]), "dns_name_too_long"),
    ):
        with pytest.raises(ParseError, match=anomaly):
            parse(payload)
    assert parse(bytes(12)) == DnsMessage(0, False, "NOERROR", (), ())


def test_p5_the_longest_name_is_whole() -> None:
    labels = [b"l" * 63] * 3 + [b"m" * 61]
    assert len(dns_name(*labels)) == 255
    assert parse(dns_message([(dns_name(*labels), 1)])).questions[0].name == b".".join(labels).decode()
    with pytest.raises(ParseError, match="dns_name_too_long"):
        parse(dns_message([(dns_name(*labels[:3], b"m" * 62), 1)]))


def ladder(rungs: int) -> bytes:
    """A message whose one name is reached over so many pointers, the last of them first."""
    at = 12 + len(WWW) + 4 + 1 + 10
    steps = b"".join(pointer(12 if number == 0 else at + 2 * number - 2) for number in range(rungs))
    carrier = record(b"\0", 10, steps)
    return dns_message([(WWW, 1)], [carrier, record(pointer(at + 2 * rungs - 2), 1, V4)])


def test_p5_so_many_jumps_are_followed() -> None:
    message = ladder(15)
    assert parse(message).answers[1].name == "www.example.org"
    cursor = Cursor.over(ladder(17))
    parse_message(cursor)
    assert cursor.budget.broken == ["dns_pointer_chain"]


def test_p5_so_many_records_are_read_and_the_rest_is_counted() -> None:
    cursor = Cursor.over(dns_message([(WWW, 1)], [record(AT, 1, V4)] * (DNS_RECORDS + 40)))
    message, _ = parse_message(cursor)
    assert len(message.answers) == DNS_RECORDS
    assert cursor.budget.broken == ["dns_records"]


def test_p5_counts_of_65535_stop_at_the_end_of_the_message() -> None:
    cursor = Cursor.over(dns_message([(WWW, 1)], counts=(65_535,) * 4))
    message, _ = parse_message(cursor)
    assert len(message.questions) == 1
    assert cursor.budget.broken == ["truncated"]


@pytest.mark.parametrize(
    "bomb",
    [
        dns_message([(b"\0", 1)] * 16_000),
        dns_message([(WWW, 1)], [record(b"\0", 5, b"\x01a" * 120 + b"\0")] * 400),
        dns_message([(WWW, 1)], [record(b"\x01a" * 100 + pointer(12), 5, pointer(12))] * 250),
        dns_message([(WWW, 65)], [record(b"\0", 65, u16(1) + b"\x01a" * 200 + b"\0" + u16(9, 0) * 200)] * 100),
        ladder(4_000),
    ],
    ids=["questions", "labels", "names", "parameters", "ladder"],
)
def test_p4_bombs_are_bounded_by_steps(bomb: bytes) -> None:
    cursor = Cursor.over(bomb, budget=Budget(1_024))
    message, _ = parse_message(cursor)
    assert cursor.budget.broken
    assert len(message.questions) + len(message.answers) <= 1_024
    assert cursor.budget.steps >= -400


def test_over_tcp_messages_are_read_however_they_are_cut() -> None:
    names = [b"x", b"y", b"z"]
    wire = b"".join(
        Lengths()(2, dns_message([(dns_name(name, b"example", b"org"), 1)], flags=0x0100)) for name in names
    )
    for size in (1, 2, 7, len(wire)):
        inspector = Inspector()
        asked = []
        reading = None
        for at in range(0, len(wire), size):
            reading = inspector.segment(1, 0, 1 + at, 1, wire[at : at + size], False, 50_000, 53, 0)
            assert reading is not None
            assert reading.protocol == "dns"
            asked += [message.questions[0].name for message in reading.messages]
        assert reading is not None
        assert not reading.more
        assert asked == ["x.example.org", "y.example.org", "z.example.org"]
        assert not inspector.anomalies


def test_over_tcp_a_message_of_the_largest_size() -> None:
    big = dns_message([(WWW, 1)], [record(b"\0", 10, bytes(65_000))])
    wire = Lengths()(2, big + bytes(65_535 - len(big))) * 2
    inspector = Inspector()
    found = 0
    for at in range(0, len(wire), 1_400):
        reading = inspector.segment(1, 1, 1 + at, 1, wire[at : at + 1_400], False, 53, 50_000, 0)
        assert reading is not None
        found += len(reading.messages)
    assert found == 2
    assert not inspector.anomalies


def test_over_tcp_lengths_too_short_for_a_header_are_passed_over() -> None:
    wire = b"\0\0\0\x01x" + Lengths()(2, dns_message([(WWW, 1)], flags=0x0100))
    inspector = Inspector()
    reading = inspector.segment(1, 0, 1, 1, wire, False, 50_000, 53, 0)
    assert reading is not None
    assert len(reading.messages) == 1
    assert inspector.anomalies == {"truncated": 2}


def test_a_cut_message_is_no_fault_of_the_sender() -> None:
    payload = dns_message([(WWW, 1)], [record(AT, 1, V4)] * 4)
    inspector = Inspector()
    reading = ask(inspector, payload[:60], cut=True)
    assert reading is not None
    assert len(reading.messages[0].answers) == 1
    assert ask(inspector, payload[:5], cut=True) == Reading("dns")
    assert not inspector.anomalies


@given(
    st.lists(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=5), min_size=1, max_size=4),
    st.integers(0, 24),
    st.integers(-70, 70),
    st.booleans(),
)
def test_p1_a_lying_length_gives_true_names_or_a_parse_error(
    names: list[list[bytes]], at: int, by: int, service: bool
) -> None:
    lengths = Lengths(at, by)
    asked = [(dns_name(*labels, lengths=lengths), 1) for labels in names]
    data = u16(1) + dns_name(b"svc", lengths=lengths) + u16(5) + lengths(2, b"ech") if service else V4
    payload = dns_message(asked, [record(AT, 65 if service else 1, data, lengths=lengths)] * 3)
    cursor = Cursor.over(payload)
    try:
        message, _ = parse_message(cursor)
    except ParseError as error:
        event(error.anomaly)
        return
    assert len(message.questions) <= len(names)
    if at >= sum(map(len, names)) or by == 0:
        assert len(message.questions) == len(names)


@given(st.binary(max_size=200), st.integers(0, 5))
def test_p1_random_bytes_behind_a_header_are_a_message_or_a_parse_error(tail: bytes, seed: int) -> None:
    rng = random.Random(seed)
    payload = u16(rng.getrandbits(16), 0x8180, 2, 3, 0, 1) + tail
    cursor = Cursor.over(payload)
    try:
        parse_message(cursor)
    except ParseError:
        return
    assert cursor.budget.steps >= 0 or "step_budget_spent" in cursor.budget.broken


def test_p5_names_share_their_ends_at_no_further_cost() -> None:
    spent = []
    for count in (10, 100):
        cursor = Cursor.over(dns_message([(WWW, 1)], [record(AT, 1, V4)] * count))
        parse_message(cursor)
        spent.append(1_024 - cursor.budget.steps)
    assert [b - a for a, b in pairwise(spent)] == [90]


def test_p4_over_tcp_the_messages_of_one_segment_share_a_budget() -> None:
    wire = Lengths()(2, dns_message([(WWW, 1)], flags=0x0100)) * 400
    inspector = Inspector()
    reading = inspector.segment(1, 0, 1, 1, wire, False, 50_000, 53, 0)
    assert reading is not None
    assert 100 < len(reading.messages) < 200
    assert inspector.anomalies["dns_tcp_passed"] == 1
    reading = inspector.segment(1, 0, 1 + len(wire), 1, wire[:100], False, 50_000, 53, 0)
    assert reading is not None
    assert reading.messages


def test_over_tcp_what_is_no_dns_is_given_up() -> None:
    wire = (b"\0\x0c" + b"\x0f" * 12) * 100
    inspector = Inspector()
    reading = inspector.segment(1, 0, 1, 1, wire, False, 50_000, 53, 0)
    assert reading == Reading("dns")
    assert inspector.segment(1, 0, 1_401, 1, wire, False, 50_000, 53, 0) is None
    assert inspector.anomalies.total() == 16


LABELS = st.lists(st.sampled_from([b"a", b"b.c", b"D", b"l" * 63, b"\0", b"\xff"]), max_size=5)


@given(st.lists(LABELS, min_size=1, max_size=3), st.lists(st.tuples(LABELS, st.integers(0, 90)), max_size=6))
def test_a_name_that_is_remembered_reads_as_it_did_and_costs_as_much(
    asked: list[list[bytes]], answers: list[tuple[list[bytes], int]]
) -> None:
    # names that end in a pointer to anywhere, also into the middle of another one
    records = [
        record(b"".join(bytes([len(label)]) + label for label in labels) + pointer(at), 12, WWW)
        for labels, at in answers
    ]
    payload = dns_message([(dns_name(*labels), 1) for labels in asked], records)

    def once() -> tuple[object, int, list[str]]:
        cursor = Cursor.over(payload)
        try:
            return parse_message(cursor), cursor.budget.steps, cursor.budget.broken
        except ParseError as error:
            return error.anomaly, cursor.budget.steps, cursor.budget.broken

    usual.remembered.clear()
    cold = once()
    assert once() == cold


def test_m3_the_names_that_are_remembered_have_a_bound() -> None:
    usual.remembered.clear()
    for number in range(usual.REMEMBERED + 10):
        parse(dns_message([(dns_name(b"%d" % number, b"example"), 1)]))
        assert len(usual.remembered) <= usual.REMEMBERED
    usual.remembered.clear()
    parse(dns_message([(dns_name(*[b"l" * 26] * 3), 1), (dns_name(*[b"l" * 19] * 3), 1)]))
    assert [len(wire) for wire in usual.remembered] == [61]


def test_a_message_that_comes_again_reads_as_the_first_one_with_its_own_number() -> None:
    inspector = Inspector()
    tail = dns_message([(WWW, 1)], [record(AT, 1, V4)], flags=0x8180)[2:]
    for port, word in ((53, "dns"), (53, "dns"), (5355, "llmnr"), (5353, "mdns")):
        for ident in (7, 0xFFFE):
            reading = ask(inspector, u16(ident) + tail, port=port, response=True)
            assert reading == ask(Inspector(), u16(ident) + tail, port=port, response=True)
            assert reading is not None
            assert (reading.protocol, reading.messages[0].ident) == (word, ident)


def test_a_broken_message_that_comes_again_is_counted_again() -> None:
    inspector = Inspector()
    payload = dns_message([(WWW, 1)], [record(AT, 1, b"abc")])
    for count in (1, 2, 3):
        reading = ask(inspector, payload)
        assert reading is not None
        assert len(reading.messages[0].questions) == 1
        assert inspector.anomalies == {"dns_address_length": count}


def test_mdns_the_device_of_a_message_that_comes_again_is_who_sent_it() -> None:
    inspector = Inspector()
    payload = dns_message([], [record(dns_name(b"nas", b"local"), 1, V4)], flags=0x8400)
    for source, known in ((1, False), (from_bytes(V4), True), (1, False)):
        reading = ask(inspector, payload, port=5353, source=source)
        assert reading is not None
        assert (reading.device is not None) == known


def test_m3_messages_that_are_kept_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_REPEATED", 4)
    read = room.Messages(Store(Counter()), Counter())
    kept = read._repeated
    for number in range(50):
        payload = dns_message([(dns_name(b"%d" % number, b"example"), 1)])
        for _ in range(2):
            assert read(Datagram(1, 0, payload, False, (50_000, 53), 1, 0)) is not None
        assert 1 <= len(kept) <= 4
    size = len(kept)
    long = dns_message([(dns_name(b"l" * 60, b"m" * 60), 1)])
    assert read(Datagram(1, 0, long, False, (50_000, 53), 1, 0)) is not None
    assert len(kept) == size
    assert max(map(len, kept)) + 2 <= room._REPEATED_SIZE


def test_a_message_that_ends_as_one_that_is_kept_but_goes_on_is_another() -> None:
    inspector = Inspector()
    short = dns_message([(dns_name(b"l" * 40), 1)], [record(b"\0", 10, b"x" * 61)], flags=0x8180)
    assert len(short) == room._REPEATED_SIZE
    for payload in (short, short + b"\0", short[:6] + u16(2) + short[8:] + record(AT, 1, V4)):
        assert ask(inspector, payload, response=True) == ask(Inspector(), payload, response=True)


def test_p5_a_target_of_labels_and_a_pointer_reads_the_same_when_it_is_remembered() -> None:
    for data in (
        b"\x03cdn" + pointer(16),
        b"\x03cdn" + pointer(16) + b"\0\0",  # the name ends before the data
        b"\x05cdn" + pointer(16),  # a label over the pointer
        pointer(16),
        b"\x03cd\0" + pointer(16),
        b"\x01\x02" + pointer(12),
    ):
        payload = dns_message(
            [(WWW, 1)], [record(AT, 5, b"\x03abc" + pointer(16)), record(AT, 5, data), record(AT, 1, V4)]
        )
        usual.remembered.clear()
        cold, warm = Cursor.over(payload), Cursor.over(payload)
        assert parse_message(cold) == parse_message(warm)
        assert (cold.budget.steps, cold.budget.broken) == (warm.budget.steps, warm.budget.broken)
