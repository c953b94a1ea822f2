"""The one reader of wire bytes: every bounds check and the step budget are here."""

from collections.abc import Container
from struct import Struct, unpack_from

from netwatch.model.errors import ParseError
from netwatch.model.limits import STEPS

_VARINT = (0x3F, 0x3FFF, 0x3FFF_FFFF, 0x3FFF_FFFF_FFFF_FFFF)  # what the two bits of the size leave
_TYPE_LENGTH = Struct(">HH").unpack_from


class Budget:
    """What the blocks of one message share: steps left, and the rules that were broken without ending the parse."""

    __slots__ = ("broken", "steps")

    def __init__(self, steps: int = STEPS) -> None:
        self.steps = steps
        self.broken: list[str] = []


class Cursor:
    """Reads big-endian fields from data[at:end]; raises ParseError `truncated` beyond the end.

    A block is a cursor over a part of the same bytes, with the same budget; nothing is copied until `take` or `rest`.
    """

    __slots__ = ("at", "budget", "data", "end")

    def __init__(self, data: bytes, at: int, end: int, budget: Budget) -> None:
        self.data = data
        self.at = at
        self.end = end
        self.budget = budget

    @classmethod
    def over(cls, data: bytes, at: int = 0, budget: Budget | None = None) -> "Cursor":
        """Return a cursor over data[at:] with a budget of its own unless one is given."""
        return cls(data, at, len(data), Budget() if budget is None else budget)

    @property
    def left(self) -> int:
        """Bytes that were not read yet."""
        return self.end - self.at

    def step(self, count: int = 1) -> None:
        """Spend steps. Raises ParseError: step_budget_spent."""
        self.budget.steps -= count
        if self.budget.steps < 0:
            raise ParseError("step_budget_spent", self.at)

    def note(self, anomaly: str) -> None:
        """Record a broken rule that does not end the parse."""
        self.budget.broken.append(anomaly)

    def uint(self, width: int) -> int:
        """Read an unsigned number of `width` bytes."""
        at = self.at
        stop = at + width
        if stop > self.end:
            raise ParseError("truncated", at)
        self.at = stop
        if width == 1:
            return self.data[at]
        return int.from_bytes(self.data[at:stop], "big")

    def varint(self) -> int:
        """Read a variable-length integer (RFC 9000 section 16)."""
        at = self.at
        if at >= self.end:
            raise ParseError("truncated", at)
        first = self.data[at]
        if first < 0x40:
            self.at = at + 1
            return first
        bits = first >> 6
        return self.uint(1 << bits) & _VARINT[bits]

    def peek(self) -> int:
        """Return the next byte without reading it."""
        if self.at >= self.end:
            raise ParseError("truncated", self.at)
        return self.data[self.at]

    def string_at(self, at: int, limit: int) -> bytes:
        """Return the bytes at an offset through the next zero, b"" where none is among `limit`; nothing is read."""
        stop = self.data.find(0, at, at + limit) + 1
        return self.data[at:stop] if stop <= self.end else b""

    def skip(self, count: int) -> None:
        """Pass over bytes."""
        if count > self.end - self.at:
            raise ParseError("truncated", self.at)
        self.at += count

    def take(self, count: int) -> bytes:
        """Read bytes; a copy."""
        at = self.at
        stop = at + count
        if stop > self.end:
            raise ParseError("truncated", at)
        self.at = stop
        return self.data[at:stop]

    def rest(self) -> bytes:
        """Read all that is left; a copy."""
        at, self.at = self.at, self.end
        return self.data[at : self.end]

    def sub(self, count: int) -> "Cursor":
        """Read `count` bytes as a block."""
        at = self.at
        if count > self.end - at:
            raise ParseError("truncated", at)
        self.at = at + count
        return Cursor(self.data, at, self.at, self.budget)

    def block(self, width: int) -> "Cursor":
        """Read a length of `width` bytes, then so many bytes as a block."""
        return self.sub(self.uint(width))

    def bytes_block(self, width: int) -> bytes:
        """Read a length of `width` bytes, then so many bytes; a copy."""
        data, start = self.data, self.at + width
        if start > self.end:
            raise ParseError("truncated", self.at)
        stop = start + (data[start - 1] if width == 1 else int.from_bytes(data[self.at : start], "big"))
        if stop > self.end:
            raise ParseError("truncated", start)
        self.at = stop
        return data[start:stop]

    def numbers(self, width: int) -> tuple[int, ...]:
        """Read a block as 16-bit numbers; an odd last byte is left out."""
        raw = self.bytes_block(width)
        return unpack_from(f">{len(raw) // 2}H", raw)

    def strings(self) -> list[bytes]:
        """Read all that is left as strings behind 8-bit lengths; each is a step."""
        data, at, end = self.data, self.at, self.end
        out: list[bytes] = []
        while at < end:
            stop = at + 1 + data[at]
            if stop > end:
                raise ParseError("truncated", at)
            out.append(data[at + 1 : stop])
            at = stop
            self.budget.steps -= 1
            if self.budget.steps < 0:
                raise ParseError("step_budget_spent", at)
        self.at = at
        return out

    def unpack(self, layout: Struct) -> tuple[int, ...]:
        """Read the numbers of a layout."""
        at = self.at
        stop = at + layout.size
        if stop > self.end:
            raise ParseError("truncated", at)
        self.at = stop
        return layout.unpack_from(self.data, at)

    def typed(self, limit: int, anomaly: str) -> list[tuple[int, int, int]]:
        """Read all that is left as 16-bit types, each with a block of 16-bit length: (type, start, end) of each.

        `within` makes a cursor of one. Raises ParseError: truncated, or `anomaly` for more than `limit` of them.
        """
        data, at, end = self.data, self.at, self.end
        out: list[tuple[int, int, int]] = []
        last = end - 4
        for _ in range(limit + 1):
            if at > last:
                break
            kind, length = _TYPE_LENGTH(data, at)
            start = at + 4
            at = start + length
            out.append((kind, start, at))
        if at > end or last < at < end:
            raise ParseError("truncated", self.at)
        if len(out) > limit:
            raise ParseError(anomaly, at)
        self.at = at
        self.step(len(out))
        return out

    def sorted_out(
        self, limit: int, anomaly: str, wanted: Container[int]
    ) -> tuple[list[int], list[tuple[int, int, int]]]:
        """Read as `typed`; return the types that are not wanted, and (type, start, end) of those that are."""
        data, at, end = self.data, self.at, self.end
        others: list[int] = []
        found: list[tuple[int, int, int]] = []
        last = end - 4
        for _ in range(limit + 1):
            if at > last:
                break
            kind, length = _TYPE_LENGTH(data, at)
            at += 4 + length
            if kind in wanted:
                found.append((kind, at - length, at))
            else:
                others.append(kind)
        if at > end or last < at < end:
            raise ParseError("truncated", self.at)
        count = len(others) + len(found)
        if count > limit:
            raise ParseError(anomaly, at)
        self.at = at
        self.step(count)
        return others, found

    def part(self, start: int, end: int) -> bytes:
        """Return the bytes of a part whose bounds this cursor gave out."""
        return self.data[start:end]

    def within(self, start: int, end: int) -> "Cursor":
        """Return a cursor over a part whose bounds this cursor gave out."""
        return Cursor(self.data, start, end, self.budget)
