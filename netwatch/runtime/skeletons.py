"""Files for people to start from: a signature with places to fill in, a policy from a command line."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, get_args

from netwatch.attribution.catalogue import Catalogue
from netwatch.attribution.documents import Role
from netwatch.attribution.normal import matchable, normal_form
from netwatch.model.errors import UsageError
from netwatch.model.text import display
from netwatch.runtime.signature_files import COMPANY
from netwatch.runtime.signature_lint import LABELS
from netwatch.runtime.suffixes import is_public, is_shared
from netwatch.runtime.tomlfiles import FILL_IN

ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
TITLE_MAX: Final = 200
NEAR: Final = 3  # suggestions for a word that nobody knows

COMPANY_FILE: Final = """\
schema = 1
id = "{company}"
name = "{fill}: the company as people call it"
parents = []  # {{ id = "another_folder", from = "2019-05", sources = [...] }} for a company above this one

[[control]]
entity = "{fill}: the legal entity, such as Acme Ltd."
legal_domicile = "{fill}: two letters, where it is registered"
control_country = "{fill}: two letters, who can give it orders"
region = "*"
from = "{fill}: a year, a month or a day, such as 2012-03"
basis = "{fill}: why we say so, in words; where the facts are thin, say that"
sources = ["{fill}: where it can be read, as an address or as signatures/README.md names sources"]
"""
APP_FILE: Final = """\
schema = 1

[app]
id = "{app}"
name = "{fill}: the app as people call it"
kind = "{kind}"  # app, sdk (inside other people's apps), platform (names that several apps share) or infra
company = "{company}"
aliases = []
homepage = "{fill}: https://..."

# [[app.data]]  # what it is known to collect, if a source says so
# category = "location"
# basis = "..."
# sources = ["..."]

# role: {roles}
{endpoints}
# [[network]]  # addresses of its owner, if a source names them
# name = "..."
# asn = 64496
# tenancy = "dedicated"
# claim = "owner"
# confidence = "medium"
# sources = ["..."]

