"""The walk along a chain of records, from many places at once: exact, and twice as fast where records are small.

A walker starts at each place that looks like a record. All advance together, each to where the next one started. If
every walker lands exactly there, the chain from the first record, which is known to be one, proves them all; where one
does not, its guess is dropped and that stretch is walked record by record. So guesses cost time, never truth.
"""

from collections.abc import Callable
from itertools import pairwise
from math import isqrt
from mmap import mmap
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from netwatch.model.arrays import I64, U8, U32
from netwatch.model.limits import BATCH_PACKETS
from netwatch.sources.walk import Chain, walk

RECORDS_MIN: Final = 4_096  # fewer are walked one by one: a step of all walkers costs microseconds
RECORD_MIN: Final = 12  # bytes of a record without contents, in the chain that has the shortest
STEPS: Final = 8  # between two looks at which walkers have arrived
FEW: Final = 8  # this many walkers on their way are slower together than one by one
REST: Final = 32  # batches without guesses after one where few were found, or many were wrong
LEAST: Final = 0.75  # share of the walkers that must be of use
TRIES: Final = 16  # places to look at for one guess

Guess: TypeAlias = Callable[[mmap, int, int], int]
Plain: TypeAlias = Callable[[mmap, int, int, int], tuple[list[int], int]]


class Leaper:
    """Walks the windows of one capture, and remembers how large its records are.

    guess: given two places of the buffer, returns the first place between them that looks like a record, or -1.
    plain: as walk(), for this chain; may end earlier, where the caller ends the chain too.
    """

    def __init__(self, chain: Chain, guess: Guess, plain: Plain) -> None:
        self._chain = chain
        self._guess = guess
        self._plain = plain
        self._mean = 0.0  # bytes of a record, 0 for not known
        self._rest = 0

    def starts(self, raw: mmap, data: U8, at: int, end: int, limit: int = BATCH_PACKETS) -> tuple[I64, int]:
        """Return the starts of the whole records from `at` on, at most `limit`, and where the last of them ends."""
        after = at
        found: I64 | None = None
        if self._mean and self._rest == 0:
            found, after = self._leap(raw, data, at, min(end, at + int(self._mean * limit)), limit)
        self._rest = max(self._rest - 1, 0)
        if found is None:
            listed, after = self._plain(raw, at, end, limit)
            found = np.fromiter(listed, np.int64, len(listed))
        if after > end:
            after, found = int(found[-1]), found[:-1]
        if len(found):
            self._mean = (after - at) / len(found)
        return found, after

    def _leap(self, raw: mmap, data: U8, at: int, end: int, limit: int) -> tuple[I64 | None, int]:
        records = int((end - at) / self._mean)
        if records < RECORDS_MIN:
            return None, at
        walkers = isqrt(2 * records)
        stretch = (end - at) // walkers
        guesses = [self._guess(raw, place, place + stretch) for place in range(at + stretch, end - stretch, stretch)]
        places = np.array([at, *(place for place in guesses if place > 0)], np.int64)
        if len(places) < LEAST * walkers:
            self._rest = REST
            return None, at
        starts, after, dropped = follow(raw, data, places, end, self._chain)
        if dropped > (1 - LEAST) * walkers:
            self._rest = REST
        return (starts, after) if len(starts) <= limit else (starts[:limit], int(starts[limit]))


class Paths(NamedTuple):
    """Where the walkers went.

    starts: int64, the places of all walkers one behind the other.   first: int64[W + 1], where each one's begin there.
    landing: int64[W], the first place at or behind the next walker's start; before it for one that has not arrived.
    """

    starts: I64
    first: I64
    landing: I64


def follow(raw: mmap, data: U8, places: I64, end: int, chain: Chain) -> tuple[I64, int, int]:
    """Return what walk() returns, without its limit, and how many guesses were wrong.

    Ends early at a length that leads nowhere.

    places: rising; the first is a record, the others are guesses.
    """
    beyond = end - chain.header + 1  # no header is whole from here on
    stops = np.append(places[1:], beyond)
    paths = run(data, places, stops, chain)
    arrived = paths.landing == stops
    arrived[-1] = paths.landing[-1] >= beyond
    pieces: list[I64] = []
    dropped = 0
    index, at = 0, int(places[0])  # the walker that is on the chain, and where it starts
    for late in np.flatnonzero(~arrived).tolist():
        if late < index:
            continue  # its stretch was walked, and its guess dropped
        pieces.append(paths.starts[paths.first[index] : paths.first[late + 1]])
        index, at = late, int(paths.landing[late])
        while index < len(places):
            stop = int(stops[index])
            if at < stop:
                listed, at = walk(raw, at, stop - 1 + chain.header, (stop - at) // RECORD_MIN + 1, chain)
                pieces.append(np.fromiter(listed, np.int64, len(listed)))
            if at < stop:
                return np.concatenate(pieces), at, dropped
            index += 1
            if at == stop:
                break
            dropped += index < len(places)
    if index < len(places):
        pieces.append(paths.starts[paths.first[index] :])
        at = int(paths.landing[-1])
    return np.concatenate(pieces), at, dropped


def run(data: U8, places: I64, stops: I64, chain: Chain) -> Paths:
    """Let each walker go from its place to its stop, all at once; the last few on their way are left there.

    places, stops: int64[W], rising; PAD bytes of data are readable behind the last stop.
    """
    order = chain.word.format[0]
    lengths: U32 = np.ndarray(
        (len(data) - chain.length_at - 3,), f"{order}u4", buffer=data.data, offset=chain.length_at, strides=(1,)
    )
    count = np.zeros(len(places), np.int64)
    landing = places.copy()
    who = np.arange(len(places))
    blocks = []
    steps = 0
    most = 4 * (int(stops[-1]) - int(places[0])) // (len(places) * (chain.extra or RECORD_MIN)) + STEPS
    while len(who) >= FEW and steps < most:
        stop = stops[who]
        block = np.empty((STEPS + 1, len(who)), np.int64)
        block[0] = landing[who]
        extra = np.full(len(who), chain.extra)
        for place, following in pairwise(block):
            try:
                np.add(place, lengths[place], out=following)
            except IndexError:  # walkers that have arrived go on: here beyond the buffer
                place = np.minimum(place, stops[-1])  # noqa: PLW2901 where they go does not matter
                np.add(place, lengths[place], out=following)
            np.add(following, extra, out=following)
        inside = (block < stop).sum(axis=0)
        landing[who] = block[np.minimum(inside, STEPS), np.arange(len(who))]
        np.minimum(inside, STEPS, out=inside)
        blocks.append((block[:STEPS], who, inside, count[who]))
        count[who] += inside
        steps += STEPS
        who = who[landing[who] < stop]
    first = np.zeros(len(places) + 1, np.int64)
    np.cumsum(count, out=first[1:])
    starts = np.empty(int(first[-1]), np.int64)
    rows = np.arange(STEPS)[:, np.newaxis]
    for block, walkers, inside, done in blocks:
        taken = rows < inside
        starts[(rows + (first[walkers] + done))[taken]] = block[taken]
    return Paths(starts, first, landing)
