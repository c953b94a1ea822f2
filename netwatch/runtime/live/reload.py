"""SIGHUP: signatures, databases and policy are read again while the capture goes on (RELIABILITY C8)."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from netwatch.attribution.catalogue import Catalogue
from netwatch.filters.parse import parse
from netwatch.model.errors import DataError
from netwatch.places.places import Places
from netwatch.runtime import datafiles, policies, signatures
from netwatch.runtime.configuration import configured
from netwatch.runtime.filtering import Filter
from netwatch.runtime.live.link import MESSAGE_MAX
from netwatch.runtime.live.messages import Reload, encode


class Fresh(NamedTuple):
    """What was read. policy: None where none is asked for.   message: the same for the capture process."""

    catalogue: Catalogue
    places: Places
    chosen: Filter | None
    policy: policies.Loaded | None
    message: bytes


class Again(NamedTuple):
    """What a capture was started with, as far as it is read again.

    geo: paths of databases.   filter_text: None: no filter.   policy: its id or path.
    """

    geo: Sequence[str] = ()
    filter_text: str | None = None
    policy: str | None = None

    def paths(self) -> list[Path]:
        """Return the folders that have to be readable then.

        The package's own data, the signatures of a clone, the user's signatures and policies where that folder is
        there, and the folders of files that were named: a file that is replaced is another one.
        """
        named = [*self.geo, *([self.policy] if self.policy is not None and policies.is_path(self.policy) else [])]
        return [
            datafiles.DATA,
            signatures.CLONE,
            *configured("signatures"),
            *configured(policies.FOLDER),
            *(Path(path).resolve().parent for path in named),
        ]

    def read(self) -> Fresh:
        """Read all of it. Raises UsageError or DataError, OSError: nothing of it is then to be used."""
        catalogue = signatures.load()
        places = datafiles.places(self.geo)
        places.load()
        chosen = None if self.filter_text is None else Filter(parse(self.filter_text), catalogue)
        policy = None if self.policy is None else policies.load(self.policy, catalogue)
        own = [Path(path).read_bytes() for path in self.geo]
        message = encode(Reload(catalogue.to_bytes(), datafiles.tables(), own))
        if len(message) > MESSAGE_MAX:
            limit = MESSAGE_MAX >> 20
            raise DataError(f"--geo: databases of more than {limit} MiB are taken when a capture is started, not later")
        return Fresh(catalogue, places, chosen, policy, message)
