"""What a look at a host's sockets gives, whatever the system."""

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple, Protocol

from netwatch.model.reading import Address

TCP, UDP = 6, 17
SOCKETS_MAX: Final = 65_536  # that one look takes: as many as there are ports; what is more stays unknown


class Socket(NamedTuple):
    """One socket, the same in every look as long as it is the same one.

    transport: IP protocol number.   local, remote: addresses; 0, or 1 << 128 for IPv6, where it is any.
    remote_port: 0 where it is not connected.   token: what tells who has it: its inode, or the number of a process.
    ours: whether this process may see who has it.
    """

    transport: int
    local: Address
    local_port: int
    remote: Address
    remote_port: int
    token: int
    ours: bool


class Sockets(Protocol):
    """One system's way to look."""

    def look(self) -> Collection[Socket]:
        """Return the sockets that there are now, at most SOCKETS_MAX."""

    def addresses(self) -> Collection[Address]:
        """Return this host's own addresses, as they are now."""

    def programs(self, wanted: Collection[Socket]) -> Mapping[Socket, str]:
        """Return the names of the programs that have these sockets, as far as it can be seen."""
