"""Live capture through the ring, on cables inside a network namespace."""

import fcntl
import os
import random
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.netns import ip, needs_root, network, send, up, veth

from netwatch.model.batch import OUTGOING, PacketBatch
from netwatch.model.errors import SourceError, UsageError
from netwatch.model.limits import PAD
from netwatch.sources import rings
from netwatch.sources.afpacket import open_sockets
from netwatch.sources.live import LiveSource, Opened, open_live

pytestmark = needs_root

MAC_A, MAC_B = b"\x02\x00\x00\x00\x00\x0a", b"\x02\x00\x00\x00\x00\x0b"


@pytest.fixture(autouse=True)
def cable() -> Iterator[None]:
    with network():
        veth("nv0", "nv1")
        yield


def frames(count: int, seed: int = 1) -> list[bytes]:
    """Frames of every usual length, each different."""
    draw = random.Random(seed)
    filler = draw.randbytes(4_000)
    made = []
    for number in range(count):
        size = draw.choice((60, 60, 66, 120, 590, 1_514))
        start = number % 2_000
        head = MAC_B + MAC_A + b"\x08\x00" + struct.pack(">I", number)
        made.append(head + filler[start : start + size - len(head)])
    return made


def texts(batch: PacketBatch) -> list[bytes]:
    raw = batch.data.data
    return [bytes(raw[at : at + size]) for at, size in zip(batch.offset.tolist(), batch.caplen.tolist(), strict=True)]


def drain(source: LiveSource, count: int, within: float = 2.0) -> list[tuple[str | None, bytes]]:
    """Read until so many frames have come, or the time is over; (interface, frame)."""
    got: list[tuple[str | None, bytes]] = []
    until = time.monotonic() + within
    while len(got) < count and time.monotonic() < until:
        batch = source.poll(200)
        if batch is not None:
            names = [batch.interfaces[code] for code in batch.interface.tolist()]
            got += zip(names, texts(batch), strict=True)
    return got


def wait_for(source: LiveSource, event: str, within: float = 2.0) -> float:
    """Poll until an event comes; return the seconds that it took."""
    begin = time.monotonic()
    while time.monotonic() - begin < within:
        source.poll(20)
        if event in source.events():
            return time.monotonic() - begin
    pytest.fail(f"no event {event!r} within {within} s")


@pytest.fixture
def opened() -> Iterator[Opened]:
    one = open_live(["nv1"], spares=2, ring_blocks=16)
    yield one
    one.close()


def test_every_frame_arrives_as_it_was_sent(opened: Opened) -> None:
    source = LiveSource(opened)
    sent = frames(20_000)
    got: list[bytes] = []
    numbers: list[int] = []
    before = time.time_ns()
    for at in range(0, len(sent), 2_000):
        send("nv0", sent[at : at + 2_000])
        while (batch := source.poll(0)) is not None:
            got += texts(batch)
            numbers += batch.number.tolist()
            assert len(batch.data) >= int((batch.offset + batch.caplen).max()) + PAD
            assert not batch.data.flags.writeable
            assert (batch.wirelen == batch.caplen).all()
            assert batch.link_type == 1
            assert int(batch.time.min()) >= before - 10**9
            assert (np.diff(batch.time) >= 0).all()
    got += [frame for _, frame in drain(source, len(sent) - len(got))]
    assert got == sent
    assert numbers == list(range(1, len(numbers) + 1))
    counts = source.counts()
    assert (counts.received, counts.dropped) == (len(sent), 0)
    assert source.capture.packets == len(sent)


def test_m5_received_and_dropped_are_what_was_sent() -> None:
    opened = open_sockets(
        ["nv1"], snaplen=65_535, ring_blocks=4, promiscuous=False, program=None, spares=0, block_bytes=65_536
    )
    source = LiveSource(opened)
    send("nv0", frames(3_000))
    kept = drain(source, 3_000, within=0.5)
    counts = source.counts()
    assert counts.dropped is not None
    assert counts.dropped > 0
    assert counts.received == len(kept)
    assert counts.received + counts.dropped == 3_000
    assert counts.interfaces["nv1"].full > 0
    assert source.counts() == counts, "asking twice changes nothing"
    send("nv0", frames(10))
    drain(source, 10)
    assert source.counts().received == len(kept) + 10, "it goes on after the drops"
    opened.close()


def test_c7_a_stopped_capture_gives_what_came_before_and_no_more(opened: Opened) -> None:
    source = LiveSource(opened)
    send("nv0", frames(3_000))
    source.stop()
    send("nv0", frames(100))
    got: list[bytes] = []
    while (batch := source.poll(0)) is not None:
        got += texts(batch)
    assert got == frames(3_000)
    assert source.counts().dropped == 0


def test_c4_tags_stand_where_they_were_on_the_wire(opened: Opened) -> None:
    source = LiveSource(opened)
    inner = MAC_B + MAC_A
    sent = [
        inner + b"\x81\x00\x20\x05\x08\x00" + bytes(50),
        inner + b"\x88\xa8\x00\x07\x81\x00\x00\x08\x08\x00" + bytes(50),
        inner + b"\x08\x00" + bytes(50),
        inner + b"\x81\x00\x00\x00\x86\xdd" + bytes(50),
    ]
    send("nv0", sent)
    batch = source.poll(1_000)
    assert batch is not None
    assert texts(batch) == sent
    assert batch.wirelen.tolist() == [len(frame) for frame in sent]


