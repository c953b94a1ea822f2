"""Token buckets by capture time (RELIABILITY P8)."""

from netwatch.model.limits import HOSTS
from netwatch.model.reading import Address

_SECOND = 10**9


class Buckets:
    """One bucket for all and one for each source: so many tokens a second, at most a second's worth saved."""

    __slots__ = ("_all", "_rate", "_rate_source", "_sources")

    def __init__(self, rate: int, rate_source: int) -> None:
        self._rate = rate
        self._rate_source = rate_source
        self._all: tuple[int, int] | None = None
        self._sources: dict[Address, tuple[int, int]] = {}

    def take(self, source: Address, now_ns: int) -> bool:
        """Take one token of both buckets, or of none."""
        whole = _refilled(self._all, self._rate, now_ns)
        own = _refilled(self._sources.pop(source, None), self._rate_source, now_ns)
        allowed = whole[0] >= _SECOND and own[0] >= _SECOND
        spent = _SECOND if allowed else 0
        self._all = whole[0] - spent, now_ns
        self._sources[source] = own[0] - spent, now_ns
        if len(self._sources) > HOSTS:
            del self._sources[next(iter(self._sources))]
        return allowed


def _refilled(bucket: tuple[int, int] | None, rate: int, now_ns: int) -> tuple[int, int]:
    """Return (tokens in units of 10^-9, time); a clock that went back refills nothing."""
    if bucket is None:
        return rate * _SECOND, now_ns
    tokens, since = bucket
    return min(rate * _SECOND, tokens + max(0, now_ns - since) * rate), now_ns
