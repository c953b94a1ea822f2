"""Signature files: every broken rule is an error with file and line; the compiled form is the same catalogue."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from netwatch.attribution.catalogue import Catalogue
from netwatch.model.errors import DataError, ExitCode
from netwatch.runtime import signatures, suffixes, tomlfiles
from netwatch.runtime.signature_files import FILES_MAX

SHIPPED = Path(__file__).resolve().parents[2] / "signatures"
COMPANY = """\
schema = 1
id = "acme"
name = "Acme"
parents = []

[[control]]
entity = "Acme Ltd."
legal_domicile = "US"
control_country = "US"
from = "2001"
basis = "test"
sources = ["test"]
"""
APP = """\
schema = 1

[app]
id = "acme_chat"
name = "Acme Chat"
kind = "app"
company = "acme"

[[app.data]]
category = "location"
basis = "test"
sources = ["test"]

[[endpoint]]
suffix = "chat.example"
role = "api"
confidence = "high"
sources = ["test"]

[[endpoint]]
exact = "www.acme.example"
role = "web"
confidence = "medium"
sources = ["test"]

[[label_role]]
words = ["log"]
role = "telemetry"

[[network]]
prefixes = ["198.51.100.0/24"]
name = "ACME"
tenancy = "dedicated"
claim = "owner"
confidence = "medium"
sources = ["test"]

