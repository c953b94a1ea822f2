"""Packets as pcapng: what is written is what is read again, by our own reader and by another."""

from pathlib import Path

import dpkt
import numpy as np
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
