"""A network of its own for one test: interfaces that nobody else sees, gone with the test."""

import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

CLONE_NEWNET = 0x40000000
SOL_PACKET, PACKET_VERSION, TPACKET_V3 = 263, 10, 2


def possible() -> bool:
    """Tell whether this process may make a network namespace, and capture by a ring in it."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as one:
            one.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
    except OSError:
        return False
    return True


needs_root = pytest.mark.skipif(not possible(), reason="needs root, ip(8) and AF_PACKET")


@contextmanager
def network() -> Iterator[None]:
    """Move this thread, and what it starts, to a new network namespace and back."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(CLONE_NEWNET):
            pytest.skip(f"no network namespace: {os.strerror(ctypes.get_errno())}")
        yield
    finally:
        assert libc.setns(home, CLONE_NEWNET) == 0
        os.close(home)


def ip(*lines: str) -> None:
    """Run commands of ip(8), one a line."""
    text = "\n".join(lines) + "\n"
    subprocess.run(["ip", "-batch", "-"], input=text, text=True, check=True, capture_output=True)


def veth(name: str, peer: str, *, quiet: bool = True) -> None:
    """Make a cable and switch both ends on; quiet: the kernel itself sends nothing (no IPv6)."""
    ip(f"link add {name} type veth peer name {peer}")
    up(name, peer, quiet=quiet)


def up(*names: str, quiet: bool = True) -> None:
    """Switch interfaces on."""
    if quiet:
        ip(*(f"link set {name} addrgenmode none" for name in names))
    ip(*(f"link set {name} up" for name in names))


def send(name: str, frames: Iterable[bytes]) -> None:
    """Send frames, as they are, on an interface."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        one.bind((name, 0))
        for frame in frames:
            one.send(frame)
