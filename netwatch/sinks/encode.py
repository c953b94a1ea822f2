"""Values as JSON text: ASCII, no spaces (DESIGN section 4)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import chain, islice
from json.encoder import encode_basestring_ascii
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.model.arrays import I64
from netwatch.model.distinct import distinct
from netwatch.model.limits import STRING_MAX
from netwatch.model.records import Evidence, LookupAnswer

_NO_TIME = np.iinfo(np.int64).min  # NumPy's "not a time"
WORDS_KEPT: Final = 8_192  # 16 MB where each is as long as it may be, key and text
TIME: Final = np.dtype(
    [
        *(("day", "S10"), ("t", "S1"), ("hour", "S2"), ("colon", "S1"), ("clock", "S5"), ("dot", "S1")),
        *(("ms", "S3"), ("us", "S3"), ("ns", "S3"), ("z", "S1")),
    ]
)
TIME_SIZE: Final = TIME.itemsize


class Words(dict[str | None, str]):
    """JSON text of strings and null, at most WORDS_KEPT; what is longer than STRING_MAX is not kept."""

    def __missing__(self, key: str | None) -> str:
        text = "null" if key is None else encode_basestring_ascii(key)
        if len(text) <= STRING_MAX:
            if len(self) >= WORDS_KEPT:
                self.clear()
            self[key] = text
        return text


WORDS: Final = Words()
"""Shared by all batches: names, rules and devices come again and again."""


def json_value(value: str | float | None) -> str:
    """Return the JSON text of a string, whole number, truth value or null."""
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def json_object(record: Mapping[str, object]) -> str:
    """Return one line without its end: an object, keys in the order given; floats are rounded by who made them."""
    return json.dumps(record, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def time_texts(times: I64) -> list[str]:
    """Write int64 nanoseconds since 1970 as RFC 3339 UTC with nine digits and `Z`."""
    text = time_cells(times).tobytes().decode("ascii")
    return [text[at : at + TIME_SIZE] for at in range(0, len(text), TIME_SIZE)]


def time_cells(times: I64) -> NDArray[np.void]:
    """Do what `time_texts` does, into TIME_SIZE bytes each: NumPy's own text costs three times as much."""
    days, rest = _divided(np.maximum(times, _NO_TIME + 1), 86_400 * 10**9)
    seconds, fraction = _divided(rest, 10**9)
    hours, seconds = _divided(seconds, 3_600)
    milliseconds, fraction = _divided(fraction, 10**6)
    microseconds, nanoseconds = _divided(fraction, 1_000)
    first, kind = distinct(days.view(np.uint64))
    two, clock, three = _digits()
    out = np.empty(len(times), TIME)
    out["day"] = np.datetime_as_string(days[first].astype("M8[D]")).astype("S10")[kind]
    out["t"], out["colon"], out["dot"], out["z"] = b"T", b":", b".", b"Z"
    out["hour"], out["clock"] = two[hours], clock[seconds]
    for field, numbers in zip(("ms", "us", "ns"), (milliseconds, microseconds, nanoseconds), strict=True):
        out[field] = three[numbers]
    return out


def _divided(numbers: I64, by: int) -> tuple[I64, I64]:
    quotient = numbers // by
    return quotient, numbers - quotient * by


@cache
def _digits() -> tuple[NDArray[np.bytes_], NDArray[np.bytes_], NDArray[np.bytes_]]:
    """Return the texts of hours, of the seconds of an hour as `59:59`, and of thousands."""
    return (
        np.array([f"{hour:02}" for hour in range(24)], "S2"),
        np.array([f"{at // 60:02}:{at % 60:02}" for at in range(3_600)], "S5"),
        np.array([f"{number:03}" for number in range(1_000)], "S3"),
    )


def time_text(time: int) -> str:
    """Write one time as `time_texts` does."""
    return time_texts(np.array([time], np.int64))[0]


def evidence_texts(rows: Sequence[tuple[Evidence, ...]]) -> list[str]:
    """Return a JSON list for each row's evidence."""
    kinds, values, times, packets, rules = zip(*chain.from_iterable(rows), strict=True) if any(rows) else [()] * 5
    words = WORDS
    pieces = [
        f'{{"kind":{kind},"value":{value},"time":"{time}","packet":{packet},"rule":{rule}}}'
        for kind, value, time, packet, rule in zip(
            map(words.__getitem__, kinds),
            map(words.__getitem__, values),
            time_texts(np.array(times, np.int64)),
            packets,
            map(words.__getitem__, rules),
            strict=True,
        )
    ]
    return _lists(pieces, rows)


def answer_texts(rows: Sequence[tuple[LookupAnswer, ...]]) -> list[str]:
    """Return a JSON list for each row's answers."""
    words = WORDS
    pieces = [
        f'{{"name":{words[name]},"type":{words[kind]},"data":{words[data]},"ttl":{ttl}}}'
        for name, kind, data, ttl in chain.from_iterable(rows)
    ]
    return _lists(pieces, rows)


def _lists(pieces: Iterable[str], rows: Sequence[Sequence[object]]) -> list[str]:
    left = iter(pieces)
    return [
        (f"[{next(left)}]" if len(row) == 1 else f"[{','.join(islice(left, len(row)))}]") if row else "[]"
        for row in rows
    ]