[test]
match = ["a.chat.example"]
no_match = ["notchat.example"]
"""


def folder(at: Path, app: str = APP, company: str = COMPANY, name: str = "acme", file: str = "chat") -> Path:
    (at / name).mkdir(parents=True, exist_ok=True)
    (at / name / "_company.toml").write_text(company, "utf-8")
    (at / name / f"{file}.toml").write_text(app, "utf-8")
    (at / "VERSION").write_text("2025.11\n", "utf-8")
    return at


def refused(at: Path) -> str:
    with pytest.raises(DataError) as error:
        signatures.read_folder(at)
    assert error.value.exit_code is ExitCode.UNREADABLE
    assert signatures.self_test(at)[0] == str(error.value).split(" (")[0] or "more)" in str(error.value)
    return str(error.value)


def test_a_folder_is_read_and_proves_itself(tmp_path: Path) -> None:
    catalogue = signatures.read_folder(folder(tmp_path))
    match = catalogue.match("log-1.chat.example")
    assert match is not None
    assert (match.app.id, match.role, match.rule) == (
        "acme_chat",
        "telemetry",
        "signatures/acme/chat.toml#chat.example",
    )
    assert (catalogue.version, catalogue.counts) == ("2025.11", (1, 1, 2))
    assert signatures.self_test(tmp_path) == signatures.self_test(catalogue) == []


BROKEN = [
    ('role = "api"', 'role = "apii"', 16, "apii"),
    ('role = "web"', 'role = "web"\nport = 443', 23, "port"),
    ('kind = "app"', 'kind = "app"\ncolour = "red"', 7, "colour"),
    ('name = "Acme Chat"', "name = 5", 5, "str"),
    ('category = "location"', 'category = "mood"', 10, "mood"),
    ('confidence = "medium"\nsources = ["test"]\n\n[[label', 'confidence = "medium"\n\n[[label', 20, "sources"),
    (
        'confidence = "medium"\nsources = ["test"]\n\n[[label',
        'confidence = "medium"\nsources = []\n\n[[label',
        24,
        ">= 1",
    ),
    ('suffix = "chat.example"', "", 14, "either suffix or exact"),
    ('suffix = "chat.example"', 'suffix = "chat.example"\nexact = "x.example"', 14, "either suffix or exact"),
    ('suffix = "chat.example"', 'suffix = "Chat.example"', 15, "lower case"),
    ('suffix = "chat.example"', 'suffix = "*.chat.example"', 15, "lower case"),
    ('suffix = "chat.example"', 'suffix = "b\u00fccher.example"', 15, "A-labels"),
    ('suffix = "chat.example"', 'suffix = "example"', 15, "no host name"),
    ('suffix = "chat.example"', 'suffix = "chat.local"', 15, "no host name"),
    ('suffix = "chat.example"', 'suffix = "10.0.0.1"', 15, "no host name"),
    ('suffix = "chat.example"', 'suffix = "co.uk"', 15, "public suffix"),
    ('suffix = "chat.example"', 'suffix = "anything.ck"', 15, "public suffix"),
    ('suffix = "chat.example"', 'suffix = "github.io"', 15, "public suffix"),
    ('exact = "www.acme.example"', 'exact = "com.cn"', 21, "public suffix"),
    ('words = ["log"]', 'words = ["lo.g"]', 27, "regex"),
    ('words = ["log"]', 'words = ["log", "log"]', 26, "has a role already"),
    ('prefixes = ["198.51.100.0/24"]', 'prefixes = ["198.51.100.1/24"]', 31, "no prefix"),
    ('prefixes = ["198.51.100.0/24"]', "", 30, "prefixes or an asn"),
    ('company = "acme"', 'company = "other"', 7, "the folder acme"),
    ("schema = 1", "schema = 2", 1, "2"),
    ("schema = 1", "schema = 1\nschema = 1", 2, "overwrite"),
    ("[test]", "[test", 38, "Expected ']'"),
    ("[test]", "[[test]]", 38, "object"),
    ('suffix = "chat.example"', 'suffix = "www.acme.example"\nsuffix = "b.example"', 16, "overwrite"),
]


@pytest.mark.parametrize(("old", "new", "line", "text"), BROKEN)
def test_each_broken_rule_is_an_error_with_file_and_line(
    tmp_path: Path, old: str, new: str, line: int, text: str
) -> None:
    assert APP.count(old) >= 1
    message = refused(folder(tmp_path, APP.replace(old, new, 1)))
    assert message.startswith(f"{tmp_path / 'acme' / 'chat.toml'}:{line}: ")
    assert text in message


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('from = "2001"', 'from = "soon"', 10),
        ('from = "2001"', "", 6),
        ('control_country = "US"', 'control_country = "usa"', 9),
        ('sources = ["test"]', "", 6),
        ('id = "acme"', 'id = "acne"', 2),
        ("parents = []", 'parents = [{ id = "nobody", sources = ["x"] }]', 4),
        ("parents = []", 'parents = [{ id = "nobody" }]', 4),
    ],
)
def test_a_companys_broken_rule_is_an_error_with_file_and_line(tmp_path: Path, old: str, new: str, line: int) -> None:
    message = refused(folder(tmp_path, company=COMPANY.replace(old, new, 1)))
    assert message.startswith(f"{tmp_path / 'acme' / '_company.toml'}:{line}: ")


def test_a_duplicate_endpoint_in_two_files_is_an_error_in_the_second(tmp_path: Path) -> None:
    folder(tmp_path)
    folder(tmp_path, APP.replace("acme_chat", "zulu"), file="zulu")
    message = refused(tmp_path)
    assert message.startswith(
        f"{tmp_path / 'acme' / 'zulu.toml'}:14: chat.example stands in signatures/acme/chat.toml too"
    )
    assert len(signatures.self_test(tmp_path)) == 2


def test_an_exact_name_may_stand_inside_another_files_suffix(tmp_path: Path) -> None:
    folder(tmp_path)
    other = APP.replace("acme_chat", "zulu").replace('suffix = "chat', 'exact = "chat').replace("www.acme", "www.zulu")
    folder(tmp_path, other, file="zulu")
    assert signatures.read_folder(tmp_path).counts.endpoints == 4


def test_an_id_in_two_files_is_an_error(tmp_path: Path) -> None:
    folder(tmp_path)
    folder(tmp_path, APP.replace("example", "test.example"), file="zulu")
    assert "zulu.toml:4: acme_chat stands in" in refused(tmp_path)


def test_an_app_without_its_company_is_an_error(tmp_path: Path) -> None:
    (folder(tmp_path) / "acme" / "_company.toml").unlink()
    assert "chat.toml:7: there is no acme/_company.toml" in refused(tmp_path)


def test_a_file_in_the_wrong_place_is_an_error_and_policies_are_none_of_these(tmp_path: Path) -> None:
    (folder(tmp_path) / "policies").mkdir()
    (tmp_path / "policies" / "x.toml").write_text("id = 1")
    assert signatures.read_folder(tmp_path).counts.apps == 1
    (tmp_path / "stray.toml").write_text(APP)
    assert "<company>/<app>.toml" in refused(tmp_path)


def test_all_errors_of_a_folder_are_listed(tmp_path: Path) -> None:
    folder(tmp_path, APP.replace('"api"', '"apii"'), COMPANY.replace("2001", "soon"))
    assert len(signatures.self_test(tmp_path)) >= 2
    with pytest.raises(DataError, match=r"\(\d+ more\)"):
        signatures.read_folder(tmp_path)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"x = " + b"[" * 200_000, ":1: values are nested too deep"),
        (b"# \xff", ":1: not UTF-8"),
        (b"schema = 1\n\n# \xe9", ":3: not UTF-8"),
        (b"#" * (tomlfiles.FILE_MAX + 1), f"more than {tomlfiles.FILE_MAX} bytes"),
        (b"schema = 1\na" + b".a" * 20_000 + b" = 1", ":2: more than 256 dots"),
        (b"", "missing required field"),
    ],
)
def test_b3_hostile_files_are_refused_with_a_reason(tmp_path: Path, content: bytes, text: str) -> None:
    (folder(tmp_path) / "acme" / "chat.toml").write_bytes(content)
    message = refused(tmp_path)
    assert message.startswith(str(tmp_path / "acme" / "chat.toml"))
    assert text in message


def test_b3_the_number_of_files_is_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert FILES_MAX >= 1_000
    monkeypatch.setattr("netwatch.runtime.signature_files.FILES_MAX", 1)
    assert "more than 1 files" in refused(folder(tmp_path))


def test_a_user_file_adds_an_app_and_overrides_one_by_id(tmp_path: Path) -> None:
    plain = signatures.load([])
    assert plain.match("x.chat.example") is None
    user = signatures.load([folder(tmp_path / "new")])
    match = user.match("x.chat.example")
    assert match is not None
    assert match.rule == "signatures/acme/chat.toml#chat.example"
    assert user.counts.apps == plain.counts.apps + 1
    assert user.version == f"{plain.version}+user"
    mine = APP.replace('"acme_chat"', '"tiktok"').replace('company = "acme"', 'company = "bytedance"')
    (tmp_path / "over" / "bytedance").mkdir(parents=True)
    (tmp_path / "over" / "bytedance" / "tiktok.toml").write_text(mine)
    over = signatures.load([tmp_path / "over"])
    assert [over.match(name) and over.match(name).app.id for name in ("x.chat.example", "tiktokv.com")] == [  # type: ignore[union-attr]
        "tiktok",
        None,
    ]


def test_a_user_file_that_takes_a_shipped_endpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"chat\.toml:14: tiktokv\.com stands in signatures/bytedance/"):
        signatures.load([folder(tmp_path, APP.replace("chat.example", "tiktokv.com"))])


def test_the_configuration_folder_is_read_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert signatures.load().match("x.chat.example") is None
    folder(tmp_path / "netwatch" / "signatures")
    assert signatures.load().match("x.chat.example") is not None


@pytest.mark.parametrize("name", ["acme/chat.toml", "acme/_company.toml", "acme", "."])
def test_b4_root_refuses_a_user_file_that_others_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    base = folder(tmp_path / "user")
    monkeypatch.setenv("SUDO_UID", str((base / name).stat().st_uid))
    (base / name).chmod((base / name).stat().st_mode | 0o002)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert signatures.load([base]).match("x.chat.example") is not None
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(DataError, match="others may write it"):
        signatures.load([base])
    (base / name).chmod((base / name).stat().st_mode & ~0o022)
    assert signatures.load([base]).match("x.chat.example") is not None


def test_the_compiled_form_is_the_same_catalogue_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    base = folder(tmp_path)
    raw = signatures.compile_catalogue(base)
    assert raw == signatures.compile_catalogue(base)
    compiled, read = Catalogue.from_bytes(raw), signatures.read_folder(base)
    assert compiled.documents == read.documents
    assert (compiled.version, compiled.counts) == (read.version, read.counts)
    for name in ("log.chat.example", "www.acme.example", "acme.example"):
        assert compiled.match(name) == read.match(name)
    assert compiled.network(0xC6336401) == read.network(0xC6336401) is not None
    assert str(tmp_path).encode() not in raw


def test_a_compiled_file_counts_unless_the_clone_has_changed_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, compiled = folder(tmp_path / "signatures"), tmp_path / "catalogue.json"
    monkeypatch.setattr(signatures, "CLONE", base)
    monkeypatch.setattr(signatures, "COMPILED", compiled)
    raw = signatures.compile_catalogue(base)
    compiled.write_bytes(raw.replace(b'"version":"2025.11"', b'"version":"compiled"'))
    assert signatures.load([]).version == "compiled"
    folder(base, APP.replace("chat.example", "talk.example"))
    assert signatures.load([]).match("talk.example") is not None
    monkeypatch.setattr(signatures, "CLONE", tmp_path / "none")
    assert signatures.load([]).version == "compiled"
    compiled.write_bytes(raw[:-20])
    with pytest.raises(DataError, match="cannot be read"):
        signatures.load([])
    compiled.unlink()
    with pytest.raises(DataError, match="no catalogue of signatures"):
        signatures.load([])


def test_the_build_needs_no_numpy_and_the_compiled_form_no_toml(tmp_path: Path) -> None:
    compiled = tmp_path / "catalogue.json"
    compiled.write_bytes(signatures.compile_catalogue(folder(tmp_path / "signatures")))
    script = f"""
