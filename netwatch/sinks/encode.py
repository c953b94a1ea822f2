"""Values as JSON text: ASCII, no spaces (DESIGN section 4)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from json.encoder import encode_basestring_ascii

import numpy as np

from netwatch.model.arrays import I64
from netwatch.model.records import Evidence, LookupAnswer

_NO_TIME = np.iinfo(np.int64).min  # NumPy's "not a time"


class Words(dict[str | None, str]):
    """JSON text of strings and null, written once for each distinct one; lives no longer than one batch."""

    def __missing__(self, key: str | None) -> str:
        text = self[key] = "null" if key is None else encode_basestring_ascii(key)
        return text


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
    stamps = np.maximum(times, _NO_TIME + 1).view("M8[ns]")
    texts: list[str] = np.datetime_as_string(stamps, timezone="UTC").tolist()
    return texts


def time_text(time: int) -> str:
    """Write one time as `time_texts` does."""
    return time_texts(np.array([time], np.int64))[0]


def evidence_texts(rows: Sequence[tuple[Evidence, ...]]) -> list[str]:
    """Return a JSON list for each row's evidence."""
    flat = list(chain.from_iterable(rows))
    if not flat:
        return ["[]"] * len(rows)
    kinds, values, times, packets, rules = zip(*flat, strict=True)
    words = Words()
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
    words = Words()
    pieces = [
        f'{{"name":{words[name]},"type":{words[kind]},"data":{words[data]},"ttl":{ttl}}}'
        for name, kind, data, ttl in chain.from_iterable(rows)
    ]
    return _lists(pieces, rows)


def _lists(pieces: Iterable[str], rows: Sequence[Sequence[object]]) -> list[str]:
    left = iter(pieces)
    return [f"[{','.join(islice(left, len(row)))}]" if row else "[]" for row in rows]
