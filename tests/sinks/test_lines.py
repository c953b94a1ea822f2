"""Texts of neighbouring fields are kept from one batch to the next, within bounds."""

from netwatch.model.limits import STRING_MAX
from netwatch.sinks.lines import CELL_TEXTS, CellTexts, Value


def test_cells_are_written_once_and_fields_of_equal_values_are_told_apart() -> None:
    written: list[str] = []

    def write(fields: tuple[str, ...], row: tuple[Value, ...]) -> str:
        written.append(f"{fields}{row}")
        return written[-1]

    texts = CellTexts(write)
    assert texts[("vlan",), (1,)] == texts[("vlan",), (1,)] == "('vlan',)(1,)"
    assert texts[("blocked",), (True,)] == "('blocked',)(True,)"
    assert written == ["('vlan',)(1,)", "('blocked',)(True,)"]


def test_m3_what_is_kept_is_bounded_in_number_and_length() -> None:
    texts = CellTexts(lambda _, row: f"{row[0]}")
    assert texts[("name",), ("x" * STRING_MAX * 2,)] == "x" * STRING_MAX * 2
    assert not texts
    for number in range(CELL_TEXTS + 5):
        assert texts[("asn",), (number,)] == f"{number}"
        assert len(texts) <= CELL_TEXTS
