"""The same through psutil, where it is installed; and by process, where only root may ask for all."""

import os
import socket
from typing import Any

import pytest

from netwatch.runtime.processes.portable import PsutilSockets
from netwatch.runtime.processes.sockets import TCP

psutil = pytest.importorskip("psutil")


@pytest.mark.parametrize("refused", [False, True])
def test_a_socket_of_this_process_is_found_with_its_program(monkeypatch: pytest.MonkeyPatch, *, refused: bool) -> None:
    def deny(**_: Any) -> None:
        raise psutil.AccessDenied

    if refused:
        monkeypatch.setattr(psutil, "net_connections", deny)
    with socket.create_server(("127.0.0.1", 0)) as server:
        looked = PsutilSockets()
        port = server.getsockname()[1]
        (mine,) = [one for one in looked.look() if one.local_port == port and one.transport == TCP]
        assert (mine.local, mine.remote, mine.remote_port, mine.token, mine.ours) == (
            0x7F000001, 0, 0, os.getpid(), True,
        )  # fmt: skip
        assert looked.programs([mine]) == {mine: psutil.Process().name()}
        assert 0x7F000001 in looked.addresses()


def test_a_process_that_is_gone_has_no_name() -> None:
    looked = PsutilSockets()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        mine = next(one for one in looked.look() if one.local_port == port)
    assert looked.programs([mine._replace(token=2**22 + 1)]) == {}
