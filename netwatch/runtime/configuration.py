"""Where the user's own files are."""

import os
from pathlib import Path


def configured(name: str) -> list[Path]:
    """Return a folder of the user's configuration, whether it is there or not.

    None without a home, and none in a home that is another user's: HOME outlives sudo and setpriv.
    """
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    try:
        folder = Path(base).expanduser() / "netwatch" / name
        folder.is_dir()  # tells only whether one may look
    except (RuntimeError, PermissionError):  # no home
        return []
    return [folder]
