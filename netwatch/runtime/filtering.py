"""`-f` on records: the words of an expression are checked against the catalogue, then it keeps or drops."""

from collections.abc import Callable
from typing import get_args

from netwatch.attribution.catalogue import Catalogue
from netwatch.attribution.documents import Kind, Role
from netwatch.filters.expression import Expression, ids
from netwatch.filters.records import flow_mask, lookup_test
from netwatch.model.errors import UsageError
from netwatch.model.records import Release
from netwatch.model.text import display


class Filter:
    """One expression. Raises UsageError where it names an app or an owner that the catalogue does not have."""

    def __init__(self, expression: Expression, catalogue: Catalogue) -> None:
        named = ids(expression)
        _known("app", named.get("app", set()), [word for app in catalogue.apps() for word in (app.id, app.name)])
        _known("owner", named.get("owner", set()), [word for one in catalogue.owners() for word in (one.id, one.name)])
        _one_of("kind", named.get("kind", set()), get_args(Kind))
        _one_of("role", named.get("role", set()), get_args(Role))
        for country in sorted(named.get("control", set())):
            if len(country) != 2 or not country.isalpha():
                raise UsageError(f"-f: control:{display(country)} is no country code such as CN")
        self._expression = expression
        self._lookup: Callable[..., bool] = lookup_test(expression)

    def keep(self, release: Release) -> Release:
        """Return the records that match."""
        flows = release.flows.select(flow_mask(self._expression, release.flows))
        return Release(flows, [lookup for lookup in release.lookups if self._lookup(lookup)])


def _one_of(key: str, asked: set[str], words: tuple[str, ...]) -> None:
    for word in sorted(asked - set(words)):
        raise UsageError(f"-f: no {key} is called {display(word)}; there are {', '.join(words)}")


def _known(key: str, asked: set[str], words: list[str]) -> None:
    known = {word.casefold() for word in words}
    for word in sorted(asked):
        if word.casefold() not in known:
            near = sorted(one for one in known if word.casefold()[:4] in one)[:5]
            hint = f"; near: {', '.join(near)}" if near else ""
            raise UsageError(f"-f: no {key} is called {display(word)}{hint}; netwatch apps lists them")
