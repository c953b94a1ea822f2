"""Gives up everything that makes this process more than an ordinary one (capabilities(7), credentials(7)).

Every step is for the calling thread alone: whoever calls this has one.
"""

import errno
import os
import resource
from collections.abc import Mapping
from typing import Final, NamedTuple

from netwatch.runtime.guard import kernel
from netwatch.runtime.guard.findings import Findings
from netwatch.runtime.guard.kernel import Status

NOBODY: Final = 65_534  # no account is looked up: where accounts come from a server, that would ask the network (N1)
PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4
PR_CAPBSET_DROP: Final = 24
PR_GET_SECUREBITS, PR_SET_SECUREBITS = 27, 28
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
CAPABILITIES_MAX: Final = 64
# SECBIT_NOROOT, _NO_SETUID_FIXUP and _NO_CAP_AMBIENT_RAISE are set, _KEEP_CAPS is not, and all four are locked.
SECUREBITS: Final = 0b1110_1111


class Identity(NamedTuple):
    """Who to be. why: where that was taken from."""

    uid: int
    gid: int
    why: str


def unprivileged(environment: Mapping[str, str] = os.environ) -> Identity:
    """Return who to become: who called sudo, else the own user, else nobody. It is never root."""
    if os.geteuid() != 0:
        return Identity(os.geteuid(), os.getegid(), "own user")
    asked = _number(environment.get("SUDO_UID", ""))
    if asked:
        return Identity(asked, _number(environment.get("SUDO_GID", "")) or NOBODY, "who called sudo")
    if os.getuid() != 0:
        return Identity(os.getuid(), os.getgid() or NOBODY, "own user")
    return Identity(NOBODY, NOBODY, "nobody")


def drop(identity: Identity, before: Status, findings: Findings) -> None:
    """Become `identity` and nothing more. before: what this process was."""
    findings.tried("ambient capabilities", lambda: kernel.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL))
    if kernel.has(before.effective, kernel.CAP_SETPCAP):
        findings.tried("bounding set", _drop_bounding_set)
        findings.tried("securebits", lambda: kernel.prctl(PR_SET_SECUREBITS, SECUREBITS))
    if kernel.has(before.effective, kernel.CAP_SETGID):
        findings.tried("groups", lambda: os.setgroups([]))
    if set(before.gids) != {identity.gid}:
        findings.tried("group", lambda: os.setresgid(identity.gid, identity.gid, identity.gid))
    if set(before.uids) != {identity.uid}:
        findings.tried("user", lambda: os.setresuid(identity.uid, identity.uid, identity.uid))
    findings.tried("capabilities", kernel.clear_capabilities)
    findings.tried("no new privileges", lambda: kernel.prctl(PR_SET_NO_NEW_PRIVS, 1))
    findings.tried("not dumpable", lambda: kernel.prctl(PR_SET_DUMPABLE, 0))
    findings.tried("no core files", lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))


def become(identity: Identity) -> list[str]:
    """Become `identity` in a process that may do all that such a user may; return what did not work."""
    findings = Findings()
    with open(f"{kernel.SELF}/status", "rb") as status:  # noqa: PTH123 as everywhere in this room
        drop(identity, kernel.read_status(status.fileno()), findings)
    return findings.missing


def verify(identity: Identity, before: Status, now: Status, findings: Findings) -> None:
    """Compare what this process is with what it should be. Raises OSError where the kernel does not answer."""
    root = 0 in before.uids
    findings.proven(
        "user", holds=set(now.uids) == {identity.uid} and identity.uid != 0, why=f"user {_list(now.uids)} is left"
    )
    findings.proven("group", holds=set(now.gids) == {identity.gid}, why=f"group {_list(now.gids)} is left")
    if now.groups and not root and not kernel.has(before.effective, kernel.CAP_SETGID):
        findings.notes.append(f"groups {_list(now.groups)} of the user stay: only root can leave groups")
    else:
        findings.proven("groups", holds=not now.groups, why=f"{_list(now.groups)} are left")
    sets = (now.inheritable, now.permitted, now.effective, now.ambient)
    findings.proven("capabilities", holds=not any(sets), why="some are left")
    locked = kernel.prctl(PR_GET_SECUREBITS) == SECUREBITS
    if root or kernel.has(before.effective, kernel.CAP_SETPCAP):
        findings.proven("bounding set", holds=not now.bounding, why="it is not empty")
        findings.proven("securebits", holds=locked, why="not locked")
    elif now.bounding:
        findings.notes.append("the bounding set stays: void, since no new privileges can be had")
    findings.proven("no new privileges", holds=now.no_new_privs == 1, why="not set")
    findings.proven("not dumpable", holds=kernel.prctl(PR_GET_DUMPABLE) == 0, why="it is dumpable")
    core = resource.getrlimit(resource.RLIMIT_CORE)
    findings.proven("no core files", holds=core == (0, 0), why=f"limit {core}")


def _drop_bounding_set() -> None:
    for capability in range(CAPABILITIES_MAX):
        try:
            kernel.prctl(PR_CAPBSET_DROP, capability)
        except OSError as error:
            if error.errno == errno.EINVAL and capability > kernel.CAP_SETPCAP:
                return  # the kernel knows no more of them
            raise


def _number(text: str) -> int:
    """Return the number of a user or group, 0 for none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _list(numbers: tuple[int, ...]) -> str:
    return ", ".join(str(number) for number in dict.fromkeys(numbers))
