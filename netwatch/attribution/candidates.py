"""Names that may label a flow, each looked up once: normal form, signature, and what decisions ask of it."""

from typing import Final, NamedTuple

from netwatch.attribution.catalogue import Catalogue, Match
from netwatch.attribution.normal import is_literal, matchable, normal_form
from netwatch.model.limits import LABEL_CACHE

# Kinds in the order of DESIGN section 5; the best that shows a name wins.
SNI, HOST, CERTIFICATE, DNS, DNS_OTHER = range(5)
TIERS: Final = {
    "sni": SNI,
    "quic_sni": SNI,
    "http_host": HOST,
    "certificate": CERTIFICATE,
    "dns_answer": DNS,
    "dns_answer_other": DNS_OTHER,
}


class Name(NamedTuple):
    """A name looked up. text: normal form, else as seen; clear: it is a name, no address."""

    text: str
    clear: bool
    match: Match | None


class Candidate:
    """A name of one kind. Compared by identity, so that a key of many candidates is hashed fast.

    name: normal form, else as seen.   clear: it is a name, no address.   app: the match where it says more than an
    operator.   role, rule: of the match, None without one.
    """

    __slots__ = ("app", "clear", "kind", "match", "name", "role", "rule", "tier")

    def __init__(self, kind: str, name: Name) -> None:
        self.kind: Final = kind
        self.tier: Final = TIERS[kind]
        self.name, self.clear, self.match = name
        self.app: Match | None = None
        self.role: str | None = None
        self.rule: str | None = None
        match = self.match
        if match is not None:
            self.role, self.rule = match.role, match.rule
            self.app = match if match.app.kind != "infra" else None


class Candidates:
    """Looks names up in one catalogue; keeps up to LABEL_CACHE names, and as many candidates."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._names: dict[str, Name] = {}
        self.known: Final[dict[tuple[str, ...], Candidate]] = {}
        """(kind, value) -> candidate, for a look before find()."""

    def find(self, kind: str, value: str) -> Candidate:
        """Look up a name of a kind as seen. Raises KeyError for a kind that is not of TIERS."""
        candidate = Candidate(kind, self.name(value))
        if len(self.known) >= LABEL_CACHE:
            self.known.clear()
        self.known[kind, value] = candidate
        return candidate

    def name(self, value: str) -> Name:
        """Look up a name as seen."""
        name = self._names.get(value)
        if name is None:
            if len(self._names) >= LABEL_CACHE:
                self._names.clear()
            name = self._names[value] = self._look_up(value)
        return name

    def _look_up(self, value: str) -> Name:
        normal = normal_form(value)
        if normal is None:
            return Name(value, bool(value) and value[0] != "[", None)
        match = self._catalogue.match_normal(normal) if matchable(normal) else None
        return Name(normal, not is_literal(normal), match)


def domain(name: str) -> str:
    """Return the last two labels, three under a short second level (`co.uk`): near enough to tell parties apart."""
    labels = name.split(".")
    short = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3
    return ".".join(labels[-3 if short else -2 :])