[test]
match = [{match}]  # real names that must be this app's
no_match = [{no_match}]  # look-alikes that must not be
"""
ENDPOINT: Final = """
[[endpoint]]
suffix = "{name}"  # this name and all below it; write exact = for this name alone
role = "{role}"
confidence = "medium"  # high: two independent families of sources; low: one capture or some code only
sources = ["{fill}: who says so, such as https://docs.example/firewall or capture:2026-08"]
"""


def skeleton(catalogue: Catalogue, word: str, kind: str, suffixes: Sequence[str]) -> dict[str, str]:
    """Return files for `COMPANY/APP`: path below `signatures/` -> text, with FILL_IN where something is to be written.

    A company that the catalogue has gets no file. Raises UsageError: no ids, an app that is there, a name that no
    signature may claim.
    """
    company, slash, app = word.partition("/")
    for part in (company, app):
        if not slash or not ID.fullmatch(part):
            raise UsageError(
                f"{display(word)}: two ids are wanted, COMPANY/APP, of a-z, 0-9 and _, such as acme/acme_chat"
            )
    known = catalogue.app(app)
    if known is not None:
        raise UsageError(f"{app}: stands in signatures/{known.path}; change that file")
    names = list(dict.fromkeys(_suffix(catalogue, name, kind) for name in suffixes))
    endpoints = names or [f"{FILL_IN}: a name in lower case, such as chat.example"]
    files = {}
    if catalogue.owner(company) is None:
        files[f"{company}/{COMPANY}"] = COMPANY_FILE.format(company=company, fill=FILL_IN)
    files[f"{company}/{app}.toml"] = APP_FILE.format(
        app=app,
        kind=kind,
        company=company,
        fill=FILL_IN,
        roles=", ".join(get_args(Role)),
        endpoints="".join(
            ENDPOINT.format(name=name, role=role, fill=FILL_IN)
            for role, name in sorted((_role(name), name) for name in endpoints)
        ),
        match=_quoted(f"www.{name}" for name in names) or f'"{FILL_IN}"',
        no_match=_quoted(_looks(names)) or f'"{FILL_IN}"',
    )
    return files


def policy(
    catalogue: Catalogue,
    today: str,
    forbid: Mapping[str, Sequence[str]],
    devices: Sequence[str] = (),
    title: str | None = None,
    identifier: str | None = None,
) -> str:
    """Return the text of a policy file.

    forbid: app, owner, control_country -> words, each of which is forbidden.   devices: only on these.
    today: the date of a policy of one's own.   Raises UsageError for a word that the catalogue does not know.
    """
    chosen = {
        "app": [_known("app", word, {app.id: app.name for app in catalogue.apps()}) for word in forbid["app"]],
        "owner": [_known("owner", word, {one.id: one.name for one in catalogue.owners()}) for word in forbid["owner"]],
        "control_country": [_country(word) for word in forbid["control_country"]],
    }
    rules = {key: list(dict.fromkeys(words)) for key, words in chosen.items() if words}
    if not rules:
        raise UsageError("nothing is forbidden: give --forbid-app, --forbid-owner or --forbid-control")
    identifier = identifier or _slug(word for words in rules.values() for word in words)
    if not ID.fullmatch(identifier):
        raise UsageError(f"--id {display(identifier)}: of a-z, 0-9, - and _, at most 64")
    title = title or f"No {', '.join(_called(catalogue, rules))}"[:TITLE_MAX]
    for option, text in (("--title", title), *(("--device", name) for name in devices)):
        if not text or not text.isprintable() or len(text) > TITLE_MAX:
            raise UsageError(f"{option} {display(text)}: 1 to {TITLE_MAX} printable characters")
    only = [f"devices = [{_quoted(devices)}]"] if devices else []
    lines = [
        "schema = 1",
        f'id = "{identifier}"',
        f"title = {_quoted([title])}",
        f'date = "{today}"',
        'basis = "a rule of our own"',
        'sources = ["own"]',
        '# min_confidence = "medium"  # weaker evidence is INCONCLUSIVE, never FAIL',
        "# attempts = true  # a look-up alone breaks the rule too",
    ]
    for key, words in rules.items():
        lines += ["", "[[forbid]]", f"{key} = [{_quoted(words)}]", *only]
    lines += ["", "# [coverage]  # what a PASS takes", '# min_watch = "10m"', "# min_named_bytes = 0.8"]
    return "".join(f"{line}\n" for line in lines)


def _suffix(catalogue: Catalogue, name: str, kind: str) -> str:
    normal = normal_form(name)
    if normal is None or not matchable(normal):
        raise UsageError(f"--suffix {display(name)}: no host name such as chat.example")
    if is_public(normal) or (kind != "infra" and is_shared(normal)):
        raise UsageError(f"--suffix {normal}: a public suffix: names below it belong to many")
    match = catalogue.match_normal(normal)
    if match is not None and match.endpoint == normal:
        raise UsageError(f"--suffix {normal}: stands in {match.rule.partition('#')[0]}")
    return normal


def _looks(names: Sequence[str]) -> Iterator[str]:
    """Yield names that look like these and are none of theirs."""
    for name in names:
        for look in (f"not{name}", f"{name}.evil.example"):
            if not any(f".{look}".endswith(f".{other}") for other in names):
                yield look


def _role(name: str) -> str:
    """Return the role that the first label of a name says, else `api`."""
    first = re.match(r"[a-z]+", name)
    return LABELS.get(first[0], "api") if first and name.count(".") > 1 else "api"


def _known(key: str, word: str, names: dict[str, str]) -> str:
    """Return an id of the catalogue. names: id -> name."""
    if word in names:
        return word
    from difflib import get_close_matches

    spoken: dict[str, str] = {}
    for identifier, name in names.items():
        spoken.setdefault(name.lower(), identifier)
        spoken[identifier] = identifier
    near = dict.fromkeys(spoken[text] for text in get_close_matches(word.lower(), list(spoken), 2 * NEAR))
    hint = f"; near it: {', '.join(list(near)[:NEAR])}" if near else ""
    raise UsageError(f"--forbid-{key} {display(word)}: no {key} has this id{hint}; netwatch apps lists them")


def _called(catalogue: Catalogue, rules: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield what a title calls the things that are forbidden."""
    for word in rules.get("app", ()):
        app = catalogue.app(word)
        yield app.name if app else word
    for word in rules.get("owner", ()):
        owner = catalogue.owner(word)
        yield f"app of {owner.name if owner else word}"
    for word in rules.get("control_country", ()):
        yield f"app under control of {word}"


def _country(word: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2}", word):
        raise UsageError(f"--forbid-control {display(word)}: no country code such as CN")
    return word.upper()


def _slug(words: Iterable[str]) -> str:
    return "no-" + "-".join(word.lower() for word in words)[:61].rstrip("-_")


def _quoted(texts: Iterable[str]) -> str:
    """Write printable texts as TOML strings (v1.0, basic strings), joined by commas."""
    return ", ".join(_string(text) for text in texts)


def _string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
