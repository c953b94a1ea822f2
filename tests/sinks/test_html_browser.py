"""The report in a real browser, where one is installed: the same elements, no request, nothing to complain of."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from support.pages import Page, written

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OWN = ("google.com", "googleapis.com", "gvt1.com")  # whom the browser itself asks, with any page
PAYLOAD = (
    "</bdi></script></style><script>alert(1)</script><img src=http://x.example/a onerror=alert(1)>"
    '"><svg/onload=alert(1)><link rel=stylesheet href=//x.example/b>\u2028\u202e\x1b]0;x\x07\0[b]'
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


class Seen(NamedTuple):
    """elements, texts: of the document as the browser has it.   hosts: asked by the page.   complaints: its console."""

    page: Page
    hosts: set[str]
    complaints: list[str]


def seen(folder: Path, raw: bytes) -> Seen:
    (folder / "page.html").write_bytes(raw)
    log = folder / "net.json"
    options = [
        *("--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"),
        *("--no-sandbox", "--disable-dev-shm-usage"),  # in a container there is no right to make one
        *("--disable-component-update", "--disable-default-apps", "--disable-extensions"),
        *(f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}", "--host-resolver-rules=MAP * ~NOTFOUND"),
        *("--enable-logging=stderr", "--v=0", "--dump-dom", (folder / "page.html").as_uri()),
    ]
    run = subprocess.run([str(CHROMIUM), *options], capture_output=True, check=True, timeout=60)
    events = net_log(log.read_text("utf-8").rstrip())
    hosts = {urlsplit(one["params"]["url"]).hostname or "" for one in events if "url" in one.get("params", {})}
    lines = run.stderr.decode("utf-8", "replace").splitlines()
    return Seen(
        Page(run.stdout),
        {host for host in hosts if host and not host.endswith(OWN)},
        [line for line in lines if "CONSOLE" in line],
    )


def net_log(text: str) -> list[dict[str, Any]]:
    """Return the events; a browser that ends early leaves out the end of the file."""
    try:
        return json.loads(text)["events"]
    except json.JSONDecodeError:
        return json.loads(text.rstrip(",") + "]}")["events"]


def test_e7_a_browser_makes_the_same_elements_of_hostile_and_benign_text(tmp_path: Path) -> None:
    pages = [written(tmp_path, say, "FAIL") for say in (lambda what: what, lambda what: f"{what}{PAYLOAD}")]
    calm, strange = (seen(tmp_path, raw) for raw in pages)
    assert calm.page.elements == strange.page.elements
    assert strange.page.elements == Page(pages[1]).elements
    assert strange.page.texts[1:] == Page(pages[1]).texts[1:]
    for one in (calm, strange):
        assert one.hosts == set()
        assert one.complaints == []


def test_a_browser_would_tell_of_a_page_that_fetches_and_of_one_that_breaks_its_policy(tmp_path: Path) -> None:
    raw = written(tmp_path, lambda what: what)
    start = raw.index(b"<meta http-equiv")
    unguarded = raw[:start] + raw[raw.index(b"\n", start) :]
    assert "x.example" in seen(tmp_path, unguarded.replace(b"<body>", b'<body><img src="http://x.example/a">')).hosts
    assert seen(tmp_path, raw.replace(b"*{box-sizing", b"/**/*{box-sizing")).complaints
