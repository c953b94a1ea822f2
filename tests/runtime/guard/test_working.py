"""What a process in the sandbox still can do: all of its work (F8, S3), without one more import."""

import os
import select
import subprocess
import sys
import termios
import textwrap
from pathlib import Path

import pytest
from support.mmdb import mmdb
from support.sandboxed import LINUX, sandboxed

pytestmark = LINUX

CAPTURES = sorted(path for path in (Path(__file__).resolve().parents[3] / "captures").glob("*.pcap*"))
INTO = """
    import json, sys
    from netwatch.runtime.guard import apply, preload
    imports = []
    inside = False
    def hook(event, arguments):
        if inside and event == "import":
            imports.append(arguments[0])
    sys.addaudithook(hook)
"""


def test_s3_numbers_ciphers_and_records_need_no_file(tmp_path: Path) -> None:
    database = tmp_path / "country.mmdb"
    database.write_bytes(mmdb([("1.2.3.0/24", {"country": {"iso_code": "CH"}})]))
    code = (
        INTO
        + """
    preload()
    import hashlib, ipaddress, os, random, threading, time
    import maxminddb, msgspec, numpy as np
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    reader = maxminddb.open_database(sys.argv[1])
    apply("worker", mode="strict")
    inside = True
    rng = np.random.default_rng()
    numbers = rng.integers(0, 1 << 40, 1_000_000)
    assert np.all(np.diff(np.sort(numbers)) >= 0)
    assert len(np.unique(numbers)) > 900_000
    one = np.eye(64)
    assert np.array_equal(one @ (one * 2), one * 2)
    big = np.zeros(32 << 20, np.uint8)  # 32 MiB, by mmap
    big[:] = 1
    assert int(big.sum()) == 32 << 20
    del big
    buffer = bytearray()
    for _ in range(200):
        buffer += bytes(1 << 16)  # mremap
    sealed = AESGCM(bytes(16)).encrypt(bytes(12), b"text", b"")
    assert AESGCM(bytes(16)).decrypt(bytes(12), sealed, b"") == b"text"
    assert hashlib.sha256(b"").hexdigest().startswith("e3b0c442")
    assert reader.get("1.2.3.4") == {"country": {"iso_code": "CH"}}
    assert json.loads(json.dumps({"a": [1, "\\u00e9"]})) == {"a": [1, "\\u00e9"]}
    assert msgspec.json.decode(msgspec.msgpack.encode({})[:0] or b"{}") == {}
    assert "b\\u00fccher.example".encode("idna") == b"xn--bcher-kva.example"
    assert len(os.urandom(16)) == 16 and random.random() < 1
    assert str(ipaddress.ip_address("::1")) == "::1"
    seen = []
    thread = threading.Thread(target=seen.append, args=(1,))
    thread.start()
    thread.join()
    assert seen == [1]
    time.sleep(0.001)
    assert time.time() > 0 and time.localtime().tm_year > 2000
    try:
        raise ValueError
    except ValueError:
        import traceback
        assert "ValueError" in traceback.format_exc()
    inside = False
    print(json.dumps(imports))
    """
    )
    assert sandboxed(code, str(database)) == []


@pytest.mark.parametrize("capture", CAPTURES, ids=[path.name for path in CAPTURES])
def test_f8_the_engine_says_the_same_inside_as_outside(capture: Path) -> None:
    """Names of DNS, TLS and QUIC, owners, countries and vendors: every table is in memory by then."""
    code = (
        INTO
        + """
    preload()
    import os, signal
    from netwatch.engine.engine import Engine
    from netwatch.places.local import LocalNetworks
    from netwatch.runtime import datafiles, signatures
    from netwatch.sinks.jsonl import flow_lines, lookup_lines
    from netwatch.sources import open_capture

    catalogue, places, vendors = signatures.load(), datafiles.places(), datafiles.vendors()
    places.load()
    vendors.load()

    def said(source):
        engine = Engine(catalogue, places, vendors.vendor, LocalNetworks([]), max_flows=10_000, draw=lambda bits: 1)
        lines = []
        for batch in source:
            for one in engine.feed(batch):
                lines += [flow_lines(one.flows), lookup_lines(one.lookups)]
        for one in engine.finish():
            lines += [flow_lines(one.flows), lookup_lines(one.lookups)]
        return b"".join(lines)

    with open_capture(sys.argv[1]) as inner:
        child, end = os.pipe()
        if os.fork() == 0:
            with open_capture(sys.argv[1]) as outer:
                rest = memoryview(said(outer))
            while rest:
                rest = rest[os.write(end, rest):]
            os._exit(0)
        os.close(end)
        outside = b""
        while part := os.read(child, 1 << 16):
            outside += part
        os.wait()
        apply("worker", mode="strict")
        inside = True
        signal.setitimer(signal.ITIMER_REAL, 40)
        result = said(inner)
        inside = False
    print(json.dumps([result == outside, len(result), imports]))
    """
    )
    same, size, imports = sandboxed(code, str(capture))
    assert same
    assert size > 1000
    assert imports == []


