"""How much is given up while packets come faster than they are read (RELIABILITY M6): always in the same order."""

from typing import Final

from netwatch.sources.live import LiveCounts

LEVELS: Final = ("everything is read", "names of hellos and DNS alone are read", "one flow in eight is read for names",
                 "packets are only counted")  # fmt: skip
UP_S: Final = 1.0  # a level is given up at most once in so long
DOWN_S: Final = 10.0  # and taken back when nothing was lost for so long


class Load:
    """Watches the kernel's drops. level: index into LEVELS."""

    def __init__(self) -> None:
        self.level = 0
        self._dropped = 0
        self._changed_at = self._lost_at = float("-inf")

    def level_for(self, counts: LiveCounts, now: float) -> str | None:
        """Return a line for the user where the level changes."""
        dropped = counts.dropped or 0
        lost, self._dropped = dropped - self._dropped, dropped
        if lost > 0:
            self._lost_at = now
            if self.level + 1 < len(LEVELS) and now - self._changed_at >= UP_S:
                return self._set(self.level + 1, now, f"{lost} packets were lost")
        elif self.level and now - max(self._lost_at, self._changed_at) >= DOWN_S:
            return self._set(self.level - 1, now, f"nothing was lost for {DOWN_S:.0f} s")
        return None

    def _set(self, level: int, now: float, why: str) -> str:
        self.level = level
        self._changed_at = now
        return f"{why}: {LEVELS[level]}"
