"""Figures for people."""

from typing import Final

UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def size(octets: int, gap: str = " ") -> str:
    """Write bytes as `8.2 kB`, three figures at most. gap: between the number and its unit."""
    if octets < 1000:
        return f"{octets}{gap}B"
    value, unit = float(octets), 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.1f}{gap}{UNITS[unit]}" if value < 99.95 else f"{value:.0f}{gap}{UNITS[unit]}"
