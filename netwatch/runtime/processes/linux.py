"""Sockets and their programs from /proc; needs no privilege for the programs of the own user."""

import os
from collections.abc import Collection
from itertools import chain, islice
from typing import Final

from netwatch.model.reading import Address
from netwatch.model.text import wire_text
from netwatch.runtime.processes import tables
from netwatch.runtime.processes.sockets import SOCKETS_MAX, TCP, UDP, Socket

TABLES: Final = (("tcp", TCP), ("tcp6", TCP), ("udp", UDP), ("udp6", UDP))
COMM_MAX: Final = 15  # bytes of its name that the kernel keeps (TASK_COMM_LEN)
DELETED: Final = b" (deleted)"  # a program that was updated while it runs
LINK: Final = "socket:["


class LinuxSockets:
    """Joins the tables of sockets with the descriptors of processes by inode."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._user = os.geteuid()
        self._holders: set[int] = set()  # numbers of processes that had sockets: looked at first

    def look(self) -> list[Socket]:
        """Return the sockets of this network namespace."""
        found = (tables.sockets(self._read(f"net/{name}"), transport, self._user) for name, transport in TABLES)
        return list(islice(chain.from_iterable(found), SOCKETS_MAX))

    def addresses(self) -> set[Address]:
        """Return this host's own addresses."""
        return tables.addresses(self._read("net/fib_trie"), self._read("net/if_inet6"))

    def programs(self, wanted: Collection[Socket]) -> dict[Socket, str]:
        """Walk through the descriptors of every process that may be looked into, until all are found."""
        missing = {socket.token: socket for socket in wanted}
        found: dict[Socket, str] = {}
        present = {int(name) for name in os.listdir(self._proc) if name.isdecimal()}  # noqa: PTH208 a walk of many
        self._holders &= present
        for pid in chain(sorted(self._holders), sorted(present - self._holders)):
            if not missing:
                break
            inodes = self._inodes(pid) & missing.keys()
            if inodes:
                self._holders.add(pid)
                name = self._name(pid)
                found.update((missing.pop(inode), name) for inode in inodes)
        return found

    def _inodes(self, pid: int) -> set[int]:
        """Return the inodes of a process's sockets, none where it cannot be looked into or is gone."""
        folder = f"{self._proc}/{pid}/fd"
        inodes = set()
        try:
            for number in os.listdir(folder):  # noqa: PTH208
                link = os.readlink(f"{folder}/{number}")  # noqa: PTH115
                if link.startswith(LINK):
                    inodes.add(int(link[len(LINK) : -1]))
        except OSError:
            return inodes
        return inodes

    def _name(self, pid: int) -> str:
        """Return what a program is called: `firefox`, `wget (busybox)`, "" where it is gone.

        The name that it gave itself, which may be any; where the file that runs has another one, that too.
        """
        try:
            with open(f"{self._proc}/{pid}/comm", "rb") as file:  # noqa: PTH123
                own = file.read(64).removesuffix(b"\n")
            path = os.readlink(os.fsencode(f"{self._proc}/{pid}/exe"))  # noqa: PTH115
        except OSError:
            return ""
        run = path.removesuffix(DELETED).rpartition(b"/")[2]
        same = run.startswith(own) and (len(own) == COMM_MAX or not run[len(own) : len(own) + 1].isalpha())
        return wire_text(run if same or not own else own + b" (" + run + b")")

    def _read(self, name: str) -> str:
        try:
            with open(f"{self._proc}/{name}", "rb") as file:  # noqa: PTH123 as a whole, twice a second
                return file.read().decode("ascii", "replace")
        except OSError:  # no IPv6
            return ""
