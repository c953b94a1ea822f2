"""What one flow told, from its first packet until its record leaves."""

from netwatch.attribution.decide import Sighting
from netwatch.model.limits import EVIDENCE
from netwatch.model.reading import Hello


class Talked:
    """What the payloads of one flow told; kept until its record leaves."""

    __slots__ = ("answers", "hello", "hint", "protocol", "sightings", "undecryptable")

    def __init__(self) -> None:
        self.sightings: tuple[Sighting, ...] = ()  # names in payloads
        self.answers: tuple[Sighting, ...] = ()  # what the server's address was called when the flow began
        self.protocol: str | None = None
        self.hello: Hello | None = None
        self.hint: int | None = None  # side of the client, where a payload showed it
        self.undecryptable = False  # a QUIC Initial that could not be opened

    def is_plain(self) -> bool:
        """Whether nothing but the protocol is known."""
        return not self.sightings and not self.answers and self.hello is None and not self.undecryptable

    def take_over(self, before: "Talked") -> None:
        """Begin with what was told in the record before, which goes on in this one."""
        self.sightings = (before.sightings + self.sightings)[:EVIDENCE]
        self.answers = before.answers
        self.protocol = self.protocol or before.protocol
        self.hello = before.hello or self.hello
        self.hint = self.hint if before.hint is None else before.hint
        self.undecryptable = (before.undecryptable or self.undecryptable) and self.hello is None
