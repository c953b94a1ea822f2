"""The catalogue in the form that answers questions: whose name, whose network, who controls the owner on a day."""

from bisect import bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from msgspec import DecodeError, Raw, Struct, json

from netwatch.attribution.normal import matchable, normal_form
from netwatch.model.address import V6
from netwatch.model.errors import DataError
from netwatch.model.reading import Address

if TYPE_CHECKING:
    from netwatch.attribution.documents import Control, Documents, Investor

T = TypeVar("T")

PARENTS_MAX: Final = 16  # companies above one another: a circle in user files ends here
OWNERS_CACHED: Final = 8_192  # answers of owner_on kept

STEP_DOWN: Final = {"high": "medium", "medium": "low", "low": "low"}


class App(Struct, frozen=True, array_like=True):
    """An app, SDK, platform or operator. path: its file below `signatures/`; words: first label -> role."""

    id: str
    name: str
    kind: str
    owner_id: str
    path: str
    words: dict[str, str]


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """An endpoint as it is stored: the place of its app in the list of apps."""

    app: int
    role: str
    confidence: str
    operator: str | None = None


class Dated(Struct, frozen=True, array_like=True, gc=False):
    """A parent, or a domicile and a control country, valid from `since` until the day before `until`."""

    id: str
    country: str
    since: str | None
    until: str | None


class Owner(Struct, frozen=True, array_like=True):
    """A company. control: rows of region `*` with id the domicile; parents: rows with country ""."""

    id: str
    name: str
    parents: list[Dated]
    control: list[Dated]


class NetworkRow(Struct, frozen=True, array_like=True, gc=False):
    """A network claim of an app's file. text: the prefix or `AS<number>` that stands in it."""

    app: int
    text: str
    name: str
    tenancy: str
    claim: str
    confidence: str


class Networks(Struct, frozen=True, array_like=True):
    """Rows; sorted starts of address ranges and the row from each start on, -1 for none; AS number -> row.

    Starts of IPv6 are hexadecimal text: a JSON number holds 64 bits.
    """

    rows: list[NetworkRow]
    starts4: list[int]
    rows4: list[int]
    starts6: list[str]
    rows6: list[int]
    asns: dict[int, int]


class Compiled(Struct, frozen=True):
    """The whole catalogue as one JSON object; networks and documents are decoded when they are asked for."""

    version: str
    digest: str
    apps: list[App]
    owners: dict[str, Owner]
    exact: dict[str, Entry]
    suffix: dict[str, Entry]
    networks: Raw
    documents: Raw


class Match(NamedTuple):
    """The signature that a name meets. endpoint: as it stands in the file; rule: file and endpoint."""

    endpoint: str
    exact: bool
    app: App
    role: str
    confidence: str
    operator: str | None
    rule: str


class NetworkMatch(NamedTuple):
    """The network that an address lies in; app: in whose file it stands (its owner is who counts)."""

    app: App
    text: str
    name: str
    dedicated: bool
    claim: str
    confidence: str
    rule: str


class Ownership(NamedTuple):
    """Who stands behind an owner on a day; None where no row is valid on it.

    ultimate_id, ultimate_owner: the topmost parent, itself without one.   ancestors: the parents, the nearest first.
    """

    owner_id: str
    owner: str
    ultimate_id: str
    ultimate_owner: str
    control_country: str | None
    domicile: str | None
    ancestors: tuple[str, ...]


class Counts(NamedTuple):
    """apps: of kind app and sdk, the only ones that count as apps."""

    apps: int
    owners: int
    endpoints: int