import sys
from pathlib import Path
from netwatch.runtime import signatures
signatures.COMPILED, signatures.CLONE = Path({str(compiled)!r}), Path("none")
assert signatures.load([]).match("x.chat.example")
late = {{"tomllib", "netwatch.attribution.documents", "netwatch.runtime.tomlfiles", "hashlib"}} & set(sys.modules)
assert not late, late
signatures.compile_catalogue(Path({str(tmp_path / "signatures")!r}))
assert "numpy" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_tomli_and_the_standard_library_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tomli")
    for number, (old, new, _, _) in enumerate(BROKEN):
        folder(tmp_path / "all", APP.replace(old, new, 1), COMPANY.replace('"acme"', f'"c{number}"'), f"c{number}")
    said = []
    for parser in ("tomli", "tomllib"):
        tomlfiles._toml.cache_clear()
        with monkeypatch.context() as patched:
            if parser == "tomllib":
                patched.setitem(sys.modules, "tomli", None)
            assert tomlfiles._toml().__name__ == parser
            said.append((signatures.self_test(tmp_path / "all"), signatures.read_folder(SHIPPED).documents))
    tomlfiles._toml.cache_clear()
    assert len(said[0][0]) >= len(BROKEN)
    assert said[0] == said[1]


def test_the_collector_runs_again_after_files_were_read(tmp_path: Path) -> None:
    signatures.read_folder(folder(tmp_path))
    assert gc.isenabled()
    refused(folder(tmp_path, "x"))
    assert gc.isenabled()


def test_the_shipped_signatures_prove_themselves() -> None:
    assert signatures.self_test() == []
    assert signatures.load([]).counts.apps > 20


@pytest.mark.parametrize(
    ("name", "public", "shared"),
    [
        ("com", True, False),
        ("co.uk", True, False),
        ("anything.ck", True, False),
        ("www.ck", False, False),
        ("xn--55qx5d.cn", True, False),
        ("github.io", False, True),
        ("tiktok.com", False, False),
    ],
)
def test_public_suffixes_are_known_by_section(name: str, public: bool, shared: bool) -> None:
    assert (suffixes.is_public(name), suffixes.is_shared(name)) == (public, shared)
