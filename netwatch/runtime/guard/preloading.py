"""Imports, before the sandbox, whatever is imported only when it is needed: afterwards no file of it can be read."""

import codecs
import time
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from typing import Final

# What functions of netwatch import, and what the packages that it uses import late.
CAPTURE: Final = (
    "cryptography.exceptions",
    "cryptography.hazmat.primitives.ciphers",
    "cryptography.hazmat.primitives.ciphers.aead",
    "datetime",
    "hashlib",
    "ipaddress",
    "json",
    "maxminddb",
    "msgspec.json",
    "msgspec.msgpack",
    "netwatch.attribution.compiling",
    "netwatch.engine.engine",
    "netwatch.engine.probes",
    "netwatch.runtime.live.session",
    "netwatch.runtime.signature_files",
    "netwatch.sinks.report.page",
    "numpy.fft",
    "numpy.ma",
    "numpy.random",
    "tomllib",
    "traceback",
    "unicodedata",
    "zoneinfo",
)
# What prints the end of a capture. The modules are named and not imported: the shell stands above this room.
SHELL: Final = ("netwatch.cli.table", "netwatch.cli.verdicts", "netwatch.cli.watch")
SCREEN: Final = (
    "asyncio",
    "concurrent.futures.thread",
    "rich._emoji_codes",
    "rich.ansi",
    "rich.console",
    "rich.live",
    "rich.progress",
    "rich.traceback",
    "textual.app",
    "textual.drivers._input_reader",
    "textual.drivers.headless_driver",
    "textual.drivers.linux_driver",
    "textual.layouts.factory",
    "textual.layouts.grid",
    "textual.layouts.horizontal",
    "textual.layouts.stream",
    "textual.layouts.vertical",
    "textual.lazy",
    "textual.pilot",
    "textual.system_commands",
    "textual.widgets",
)
OPTIONAL: Final = ("tomli", "zstandard")
CODECS: Final = ("ascii", "idna", "latin-1", "punycode", "utf-8", "utf-16")


def preload(more: Iterable[str] = (), *, screen: bool = False) -> None:
    """Import every module that a capture can need, and let what reads a file when it is first used do so.

    more: names of further modules.   screen: also what draws.
    Raises ImportError where a module of netwatch or of what it depends on is not there.
    """
    for name in (*CAPTURE, *SHELL, *(SCREEN if screen else ()), *more):
        import_module(name)
    for name in OPTIONAL:
        if find_spec(name) is not None:
            import_module(name)
    if screen:
        _load_late_parts()
    for name in CODECS:
        codecs.lookup(name)
    time.localtime()  # reads the time zone
    _open_a_packet()


def _open_a_packet() -> None:
    """Use the ciphers once: OpenSSL reads its configuration, and loads what that names, at their first use."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = bytes(16)
    Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(key)  # noqa: S305 of one block, as QUIC masks
    try:
        AESGCM(key).decrypt(bytes(12), bytes(32), b"")
    except InvalidTag:
        return


def _load_late_parts() -> None:
    """Load what Textual and Rich import when it is first asked for: each widget, the widths of characters."""
    from rich.cells import cell_len

    widgets = import_module("textual.widgets")
    for name in widgets.__all__:
        getattr(widgets, name)
    cell_len("\u00e9\u4e2d")
