"""What `netwatch doctor` says of this machine: who may capture, where, in what sandbox, by which clock and memory."""

import ctypes
import os
import shutil
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Final

from netwatch.runtime import datafiles
from netwatch.runtime.finding import Finding
from netwatch.runtime.guard import kernel, landlock, syscalls
from netwatch.runtime.interfaces import default_interface, list_interfaces

CAP_NET_RAW: Final = 13
SOL_PACKET, PACKET_VERSION, TPACKET_V3 = 263, 10, 2
PR_GET_SECCOMP: Final = 21
FILE_CAPABILITIES: Final = "security.capability"
DROPPED: Final = "/sys/class/net/{}/statistics/rx_dropped"
LAST_YEAR: Final = 2100
TIME_ERROR, STA_UNSYNC = 5, 0x40  # adjtimex(2)
TIMEX, STATUS_AT = 256, 40  # bytes, more than the structure has; and where `status` stands with longs of 8 bytes
CGROUP: Final = Path("/sys/fs/cgroup")
TIGHT: Final = 256 << 20  # bytes: catalogue and code 100 MB, 262,144 flows 60, the ring 32, and room for bursts
SMALLER: Final = "netwatch watch --max-flows 65536 --ring 8"


def permissions(_day: date) -> Iterator[Finding]:
    """Say whether this user may capture, else by which command it could."""
    name = default_interface() or "IFACE"
    if _has_capabilities(sys.executable):
        text = f"the file {sys.executable} has capabilities: whatever Python runs has them, not netwatch alone"
        yield Finding("permissions", "bad", text, f"{_sudo()}setcap -r {os.path.realpath(sys.executable)}")
    if not hasattr(os, "geteuid"):
        yield Finding(
            "permissions", "ok", "whether this user may capture shows when it does", f"netwatch watch -i {name}"
        )
        return
    root = os.geteuid() == 0
    may = _may_capture() if sys.platform == "linux" else root
    if may:
        who = "root; it is given up as soon as the capture is open" if root else "CAP_NET_RAW"
        yield Finding("permissions", "ok", f"this user may capture ({who})")
    elif root:
        text = "root, but without CAP_NET_RAW, as in a container"
        yield Finding("permissions", "no", text, "start the container with --cap-add NET_RAW --network host")
    else:
        yield Finding(
            "permissions", "no", "this user may not capture; files and pipes are read all the same", _ways(name)
        )


def interface(_day: date) -> Iterator[Finding]:
    """Say what is captured unless another one is named."""
    name = default_interface()
    found = {one.name: one for one in list_interfaces()}
    if name is None or name not in found:
        text = "no default route, so none is taken by itself"
        yield Finding("interface", "no", text, "netwatch interfaces, then netwatch watch -i NAME")
        return
    one = found[name]
    if one.up is False:
        yield Finding("interface", "no", f"{name}, the default route's, is down", f"{_sudo()}ip link set {name} up")
        return
    words = [word for word in (one.kind, "up" if one.up else "", *one.addresses[:2]) if word]
    dropped = _number(Path(DROPPED.format(name)))
    if dropped:
        words.append(f"it dropped {dropped:,} frames of its own since it came up")
    yield Finding("interface", "ok", f"{name}, the default route's: {', '.join(words)}")


def sandbox(_day: date) -> Iterator[Finding]:
    """Say what of AF_PACKET, Landlock and seccomp this system has."""
    if sys.platform != "linux":
        yield Finding("kernel", "no", "no sandbox: only Linux has it; packets are captured through scapy")
        return
    release = os.uname().release
    yield Finding("kernel", "ok", f"Linux {release}, {_ring()}")
    try:
        yield Finding("kernel", "ok", f"landlock {landlock.abi()}: files are shut off")
    except OSError as error:
        text = f"no landlock ({(error.strerror or '').lower()}): files are not shut off, and --sandbox strict refuses"
        yield Finding("kernel", "no", text, "Linux 5.13 or newer, with landlock in lsm= of its command line")
    missing = _no_filter()
    if missing:
        text = f"no seccomp ({missing}): system calls are not shut off, and --sandbox strict refuses"
        yield Finding("kernel", "no", text, "a kernel with CONFIG_SECCOMP_FILTER on x86-64 or AArch64")
    else:
        yield Finding("kernel", "ok", "seccomp: system calls are shut off")


