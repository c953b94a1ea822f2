"""Classic pcap: every variant gives the packets that were put in, and damage costs no packet before it."""

import io
import itertools

import dpkt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.captures import (
    MICROSECONDS,
    NANOSECONDS,
    PATCHED,
    Packet,
    Record,
    opened,
    pcap,
    pcap_header,
    pcap_record,
    read,
)

from netwatch.model.errors import SourceError
from netwatch.sources import pcap as pcap_source
from netwatch.sources.stream import InputStream

RECORDS = [Record(1_700_000_000, 5, b"first"), Record(1_700_000_001, 999_999, b""), Record(1_700_000_002, 0, b"ab", 9)]


def expected(records: list[Record], unit: int, link_type: int = 1) -> list[Packet]:
    return [
        Packet(
            number,
            record.seconds * 10**9 + record.fraction * unit,
            record.frame,
            max(len(record.frame), record.wirelen or 0),
            None,
            link_type,
        )
        for number, record in enumerate(records, 1)
    ]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "unit"), [(MICROSECONDS, 1_000), (NANOSECONDS, 1)])
def test_byte_orders_and_units(order: str, magic: int, unit: int) -> None:
    reading = read(pcap(RECORDS, order, magic))
    assert reading.packets == expected(RECORDS, unit)
    assert reading.capture.complete
    assert (reading.capture.format, reading.capture.packets, reading.capture.problem) == ("pcap", 3, None)
    assert reading.capture.first == reading.packets[0].time
    assert reading.capture.last == reading.packets[2].time


@pytest.mark.parametrize("order", ["<", ">"])
def test_modified_files_have_longer_record_headers(order: str) -> None:
    data = pcap_header(order, PATCHED)
    data += b"".join(pcap_record(record, order, extra=b"\xff" * 8) for record in RECORDS)
    assert read(data).packets == expected(RECORDS, 1_000)


@pytest.mark.parametrize("version", [(2, 0), (2, 2), (543, 0)])
def test_old_versions_have_their_lengths_swapped(version: tuple[int, int]) -> None:
    data = pcap_header(version=version) + b"".join(pcap_record(record, swapped=True) for record in RECORDS)
    assert read(data).packets == expected(RECORDS, 1_000)


@pytest.mark.parametrize("order", ["<", ">"])
def test_version_2_3_has_either_order_of_lengths(order: str) -> None:
    data = pcap_header(order, version=(2, 3))
    data += b"".join(pcap_record(record, order, swapped=index == 2) for index, record in enumerate(RECORDS))
    data += pcap_record(RECORDS[2], order)
    assert read(data).packets == expected([*RECORDS, RECORDS[2]], 1_000)


@pytest.mark.parametrize("version", [(1, 4), (2, 5), (3, 0)])
def test_unknown_versions_are_refused(version: tuple[int, int]) -> None:
    with pytest.raises(SourceError, match=rf"version {version[0]}\.{version[1]} is not known"):
        opened(pcap_header(version=version))


def test_the_upper_bits_of_the_link_type_are_no_link_type() -> None:
    data = pcap_header(link_type=0xF400_0071) + pcap_record(RECORDS[0])
    assert read(data).packets[0].link_type == 0x71


def test_the_snapshot_length_of_the_file_is_not_believed() -> None:
    for snaplen in (0, 1, 0xFFFF_FFFF):
        assert read(pcap_header(snaplen=snaplen) + pcap_record(RECORDS[0])).frames == [b"first"]


def test_a_fraction_beyond_a_second_is_carried() -> None:
    assert read(pcap([Record(7, 4_294_967_295, b"x")])).times == [7 * 10**9 + 4_294_967_295_000]


def test_bytes_on_the_wire_are_never_below_the_captured_ones() -> None:
    assert read(pcap([Record(7, 0, b"12345", 2)])).packets[0].wirelen == 5
    assert read(pcap([Record(7, 0, b"12345", 0xFFFF_FFFF)])).packets[0].wirelen == 0xFFFF_FFFF


