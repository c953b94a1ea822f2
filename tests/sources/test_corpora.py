"""Real captures and hostile ones: the number of packets that others find, and no surprise."""

from typing import Any

import numpy as np
import pytest
from support.captures import packets_of
from support.corpora import CORPORA, adversarial, capture, needs_corpora, truth

from netwatch.model.errors import SourceError
from netwatch.sources import merge, open_capture

pytestmark = needs_corpora

CONTAINERS = [row for row in adversarial() if row["file"].startswith(("pcap", "gzip"))]
REFUSED = {"gzip_twice.pcap.gz", "pcap_23_bytes.pcap", "pcap_bad_magic.pcap", "pcap_empty_file.pcap"}
WHOLE = {  # everything in them can be read; of the other files with damage, a part
    "gzip_trailing.pcap.gz",
    "pcapng_custom_short.pcapng",
}


def name_of(row: dict[str, Any]) -> str:
    return str(row.get("name") or row["file"])


def test_p11_every_real_capture_gives_the_packets_of_the_truth() -> None:
    wrong = []
    for row in truth():
        with open_capture(str(capture(row["name"], row["sha256"]))) as source:
            links: set[int] = set()
            count = 0
            for batch in source:
                count += len(batch.offset)
                links.add(batch.link_type)
                assert (batch.caplen.astype(np.int64) <= batch.wirelen).all()
                assert batch.number[-1] == count
        found = (count, source.capture.complete, source.capture.format)
        if found != (row["packets"], not row["truncated"], row.get("inner_format") or row["format"]):
            wrong.append((row["name"], found))
        if not links <= set(row["linktypes"]):
            wrong.append((row["name"], links))
    assert wrong == []
    assert len(truth()) == 386


@pytest.mark.parametrize("row", CONTAINERS, ids=name_of)
def test_f1_hostile_containers(row: dict[str, Any]) -> None:
    path = str(CORPORA / "adversarial" / row["file"])
    if row["file"] in REFUSED:
        with pytest.raises(SourceError) as error:
            open_capture(path)
        assert str(error.value).isprintable()
        return
    with open_capture(path) as source:
        times = [time for batch in source for time in (int(batch.time.min()), int(batch.time.max()))]
        info = source.capture
    if row["packets"] is not None:
        assert info.packets == row["packets"]
    assert info.complete is (info.problem is None)
    if info.problem is not None:
        assert info.problem.isprintable()
        assert info.problem.startswith(f"{row['file']}: ")
    assert (info.first, info.last) == ((min(times), max(times)) if times else (None, None))
    said = ("a note that", "one message", "stop, no endless", "ends at a limit")
    if any(word in row["must"] for word in said):
        assert not info.complete
    if row["file"] in WHOLE or row["must"].startswith(("an empty result", "three records", "ten flows")):
        assert info.complete


def test_hostile_containers_say_what_they_must() -> None:
    assert len(CONTAINERS) == 47
    folder = CORPORA / "adversarial"
    with open_capture(str(folder / "pcap_be_ns.pcap")) as source:
        times = [packet.time % 10**9 for batch in packets_of(source) for packet in batch]
    assert times == [999_999_999] * 3
    with open_capture(str(folder / "pcapng_spb.pcapng")) as source:
        assert [len(packet.frame) for batch in packets_of(source) for packet in batch] == [50]
    with open_capture(str(folder / "gzip_cut.pcap.gz")) as source:
        assert sum(len(batch.offset) for batch in source) == 47
    with open_capture(str(folder / "pcapng_mixed_endian.pcapng")) as source:
        assert [batch.link_type for batch in source] == [1, 101]


def test_real_captures_are_merged_without_loss() -> None:
    rows = [row for row in truth() if not row["truncated"]][:40]
    sources = [open_capture(str(capture(row["name"], row["sha256"]))) for row in rows]
    latest, count = -(2**63), 0
    for batch in merge(sources):
        count += len(batch.offset)
        latest = max(latest, int(batch.time.max()))
    for source in sources:
        source.close()
    assert count == sum(row["packets"] for row in rows)
