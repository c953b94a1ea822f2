"""F4: compressed captures are unpacked as they are read, within limits, and give every packet before the damage."""

import builtins
import gzip
import io
import sys
import zlib
from types import ModuleType

import pytest
import zstandard
from support.captures import Record, enhanced, interface, opened, pcap, pcap_header, pcap_record, read, section

from netwatch.model.errors import SourceError
from netwatch.model.limits import UNPACK_RATIO
from netwatch.sources import open_capture

RECORDS = [Record(1_700_000_000 + n, n, b"%d" % (n * 7_919)) for n in range(2_000)]
PLAIN = pcap(RECORDS)
FRAMES = [record.frame for record in RECORDS]


def zstd(data: bytes, *, checksum: bool = True) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=checksum).compress(data)


PACKERS = pytest.mark.parametrize("pack", [gzip.compress, zstd])


@PACKERS
def test_f4_a_compressed_capture_is_read(pack: type[bytes]) -> None:
    reading = read(pack(PLAIN))
    assert reading.frames == FRAMES
    assert reading.capture.complete
    assert reading.capture.format == "pcap"
    assert read(pack(section() + interface() + enhanced(b"x"))).capture.format == "pcapng"


@PACKERS
def test_f4_the_place_is_counted_in_packed_bytes(pack: type[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("packed") / "any.name"
    packed = pack(PLAIN)
    path.write_bytes(packed)
    with open_capture(str(path)) as source:
        assert source.size == len(packed)
        assert sum(len(batch.offset) for batch in source) == 2_000
        assert source.position == len(packed)
        assert source.capture.name == "any.name"


@PACKERS
def test_f4_members_and_frames_one_behind_the_other(pack: type[bytes]) -> None:
    packed = b"".join(pack(PLAIN[at : at + 9_000]) for at in range(0, len(PLAIN), 9_000))
    assert read(packed + pack(b"")).frames == FRAMES


def test_f4_bytes_behind_a_gzip_stream_are_ignored() -> None:
    for behind in (b"trailing", b"\0" * 100_000, b"\0" * 1_000 + b"x", b"\x1f"):
        reading = read(gzip.compress(PLAIN) + behind)
        assert reading.frames == FRAMES
        assert reading.capture.complete
    padded = gzip.compress(PLAIN[:5_000]) + b"\0" * 70_000 + gzip.compress(PLAIN[5_000:])
    assert read(padded).frames == FRAMES


def test_f4_a_skippable_frame_before_a_zstd_frame() -> None:
    assert read(b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + zstd(PLAIN)).frames == FRAMES


@PACKERS
def test_f2_a_cut_stream_gives_what_stands_before_the_cut(pack: type[bytes]) -> None:
    packed = b"".join(pack(PLAIN[at : at + 9_000]) for at in range(0, len(PLAIN), 9_000))
    counts = []
    for size in range(60, len(packed), 97):
        try:
            reading = read(packed[:size])
        except SourceError:
            counts.append(0)
            continue
        assert reading.frames == FRAMES[: len(reading.frames)]
        assert not reading.capture.complete
        assert f"stream is cut: the file ends at byte {size}" in str(reading.capture.problem)
        counts.append(len(reading.frames))
    assert counts == sorted(counts)
    assert counts[-1] > 0


def test_f2_a_damaged_byte_costs_nothing_before_it() -> None:
    whole = zlib.compressobj(0, wbits=31)  # stored, so that the place of the damage is known
    packed = bytearray(whole.compress(PLAIN) + whole.flush())
    at = packed.find(RECORDS[1_500].frame)
    packed[at] ^= 1
    reading = read(bytes(packed))
    assert len(reading.frames) == 2_000  # only the check sum at the end tells
    assert "gzip stream is damaged" in str(reading.capture.problem)
    damaged = bytearray(gzip.compress(PLAIN))
    damaged[len(damaged) // 2 :] = b"\xff" * len(damaged[len(damaged) // 2 :])
    reading = read(bytes(damaged))
    assert reading.frames[:950] == FRAMES[:950]  # some wrong bytes still unpack, to something
    assert not reading.capture.complete


def test_f2_a_damaged_zstd_frame_costs_none_before_it() -> None:
    packed = bytearray(zstd(PLAIN[:20_000]) + zstd(PLAIN[20_000:]))
    packed[-1] ^= 1  # the check sum
    reading = read(bytes(packed))
    assert reading.frames == read(PLAIN[:20_000]).frames
    assert "zstd stream is damaged" in str(reading.capture.problem)


def test_f4_twice_compressed_is_refused() -> None:
    for outer in (gzip.compress, zstd):
        for inner in (gzip.compress, zstd):
            with pytest.raises(SourceError, match="compressed twice; unpack it once"):
                opened(outer(inner(PLAIN)))


@PACKERS
def test_f4_what_was_compressed_must_be_a_capture(pack: type[bytes]) -> None:
    with pytest.raises(SourceError, match=r"not a capture .first bytes 68 65 6c 6c"):
        opened(pack(b"hello, world"))
    with pytest.raises(SourceError, match=r"not a capture|empty"):
        opened(pack(b""))


def test_f4_a_damaged_start_is_one_error() -> None:
    with pytest.raises(SourceError, match="-: the gzip stream is damaged"):
        opened(b"\x1f\x8b\xff\xff" + bytes(40))
    with pytest.raises(SourceError, match="-: the gzip stream is cut"):
        opened(b"\x1f\x8b\x08\0")
    with pytest.raises(SourceError, match="-: the zstd stream is damaged"):
        opened(b"\x28\xb5\x2f\xfd" + b"\xff" * 40)


@pytest.mark.parametrize("size", [24, 25, 1_000, len(PLAIN) - 1, len(PLAIN)])
@PACKERS
def test_f4_max_bytes_counts_unpacked_bytes(pack: type[bytes], size: int) -> None:
    reading = read(pack(PLAIN), max_bytes=size)
    whole = read(PLAIN[:size])
    assert reading.frames == whole.frames
    assert reading.capture.complete is (size == len(PLAIN))
    if size < len(PLAIN):
        assert f"unpacks to more than {size} bytes (--max-bytes)" in str(reading.capture.problem)


def test_f4_max_bytes_is_no_limit_for_a_plain_capture() -> None:
    assert read(PLAIN, max_bytes=10).frames == FRAMES


@PACKERS
def test_f4_a_bomb_ends_at_the_ratio(pack: type[bytes]) -> None:
    bomb = pack(pcap_header() + bytes(40 * 1024 * 1024))
    assert UNPACK_RATIO * len(bomb) < 42 * 1024 * 1024
    source = opened(bomb)
    count = sum(len(batch.offset) for batch in source)
    assert 0 < count * 16 < 42 * 1024 * 1024
    assert "unpacks to more than 1000 times its size" in str(source.capture.problem)


def test_f4_records_that_repeat_are_no_bomb() -> None:
    plain = pcap_header() + pcap_record(Record(1, 1, b"abc")) * 100_000
    assert len(read(gzip.compress(plain)).frames) == 100_000


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="the standard library has zstd")
def test_zstd_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object) -> ModuleType:
        if name == "zstandard":
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SourceError, match=r"pip install 'netwatch-telemetry\[zstd\]'"):
        opened(zstd(PLAIN))


def test_names_do_not_decide() -> None:
    source = open_capture("-", stdin=io.BytesIO(gzip.compress(PLAIN)))
    assert source.capture.format == "pcap"
