"""Tells systemd how a service stands (sd_notify(3)); opened before the sandbox, says nothing where nobody listens."""

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Final

STATUS_MAX: Final = 512  # characters of a line
MICROSECONDS: Final = 1_000_000


class Notifier:
    """The socket to the service manager, if there is one.

    watchdog_s: at the latest so many seconds apart watchdog() is to be called, None: nobody waits for it.
    """

    def __init__(self, environment: MutableMapping[str, str] | None = None) -> None:
        """Connect, and take the address out of the environment, as no child is to speak. None: the process's own."""
        known = os.environ if environment is None else environment
        self._socket: socket.socket | None = None
        address = known.pop("NOTIFY_SOCKET", "")
        microseconds, pid = known.pop("WATCHDOG_USEC", ""), known.pop("WATCHDOG_PID", "")
        wanted = microseconds.isdecimal() and int(microseconds) > 0 and pid in ("", str(os.getpid()))
        self.watchdog_s: float | None = int(microseconds) / MICROSECONDS / 2 if wanted else None
        if address[:1] not in ("/", "@"):
            return
        one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        one.setblocking(False)
        try:
            one.connect("\0" + address[1:] if address[0] == "@" else address)
        except OSError:  # the manager is gone, and with it whoever could be told
            one.close()
            return
        self._socket = one

    @property
    def listening(self) -> bool:
        """Whether anybody is told."""
        return self._socket is not None

    def ready(self, status: str = "") -> None:
        """Say that the service is up."""
        self._say("READY=1", *([_status(status)] if status else []))

    def watchdog(self) -> None:
        """Say that it is alive."""
        self._say("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Say in one line how it stands."""
        self._say(_status(text))

    def stopping(self) -> None:
        """Say that it ends."""
        self._say("STOPPING=1")

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _say(self, *lines: str) -> None:
        if self._socket is None:
            return
        with suppress(OSError):  # a manager that does not read is no reason to stop
            os.write(self._socket.fileno(), "\n".join(lines).encode("utf-8", "replace"))


def _status(text: str) -> str:
    return "STATUS=" + "".join(char if char.isprintable() else " " for char in text[:STATUS_MAX])