def test_the_snapshot_length_cuts_frames_and_says_so() -> None:
    opened = open_live(["nv1"], snaplen=96, spares=0, ring_blocks=2)
    source = LiveSource(opened)
    send("nv0", [MAC_B + MAC_A + bytes(1_000), MAC_B + MAC_A + bytes(48)])
    batch = source.poll(1_000)
    assert batch is not None
    assert (batch.caplen.tolist(), batch.wirelen.tolist()) == ([96, 60], [1_012, 60])
    opened.close()


def test_a_filter_runs_in_the_kernel_and_keeps_the_snapshot_length() -> None:
    """Ldb [14]; jeq 7; ret 262144; ret 0."""
    program = b"".join(
        struct.pack("=HBBI", *step) for step in ((0x30, 0, 0, 14), (0x15, 0, 1, 7), (6, 0, 0, 262_144), (6, 0, 0, 0))
    )
    opened = open_live(["nv1"], snaplen=100, program=program, spares=1, ring_blocks=2)
    source = LiveSource(opened)
    send("nv0", [MAC_B + MAC_A + b"\x08\x00" + bytes([number]) + bytes(200) for number in range(10)])
    got = drain(source, 1, within=0.5)
    assert [(frame[14], len(frame)) for _, frame in got] == [(7, 100)]
    assert source.counts().dropped == 0
    opened.close()


def test_c5_loopback_counts_once() -> None:
    up("lo")
    opened = open_live(["lo"], spares=0, ring_blocks=2)
    source = LiveSource(opened)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        for number in range(50):
            one.sendto(bytes([number]) * 20, one.getsockname())
    got = drain(source, 51, within=0.4)
    assert [frame[-1] for _, frame in got] == list(range(50))
    opened.close()


def test_c5_own_frames_are_outgoing(opened: Opened) -> None:
    source = LiveSource(opened)
    send("nv1", frames(3))
    batch = source.poll(1_000)
    assert batch is not None
    assert batch.direction is not None
    assert batch.direction.tolist() == [OUTGOING] * 3


def test_c5_what_a_bridge_forwards_counts_once() -> None:
    veth("p0", "c0")
    veth("p1", "c1")
    ip("link add br0 type bridge", "link set p0 master br0", "link set p1 master br0")
    up("br0")
    opened = open_live(["p0", "p1"], spares=0, ring_blocks=16)
    source = LiveSource(opened)
    bridge = mac("br0")
    flooded = b"\xff" * 6
    send("c0", [flooded + MAC_A + b"\x88\xb5" + b"a" * 50])
    send("c1", [MAC_A + MAC_B + b"\x88\xb5" + b"b" * 50])
    send("br0", [flooded + bridge + b"\x88\xb5" + b"c" * 50, MAC_A + bridge + b"\x88\xb5" + b"d" * 50])
    got = drain(source, 9, within=0.5)
    ours = [frame[14:15] for _, frame in got if frame[12:14] == b"\x88\xb5"]  # the kernel has frames of its own to send
    assert sorted(ours) == [b"a", b"b", b"c", b"d"]
    opened.close()


def mac(name: str) -> bytes:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as one:
        one.bind((name, 0))
        return bytes(one.getsockname()[4])


def test_c1_down_and_up_twenty_times(opened: Opened) -> None:
    source = LiveSource(opened)
    for number in range(20):
        ip("link set nv1 down")
        wait_for(source, "nv1: down")
        ip("link set nv1 up")
        until = time.monotonic() + 1
        got: list[tuple[str | None, bytes]] = []
        while not got and time.monotonic() < until:  # the other end drops frames until it knows that the cable is live
            send("nv0", frames(1, number))
            got = drain(source, 1, within=0.15)
        assert ("nv1", frames(1, number)[0]) in got
        assert "nv1: up" in source.events()
        drain(source, 99, within=0)


def test_c1_waiting_on_an_interface_that_is_down_costs_nothing(opened: Opened) -> None:
    source = LiveSource(opened)
    ip("link set nv1 down")
    wait_for(source, "nv1: down")
    before = time.process_time()
    assert source.poll(500) is None
    assert time.process_time() - before < 0.01