def clock(day: date) -> Iterator[Finding]:
    """Say whether the times of records can be trusted."""
    newest = max((entry.date for entry in datafiles.data_files()), default="")
    with suppress(ValueError):
        if day < date.fromisoformat(newest) or day.year >= LAST_YEAR:
            text = f"the clock says {day}, and the data files are of {newest}: owners and ages would be wrong"
            yield Finding("clock", "bad", text, f"set the clock: {_setting()}")
            return
    synchronised = _synchronised()
    if synchronised is None:
        yield Finding("clock", "ok", f"{day}; whether it is synchronised is not told here")
    elif synchronised:
        yield Finding("clock", "ok", f"{day}, synchronised")
    else:
        text = f"{day}, not synchronised: records of several machines may not fit together"
        yield Finding("clock", "no", text, _setting())


def memory(_day: date) -> Iterator[Finding]:
    """Say whether a limit of the control group leaves room for full tables."""
    limit = memory_limit()
    if limit is None:
        yield Finding("memory", "ok", "no limit of a control group")
    elif limit < TIGHT:
        text = f"limit {limit >> 20} MiB of the control group: less than full tables take ({TIGHT >> 20} MiB)"
        yield Finding("memory", "no", text, SMALLER)
    else:
        yield Finding("memory", "ok", f"limit {limit >> 20} MiB of the control group")


def memory_limit(own: Path = Path("/proc/self/cgroup"), mount: Path = CGROUP) -> int | None:
    """Return the least limit of the control groups that this process is in, bytes, None without one."""
    found = []
    for line in _text(own).splitlines():
        _, kinds, path = [*line.split(":", 2), "", ""][:3]
        if kinds == "":
            root, file = mount, "memory.max"
        elif "memory" in kinds.split(","):
            root, file = mount / "memory", "memory.limit_in_bytes"
        else:
            continue
        folder = root / path.lstrip("/")
        for one in (folder, *folder.parents):
            limit = _number(one / file)
            if limit is not None and limit < 1 << 60:  # a limit of the first version that is none is near 1 << 63
                found.append(limit)
            if one == root:
                break
    return min(found, default=None)


def _ways(name: str) -> str:
    """Return the commands by which this user captures: those first that give netwatch no privilege."""
    dumpcap = shutil.which("dumpcap")
    if dumpcap and _has_capabilities(dumpcap):  # else it may not capture either
        first = f"dumpcap -q -i {name} -w - | netwatch replay -"
    else:
        first = f"sudo tcpdump -i {name} -U -s 2048 -w - | netwatch replay -"
    raised = (
        f"sudo setpriv --reuid {os.getuid()} --regid {os.getgid()} --init-groups --inh-caps +net_raw "
        f"--ambient-caps +net_raw netwatch watch -i {name}"
    )
    return f"{first}; or {raised}; or sudo netwatch watch -i {name}; never setcap on Python"


def _setting() -> str:
    if shutil.which("timedatectl"):
        return f"{_sudo()}timedatectl set-ntp true"
    return f"{_sudo()}date -u -s 'YYYY-MM-DD hh:mm:ss', or install and start an NTP client such as chrony"


def _sudo() -> str:
    """Return what stands before a command that only root may run."""
    return "" if hasattr(os, "geteuid") and os.geteuid() == 0 else "sudo "


def _may_capture() -> bool:
    try:
        with open(f"{kernel.SELF}/status", "rb") as status:  # noqa: PTH123 its number is asked for
            return kernel.has(kernel.read_status(status.fileno()).effective, CAP_NET_RAW)
    except (OSError, ValueError):
        return os.geteuid() == 0


def _has_capabilities(path: str) -> bool:
    try:
        return FILE_CAPABILITIES in os.listxattr(os.path.realpath(path))
    except (AttributeError, OSError):  # not on this system
        return False


def _ring() -> str:
    if not _may_capture():
        return "AF_PACKET; the ring is tried when it captures"
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as one:
            one.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
    except OSError as error:
        return f"no ring of AF_PACKET ({(error.strerror or '').lower()}): --source scapy"
    return "AF_PACKET with a ring (TPACKET_V3)"


def _no_filter() -> str:
    """Return why there is no seccomp filter, "" where there is one."""
    if syscalls.machine() is None:
        return f"no table of system calls for {os.uname().machine}"
    try:
        kernel.prctl(PR_GET_SECCOMP)
    except OSError as error:
        return (error.strerror or "").lower()
    return ""


def _synchronised() -> bool | None:
    """Ask the kernel (adjtimex(2)), which changes nothing; None where it does not say."""
    if sys.platform != "linux" or struct.calcsize("l") != 8:
        return None
    buffer = ctypes.create_string_buffer(TIMEX)  # modes 0: to look
    state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    if state < 0:
        return None
    (status,) = struct.unpack_from("@i", buffer, STATUS_AT)
    return state != TIME_ERROR and not status & STA_UNSYNC


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isascii() and text.isdecimal() else None


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""
