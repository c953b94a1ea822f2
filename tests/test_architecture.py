"""Rules over the whole tree: what it depends on, which words it uses, what must not stand in it."""

import ast
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from netwatch.model.anomalies import ANOMALIES

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "netwatch"
CORE = {"numpy", "dpkt", "maxminddb", "cryptography", "msgspec", "textual", "rich-argparse", "scapy"}
MODULES = sorted(PACKAGE.rglob("*.py"))
SKIPPED = {
    ".git",
    ".venv",
    "build",
    "dist",
    ".hypothesis",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".import_linter_cache",
    "__pycache__",
}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def test_the_core_depends_on_eight_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = [line.partition(">")[0].partition("=")[0].strip() for line in project["dependencies"]]
    assert sorted(names) == sorted(CORE)


def test_the_package_imports_nothing_else() -> None:
    import sys

    known = {
        "numpy",
        "dpkt",
        "maxminddb",
        "cryptography",
        "msgspec",
        "textual",
        "rich",
        "rich_argparse",
        "scapy",
        "zstandard",
        "psutil",
        "tomli",
    }
    used = set()
    for path in MODULES:
        if (PACKAGE / "data" / "make") in path.parents:  # run by maintainers and at build time
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Import):
                used |= {one.name.partition(".")[0] for one in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: a relative import"
                used.add((node.module or "").partition(".")[0])
    assert used - known - set(sys.stdlib_module_names) - {"netwatch", "compression"} == set()


def counted(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, name) of each anomaly that a module raises or counts by a literal name."""
    for node in ast.walk(tree(path)):
        found: list[ast.expr] = []
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("ParseError", "note") and node.args:
                found.append(node.args[0])
        elif isinstance(node, ast.Subscript) and getattr(node.value, "attr", getattr(node.value, "id", "")) in (
            "anomalies", "_anomalies", "broken", "total",
        ):  # fmt: skip
            found.append(node.slice)
        for one in found:
            for literal in ast.walk(one):
                if isinstance(literal, ast.Constant) and isinstance(literal.value, str):
                    yield node.lineno, literal.value


def test_every_anomaly_has_its_line_in_the_vocabulary() -> None:
    seen = [(path, line, name) for path in MODULES for line, name in counted(path)]
    assert len({name for _, _, name in seen}) > 40, "the search finds them"
    unknown = [f"{path.relative_to(ROOT)}:{line}: {name}" for path, line, name in seen if name not in ANOMALIES]
    assert unknown == []


def test_every_anomaly_of_the_vocabulary_is_used() -> None:
    strings = {
        node.value
        for path in MODULES
        if path.name != "anomalies.py"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    made = {name for name in ANOMALIES if name.partition("_")[2] in strings or name in strings}
    assert sorted(set(ANOMALIES) - made) == []


def files() -> Iterator[Path]:
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in SKIPPED]
        yield from (Path(folder) / name for name in names if not name.startswith(".coverage"))


def test_no_file_names_a_path_of_a_machine() -> None:
    words = [b"/" + b"work/", b"/" + b"tmp/w", b"/" + b"home/", b"/" + b"root/"]
    found = []
    for path in files():
        data = path.read_bytes()
        if b"\0" in data[:4_096]:
            continue
        found += [f"{path.relative_to(ROOT)}: {word.decode()}" for word in words if word in data]
    assert found == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_says_what_it_is_for_and_stays_small(path: Path) -> None:
    module = tree(path)
    assert not module.body or ast.get_docstring(module), "no docstring"
    assert len(path.read_text("utf-8").splitlines()) <= 420
