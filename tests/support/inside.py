"""For code that tests run in a process of its own."""

import json
import os

from netwatch.runtime.guard import GuardState

NOBODY = 65_534


def become_nobody() -> None:
    """Give up being root, as a user without any privilege starts; who is none stays."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def show(state: GuardState, *more: object) -> None:
    """Print what holds, what is missing, the notes and the user, and more."""
    print(json.dumps([state.held, state.missing, state.notes, state.user, *more]))  # noqa: T201 what the test reads
