"""Policies from the disk: those that are shipped, the user's own, or any file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, get_args

from netwatch.attribution.catalogue import Catalogue
from netwatch.attribution.documents import Kind, Role
from netwatch.model.errors import UsageError
from netwatch.model.text import display
from netwatch.policy.documents import Match, Policy
from netwatch.runtime.configuration import configured
from netwatch.runtime.signatures import CLONE, PACKAGE
from netwatch.runtime.tomlfiles import TomlFile, read_toml, refuse_writable

FOLDER: Final = "policies"
SHIPPED: Final = PACKAGE / "data" / FOLDER
IN_CLONE: Final = CLONE / FOLDER
SHOWN: Final = f"signatures/{FOLDER}"  # how a shipped policy is cited, wherever it lies


class Loaded(NamedTuple):
    """A policy, and where it was read: for a shipped one its place in the project."""

    policy: Policy
    source: str


def load(word: str, catalogue: Catalogue) -> Loaded:
    """Load a policy by its id, or a file by its path (which has a `/` or ends in `.toml`).

    A policy of the configuration folder goes before a shipped one with its id. Raises UsageError for an id that nobody
    has and for words in a policy that the catalogue does not know, DataError for a file that cannot be used.
    """
    if is_path(word):
        path, source = Path(word), word
        refuse_writable(path)
    else:
        known = dict(_known())
        if word not in known:
            there = ", ".join(sorted(known))
            raise UsageError(f"--policy {display(word)}: no policy has this id; there are {there}, and any FILE.toml")
        path, source = known[word]
    policy, file = load_policy(path)
    check_words(policy, file, catalogue)
    return Loaded(policy, source)


def is_path(word: str) -> bool:
    """Tell a path from an id."""
    return "/" in word or word.endswith(".toml")


def load_policy(path: Path) -> tuple[Policy, TomlFile]:
    """Read one file. Raises DataError with file and line."""
    policy, file = read_toml(path, Policy)
    for table, rows in (("forbid", policy.forbid), ("allow", policy.allow)):
        for number, row in enumerate(rows):
            if not row.given:
                raise file.error(f".{table}[{number}]", f"a [[{table}]] without a key would concern everything")
    return policy, file


def check_words(policy: Policy, file: TomlFile, catalogue: Catalogue) -> None:
    """Check the words of a policy against the catalogue. Raises UsageError with file and line."""
    for table, rows in (("forbid", policy.forbid), ("allow", policy.allow)):
        for number, row in enumerate(rows):
            for key, word in _unknown(row, catalogue):
                place = f".{table}[{number}].{key}"
                raise UsageError(f"{file.path}:{file.line(place)}: no {key} is called {display(word)}{_hint(key)}")


def every() -> Iterator[Loaded]:
    """Yield every policy that has an id, by id. Raises DataError for a file that cannot be used."""
    for _, (path, source) in sorted(dict(_known()).items()):
        yield Loaded(load_policy(path)[0], source)


def shipped() -> Iterator[Path]:
    """Yield the files of the policies that come with netwatch, by name."""
    folder = SHIPPED if SHIPPED.is_dir() and not IN_CLONE.is_dir() else IN_CLONE
    yield from sorted(folder.glob("*.toml"))


def _known() -> Iterator[tuple[str, tuple[Path, str]]]:
    for path in shipped():
        yield path.stem, (path, f"{SHOWN}/{path.name}")
    for folder in configured(FOLDER):
        if not folder.is_dir():
            continue
        refuse_writable(folder)
        for path in sorted(folder.glob("*.toml")):
            refuse_writable(path)
            yield path.stem, (path, str(path))


def _unknown(row: Match, catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    """Yield (key, word) of what nobody knows."""
    for word in sorted(row.words("app") or ()):
        if catalogue.app(word) is None:
            yield "app", word
    for word in sorted(row.words("owner") or ()):
        if catalogue.owner(word) is None:
            yield "owner", word
    for key, words in (("kind", get_args(Kind)), ("role", get_args(Role))):
        yield from ((key, word) for word in sorted((row.words(key) or frozenset()) - set(words)))


def _hint(key: str) -> str:
    match key:
        case "app" | "owner":
            return "; netwatch apps lists them"
        case "kind":
            return f"; there are {', '.join(get_args(Kind))}"
        case _:
            return f"; there are {', '.join(get_args(Role))}"


def named_apps(policy: Policy) -> frozenset[str]:
    """Return the apps that a policy names."""
    words = (row.words("app") or frozenset() for row in (*policy.forbid, *policy.allow))
    return frozenset().union(*words)
