"""Whether who a capture becomes may write where its records go."""

import stat
from collections.abc import Iterable
from pathlib import Path

from netwatch.model.errors import SinkError
from netwatch.runtime.guard import unprivileged


def refuse_folders(folders: Iterable[Path]) -> None:
    """Say early where whoever this process becomes cannot write. Raises SinkError."""
    identity = unprivileged()
    for folder in folders:
        try:
            found = folder.stat()
        except OSError as error:
            raise SinkError(f"{folder}: {error.strerror}; nothing can be written there") from error
        mine = found.st_uid == identity.uid and found.st_mode & stat.S_IWUSR
        ours = found.st_gid == identity.gid and found.st_mode & stat.S_IWGRP
        if not (mine or ours or found.st_mode & stat.S_IWOTH):
            raise SinkError(
                f"{folder}: records are written without privileges, as user {identity.uid} ({identity.why}), who may "
                f"not write there; name a folder of that user, or run it through sudo from your own account"
            )
