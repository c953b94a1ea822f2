"""What of the sandbox holds and what does not, as it turns out step by step."""

from collections.abc import Callable


class Findings:
    """Collects what was tried.

    held: names of parts.   missing: names with the reason.   notes: what is not there, and why it does not matter.
    """

    def __init__(self) -> None:
        self.held: list[str] = []
        self.missing: list[str] = []
        self.notes: list[str] = []
        self._covered: list[str] = []

    def tried(self, part: str, step: Callable[[], object]) -> bool:
        """Take a step; where the system refuses it, the part is missing, with the reason."""
        try:
            step()
        except OSError as error:
            self.lacks(part, (error.strerror or str(error)).lower())
            return False
        return True

    def lacks(self, part: str, why: str) -> None:
        """Note that a part is missing, once."""
        if not any(one == part or one.startswith(f"{part}: ") for one in self.missing):
            self.missing.append(f"{part}: {why}")

    def proven(self, part: str, *, holds: bool, why: str) -> None:
        """Note what a look at the process says of a part; why: it does not hold."""
        if holds and not any(one.startswith(f"{part}: ") for one in self.missing):
            self.held.append(part)
        elif not holds:
            self.lacks(part, why)

    def covered(self, text: str) -> None:
        """Note what an older kernel lacks and another part, named to settle(), denies as well."""
        self._covered.append(text)

    def settle(self, part: str) -> None:
        """Decide what is covered: a note where that part holds, else missing."""
        if part in self.held:
            self.notes += (f"{text}: {part} denies it" for text in self._covered)
        else:
            self.missing += self._covered
