"""Where a capture of a test runs: on a cable in a network of its own, on behalf of a user."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import netns
from support.live import private_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the user on whose behalf root captures."""
    yield from private_folder()


@pytest.fixture
def cable() -> Iterator[None]:
    """A cable from nw0, where a test sends, to nw1, where netwatch captures."""
    with netns.network():
        netns.veth("nw0", "nw1")
        yield
