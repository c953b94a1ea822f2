"""With privileges, neither the environment nor the current folder decides what code runs (S5)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.sandboxed import LINUX, ROOT

from netwatch.runtime import isolation

pytestmark = LINUX

PLANTED = (
    "argparse", "json", "numpy", "msgspec", "textual", "rich_argparse", "tomli", "enum", "re", "ctypes",
    "socket", "netwatch_plugin", "collections", "functools", "types", "typing", "keyword", "operator", "contextlib",
    "warnings", "subprocess", "signal",
)  # fmt: skip
START = "from netwatch.runtime.isolation import isolate; isolate({words!r}); import {late}; print('same process')"


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder of modules that say when they are loaded."""
    for name in PLANTED:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'loaded')!r}, 'a').write({name!r} + '\\n')\n")
    return tmp_path


def started(trap: Path, *flags: str, environment: dict[str, str], words: list[str], late: str = "argparse") -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(isolation.PREFIXES)}
    done = subprocess.run(
        [sys.executable, *flags, "-c", START.format(words=words, late=late)],
        cwd=trap, env=kept | environment, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout


def loaded(trap: Path) -> list[str]:
    path = trap / "loaded"
    return path.read_text().split() if path.exists() else []


@ROOT
@pytest.mark.parametrize(
    "environment",
    [{}, {"PYTHONPATH": "."}, {"PYTHONPATH": ".", "PYTHONSTARTUP": "json.py", "TEXTUAL": "debug", "LD_AUDIT2": "x"}],
    ids=["folder", "PYTHONPATH", "more"],
)
def test_s5_no_planted_module_is_loaded_with_privileges(trap: Path, environment: dict[str, str]) -> None:
    if environment:
        environment = {**environment, "PYTHONPATH": str(trap)}
    said = started(trap, environment=environment, words=["explain", "log-sg.tiktokv.com", "--json"])
    assert "tiktok" in said.lower()
    assert "same process" not in said
    assert loaded(trap) == []


def test_s5_the_trap_would_catch_what_is_not_isolated(trap: Path) -> None:
    subprocess.run([sys.executable, "-c", "import netwatch_plugin"], cwd=trap, check=True)
    assert loaded(trap) == ["netwatch_plugin"]


@ROOT
def test_s5_variables_that_change_libraries_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda _path, words, environment: ran.append((words, environment)))
    monkeypatch.setattr(sys, "argv", ["netwatch", "watch", "-i", "eth0"])
    for name in ("PYTHONSTARTUP", "LD_PRELOAD", "TEXTUAL_DRIVER", "OPENSSL_CONF", "GLIBC_TUNABLES"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    isolation.isolate()
    ((words, environment),) = ran
    assert words == [sys.executable, "-I", "-m", "netwatch", "watch", "-i", "eth0"]
    assert [name for name in environment if name.startswith(isolation.PREFIXES)] == []
    assert environment["OPENBLAS_NUM_THREADS"] == "1"


@ROOT
def test_s5_a_process_that_is_isolated_goes_on(trap: Path) -> None:
    assert started(trap, "-I", environment={}, words=[]) == "same process\n"


def test_s5_without_privileges_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "privileged", lambda: False)
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("started anew"))
    monkeypatch.setenv("PYTHONPATH", "x")
    isolation.isolate()


@ROOT
def test_s5_what_is_not_installed_is_refused_with_privileges(tmp_path: Path) -> None:
    """A copy in the current folder is found by `python -m`, and by nobody in isolated mode."""
    package = tmp_path / "netwatch" / "runtime"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "isolation.py").write_text(Path(isolation.__file__).read_text())
    done = subprocess.run(
        [sys.executable, "-c", START.format(words=[], late="json")],
        cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "only where it is installed" in done.stderr


def test_only_what_python_itself_has_loaded_is_used() -> None:
    """An import in front of isolate() could be a planted one."""
    code = (
        "import sys; sys.path.append(sys.argv[1]); before = set(sys.modules); import netwatch.runtime.isolation; "
        "print(*sorted(set(sys.modules) - before))"
    )
    home = str(Path(isolation.__file__).parents[2])
    done = subprocess.run([sys.executable, "-I", "-c", code, home], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["netwatch", "netwatch.runtime", "netwatch.runtime.isolation"]


def test_a_capability_is_a_privilege(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("getuid", "geteuid"):
        monkeypatch.setattr(os, name, lambda: 1000)
    permitted = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapPrm"))
    assert isolation.privileged() is (int(permitted.split()[1], 16) != 0)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert isolation.privileged()
