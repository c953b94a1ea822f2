"""Steps into the sandbox: the sequence of RELIABILITY section 3, and a look at whether it holds."""

import fcntl
import os
import site
import socket
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from netwatch.model.errors import GuardError
from netwatch.runtime.guard import kernel, landlock, privileges, seccomp
from netwatch.runtime.guard.findings import Findings
from netwatch.runtime.guard.kernel import Status
from netwatch.runtime.guard.privileges import Identity, unprivileged
from netwatch.runtime.guard.profiles import CAPTURE_FD, Profile

Mode: TypeAlias = Literal["strict", "auto", "off"]

PR_SET_MDWE, PR_GET_MDWE, REFUSE_EXEC_GAIN = 65, 66, 1
OFF: Final = "all of it: --sandbox off"
LATER: Final = {3: "right of truncation", 4: "TCP rights", 6: "scopes of signals and abstract sockets"}
PACKAGE: Final = Path(__file__).resolve().parents[2]


class GuardState(NamedTuple):
    """What of the sandbox holds.

    user: who this process is now, None where nothing was tried.   held: parts that were seen to hold.
    missing: parts that do not, each with its reason.   notes: what is not there, and why it does not matter.
    """

    profile: Profile
    mode: Mode
    user: Identity | None
    held: tuple[str, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...] = ()


def apply(
    profile: Profile,
    *,
    user: Identity | None = None,
    read: Iterable[Path | str] = (),
    write: Iterable[Path | str] = (),
    mode: Mode = "auto",
) -> GuardState:
    """Give up every privilege and every reach that a process of this profile does not need, for ever.

    profile: "worker" has the descriptors that are open and nothing else; capture sockets stand at CAPTURE_FD or above.
        "output" also has files, a terminal and socket pairs, and no capture socket.
        "processes" can look into other processes of its user, which Landlock lets nobody do: instead, the filter opens
        files for reading alone.
        "recorder" has capture sockets as a worker, and files as an output.
    user: whom to become, None: unprivileged().   read, write: paths for those that have files: what may be read;
        folders that files are written to.   mode: what happens where the system lacks a part: "strict" raises, "auto"
        says so in `missing`; "off" does nothing at all.
    Raises GuardError: strict, and a part is missing; or this process has more than one thread, since another one would
    keep everything.
    """
    if mode == "off":
        return GuardState(profile, mode, None, (), (OFF,))
    findings = Findings()
    if sys.platform != "linux":
        findings.lacks("all of it", "only Linux has it")
        return _result(profile, mode, None, findings)
    identity = unprivileged() if user is None else user
    status_file, before = _look()
    try:
        _audit(profile, findings)
        privileges.drop(identity, before, findings)
        if profile in ("output", "recorder"):
            _shut_files((*read, *_code()), (*write, os.devnull), findings)
        elif profile == "processes":
            findings.notes.append("no landlock, which shuts off other processes: files are opened for reading alone")
        else:
            _shut_files((), (), findings)
        _refuse_new_code(findings)
        filtered = findings.tried("seccomp", lambda: seccomp.install(seccomp.program(profile)))
        now = kernel.read_status(status_file)
        privileges.verify(identity, before, now, findings)
        findings.proven("one thread", holds=now.threads == 1, why=f"there are {now.threads}")
        findings.proven("seccomp", holds=filtered and now.seccomp == 2 and seccomp.holds(), why="not in force")
    finally:
        os.close(status_file)
    findings.settle("seccomp")
    return _result(profile, mode, identity, findings)


def _result(profile: Profile, mode: Mode, user: Identity | None, findings: Findings) -> GuardState:
    if mode == "strict" and findings.missing:
        raise GuardError(f"--sandbox strict: {'; '.join(findings.missing)}; --sandbox auto goes on without")
    return GuardState(profile, mode, user, tuple(findings.held), tuple(findings.missing), tuple(findings.notes))


def _look() -> tuple[int, Status]:
    """Return an open /proc/self/status, which is read again at the end, and what it says. Raises GuardError."""
    try:
        tasks = list(Path(kernel.SELF, "task").iterdir())
        file = os.open(f"{kernel.SELF}/status", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise GuardError("the sandbox cannot be verified: /proc is not mounted") from error
    if len(tasks) != 1:
        os.close(file)
        raise GuardError(f"the sandbox would not hold: {len(tasks)} threads run, and each keeps what it has")
    return file, kernel.read_status(file)


def _audit(profile: Profile, findings: Findings) -> None:
    """Look for open descriptors that a process of this profile should not have."""
    terminals, captures, files = [], [], []
    for entry in Path(kernel.SELF, "fd").iterdir():
        number = int(entry.name)
        try:
            kind = os.fstat(number).st_mode
        except OSError:  # the one that listed them
            continue
        if stat.S_ISSOCK(kind) and _family(number) == socket.AF_PACKET:
            captures.append(number)
        elif stat.S_ISREG(kind) and fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
            files.append(number)
        elif os.isatty(number):
            terminals.append(number)
    if profile not in ("worker", "recorder"):
        findings.proven("no capture socket", holds=not captures, why=f"descriptors {captures}")
    if profile == "output":
        return
    low = [number for number in captures if number < CAPTURE_FD]
    findings.proven("no sending", holds=not low, why=f"capture sockets {low} stand below {CAPTURE_FD}")
    findings.proven("no terminal", holds=not terminals, why=f"descriptors {terminals}")
    if files:
        findings.notes.append(f"descriptors {files} are files that the caller left open for writing")


def _family(number: int) -> int:
    one = socket.socket(fileno=number)
    try:
        return one.family
    finally:
        one.detach()


def _code() -> list[str]:
    """Return the folders of this program's own modules: an import that nobody foresaw is no reason to break down."""
    return [os.path.dirname(os.__file__), *site.getsitepackages(), str(PACKAGE)]  # noqa: PTH120 a str, as the others


def _shut_files(read: Iterable[Path | str], write: Iterable[Path | str], findings: Findings) -> None:
    version = 0

    def shut() -> None:
        nonlocal version
        version = landlock.restrict(read, write)

    if findings.tried("landlock", shut):
        findings.proven("landlock", holds=_is_shut(), why="a folder outside can still be listed")
        for since, what in LATER.items():
            if version < since:
                findings.covered(f"landlock {version} has no {what}")


def _is_shut() -> bool:
    try:
        os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY))
    except PermissionError:
        return True
    return False


def _refuse_new_code(findings: Findings) -> None:
    """Let no memory become executable, not even by a way that the filter does not know."""
    try:
        kernel.prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN)
        findings.proven("no new code", holds=kernel.prctl(PR_GET_MDWE) == REFUSE_EXEC_GAIN, why="not in force")
    except OSError:
        findings.covered("no memory-deny-write-execute (Linux 6.3)")
