"""Where the user's own files are."""

import os
from pathlib import Path


def configured(name: str) -> list[Path]:
    """Return a folder of the user's configuration, whether it is there or not; none without a home."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    try:
        return [Path(base).expanduser() / "netwatch" / name]
    except RuntimeError:  # no home
        return []
