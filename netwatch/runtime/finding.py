"""What a check of `netwatch doctor` says."""

from typing import NamedTuple


class Finding(NamedTuple):
    """What one check found. step: what to do, "" where nothing is to be done.

    state: ok; old, data of long ago; no, which this system has not and the rest works without; bad.
    """

    check: str
    state: str
    text: str
    step: str = ""
