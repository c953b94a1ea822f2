"""The parts of the report: bytes over time, sizes as text, colours that can be read."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.sinks.report.charts import bar, strip
from netwatch.sinks.report.markup import duration, sentence, share, size, wire
from netwatch.sinks.report.style import BADGES, DARK, LIGHT, STYLE
from netwatch.sinks.report.timeline import BINS, OTHER, SERIES, UNIT_NS, Timeline

SECOND = 10**9
FLOW = st.tuples(
    st.integers(0, 10**13),  # start
    st.integers(0, 10**12),  # length
    st.sampled_from(["CN", "US", None]),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
)


def added(flows: list[tuple[int, int, str | None, int, int]], cuts: int = 1) -> Timeline:
    line = Timeline()
    for at in range(cuts):
        some = flows[at::cuts]
        if some:
            start, length, names, out, back = zip(*some, strict=True)
            starts = np.array(start, np.int64)
            rows = np.array([line.series(name) for name in names], np.int64)
            line.add(starts, starts + np.array(length), rows, np.array(out), np.array(back))
    return line


def plainly(flows: list[tuple[int, int, str | None, int, int]], first: int, width: int, count: int) -> dict:
    """Spread each flow over the bins, one bin after the other."""
    sums: dict[str | None, list[list[float]]] = {}
    for start, length, name, out, back in flows:
        for way, octets in enumerate((out, back)):
            row = sums.setdefault(name, [[0.0] * count, [0.0] * count])[way]
            for at in range(count):
                low, high = first + at * width, first + (at + 1) * width
                part = max(0, min(high, start + length) - max(low, start)) / length if length else low <= start < high
                row[at] += octets * part
    return sums


@given(st.lists(FLOW, min_size=1, max_size=12), st.integers(1, 4))
def test_flows_are_spread_over_their_life_whatever_the_batches(flows: list, cuts: int) -> None:
    bins = added(flows, cuts).bins()
    assert bins is not None
    counts = {values.shape[1] for values in bins.rows.values()} or {1}
    assert len(counts) == 1
    count = counts.pop()
    assert count <= BINS
    assert bins.first <= min(flow[0] for flow in flows)
    expected = plainly(flows, bins.first, bins.width, count)
    for name, rows in expected.items():
        got = bins.rows.get(name, np.zeros((2, count)))
        assert np.allclose(got, rows, rtol=1e-3, atol=cuts + 2)
    for name, values in bins.rows.items():
        total = [sum(flow[3 + way] for flow in flows if flow[2] == name) for way in (0, 1)]
        assert np.allclose(values.sum(axis=1), total, atol=count)


def test_bins_double_as_the_span_grows_in_either_direction() -> None:
    line = added([(1000 * SECOND, 0, None, 7, 0)])
    first = line.bins()
    assert first is not None
    assert first.width == UNIT_NS
    for at in (0, 5_000 * SECOND, 90_000 * SECOND):
        line.add(*(np.array([value], np.int64) for value in (at, at, 0, 7, 1)))
    bins = line.bins()
    assert bins is not None
    assert bins.width % UNIT_NS == 0
    assert (bins.width // UNIT_NS).bit_count() == 1
    assert 90_000 * SECOND / bins.width < BINS
    assert bins.rows[None].sum(axis=1).tolist() == [28, 3]
    assert bins.rows[None][0, 0] >= 7


def test_m3_series_beyond_the_cap_are_one() -> None:
    flows = [(0, 0, f"{at:03}", 1, 1) for at in range(SERIES + 9)]
    bins = added(flows).bins()
    assert bins is not None
    assert len(bins.rows) == SERIES
    assert bins.rows[OTHER].sum() == 2 * 10


def test_nothing_added_is_nothing_shown() -> None:
    assert Timeline().bins() is None


@pytest.mark.parametrize(
    ("octets", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (99_949, "99.9 kB"), (99_950, "100 kB"), (999_499, "999 kB"),
     (999_500, "1.0 MB"), (8_200_000_000, "8.2 GB"), (2**63, "9.2 EB")],
)  # fmt: skip
def test_sizes(octets: int, text: str) -> None:
    assert size(octets).replace("\u00a0", " ") == text


def test_shares_and_durations() -> None:
    assert [share(*pair).replace("\u00a0", " ") for pair in ((0, 0), (0, 5), (1, 5000), (5, 5))] == [
        "-",
        "0.0 %",
        "< 0.1 %",
        "100.0 %",
    ]
    told = [duration(seconds) for seconds in (0, 0.01, 14.47, 61, 3600, 7500, 90_000)]
    assert told == ["0.0 s", "< 0.1 s", "14.5 s", "1 min", "1 h", "2 h 5 min", "1 d 1 h"]


def test_a_sentence_keeps_its_length_within_bounds() -> None:
    assert sentence("to <b> \u202ex.") == "<bdi>to &lt;b&gt; \\u202ex.</bdi>"
    assert len(sentence(" ".join(["W" * 5_000] * 200))) < 81 * 254 + 20
    assert wire("a\nb") == "<bdi>a\\x0ab</bdi>"


def test_bars_stay_in_their_frame() -> None:
    assert 'width="0.0" height="10" class' not in bar(0, 0)
    for part, whole in ((5, 0), (50, 10), (-1, 4), (1, 10**9), (3, 4)):
        widths = [float(width) for width in re.findall(r'width="([\d.-]+)"', bar(part, whole))]
        assert all(0 <= width <= 100 for width in widths)
    assert "M1 40v-40.0h.9v40.0z" in strip([0, 4.0, 1.0], "sent", "told")
    assert 'd="M0 0"' in strip([], "sent", "told")


def luminance(colour: str) -> float:
    """Return the relative luminance (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_has_contrast_and_so_have_the_bars(colours: dict[str, str]) -> None:
    for ground in ("ground", "panel"):
        for text in ("text", "soft", "link"):
            assert contrast(colours[text], colours[ground]) >= 4.5
        assert contrast(colours["edge"], colours[ground]) >= 3
    for fill in ("sent", "received"):
        assert contrast(colours[fill], colours["ground"]) >= 3
    assert contrast(colours["sent"], colours["track"]) >= 3


@pytest.mark.parametrize("word", BADGES)
def test_badges_can_be_read(word: str) -> None:
    ground, text = BADGES[word]
    assert contrast(ground, text) >= 4.5


def test_only_a_screen_is_ever_dark() -> None:
    assert STYLE.count("prefers-color-scheme") == 1
    assert "@media screen and (prefers-color-scheme:dark)" in STYLE
    assert STYLE.count("{") == STYLE.count("}")