def test_f5_times_are_kept_in_the_order_of_the_file() -> None:
    seconds = [2**32 - 1, 0, 1_700_000_000, 1_700_000_000, 3]
    reading = read(pcap([Record(second, 0, b"x") for second in seconds]))
    assert reading.times == [second * 10**9 for second in seconds]
    assert (reading.capture.first, reading.capture.last) == (0, (2**32 - 1) * 10**9)


@pytest.mark.parametrize("caplen", [262_145, 2**31 - 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize("behind", [0, 400_000])
def test_f1_a_captured_length_beyond_the_limit_ends_the_capture(caplen: int, behind: int) -> None:
    lie = pcap_record(Record(1, 1, b"", caplen))[:8] + caplen.to_bytes(4, "little") * 2
    data = pcap(RECORDS) + lie
    reading = read(data + bytes(behind))
    assert reading.packets == expected(RECORDS, 1_000)
    assert not reading.capture.complete
    assert reading.capture.problem == (
        f"-: record 4 at byte {len(data) - 16} claims {caplen} bytes (limit 262144); "
        "the 3 packets before it were counted"
    )


def test_f1_the_largest_frame_allowed_is_read_through_a_small_buffer() -> None:
    record = Record(1, 1, bytes(262_144))
    assert read(pcap([record, record]), buffer=1_000).packets == expected([record, record], 1_000)


@pytest.mark.parametrize("make", [dict, lambda: {"nano": True}])
def test_files_of_another_writer_are_read(make: type) -> None:
    out = io.BytesIO()
    writer = dpkt.pcap.Writer(out, linktype=101, **make())
    for index in range(3):
        writer.writepkt(bytes(index), ts=1_700_000_000.5 + index)
    reading = read(out.getvalue())
    assert reading.frames == [b"", b"\0", b"\0\0"]
    assert reading.times == [1_700_000_000_500_000_000 + index * 10**9 for index in range(3)]
    assert reading.packets[0].link_type == 101


def test_f2_cut_at_every_byte() -> None:
    pieces = [pcap_record(Record(1_700_000_000 + index, 0, bytes(index % 3))) for index in range(1_000)]
    ends = list(itertools.accumulate(map(len, pieces), initial=24))
    data = pcap_header() + b"".join(pieces)
    whole = 0
    for size in range(24, len(data) + 1):
        while whole < 1_000 and ends[whole + 1] <= size:
            whole += 1
        source = pcap_source.PcapSource(InputStream(io.BytesIO(data[:size])))
        source.limit_buffer(32_768)
        assert sum(len(batch.offset) for batch in source) == source.capture.packets == whole
        cut = size != ends[whole]
        assert source.capture.complete is not cut
        if cut:
            assert source.capture.problem is not None
            assert f"record {whole + 1} at byte {ends[whole]} is cut: the file ends at byte {size}" in (
                source.capture.problem
            )


@pytest.mark.parametrize("size", range(4, 24))
def test_f2_a_cut_file_header_is_an_error(size: int) -> None:
    with pytest.raises(SourceError, match=f"cut inside the pcap file header .{size} of 24 bytes"):
        opened(pcap_header()[:size])


records = st.lists(
    st.builds(
        Record,
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
        st.binary(max_size=60),
        st.integers(0, 2**32 - 1),
    ),
    max_size=30,
)


@given(records, st.sampled_from("<>"), st.integers(1, 400), st.integers(0, 40))
@example([], "<", 1, 0)
def test_the_size_of_the_buffer_changes_nothing(made: list[Record], order: str, buffer: int, cut: int) -> None:
    data = pcap(made, order)
    data = data[: max(24, len(data) - cut)]
    whole, small = read(data), read(data, buffer)
    assert small.packets == whole.packets
    assert small.capture == whole.capture
    assert cut > 0 or whole.packets == expected(made, 1_000)


def test_a_batch_has_65_536_packets_at_most() -> None:
    reading = read(pcap_header() + pcap_record(Record(1, 2, b"")) * 150_000)
    assert reading.batches == [65_536, 65_536, 18_928]
    assert [packet.number for packet in reading.packets] == list(range(1, 150_001))
