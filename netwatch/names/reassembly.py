"""Bytes that arrive in pieces, joined from the first one on (RELIABILITY P7)."""

from collections import Counter

from netwatch.model.errors import ParseError
from netwatch.model.limits import HELD_SEGMENTS, HELLO_MAX

OVERHEAD = 512  # bytes counted for the objects of one stream beside what they hold


class Assembler:
    """Joins pieces of one stream by their position; of bytes that came twice the first ones win.

    data:  what was joined and not dropped: positions start to start + len(data).
    limit: bytes from `start` that may be kept. Pieces ahead of a gap are held, in at most HELD_SEGMENTS runs.
    """

    __slots__ = ("anomalies", "data", "held", "held_bytes", "limit", "start")

    def __init__(self, anomalies: Counter[str], start: int = 0) -> None:
        self.anomalies = anomalies
        self.start = start
        self.data = bytearray()
        self.held: list[tuple[int, bytes]] = []  # sorted runs that neither touch nor overlap
        self.held_bytes = 0
        self.limit = HELLO_MAX

    @property
    def end(self) -> int:
        """Position of the first byte that is missing."""
        return self.start + len(self.data)

    @property
    def size(self) -> int:
        """Bytes in memory, roughly."""
        return OVERHEAD + len(self.data) + self.held_bytes

    def add(self, position: int, piece: bytes) -> bool:
        """Add a piece; return whether data grew.

        Raises ParseError: reassembly_too_far, reassembly_held_full, reassembly_too_long.
        """
        data, end = self.data, self.start + len(self.data)
        if position == end and not self.held:  # the common case
            room = self.limit - len(data)
            if room <= 0:
                raise ParseError("reassembly_too_long")
            data += piece if len(piece) <= room else piece[:room]  # a super-segment (GRO) may be larger than a hello
            return bool(piece)
        if position < end:
            piece = self._behind(position, piece)
            if not piece:
                return False
            position = end
        if position + len(piece) - self.start > self.limit:
            raise ParseError("reassembly_too_far" if position > end else "reassembly_too_long")
        self._hold(position, piece)
        grown = False
        while self.held and self.held[0][0] == self.end:
            _, run = self.held.pop(0)
            self.held_bytes -= len(run)
            data += run
            grown = True
        return grown

    def drop(self, count: int) -> None:
        """Forget the first bytes of data: they were read."""
        del self.data[:count]
        self.start += count

    def _behind(self, position: int, piece: bytes) -> bytes:
        """Cut away what was joined already; count an overlap that says something else."""
        known_from = max(position, self.start)
        offset = known_from - position
        overlap = min(len(piece) - offset, self.end - known_from)
        at = known_from - self.start
        if overlap > 0 and self.data[at : at + overlap] != piece[offset : offset + overlap]:
            self.anomalies["reassembly_overlap"] += 1
        return piece[self.end - position :]

    def _hold(self, position: int, piece: bytes) -> None:
        """Put a piece among the held runs, joined with those that it touches; their bytes win over its own."""
        stop = position + len(piece)
        low = 0
        while low < len(self.held) and self.held[low][0] + len(self.held[low][1]) < position:
            low += 1
        high = low
        while high < len(self.held) and self.held[high][0] <= stop:
            high += 1
        touched = self.held[low:high]
        if touched:
            first = min(position, touched[0][0])
            joined = bytearray(max(stop, touched[-1][0] + len(touched[-1][1])) - first)
            joined[position - first : stop - first] = piece
            for at, run in touched:
                overlap_from, overlap_to = max(at, position), min(at + len(run), stop)
                if piece[overlap_from - position : overlap_to - position] != run[overlap_from - at : overlap_to - at]:
                    self.anomalies["reassembly_overlap"] += 1
                joined[at - first : at - first + len(run)] = run
            position, piece = first, bytes(joined)
        elif len(self.held) >= HELD_SEGMENTS:
            raise ParseError("reassembly_held_full")
        self.held[low:high] = [(position, piece)]
        self.held_bytes = sum(len(run) for _, run in self.held)


class Stream:
    """One direction of a TCP connection: 32-bit sequence numbers (RFC 9293 section 3.4) over an Assembler."""

    __slots__ = ("_sequence", "pieces")

    def __init__(self, anomalies: Counter[str], first: int) -> None:
        self._sequence = first  # of position 0
        self.pieces = Assembler(anomalies)

    def add(self, sequence: int, payload: bytes) -> bool:
        """Add the payload of one segment; return whether data grew. Raises ParseError as Assembler.add."""
        end = self.pieces.end
        ahead = (sequence - self._sequence - end) & 0xFFFF_FFFF
        if ahead >= 0x8000_0000:
            ahead -= 0x1_0000_0000
        return self.pieces.add(end + ahead, payload)

    def before(self, sequence: int) -> int:
        """Return how many bytes before position 0 a segment starts; 0 or less: it does not."""
        ahead = (self._sequence - sequence) & 0xFFFF_FFFF
        return ahead if ahead < 0x8000_0000 else 0

    def takes(self, sequence: int, size: int) -> bool:
        """Whether a segment of `size` bytes lies within the bytes that are kept."""
        ahead = (sequence - self._sequence - self.pieces.start) & 0xFFFF_FFFF
        return ahead + size <= self.pieces.limit

    def restarted(self, sequence: int, *, keep_data: bool) -> "Stream":
        """Return a stream that starts at another segment and holds the runs of this one that lie behind its start.

        keep_data: what was joined is held too; without it, only what waited behind a gap.
        """
        stream = Stream(self.pieces.anomalies, sequence)
        shift = self.before(sequence) or -((sequence - self._sequence) & 0xFFFF_FFFF)
        joined = [(self.pieces.start, bytes(self.pieces.data))] if keep_data and self.pieces.data else []
        for at, run in (*joined, *self.pieces.held):
            if 0 < at + shift <= HELLO_MAX - len(run):
                stream.pieces.add(at + shift, run)
        return stream
