"""`watch --processes`: the flow of a real program on this machine has its name."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from support import netns

pytestmark = netns.needs_root


def test_a_flow_of_this_machine_has_its_program(tmp_path: Path) -> None:
    out = tmp_path / "live.jsonl"
    words = ["watch", "-i", "lo", "--headless", "--every", "1s", "--processes", "--sandbox", "off", "-w", str(out)]
    with netns.network():
        netns.ip("link set lo up")
        with subprocess.Popen(
            [sys.executable, "-m", "netwatch", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as live:
            assert live.stderr is not None
            while " 0 packets" not in live.stderr.readline():
                assert live.poll() is None
            with (
                socket.create_server(("127.0.0.1", 0)) as server,
                socket.create_connection(server.getsockname()) as client,
            ):
                port = client.getsockname()[1]
                client.sendall(b"x")
                time.sleep(3)  # longer than from one walk through the processes to the next
            live.send_signal(signal.SIGINT)
            _, errors = live.communicate(timeout=30)
    assert live.returncode == 0
    flows = {row["client_port"]: row for row in map(json.loads, out.read_text("ascii").splitlines())}
    assert Path("/proc/self/exe").readlink().name in flows[port]["process"]
    assert "programs: 1 flows named" in errors