class Catalogue:
    """Signatures, owners and networks; nothing in it changes once it stands."""

    def __init__(self, compiled: Compiled) -> None:
        self.version: Final = compiled.version
        self.digest: Final = compiled.digest
        self._apps = compiled.apps
        self._owners = compiled.owners
        self._exact = compiled.exact
        self._suffix = compiled.suffix
        self._raw_networks = compiled.networks
        self._raw_documents = compiled.documents
        self._networks: Networks | None = None
        self._starts6: list[Address] = []
        self._network_matches: dict[int, NetworkMatch] = {}  # by row
        self._documents: Documents | None = None
        self._by_id: dict[str, App] | None = None
        self._ownership: dict[tuple[str, str], Ownership] = {}

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Catalogue":
        """Take the compiled form. Raises DataError where it is not whole."""
        return cls(_decode(raw, Compiled))

    def to_bytes(self) -> bytes:
        """Return the compiled form."""
        return json.encode(
            Compiled(
                self.version,
                self.digest,
                self._apps,
                self._owners,
                self._exact,
                self._suffix,
                self._raw_networks,
                self._raw_documents,
            )
        )

    @property
    def counts(self) -> Counts:
        apps = sum(app.kind in {"app", "sdk"} for app in self._apps)
        return Counts(apps, len(self._owners), len(self._exact) + len(self._suffix))

    @property
    def documents(self) -> "Documents":
        """The files as they were read: sources, what apps collect, investors, proofs."""
        if self._documents is None:
            from netwatch.attribution.documents import Documents

            self._documents = _decode(self._raw_documents, Documents)
        return self._documents

    def apps(self) -> Iterator[App]:
        """Yield every app, SDK, platform and operator, by id."""
        return iter(self._apps)

    def endpoints(self) -> Iterator[Match]:
        """Yield every endpoint, each as what its own name must meet."""
        for table, exact in ((self._exact, True), (self._suffix, False)):
            for name, entry in table.items():
                yield self._matched(name, entry, name, exact=exact)

    def owners(self) -> Iterator[Owner]:
        """Yield every company, by id."""
        return iter(self._owners.values())

    def app(self, app_id: str) -> App | None:
        if self._by_id is None:
            self._by_id = {app.id: app for app in self._apps}
        return self._by_id.get(app_id)

    def owner(self, owner_id: str) -> Owner | None:
        return self._owners.get(owner_id)

    def match(self, name: str) -> Match | None:
        """Find the signature of a name as seen; IP literals, single labels and local names have none."""
        normal = normal_form(name)
        return self.match_normal(normal) if normal is not None and matchable(normal) else None

    def match_normal(self, name: str) -> Match | None:
        """Find the signature of a name in normal form: exact before suffix, then the longest suffix of whole labels."""
        entry = self._exact.get(name)
        if entry is not None:
            return self._matched(name, entry, name, exact=True)
        suffixes, suffix = self._suffix, name
        while True:
            entry = suffixes.get(suffix)
            if entry is not None:
                return self._matched(suffix, entry, name, exact=False)
            _, dot, suffix = suffix.partition(".")
            if not dot:
                return None

    def network(self, address: Address, asn: int | None = None) -> NetworkMatch | None:
        """Find the network of an address: the longest prefix, else the number of its autonomous system."""
        networks = self._networks or self._load_networks()
        if address < V6:
            at = bisect_right(networks.starts4, address) - 1
            row = networks.rows4[at] if at >= 0 else -1
        else:
            at = bisect_right(self._starts6, address) - 1
            row = networks.rows6[at] if at >= 0 else -1
        if row < 0:
            if asn is None:
                return None
            row = networks.asns.get(asn, -1)
            if row < 0:
                return None
        match = self._network_matches.get(row)
        if match is None:
            found = networks.rows[row]
            app = self._apps[found.app]
            rule = f"signatures/{app.path}#{found.text}"
            dedicated = found.tenancy == "dedicated"
            match = NetworkMatch(app, found.text, found.name, dedicated, found.claim, found.confidence, rule)
            self._network_matches[row] = match
        return match

    def owner_on(self, owner_id: str, day: str) -> Ownership | None:
        """Tell who stands behind an owner on a day (`2025-11-24`); None for an owner that is not known.

        The latest row of region `*` that is valid on the day counts; an owner without one has its nearest parent's.
        """
        key = (owner_id, day)
        known = self._ownership.get(key)
        if known is not None:
            return known
        owner = self._owners.get(owner_id)
        if owner is None:
            return None
        line = [owner]
        while len(line) < PARENTS_MAX:
            parent = _valid(line[-1].parents, day)
            above = self._owners.get(parent.id) if parent else None
            if above is None or above in line:
                break
            line.append(above)
        control = next((row for company in line if (row := _valid(company.control, day))), None)
        top = line[-1]
        out = Ownership(
            owner_id,
            owner.name,
            top.id,
            top.name,
            control.country if control else None,
            control.id if control else None,
            tuple(company.id for company in line[1:]),
        )
        if len(self._ownership) >= OWNERS_CACHED:
            self._ownership.clear()
        self._ownership[key] = out
        return out

    def ever_above(self, owner_id: str) -> frozenset[str]:
        """Return an owner and every company that was above it on some day."""
        line = {owner_id}
        open_ids = [owner_id]
        while open_ids:
            owner = self._owners.get(open_ids.pop())
            new = {row.id for row in owner.parents} - line if owner is not None else set()
            line |= new
            open_ids += new
        return frozenset(line)

    def regional(self, owner_id: str, day: str) -> "list[Control]":
        """Return the control rows of one region that are valid on a day: printed beside an answer, never instead."""
        company = self.documents.companies.get(owner_id)
        rows = company.control if company else ()
        return [row for row in rows if row.region != "*" and holds(row.since, row.until, day)]

    def investors(self, owner_id: str, day: str) -> "list[Investor]":
        """Return the minority stakes in an owner that are valid on a day."""
        company = self.documents.companies.get(owner_id)
        return [row for row in (company.investor if company else ()) if holds(row.since, row.until, day)]

    def _matched(self, endpoint: str, entry: Entry, name: str, *, exact: bool) -> Match:
        app = self._apps[entry.app]
        role = entry.role
        if app.words and len(name) > len(endpoint):
            role = _label_role(app.words, name.partition(".")[0]) or role
        rule = f"signatures/{app.path}#{endpoint}"
        return Match(endpoint, exact, app, role, entry.confidence, entry.operator, rule)

    def _load_networks(self) -> Networks:
        self._networks = networks = _decode(self._raw_networks, Networks)
        self._starts6 = [int(start, 16) for start in networks.starts6]
        return networks


def holds(since: str | None, until: str | None, day: str) -> bool:
    """Tell whether a row is valid on a day; `until` is the first day, month or year in which it no longer is.

    Dates may stop at the month or the year: `2017` <= `2017-03-01` as text, which is what is meant.
    """
    return (since is None or since <= day) and (until is None or day < until)


def _valid(rows: list[Dated], day: str) -> Dated | None:
    best: Dated | None = None
    for row in rows:
        if holds(row.since, row.until, day) and (best is None or (row.since or "") > (best.since or "")):
            best = row
    return best


def _label_role(words: dict[str, str], label: str) -> str | None:
    """Return the role of the longest word that the label is, or begins with before a digit or `-`."""
    role = words.get(label)
    at = len(label) - 1
    while role is None and at > 0:
        if label[at] in "-0123456789":
            role = words.get(label[:at])
        at -= 1
    return role


def _decode(raw: bytes | Raw, kind: type[T]) -> T:
    try:
        return json.decode(raw, type=kind)
    except DecodeError as error:
        raise DataError(f"the compiled catalogue cannot be read: {error}; install netwatch again") from error
