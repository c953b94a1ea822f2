"""Packets as pcapng: what is written is what is read again, by our own reader and by others."""

import shutil
import subprocess
from pathlib import Path

import dpkt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.packets import batch

from netwatch.sinks.pcapng import Section, block_sizes
from netwatch.sources import open_capture

SNAPLEN = 65_535


def read(path: Path) -> list[tuple[int, bytes, int]]:
    with open_capture(str(path)) as source:
        return [
            (int(time), one.data[at : at + size].tobytes(), int(wire))
            for one in source
            for time, at, size, wire in zip(one.time, one.offset, one.caplen, one.wirelen, strict=True)
        ]


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=90), st.integers(0, 2**62)), min_size=1, max_size=20),
    st.integers(0, 400),
)
def test_what_is_written_is_read_again(tmp_path_factory: object, frames: list[tuple[bytes, int]], more: int) -> None:
    path = Path(tmp_path_factory.mktemp("pcapng")) / "out.pcapng"  # type: ignore[attr-defined]
    data, times = [frame for frame, _ in frames], [time for _, time in frames]
    lengths = [len(frame) + more for frame in data]
    section, packets = Section(SNAPLEN), batch(data, wirelen=lengths, time=times)
    blocks = section.packets(packets)
    again = section.packets(packets)
    assert len(again) == int(np.sum(block_sizes(packets))), "the interface is described once"
    path.write_bytes(section.head() + blocks + section.statistics({}, max(times)))
    assert read(path) == list(zip(times, data, lengths, strict=True))


def test_another_reader_agrees(tmp_path: Path) -> None:
    frames = [bytes([number]) * (60 + number) for number in range(50)]
    section = Section(SNAPLEN)
    times = [1_700_000_000 * 10**9 + number for number in range(50)]
    blocks = section.packets(batch(frames, time=times))
    counts: dict[str, tuple[int, int | None]] = {"eth0": (50, 3)}
    (tmp_path / "out.pcapng").write_bytes(section.head() + blocks + section.statistics(counts, times[-1]))
    with (tmp_path / "out.pcapng").open("rb") as file:
        assert [frame for _, frame in dpkt.pcapng.Reader(file)] == frames


def test_interfaces_are_told_apart_by_name_and_link_type(tmp_path: Path) -> None:
    """They are described where they first come, also in a later batch, and numbered in that order."""
    section = Section(SNAPLEN)
    first = batch([b"a" * 20, b"b" * 21])._replace(interfaces=("w", "x"), interface=np.array([1, 1], np.uint16))
    second = batch([b"c" * 22, b"d" * 23], 101)._replace(interfaces=("w", "x"), interface=np.array([0, 1], np.uint16))
    blocks = [section.packets(one) for one in (first, second, first)]
    assert section.interfaces == 3
    (tmp_path / "out.pcapng").write_bytes(section.head() + b"".join(blocks))
    with open_capture(str(tmp_path / "out.pcapng")) as source:
        found = [(one.link_type, one.interfaces[code]) for one in source for code in one.interface.tolist()]
    assert found == [(1, "0"), (1, "0"), (101, "1"), (101, "2"), (1, "0"), (1, "0")]


def test_what_was_not_written_is_described_again() -> None:
    section, packets = Section(SNAPLEN), batch([b"a" * 20])
    whole = section.packets(packets)
    section.forget(0)
    assert section.packets(packets) == whole
    section.forget(1)
    assert len(section.packets(packets)) < len(whole)


def test_a_time_before_1970_is_1970(tmp_path: Path) -> None:
    section = Section(SNAPLEN)
    (tmp_path / "out.pcapng").write_bytes(section.head() + section.packets(batch([b"a" * 20], time=[-5])))
    assert read(tmp_path / "out.pcapng") == [(0, b"a" * 20, 20)]


@pytest.mark.skipif(not (shutil.which("tshark") and shutil.which("capinfos")), reason="needs tshark and capinfos")
def test_wireshark_agrees(tmp_path: Path) -> None:
    section = Section(1_500)
    frames = [bytes(12) + b"\x81\x00\x00\x07\x08\x00" + bytes(40 + number) for number in range(5)]
    packets = batch(frames, wirelen=[2_000] * 5, time=[1_700_000_000_123_456_789 + number for number in range(5)])
    blocks = section.packets(packets._replace(interfaces=("wl\u00e4n0",)))
    end = section.statistics({"wl\u00e4n0": (7, 2), "other": (1, None)}, 1_700_000_001 * 10**9)
    path = tmp_path / "out.pcapng"
    path.write_bytes(section.head() + blocks + end)
    fields = [f"-e{name}" for name in ("frame.time_epoch", "frame.cap_len", "frame.len", "vlan.id")]
    said = subprocess.run(["tshark", "-r", path, "-Tfields", *fields], capture_output=True, text=True, check=True)
    assert [line.split("\t") for line in said.stdout.splitlines()] == [
        [f"1700000000.123456{789 + number}", str(58 + number), "2000", "7"] for number in range(5)
    ]
    about = subprocess.run(["capinfos", "-M", path], capture_output=True, text=True, check=True).stdout
    for text in ("netwatch", "Name = wl\u00e4n0", "Capture length = 1500", "Number of stat entries = 1"):
        assert text in about
