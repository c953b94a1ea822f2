"""The shape of a policy file (DESIGN section 6). Plain data, checked when it is read."""

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, field

from netwatch.model.fields import Country, Day, Id, Sources, Text
from netwatch.model.limits import POLICY_RULES, POLICY_WORDS

Duration: TypeAlias = Annotated[str, Meta(pattern="^[0-9]{1,6}[smhd]\\Z")]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Words: TypeAlias = Text | Annotated[list[Text], Meta(min_length=1, max_length=POLICY_WORDS)]
Countries: TypeAlias = Country | Annotated[list[Country], Meta(min_length=1, max_length=POLICY_WORDS)]

SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Match(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a `[[forbid]]` or an `[[allow]]` concerns: all keys that are given hold together, of a list any word.

    app, owner: ids of the catalogue; an owner stands for the companies below it too.   devices: identifiers, addresses
    or names.   kind: app and sdk where it is not given.
    """

    app: Words | UnsetType = UNSET
    owner: Words | UnsetType = UNSET
    control_country: Countries | UnsetType = UNSET
    kind: Words | UnsetType = UNSET
    role: Words | UnsetType = UNSET
    devices: Words | UnsetType = UNSET
    note: Text | UnsetType = UNSET

    @property
    def given(self) -> bool:
        """Whether any key but the note is given."""
        return any(getattr(self, key) is not UNSET for key in self.__struct_fields__ if key != "note")

    def said(self) -> str:
        """Return what the row says, in a line: `app tiktok or wechat, role ads`."""
        keys = ("app", "owner", "control_country", "kind", "role", "devices")
        parts = [(key.replace("_", " "), self.words(key)) for key in keys]
        return ", ".join(f"{key} {' or '.join(sorted(words))}" for key, words in parts if words is not None)

    def words(self, key: str) -> frozenset[str] | None:
        """Return the words of a key, None where it is not given."""
        value = getattr(self, key)
        if value is UNSET:
            return None
        return frozenset((value,) if isinstance(value, str) else value)


class Needs(Struct, frozen=True, forbid_unknown_fields=True):
    """What a PASS takes.

    min_watch: how long was watched, None: 10m live or with `--for`, any time for a file.   min_named_bytes: share of a
    device's bytes that has a name.   max_drop: share of packets lost.   require_active: the device spoke.
    """

    min_watch: Duration | None = None
    min_named_bytes: Share = 0.8
    max_drop: Share = 0.001
    require_active: bool = True


class Policy(Struct, frozen=True, forbid_unknown_fields=True, rename={"until": "to"}):
    """`signatures/policies/<id>.toml`, or a user's own file.

    date: of the text that it follows; until: the first day on which that no longer was in force.
    """

    schema: Literal[1]
    id: Id
    title: Text
    date: Day
    basis: Text
    sources: Sources
    forbid: Annotated[list[Match], Meta(min_length=1, max_length=POLICY_RULES)]
    allow: Annotated[list[Match], Meta(max_length=POLICY_RULES)] = []
    until: Day | None = None
    min_confidence: Literal["high", "medium", "low"] = "medium"
    attempts: bool = True
    coverage: Needs = field(default_factory=Needs)
    note: Text | None = None


def duration(text: str) -> int:
    """Return the seconds of a length of time such as `90s`, `10m`, `2h` or `1d`, 0 for what is none."""
    number, unit = text[:-1], text[-1:]
    return int(number) * SECONDS[unit] if number.isascii() and number.isdigit() and unit in SECONDS else 0