def test_c2_an_interface_made_anew_is_bound_again_without_privileges(opened: Opened) -> None:
    """In a child that has given up root, since a parent cannot have it back."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresgid(65_534, 65_534, 65_534)
        os.setresuid(65_534, 65_534, 65_534)
        source = LiveSource(opened)
        os.write(writing, b"r")
        got = drain(source, 1, within=2.5)
        os.write(writing, repr((got == [("nv1", frames(1, 7)[0])], source.events())).encode())
        os._exit(0)
    assert os.read(reading, 1) == b"r"
    ip("link del nv1")
    veth("nv0", "nv1")
    time.sleep(0.7)  # the child looks every half second
    send("nv0", frames(1, 7))
    answer = os.read(reading, 1_000).decode()
    os.waitpid(child, 0)
    assert answer.startswith("(True, ['nv1: gone', 'nv1: back")
    os.close(reading)
    os.close(writing)


def test_c3_a_new_interface_is_found_and_gets_a_spare_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rings.WATCH_S <= 1
    monkeypatch.setattr(rings, "WATCH_S", 0.05)
    opened = open_live(["any-physical"], spares=1, ring_blocks=16)
    source = LiveSource(opened)
    assert set(opened.names) == {"nv0", "nv1"}
    ip("tuntap add dev vpn0 mode tun")
    wait_for(source, "vpn0: added")
    ip("link add br0 type bridge")
    ip("tuntap add dev vpn1 mode tun")
    wait_for(source, "vpn1: not captured: every spare socket is in use")
    ip("link del vpn0")
    wait_for(source, "vpn0: gone")
    ip("tuntap add dev vpn2 mode tun")
    wait_for(source, "vpn2: added")
    assert set(source.counts().interfaces) == {"nv0", "nv1", "vpn0", "vpn2"}
    opened.close()


def test_an_interface_is_added_by_name(opened: Opened) -> None:
    veth("nv2", "nv3")
    source = LiveSource(opened)
    assert source.add("nv3")
    assert source.add("nv3"), "it is there already"
    assert not source.add("nv9")
    assert source.events() == ["nv3: added", "nv9: not captured: no such interface"]
    send("nv0", frames(5, 1))
    send("nv2", frames(5, 2))
    got = drain(source, 10)
    assert [frame for name, frame in got if name == "nv1"] == frames(5, 1)
    assert [frame for name, frame in got if name == "nv3"] == frames(5, 2)


def test_a_tunnel_without_a_link_header_gives_ip_packets() -> None:
    ip("tuntap add dev tun0 mode tun", "link set tun0 up", "addr add 10.9.0.1/24 dev tun0")
    opened = open_live(["tun0", "nv1"], spares=0, ring_blocks=16)
    source = LiveSource(opened)
    with Path("/dev/net/tun").open("r+b", buffering=0) as tun:
        fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x1001))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.sendto(b"hello", ("10.9.0.2", 9))
        send("nv0", frames(1))
        seen = {}
        for _ in range(4):
            batch = source.poll(300)
            if batch is not None:
                seen[batch.link_type] = texts(batch)[-1]
    assert set(seen) == {1, 101}
    assert seen[101][0] == 0x45
    assert seen[101].endswith(b"hello")
    opened.close()


def test_m9_the_next_reader_goes_on_where_one_was_killed(opened: Opened) -> None:
    """Blocks that the killed one held come again; tags in them that it put back stay where they are."""
    sent = [MAC_B + MAC_A + b"\x81\x00\x00\x05\x08\x00" + bytes([number]) * 50 for number in range(20)]
    for part in range(3):
        send("nv0", sent[5 * part : 5 * part + 5])
        child = os.fork()
        if child == 0:
            source = LiveSource(opened)
            first = source.poll(1_000)
            if part:  # this one asks for more, so that what it held is given back
                source.poll(0)
            os._exit(0 if first is not None else 1)
        assert os.waitpid(child, 0)[1] == 0
    send("nv0", sent[15:])
    source = LiveSource(opened)
    got = [frame for _, frame in drain(source, 5)]
    assert got == sent[10:] or got == sent[15:]
    assert source.counts().dropped == 0


def test_descriptors_can_be_moved_out_of_the_way(opened: Opened) -> None:
    opened.move(900)
    assert min(opened.fds) >= 900
    source = LiveSource(opened)
    send("nv0", frames(2))
    assert [frame for _, frame in drain(source, 2)] == frames(2)
    assert source.poll(0) is None


def test_a_batch_outlives_the_source(opened: Opened) -> None:
    source = LiveSource(opened)
    send("nv0", frames(2))
    batch = source.poll(1_000)
    source.close()
    source.close()
    opened.close()
    assert batch is not None
    assert texts(batch) == frames(2)
    assert source.poll(0) is None


@pytest.mark.parametrize("name", ["nv9", "", "a-name-that-is-far-too-long", "a\x1b[31m", "\udcff"])
def test_a_name_that_is_no_interface_is_refused(name: str) -> None:
    with pytest.raises(SourceError, match="no such interface; there are lo, nv1, nv0") as error:
        open_live([name], ring_blocks=2)
    assert "\x1b" not in str(error.value)


def test_an_unknown_kind_of_source_is_refused() -> None:
    with pytest.raises(UsageError, match="give auto, afpacket, scapy"):
        open_live(["nv1"], kind="pcap")


def test_without_the_right_to_capture_the_next_step_is_named() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setresuid(65_534, 65_534, 65_534)
        try:
            open_live(["nv1"])
        except SourceError as error:
            os.write(writing, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert b"sudo tcpdump -i nv1 -w - | netwatch replay -" in os.read(reading, 1_000)
    os.close(reading)
    os.close(writing)
