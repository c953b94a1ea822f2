"""An exact hash index from flow keys to rows: open addressing in arrays, probed for a whole batch at once."""

from collections.abc import Callable
from typing import Final

import numpy as np

from netwatch.flows.key import V6_BIT
from netwatch.flows.record import FLOW, FRESH, Rows, scatter
from netwatch.model.arrays import I32, I64, U64, Bool

EMPTY: Final = -1
GONE: Final = -2  # a removed key: probing goes on behind it
CLAIM: Final = -3  # and below: position of a packet of this batch that wants the slot
FIRST_SLOTS: Final = 1 << 17
FIRST_ROWS: Final = 1 << 12


class FlowIndex:
    """Rows of live flows (dtype FLOW) and the slots that lead to them.

    Equal hashes cost a further probe, never a wrong row: the whole key is compared. The multipliers are drawn at random
    by the caller, so that nobody can choose keys that collide (RELIABILITY M4).
    """

    def __init__(self, multipliers: tuple[int, int, int, int, int, int]) -> None:
        self._multipliers = [np.uint64(m | 1) for m in multipliers]
        self.clear()

    def clear(self) -> None:
        """Forget everything, and let go of the memory."""
        self.rows: Rows = np.zeros(FIRST_ROWS, FLOW)
        self._slots: I32 = np.full(FIRST_SLOTS, EMPTY, np.int32)
        self._slot_of: I32 = np.zeros(FIRST_ROWS, np.int32)
        self._next = 0  # rows from here on were never used
        self._free: I32 = np.zeros(0, np.int32)
        self._gone = 0
        self.live = 0

    def find_or_add(self, word0: U64, word1: U64, wide: U64 | None) -> I64:
        """Return the row of each key, int64[N]; a new key gets a row whose token is FRESH."""
        n = len(word0)
        self._reserve(n)
        slot = self._home(self.mixed(word0, word1, wide))
        found = np.full(n, -1, np.int64)
        pending = np.arange(n)
        while len(pending):
            at = slot[pending]
            held = self._slots[at]
            same = self._same(held, pending, word0, word1, wide)
            found[pending[same]] = held[same]
            empty = held == EMPTY
            stay = np.zeros(len(pending), bool)
            if empty.any():
                stay[empty] = ~self._claim(pending[empty], at[empty], found, word0, word1, wide)
            move = ~(same | empty)
            slot[pending[move]] = (at[move] + 1) & (len(self._slots) - 1)
            pending = pending[move | stay]
        return found

    def remove(self, rows: I64) -> None:
        """Forget the keys of rows; the rows may be handed out again."""
        self._slots[self._slot_of[rows]] = GONE
        self.rows["token"][rows] = FRESH
        self._free = np.concatenate((self._free, rows.astype(np.int32)))
        self._gone += len(rows)
        self.live -= len(rows)

    def live_rows(self) -> I64:
        """Return the rows in use, ascending."""
        return np.flatnonzero(self.rows["token"][: self._next] != FRESH)

    def mixed(self, word0: U64, word1: U64, wide: U64 | None) -> U64:
        """Return a hash of each key, uint64[N]; the upper bits are the better ones."""
        m = self._multipliers
        mixed = word1 * m[1]
        mixed += word0 >> np.uint64(32)
        mixed ^= word0 * m[0]
        if wide is not None:
            mixed ^= wide[:, 0] * m[2] ^ wide[:, 1] * m[3] ^ (wide[:, 2] * m[4] >> np.uint64(7))
        mixed ^= mixed >> np.uint64(29)
        mixed *= m[5]
        return mixed

    def _home(self, mixed: U64) -> I64:
        return (mixed >> np.uint64(65 - len(self._slots).bit_length())).astype(np.int64)

    def _same(self, held: I32, pending: I64, word0: U64, word1: U64, wide: U64 | None) -> Bool:
        row = np.where(held >= 0, held, 0)
        same: Bool = (
            (self.rows["word0"][row] == word0[pending]) & (self.rows["word1"][row] == word1[pending]) & (held >= 0)
        )
        if wide is not None:
            v6 = np.flatnonzero(same & (word1[pending] & np.uint64(V6_BIT) != 0))
            same[v6] = (self.rows["wide"][row[v6]] == wide[pending[v6]]).all(axis=1)
        return same

    def _claim(self, want: I64, at: I64, found: I64, word0: U64, word1: U64, wide: U64 | None) -> Bool:
        """Let the first packet that wants an empty slot have it; return who won."""
        claim = (CLAIM - np.arange(len(want))).astype(np.int32)
        self._slots[at[::-1]] = claim[::-1]  # the last write stays: that of the earliest packet
        won: Bool = self._slots[at] == claim
        winner, place = want[won], at[won]
        row = self._take(len(winner))
        self._slots[place] = row
        self._slot_of[row] = place
        self.rows["word0"][row] = word0[winner]
        self.rows["word1"][row] = word1[winner]
        self.rows["wide"][row] = 0 if wide is None else wide[winner]
        found[winner] = row
        return won

    def _take(self, n: int) -> I32:
        again = min(n, len(self._free))
        row = np.arange(self._next, self._next + n - again, dtype=np.int32)
        if again:
            row = np.concatenate((self._free[len(self._free) - again :], row))
            self._free = self._free[: len(self._free) - again]
        self._next += n - again
        self.live += n
        self.rows["token"][row] = FRESH
        return row

    def _reserve(self, n: int) -> None:
        """Make room for n new keys at a load of at most one half."""
        need = self._next + max(0, n - len(self._free))
        if need > len(self.rows):
            size = max(need, 2 * len(self.rows))
            rows, slot_of = np.zeros(size, FLOW), np.zeros(size, np.int32)  # what is not written takes no memory
            scatter(rows, slice(len(self.rows)), self.rows)
            slot_of[: len(self._slot_of)] = self._slot_of
            self.rows, self._slot_of = rows, slot_of
        if 2 * (self.live + self._gone + n) > len(self._slots):
            self._rebuild(n)

    def _rebuild(self, n: int) -> None:
        size = len(self._slots)
        while 3 * (self.live + n) > size:
            size *= 2
        rows = self.live_rows()
        self._slots = np.full(size, EMPTY, np.int32)
        self._gone = 0
        slot = self._home(self.mixed(self.rows["word0"][rows], self.rows["word1"][rows], self.rows["wide"][rows]))
        while len(rows):
            free = self._slots[slot] == EMPTY
            self._slots[slot[free]] = rows[free]
            settled = self._slots[slot] == rows
            self._slot_of[rows[settled]] = slot[settled]
            rows, slot = rows[~settled], (slot[~settled] + 1) & (size - 1)


def random_multipliers(draw: Callable[[int], int]) -> tuple[int, int, int, int, int, int]:
    """Draw the six multipliers of a FlowIndex; draw(bits) gives a random number of so many bits."""
    return draw(64), draw(64), draw(64), draw(64), draw(64), draw(64)
