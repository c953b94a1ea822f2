"""The command that is run when a verdict turns: by a process of its own, made before the others may start none."""

import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Sequence
from typing import Final

from netwatch.model.errors import UsageError
from netwatch.runtime.live.link import Link, pair

LIMIT_S: Final = 60  # a hook that takes longer is ended


class Hook:
    """Runs one command at a time, with the verdict as JSON on its standard input."""

    def __init__(self, command: str, drop: Callable[[], Sequence[str]]) -> None:
        """Make the process.

        drop: gives up privileges there, and returns what did not work: then nothing is ever run.
        Raises UsageError for a command that is none.
        """
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"--hook: {error}") from error
        if not words:
            raise UsageError("--hook: no command")
        mine, theirs = pair()
        self._pid = os.fork()
        if self._pid == 0:
            mine.close()
            try:
                left = drop()
                if left:
                    os.write(2, f"netwatch: --hook: not run: {'; '.join(left)}\n".encode())
                else:
                    _serve(Link(theirs), words)
            finally:
                os._exit(0)
        theirs.close()
        self._link = Link(mine)

    def run(self, verdict: bytes) -> bool:
        """Ask for a run; False where too many wait already."""
        return self._link.send(verdict)

    def close(self) -> None:
        """Let the process end when its command has."""
        self._link.flush(1_000)
        self._link.close()


def _serve(link: Link, words: list[str]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while not link.closed:
        link.wait()
        for verdict in link.receive():
            try:
                subprocess.run(words, input=verdict, timeout=LIMIT_S, check=False)  # noqa: S603 the user's own command
            except (OSError, subprocess.TimeoutExpired) as error:
                os.write(2, f"netwatch: --hook: {error}\n".encode())
