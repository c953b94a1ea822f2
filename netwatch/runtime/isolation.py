"""Keeps the environment and the current folder out of a process that has privileges (RELIABILITY S5).

Whoever starts it imports this first and calls isolate(): it needs only what Python itself has loaded by then, so a
module planted in the current folder or in PYTHONPATH has not had its turn. What Python loads before its first line of
netwatch (sitecustomize, and what `python -m` uses itself) only `python -I` keeps out: sudo and the systemd unit do so.
"""

import os
import sys

PREFIXES = ("PYTHON", "LD_", "TEXTUAL", "OPENSSL_", "SSL_CERT_", "GCONV_PATH", "LOCPATH", "MALLOC_", "GLIBC_TUNABLES")
NOT_INSTALLED = 2  # ExitCode.USAGE, which cannot be imported yet


def isolate(arguments: list[str] | None = None) -> None:
    """Where this process has privileges and could be influenced, start Python anew in isolated mode (python -I).

    The new process has the same arguments, and none of the variables that change how Python or a library works.
    It does not return then; it leaves with NOT_INSTALLED where netwatch would not be found in isolated mode.
    arguments: of the command, None: this process's own.
    """
    if not privileged():
        return
    suspicious = [name for name in os.environ if name.startswith(PREFIXES)]
    if sys.flags.isolated and not suspicious:
        return
    if not (suspicious or _knows_current_folder()):
        return
    if not _installed():
        print(  # noqa: T201 nothing that says it better is loaded yet
            "netwatch: with privileges it runs only where it is installed, not from the current folder or PYTHONPATH; "
            "install it, or give it packets: tcpdump -w - | netwatch replay -",
            file=sys.stderr,
        )
        sys.exit(NOT_INSTALLED)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIXES)}
    words = sys.argv[1:] if arguments is None else arguments
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-I", "-m", "netwatch", *words], kept)  # noqa: S606 itself


def privileged() -> bool:
    """Tell whether this process is root, or has any capability."""
    if not hasattr(os, "geteuid"):
        return False
    if os.geteuid() == 0 or os.geteuid() != os.getuid():
        return True
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:  # noqa: PTH123 not loaded yet
            return any(int(line[7:], 16) for line in status if line.startswith("CapPrm:"))
    except OSError:
        return False


def _knows_current_folder() -> bool:
    """Tell whether modules would be taken from the current folder, as they are with `python -m` and `-c`."""
    if sys.flags.safe_path:
        return False
    first = sys.path[0] if sys.path else ""
    return first in ("", os.getcwd())  # noqa: PTH109 not loaded yet


def _installed() -> bool:
    """Tell whether this package lies where Python in isolated mode looks: in folders of the installation."""
    home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
    planted = os.environ.get("PYTHONPATH", "").split(os.pathsep) if not sys.flags.ignore_environment else []
    own = {os.path.abspath(path) for path in planted if path}  # noqa: PTH100
    start = 0 if sys.flags.safe_path else 1
    paths = [os.path.abspath(path) for path in sys.path[start:]]  # noqa: PTH100
    return paths.count(home) > (home in own)
