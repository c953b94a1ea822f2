"""Reads the tables of /proc/net (proc_net(5), fib_trie of the kernel): text in, sockets and addresses out."""

import sys
from collections.abc import Iterator
from typing import Final

from netwatch.model.address import V6, from_bytes
from netwatch.model.reading import Address
from netwatch.runtime.processes.sockets import Socket

FIELDS: Final = 10  # up to the inode
MAPPED: Final = V6 | 0xFFFF << 32  # ::ffff:0:0/96, IPv4 by a socket of IPv6 (RFC 4291 section 2.5.5.2)


def sockets(text: str, transport: int, user: int) -> Iterator[Socket]:
    """Read a table of sockets; without those that no process has any more (inode 0).

    user: whose sockets can be seen, 0: everybody's.   A line that is none is left out.
    """
    for line in text.splitlines()[1:]:
        words = line.split(maxsplit=FIELDS)
        try:
            owner, inode = int(words[7]), int(words[9])
            if inode:
                ours = user in (0, owner)
                yield Socket(transport, *_end(words[1]), *_end(words[2]), inode, ours)
        except (IndexError, ValueError):
            continue


def addresses(fib_trie: str, if_inet6: str) -> set[Address]:
    """Return the host's own addresses from the tables of IPv4 routes and of IPv6 addresses."""
    found: set[Address] = set()
    leaf = ""
    for line in fib_trie.splitlines():
        words = line.split()
        if words[:1] == ["|--"]:
            leaf = words[1]
        elif words == ["/32", "host", "LOCAL"]:
            found.add(from_bytes(bytes(map(int, leaf.split(".")))))
    found.update(V6 | int(line[:32], 16) for line in if_inet6.splitlines() if line[:32].isalnum())
    return found


def _end(text: str) -> tuple[Address, int]:
    """Read `0100007F:0016`: words of 32 bits in the machine's order, and a port."""
    digits, _, port = text.partition(":")
    words = [int(digits[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(digits), 8)]
    value = from_bytes(b"".join(words))
    if value >> 32 == MAPPED >> 32:
        value &= 0xFFFF_FFFF
    return value, int(port, 16)
