"""What live input asks of the engine beside packets: time that passes, a look at what is under way, less under load."""

import random

import numpy as np
from engine.lab import (
    LAPTOP,
    OTHER_SERVER,
    PHONE,
    SECOND,
    SERVER,
    T0,
    Frame,
    catalogue,
    hello,
    laid,
    places,
    run,
    segment,
    tls,
    vendor,
)

from netwatch.engine.engine import Engine
from netwatch.engine.payloads import BY_THEMSELVES, COUNTED, SAMPLED
from netwatch.model.records import END_REASONS
from netwatch.places.local import LocalNetworks
from netwatch.sinks.jsonl import flow_lines

FRAMES = [*tls(PHONE, SERVER), *tls(LAPTOP, OTHER_SERVER, 1, data=hello(b"www.example.org"))]


def engine(level: int = 0) -> Engine:
    made = Engine(catalogue(), places(), vendor, LocalNetworks(), max_flows=1_000, draw=random.Random(0).getrandbits)
    made.level = level
    return made


def fed(frames: list[Frame], level: int = 0) -> Engine:
    made = engine(level)
    assert [one for one in made.feed(laid(frames)) if len(one.flows)] == []
    return made


def test_time_that_passes_ends_silent_flows() -> None:
    live = fed(FRAMES)
    assert sum(len(one.flows) for one in live.tick(T0 + 300 * SECOND)) == 0
    (one,) = live.tick(T0 + 302 * SECOND)
    assert [END_REASONS[code] for code in one.flows.end_reason.tolist()] == ["idle", "idle"]
    assert live.ledger().record()["flows_live"] == 0


def test_ticks_change_no_record() -> None:
    """Records leave earlier, and are the same, but that what ends by silence is not ended by force."""
    later = segment(PHONE, SERVER, b"more", 400, seq=900)
    live = fed(FRAMES)
    lines = b"".join(flow_lines(one.flows) for at in range(0, 400, 7) for one in live.tick(T0 + at * SECOND))
    lines += b"".join(flow_lines(one.flows) for one in live.feed(laid([later])))
    lines += b"".join(flow_lines(one.flows) for one in live.finish())
    replayed = run([*FRAMES, later]).flow_bytes
    assert sorted(lines.replace(b'"forced"', b'"idle"').splitlines()) == sorted(
        replayed.replace(b'"forced"', b'"idle"').splitlines()
    )


def test_a_snapshot_shows_what_the_end_would() -> None:
    live = fed(FRAMES)
    seen = b"".join(map(flow_lines, live.snapshot()))
    again = b"".join(map(flow_lines, live.snapshot()))
    ended = b"".join(flow_lines(one.flows) for one in live.finish())
    assert seen == again == ended
    assert seen.count(b'"app_id":"tiktok"') == 1


def names(level: int, frames: list[Frame]) -> set[str | None]:
    live = fed(frames, level)
    return {one.labels[code].name for one in live.snapshot() for code in one.label.tolist()}


def test_m6_less_is_read_under_load_and_every_packet_is_counted() -> None:
    plain = [segment(PHONE, SERVER, b"GET / HTTP/1.1\r\nHost: www.tiktok.com\r\n\r\n", ports=(50_009, 80))]
    frames = [*FRAMES, *plain]
    assert names(0, frames) == {"api.tiktokv.com", "www.example.org", "www.tiktok.com"}
    assert names(BY_THEMSELVES, frames) == {"api.tiktokv.com", "www.example.org", None}
    assert names(COUNTED, frames) == {None}
    for level in range(4):
        live = fed(frames, level)
        counted = sum(int(np.sum(one.packets_out + one.packets_in)) for one in live.snapshot())
        assert counted == live.ledger().record()["in_flows"] == len(frames)


def test_m6_one_flow_in_eight_is_a_sample() -> None:
    frames = [one for port in range(64) for one in tls(PHONE, SERVER, port, 51_000 + port)]
    live = fed(frames, SAMPLED)
    named = sum(one.labels[code].name is not None for one in live.snapshot() for code in one.label.tolist())
    assert 0 < named < 32