def test_s3_a_screen_runs_in_the_sandbox_of_outputs() -> None:
    code = (
        INTO
        + """
    preload(screen=True)
    import asyncio, io
    from rich.console import Console
    from rich.table import Table
    from textual.app import App
    from textual.widgets import DataTable, Footer, Header, Input, Static, TabbedContent, TabPane

    class Screen(App):
        CSS = "DataTable { height: 1fr; }"
        BINDINGS = [("q", "quit", "Quit")]

        def compose(self):
            yield Header()
            with TabbedContent():
                with TabPane("Flows"):
                    yield DataTable(id="flows")
                with TabPane("Text"):
                    yield Input(id="search")
                    yield Static("text")
            yield Footer()

        def on_mount(self):
            table = self.query_one("#flows")
            table.add_columns("name", "bytes")
            self.set_timer(0.01, lambda: table.add_row("name", "1"))

    state = apply("output", mode="strict")
    inside = True

    async def run():
        app = Screen()
        async with app.run_test(size=(100, 30)) as pilot:
            await pilot.pause(0.1)
            await pilot.press("tab", "x", "down")
            await pilot.resize_terminal(60, 20)
            await pilot.pause()
            rows = app.query_one("#flows").row_count
            await asyncio.to_thread(lambda: None)
            await pilot.press("ctrl+q")
        return rows, app.return_code

    rows, code = asyncio.run(run())
    console = Console(file=io.StringIO(), force_terminal=True)
    table = Table("a", "b")
    table.add_row("1", "2")
    console.print(table)
    inside = False
    print(json.dumps([rows, code, sorted(set(imports)), console.file.getvalue()]))
    """
    )
    rows, code, imports, text = sandboxed(code)
    assert rows > 0
    assert code == 0
    assert imports == []
    assert "\x1b[" in text


def test_s3_a_terminal_is_drawn_on_and_put_back() -> None:
    """The driver of a real terminal: its modes, its size, its keys, and threads that read them."""
    code = """
    import sys
    from netwatch.runtime.guard import apply, preload
    preload(screen=True)
    from textual.app import App
    from textual.widgets import Footer

    class Screen(App):
        BINDINGS = [("x", "leave", "Leave")]

        def compose(self):
            yield Footer()

        def action_leave(self):
            self.exit(return_code=17)

    late = []
    apply("output", mode="strict")
    sys.addaudithook(lambda event, values: late.append(values[0]) if event == "import" else None)
    screen = Screen()
    screen.run()
    sys.exit(f"imported late: {late}" if late else screen.return_code)
    """
    ours, theirs = os.openpty()
    before = termios.tcgetattr(theirs)
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=theirs, stdout=theirs, stderr=theirs,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "TERM": "xterm-256color"}, start_new_session=True,
    )  # fmt: skip
    drawn = b""
    with process:
        while b"Leave" not in drawn:
            assert select.select([ours], [], [], 20)[0], drawn[-2000:]
            drawn += os.read(ours, 1 << 16)
        os.write(ours, b"x")
        while process.poll() is None:
            if select.select([ours], [], [], 0.1)[0]:
                drawn += os.read(ours, 1 << 16)
    assert process.returncode == 17, drawn[-3000:]
    assert b"\x1b[?1049h" in drawn
    assert b"\x1b[?1049l" in drawn
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def test_s3_what_netwatch_imports_late_is_there_already() -> None:
    """Every import that stands in a function of a module that a capture uses."""
    code = """
    import ast, importlib.util, json, sys
    from pathlib import Path
    import netwatch
    from netwatch.runtime.guard import preload
    from netwatch.runtime.guard.preloading import OPTIONAL
    preload()
    rooms = ("attribution", "decode", "engine", "filters", "flows", "model", "names", "places", "policy", "sinks")
    late = set()
    for name, module in list(sys.modules.items()):
        parts = name.split(".")
        if parts[0] != "netwatch" or len(parts) < 3 or parts[1] not in rooms or not module.__file__:
            continue
        tree = ast.parse(Path(module.__file__).read_text())
        for function in ast.walk(tree):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for node in ast.walk(function):
                    if isinstance(node, ast.Import):
                        late |= {alias.name for alias in node.names}
                    elif isinstance(node, ast.ImportFrom):
                        late.add(node.module)
    print(json.dumps(sorted(name for name in late if name not in sys.modules)))
    """
    assert sandboxed(code) == []


def test_there_are_captures() -> None:
    assert len(CAPTURES) >= 3
