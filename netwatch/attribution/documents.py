"""The shapes of the signature files (DESIGN section 6): one company, one app. Plain data, checked when it is read."""

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct, field

from netwatch.model.fields import Country, Day, Id, Sources, Text

Asn: TypeAlias = Annotated[int, Meta(ge=1, le=0xFFFF_FFFF)]

Kind: TypeAlias = Literal["app", "sdk", "platform", "infra"]
Confidence: TypeAlias = Literal["high", "medium", "low"]
Tenancy: TypeAlias = Literal["dedicated", "shared"]
Claim: TypeAlias = Literal["owner", "resolver", "anycast"]
# fmt: off
Role: TypeAlias = Literal[
    "api", "web", "telemetry", "ads", "attribution", "crash", "push", "login", "config", "cdn", "rtc", "payments",
    "location", "httpdns", "cloud", "dns", "doh", "dot", "ech",
]
Category: TypeAlias = Literal[
    "biometrics", "payments", "location", "contacts", "communications", "content", "device_id", "usage", "health",
]
# fmt: on

INFRA_ROLES: Final = frozenset(("cloud", "dns", "doh", "dot", "ech"))


class Parent(Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """A company above this one, from the day `since` (null: always) until the day before `until`."""

    id: Id
    sources: Sources
    since: Day | None = None
    until: Day | None = None
    note: Text | None = None


class Control(Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """Who controls the company from `since` until the day before `until`; region `*` or one country."""

    entity: Text
    legal_domicile: Country
    control_country: Country
    since: Day
    basis: Text
    sources: Sources
    region: Annotated[str, Meta(pattern=r"^(\*|[A-Z]{2})\Z")] = "*"
    until: Day | None = None
    share: Text | None = None
    confidence: Confidence = "high"
    note: Text | None = None


class Investor(Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """A minority stake: shown as such, never as owner."""

    name: Text
    share: Text
    since: Day
    sources: Sources
    id: Id | None = None
    until: Day | None = None
    as_of: Day | None = None
    note: Text | None = None


class Company(Struct, frozen=True, forbid_unknown_fields=True):
    """`signatures/<company>/_company.toml`."""

    schema: Literal[1]
    id: Id
    name: Text
    parents: list[Parent] = []
    control: list[Control] = []
    investor: list[Investor] = []
    aliases: list[Text] = []
    homepage: Text | None = None
    note: Text | None = None


class AppData(Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from"}):
    """Something that the app is known to collect."""

    category: Category
    basis: Text
    sources: Sources
    since: Day | None = None


class AppInfo(Struct, frozen=True, forbid_unknown_fields=True):
    """What an app is called and whose it is."""

    id: Id
    name: Text
    kind: Kind
    company: Id
    aliases: list[Text] = []
    homepage: Text | None = None
    data: list[AppData] = []
    note: Text | None = None


class Endpoint(Struct, frozen=True, forbid_unknown_fields=True):
    """One name: `suffix` with all below it on label boundaries, or `exact` alone."""

    role: Role
    confidence: Confidence
    sources: Sources
    suffix: Text | None = None
    exact: Text | None = None
    operator: Id | None = None
    verified: Day | None = None
    note: Text | None = None

    @property
    def name(self) -> str:
        """The name itself, "" for a row that has neither (which is refused when it is read)."""
        return self.exact or self.suffix or ""


class LabelRole(Struct, frozen=True, forbid_unknown_fields=True):
    """A role by the first label of a name: one of the words, or a word with a digit or `-` behind it."""

    words: Annotated[list[Annotated[str, Meta(pattern="^[a-z0-9_-]{1,63}\\Z")]], Meta(min_length=1)]
    role: Role


class Network(Struct, frozen=True, forbid_unknown_fields=True):
    """Addresses of an owner, by prefix or by the number of an autonomous system."""

    name: Text
    tenancy: Tenancy
    claim: Claim
    confidence: Confidence
    sources: Sources
    asn: Asn | None = None
    prefixes: list[Text] = []
    verified: Day | None = None
    note: Text | None = None


class Proof(Struct, frozen=True, forbid_unknown_fields=True):
    """Names that must, and that must not, be this app's."""

    match: list[Text] = []
    no_match: list[Text] = []


class AppFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`signatures/<company>/<app>.toml`."""

    schema: Literal[1]
    app: AppInfo
    endpoint: list[Endpoint] = []
    label_role: list[LabelRole] = []
    network: list[Network] = []
    test: Proof = field(default_factory=Proof)


class Documents(Struct, frozen=True):
    """All files of a catalogue: companies and apps by id, each app with its path below `signatures/`."""

    companies: dict[str, Company]
    apps: dict[str, tuple[str, AppFile]]
