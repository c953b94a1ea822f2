"""What a process in the sandbox must not be able to do: each action returns where it succeeds, and raises OSError.

Run inside a process of its own: an action that is not denied may end or change it.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

NUMBERS = {
    "x86_64": {
        "clone": 56, "vfork": 58, "execve": 59, "kill": 62, "setuid": 105, "ptrace": 101, "tkill": 200, "unshare": 272,
        "mount": 165, "chroot": 161, "personality": 135, "keyctl": 250, "add_key": 248, "perf_event_open": 298,
        "userfaultfd": 323, "bpf": 321, "io_uring_setup": 425, "io_setup": 206, "pidfd_open": 434, "pidfd_getfd": 438,
        "process_vm_readv": 310, "init_module": 175, "memfd_create": 319, "setns": 308, "execveat": 322, "clone3": 435,
        "open_by_handle_at": 304, "syslog": 103, "mknodat": 259, "mlockall": 151, "seccomp": 317, "capset": 126,
        "splice": 275, "tee": 276, "vmsplice": 278, "sendfile": 40, "sendmmsg": 307, "pwritev2": 328,
        "process_madvise": 440, "kcmp": 312, "shmget": 29, "msgget": 68, "mq_open": 240, "fanotify_init": 300,
        "inotify_init1": 294, "new_mount": 428, "x32_write": 0x4000_0001, "newest": 600,
    },
    "aarch64": {
        "clone": 220, "execve": 221, "kill": 129, "setuid": 146, "ptrace": 117, "tkill": 130, "unshare": 97,
        "mount": 40, "chroot": 51, "personality": 92, "keyctl": 219, "add_key": 217, "perf_event_open": 241,
        "userfaultfd": 282, "bpf": 280, "io_uring_setup": 425, "io_setup": 0, "pidfd_open": 434, "pidfd_getfd": 438,
        "process_vm_readv": 270, "init_module": 105, "memfd_create": 279, "setns": 268, "execveat": 281, "clone3": 435,
        "open_by_handle_at": 265, "syslog": 116, "mknodat": 33, "mlockall": 230, "seccomp": 277, "capset": 91,
        "splice": 76, "tee": 77, "vmsplice": 75, "sendfile": 71, "sendmmsg": 269, "pwritev2": 287,
        "process_madvise": 440, "kcmp": 272, "shmget": 194, "msgget": 186, "mq_open": 180, "fanotify_init": 262,
        "inotify_init1": 26, "new_mount": 428, "newest": 600,
    },
}.get(platform.machine(), {})  # fmt: skip

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.argtypes = [ctypes.c_long] * 7
LIBC.syscall.restype = ctypes.c_long
PATH = ctypes.create_string_buffer(b"/")
EMPTY = ctypes.create_string_buffer(4096)
HERE = ctypes.addressof(EMPTY)
FAMILIES = 46
TIOCSTI = 0x5412


def call(name: str, *values: int) -> int:
    """Make a system call by its number. Raises OSError."""
    result = int(LIBC.syscall(NUMBERS[name], *values, *([0] * (6 - len(values)))))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def one(name: str, *values: int) -> Callable[[], object]:
    """Return the action of one system call."""
    return lambda: call(name, *values)


def any_socket() -> None:
    """Succeed where a socket of any family or kind can be made."""
    for family in range(FAMILIES):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            try:
                os.close(socket.socket(family, kind, 0).detach())
            except OSError as error:
                if error.errno != errno.EPERM:
                    return
            else:
                return
    raise PermissionError(errno.EPERM, "no family")


def forked() -> None:
    """Fork; the child ends at once."""
    if os.fork() == 0:
        os._exit(0)


def opened(path: str, flags: int = os.O_RDONLY) -> Callable[[], object]:
    """Return the action of opening a file."""
    return lambda: os.close(os.open(path, flags, 0o600))


def executable_memory() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC).close()


def made_executable() -> None:
    memory = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    if LIBC.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(4096), 4 | 1):
        raise OSError(ctypes.get_errno(), "mprotect")


def limit_of_another() -> None:
    import resource

    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)


def more_core() -> None:
    import resource

    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except ValueError as error:  # what Python makes of EPERM
        raise PermissionError(errno.EPERM, str(error)) from error


def prctl(option: int, *values: int) -> Callable[[], object]:
    def action() -> None:
        if LIBC.prctl(ctypes.c_int(option), *(ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4])) < 0:
            raise OSError(ctypes.get_errno(), "prctl")

    return action


def set_socket_option() -> None:
    PAIR[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


def message() -> None:
    PAIR[0].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, b"\0\0\0\0")])


def said_to_an_address() -> None:
    PAIR[0].sendto(b"x", "/run/systemd/notify")


PAIR = socket.socketpair()
KEPT: list[socket.socket] = []  # what was not opened here is not to be closed here
ME = os.getpid()
THREAD = threading.get_native_id

ANYWHERE: dict[str, Callable[[], object]] = {
    "sockets of all families": any_socket,
    "connect": lambda: PAIR[0].connect("/run/systemd/notify"),
    "bind of a socket that is no capture": lambda: PAIR[0].bind(""),
    "listen": lambda: PAIR[0].listen(1),
    "sendmsg with a descriptor": message,
    "sendto an address": said_to_an_address,
    "setsockopt of a socket that is no capture": set_socket_option,
    "fork": forked,
    "clone without CLONE_THREAD": one("clone", signal.SIGCHLD),
    "clone of a thread in a new namespace": one("clone", 0x0001_0000 | 0x1000_0000 | 0x0800_0000 | 0x100),
    "clone3": one("clone3", HERE, 64),
    "exec": lambda: os.execv(sys.executable, [sys.executable, "-c", "0"]),
    "execveat": one("execveat", -100, ctypes.addressof(PATH)),
    "subprocess": lambda: subprocess.run([sys.executable, "-c", "0"], check=True),
    "ptrace of itself": one("ptrace", 0),
    "ptrace of the parent": lambda: call("ptrace", 16, os.getppid()),
    "bpf": one("bpf", 5, HERE, 48),
    "io_uring": one("io_uring_setup", 4, HERE),
    "aio": one("io_setup", 1, HERE),
    "keyctl": one("keyctl", 0, -3, 0),
    "add_key": one("add_key", ctypes.addressof(PATH), ctypes.addressof(PATH), HERE, 1, -3),
    "mount": one("mount", ctypes.addressof(PATH), ctypes.addressof(PATH), 0, 4096, 0),
    "open_tree": one("new_mount", -100, ctypes.addressof(PATH), 0),
    "unshare of a user": one("unshare", 0x1000_0000),
    "unshare of the network": one("unshare", 0x4000_0000),
    "setns": one("setns", 0, 0),
    "chroot": one("chroot", ctypes.addressof(PATH)),
    "personality": one("personality", 0x0040_0000),
    "perf_event_open": one("perf_event_open", HERE, 0, -1, -1, 0),
    "userfaultfd": one("userfaultfd", 1),
    "setuid root": one("setuid", 0),
    "setgroups": lambda: os.setgroups([0]),
    "capset": one("capset", HERE, HERE),
    "kill the parent": lambda: os.kill(os.getppid(), 0),
    "kill everybody": one("kill", -1, 0),
    "kill the group": one("kill", 0, 0),
    "tkill": lambda: call("tkill", THREAD(), 0),
    "pidfd_open": lambda: call("pidfd_open", ME, 0),
    "pidfd_getfd": one("pidfd_getfd", 0, 0, 0),
    "process_vm_readv": lambda: call("process_vm_readv", ME, HERE, 1, HERE, 1, 0),
    "process_madvise": one("process_madvise", 0, HERE, 0, 0, 0),
    "init_module": one("init_module", HERE, 1, HERE),
    "memfd_create": one("memfd_create", ctypes.addressof(PATH), 0),
    "open_by_handle_at": one("open_by_handle_at", -100, HERE, 0),
    "syslog": one("syslog", 10),
    "kcmp": lambda: call("kcmp", ME, ME, 0, 0, 1),
    "shared memory": one("shmget", 0, 4096, 0o600 | 0o1000),
    "message queue": one("msgget", 0, 0o600 | 0o1000),
    "fanotify": one("fanotify_init", 0, 0),
    "inotify": one("inotify_init1", 0),
    "another filter": one("seccomp", 2, 0, HERE),
    "executable memory": executable_memory,
    "memory made executable": made_executable,
    "limits of another process": limit_of_another,
    "limits of itself": more_core,
    "dumpable": prctl(4, 1),
    "securebits": prctl(28, 0),
    "who gets the signals of a descriptor": lambda: fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid()),
    "typing into a terminal": lambda: fcntl.ioctl(0, TIOCSTI, b"x"),
    "/etc/passwd": opened("/etc/passwd"),
    "/root": opened("/root", os.O_RDONLY | os.O_DIRECTORY),
    "/proc/self/mem": opened("/proc/self/mem", os.O_RDWR),
    "/proc of the parent": opened(f"/proc/{os.getppid()}/environ"),
    "a new file in /tmp": opened("/tmp/netwatch-outside", os.O_WRONLY | os.O_CREAT | os.O_EXCL),
    "a device": lambda: call("mknodat", -100, ctypes.addressof(PATH), 0o20600, 259),
    "a call newer than the list": one("newest"),
    **({"a call of x32": one("x32_write", 1, HERE, 0)} if "x32_write" in NUMBERS else {}),
    **({"vfork": one("vfork")} if "vfork" in NUMBERS else {}),
}


def through_a_capture(number: int, other: int) -> dict[str, Callable[[], object]]:
    """Return the ways to send a frame through a capture socket. other: the number of a pipe's or file's descriptor."""
    frame = b"\xff" * 12 + b"\x88\xb5" + bytes(50)
    keeper = socket.socket(fileno=number)
    KEPT.append(keeper)
    buffer = ctypes.create_string_buffer(frame)
    vector = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), len(frame))
    return {
        "send": lambda: keeper.send(frame),
        "sendto": lambda: keeper.sendto(frame, ("guarded", 0x88B5)),
        "sendmsg": lambda: keeper.sendmsg([frame]),
        "sendmmsg": one("sendmmsg", number, HERE, 1),
        "write": lambda: os.write(number, frame),
        "write by a number of 64 bits": lambda: _libc_write(number | 1 << 40, buffer),
        "writev": lambda: os.writev(number, [frame]),
        "pwritev2": one("pwritev2", number, ctypes.addressof(vector), 1, -1, -1, 0),
        "sendfile": lambda: os.sendfile(number, other, 0, 64),
        "splice": one("splice", other, 0, number, 0, 64),
        "dup": lambda: os.close(os.dup(number)),
        "dup2": lambda: os.dup2(number, 50),
        "fcntl F_DUPFD": lambda: fcntl.fcntl(number, fcntl.F_DUPFD, 40),
        "fcntl F_SETOWN": lambda: fcntl.fcntl(number, fcntl.F_SETOWN, os.getpid()),
        "a ring to send from": lambda: keeper.setsockopt(263, 13, b"\0" * 28),
        "another filter": lambda: keeper.setsockopt(socket.SOL_SOCKET, 26, b"\0" * 16),
        "/proc/self/fd": lambda: os.close(os.open(f"/proc/self/fd/{number}", os.O_RDWR)),
    }


def _libc_write(number: int, buffer: ctypes.Array[ctypes.c_char]) -> None:
    LIBC.write.argtypes = [ctypes.c_long, ctypes.c_void_p, ctypes.c_size_t]
    if LIBC.write(number, ctypes.addressof(buffer), 64) < 0:
        raise OSError(ctypes.get_errno(), "write")


def outcomes(actions: dict[str, Callable[[], object]]) -> dict[str, str]:
    """Run all of them; name -> the name of the error, or "done"."""
    found = {}
    for name, action in actions.items():
        try:
            action()
            found[name] = "done"
        except OSError as error:
            found[name] = errno.errorcode.get(error.errno or 0, str(error))
        except RuntimeError as error:  # what Python says where it cannot start something
            found[name] = str(error)
    return found
