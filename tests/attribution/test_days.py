"""Days as the dates of the catalogue are written."""

from netwatch.attribution.days import DAY_NS, day_of


def test_a_time_has_its_utc_day_and_absurd_times_end_at_the_calendars_ends() -> None:
    assert [day_of(time) for time in (0, DAY_NS - 1, DAY_NS, -1)] == [
        "1970-01-01",
        "1970-01-01",
        "1970-01-02",
        "1969-12-31",
    ]
    assert day_of(1_764_013_862_000_000_000) == "2025-11-24"
    assert (day_of(1 << 90), day_of(-(1 << 90))) == ("9999-12-31", "0001-01-01")
