"""Chains of records in memory: where each one starts, known only from the length of the one before it."""

from mmap import mmap
from struct import Struct
from typing import Final, NamedTuple

import numpy as np

from netwatch.model.arrays import I64, U8, U32


class Chain(NamedTuple):
    """How one record leads to the next: it starts at + extra + (the 32-bit word at `length_at`).

    header: bytes of a record that must be there before its length is believed.   word: reads the length.
    """

    header: int
    length_at: int
    extra: int
    word: Struct


WORD: Final = {"<": Struct("<I"), ">": Struct(">I")}


def walk(raw: mmap | memoryview, at: int, end: int, limit: int, chain: Chain) -> tuple[list[int], int]:
    """Follow the chain from `at` through raw[:end].

    Returns the starts of at most `limit` records whose headers are whole, and where the one after them would start:
    beyond `end` if the last record is not whole. Believes every length: the caller checks them in columns.
    """
    starts: list[int] = []
    push = starts.append
    header, length_at, extra, word = chain
    read = word.unpack_from
    last = end - header
    for _ in range(limit):
        if at > last:
            break
        push(at)
        at += read(raw, at + length_at)[0] + extra
    return starts, at


def headers(data: U8, starts: I64, words: int, order: str) -> U32:
    """Gather the first 32-bit words of each record as uint32[N, words].

    data: uint8[B], with 4 * words bytes readable behind every start.   order: "<" or ">".
    """
    size = 4 * words
    rows = np.ndarray((len(data) - size + 1,), dtype=f"V{size}", buffer=data.data, strides=(1,))
    return rows[starts].view(f"{order}u4").reshape(len(starts), words)
