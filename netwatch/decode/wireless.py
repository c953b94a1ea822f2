"""802.11 frames and what monitoring puts before them (IEEE 802.11-2020 section 9.2, little-endian)."""

from typing import Final

import numpy as np

from netwatch.decode.bytesview import Rows
from netwatch.decode.columns import Columns, Step, split
from netwatch.decode.layers import LLC, WLAN, WLAN_PADDED
from netwatch.model.arrays import I64, U64, Bool

_DATA: Final = 2
_TO_DS, _FROM_DS, _MORE_FRAGMENTS, _PROTECTED, _ORDER = 0x01, 0x02, 0x04, 0x40, 0x80
_RADIOTAP_WORDS: Final = 32  # words of presence bits that are walked
_HAS_FCS, _HAS_PADDING = 0x10, 0x20


def wlan(c: Columns, rows: Rows) -> Step:
    """Decode the 802.11 header of each row: data frames that are not protected hold LLC."""
    return _wlan(c, rows, swapped=False, padded=False)


def wlan_swapped(c: Columns, rows: Rows) -> Step:
    """Decode as wlan does, with the two bytes of the frame control in the other order."""
    return _wlan(c, rows, swapped=True, padded=False)


def wlan_padded(c: Columns, rows: Rows) -> Step:
    """Decode as wlan does, with the header padded to a multiple of four bytes."""
    return _wlan(c, rows, swapped=False, padded=True)


def _wlan(c: Columns, rows: Rows, *, swapped: bool, padded: bool) -> Step:
    """Decode 802.11 headers. Malformed: wlan_truncated. Of an aggregate (A-MSDU) the first subframe is read."""
    rows = c.whole(rows, 2, "wlan_truncated")
    kind, flags = (c.u8(rows, 1), c.u8(rows)) if swapped else (c.u8(rows), c.u8(rows, 1))
    holds = (kind & 0x03 == 0) & (kind >> 2 & 0x03 == _DATA) & (kind & 0x40 == 0)
    holds &= flags & (_PROTECTED | _MORE_FRAGMENTS) == 0
    rows, kind, flags = rows[holds], kind[holds], flags[holds]
    quality, four = kind & 0x80 != 0, flags & 3 == _TO_DS | _FROM_DS
    tail = 24 + np.where(four, 6, 0)
    size = tail + np.where(quality, 2, 0) + np.where(quality & (flags & _ORDER != 0), 4, 0)
    if padded:
        size = size + 3 & ~3
    there = c.there(rows, size, "wlan_truncated")
    rows, flags, quality, tail, size = rows[there], flags[there], quality[there], tail[there], size[there]
    _addresses(c, rows, flags)
    aggregate = quality.copy()
    aggregate[quality] = c.u8(rows[quality], tail[quality]) & 0x80 != 0
    first = c.u8(rows, 23 if swapped else 22) & 0x0F == 0  # a later fragment of a frame has no LLC header
    c.skip(rows, size + np.where(aggregate, 14, 0))
    return [(LLC, rows[first])]


def _addresses(c: Columns, rows: Rows, flags: I64) -> None:
    """Note sender and receiver, which stand where the two DS bits say (table 9-60)."""

    def mac(skip: I64) -> U64:
        return c.view.mac(c.at[rows] + skip)

    to_ds, from_ds = flags & _TO_DS != 0, flags & _FROM_DS != 0
    src = np.where(from_ds, np.where(to_ds, 24, 16), 10)
    c.link_addresses(rows, mac(src), mac(np.where(to_ds, 16, 4)))


def radiotap(c: Columns, rows: Rows) -> Step:
    """Step over the radiotap header of each row (radiotap.org). Malformed: radiotap_length.

    Its flags tell of a checksum behind the frame and of padding behind the 802.11 header.
    """
    rows = c.whole(rows, 8, "radiotap_length")
    size = c.view.u16_little(c.at[rows] + 2)
    valid = (size >= 8) & (c.u8(rows) == 0)
    rows = c.require(rows, valid, "radiotap_length")
    rows = c.whole(rows, size[valid], "radiotap_length")
    size = c.view.u16_little(c.at[rows] + 2)
    present = c.view.u32_little(c.at[rows] + 4)
    field = np.full(len(rows), 8, np.int64)
    more = present >> 31 == 1
    for _ in range(_RADIOTAP_WORDS):
        if not more.any():
            break
        more &= field + 4 <= size
        word = c.view.u32_little(c.at[rows[more]] + field[more])
        field[more] += 4
        more[more] = word >> 31 == 1
    field = np.where(present & 1, (field + 7 & ~7) + 8, field)  # TSFT is aligned to its eight bytes
    there = (present & 2 != 0) & (field < size) & ~more
    flags = np.zeros(len(rows), np.int64)
    flags[there] = c.u8(rows[there], field[there])
    checked = rows[flags & _HAS_FCS != 0]
    c.narrow(checked, np.maximum(c.wire[checked] - c.at[checked] - 4, 0))
    c.skip(rows, size)
    return split(rows, np.where(flags & _HAS_PADDING, WLAN_PADDED, WLAN).astype(np.uint8))


def prism(c: Columns, rows: Rows) -> Step:
    """Step over the Prism header of each row, whose length stands in the sender's byte order; or that of AVS."""
    rows = c.whole(rows, 8, "prism_length")
    newer = c.u32(rows) & 0xFFFFF000 == 0x80211000
    return avs(c, rows[newer]) + _before_wlan(c, rows[~newer], 144)


def avs(c: Columns, rows: Rows) -> Step:
    """Step over the AVS header of each row, which tells its length. Malformed: prism_length."""
    rows = c.whole(rows, 8, "prism_length")
    return _before_wlan(c, rows, c.u32(rows, 4))


def _before_wlan(c: Columns, rows: Rows, size: I64 | int) -> Step:
    size = np.broadcast_to(np.asarray(size, np.int64), rows.shape)
    valid: Bool = size >= 8
    rows = c.require(rows, valid, "prism_length")
    size = size[valid]
    there = c.there(rows, size, "prism_length")
    c.skip(rows[there], size[there])
    return [(WLAN, rows[there])]
