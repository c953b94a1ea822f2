"""Sockets and their programs through psutil, where there is no /proc (extra `proc`)."""

import ipaddress
import socket
from collections.abc import Collection, Iterable
from itertools import islice
from typing import Any, Final

from netwatch.model.address import V6, from_bytes
from netwatch.model.reading import Address
from netwatch.runtime.processes.sockets import SOCKETS_MAX, TCP, UDP, Socket
from netwatch.runtime.processes.tables import MAPPED

TRANSPORTS: Final = {int(socket.SOCK_STREAM): TCP, int(socket.SOCK_DGRAM): UDP}


class PsutilSockets:
    """Asks psutil. Where only root may ask for all sockets at once (macOS), the own user's processes are asked."""

    def look(self) -> list[Socket]:
        """Return the sockets of this host; the token is the number of the process, 0 where it is not told."""
        return list(islice(filter(None, map(_socket, _connections())), SOCKETS_MAX))

    def addresses(self) -> set[Address]:
        """Return this host's own addresses."""
        import psutil

        families = (socket.AF_INET, socket.AF_INET6)
        each = psutil.net_if_addrs().values()
        return {_address(one.address) for entries in each for one in entries if one.family in families}

    def programs(self, wanted: Collection[Socket]) -> dict[Socket, str]:
        """Return the names of the processes that have these sockets."""
        import psutil

        found: dict[Socket, str] = {}
        for one in wanted:
            try:
                found[one] = psutil.Process(one.token).name()
            except psutil.Error:
                continue
        return found


def _connections() -> Iterable[Any]:
    import psutil

    try:
        return psutil.net_connections(kind="inet")  # type: ignore[no-any-return]
    except psutil.AccessDenied:
        return _each_process()


def _each_process() -> Iterable[Any]:
    import psutil

    for process in psutil.process_iter():
        try:
            for one in process.net_connections(kind="inet"):
                yield _Owned(one, process.pid)
        except psutil.Error:
            continue


class _Owned:
    """A connection as a process tells it, which leaves its own number out."""

    def __init__(self, told: Any, pid: int) -> None:
        self.type, self.laddr, self.raddr, self.pid = told.type, told.laddr, told.raddr, pid


def _socket(told: Any) -> Socket | None:
    if not told.laddr or told.type not in TRANSPORTS:
        return None
    local, local_port = _address(told.laddr[0]), told.laddr[1]
    remote, remote_port = (_address(told.raddr[0]), told.raddr[1]) if told.raddr else (local & V6, 0)
    return Socket(TRANSPORTS[told.type], local, local_port, remote, remote_port, told.pid or 0, bool(told.pid))


def _address(text: str) -> Address:
    value = from_bytes(ipaddress.ip_address(text.partition("%")[0]).packed)
    return value & 0xFFFF_FFFF if value >> 32 == MAPPED >> 32 else value
