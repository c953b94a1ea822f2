import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from support.hellos import ALPN, ECH, SERVER_NAME, Lengths, client_hello, extension, server_name, u16

from netwatch.model.errors import ParseError
from netwatch.model.limits import HELLO_EXTENSIONS
from netwatch.model.reading import Hello
from netwatch.names import hello as room
from netwatch.names.cursor import Cursor
from netwatch.names.hello import fingerprint, parse_client_hello, parse_server_name

CIPHERS = "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035"
TYPES = "001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015"
SIGNATURES = "0403,0804,0401,0503,0805,0501,0806,0601"


def numbers(listed: str) -> list[int]:
    return [int(word, 16) for word in listed.split(",")]


def parse(message: bytes, transport: str = "t") -> Hello:
    return parse_client_hello(Cursor.over(message, 4), transport)


def test_ja4_is_the_published_example() -> None:
    # FoxIO, technical_details/JA4.md: the example, and the one without signature algorithms
    made = fingerprint("t", 0x0304, True, numbers(CIPHERS), numbers(TYPES), [b"h2"], numbers(SIGNATURES))
    assert made == "t13d1516h2_8daaf6152771_e5627efa2ab1"
    assert fingerprint("t", 0x0304, True, numbers(CIPHERS), numbers(TYPES), [b"h2"], []).endswith("_6d807ffa2a79")
    assert (
        fingerprint("q", 0x0304, False, [0x1301, 0x1302, 0x1303], [], [], []) == "q13i030000_55b375c5d22e_000000000000"
    )
    assert fingerprint("d", 0, False, [], [], [], []) == "d00i000000_000000000000_000000000000"


@pytest.mark.parametrize(
    ("alpn", "ends"),
    [("ab", "ab"), ("abcd", "ad"), ("30ab", "3b"), ("3031abcd", "3d"), ("30abcd31", "01"), ("68", "hh"), ("", "00")],
)
def test_ja4_alpn_ends_are_characters_or_hexadecimal_digits(alpn: str, ends: str) -> None:
    # JA4.md, "ALPN Extension Value"
    assert fingerprint("t", 0x0303, True, [], [], [bytes.fromhex(alpn)], [])[8:10] == ends


def test_ja4_of_a_whole_hello_ignores_grease_everywhere() -> None:
    plain = parse(client_hello())
    grease = client_hello(
        versions=(0x3A3A, 0x0304, 0x0303),
        ciphers=(0xDADA, 0x1301, 0x1302),
        signatures=(0x0A0A, 0x0403, 0x0804),
        before=extension(0x8A8A, b""),
        extra=extension(0xFAFA, b"\0"),
    )
    assert parse(grease) == plain
    assert plain.ja4.startswith("t13d0204h2_")
    assert parse(client_hello(ciphers=[0x1301] * 120)).ja4[4:6] == "99"


@pytest.mark.parametrize(
    ("legacy", "versions", "shown", "ja4"),
    [
        (0x0303, (0x0304, 0x0303), "1.3", "13"),
        (0x0303, (), "1.2", "12"),
        (0x0301, (), "1.0", "10"),
        (0x0300, (), "ssl3", "s3"),
        (0x0303, (0x7F1C, 0x0303), "1.3", "00"),  # a draft of TLS 1.3, which JA4 has no word for
        (0x0303, (0x1A1A,), None, "00"),
        (0x0399, (), None, "00"),
    ],
)
def test_the_highest_version_offered(legacy: int, versions: tuple[int, ...], shown: str | None, ja4: str) -> None:
    hello = parse(client_hello(legacy=legacy, versions=versions))
    assert (hello.version, hello.ja4[1:3]) == (shown, ja4)


def test_dtls_versions_count_downwards() -> None:
    hello = parse(client_hello(legacy=0xFEFD, versions=(0xFEFD, 0xFEFC), cookie=b"abc"), "d")
    assert (hello.version, hello.ja4[:3]) == ("1.3", "dd3")
    assert parse(client_hello(legacy=0xFEFF, versions=(), cookie=b""), "d").ja4[:3] == "dd1"


def test_only_the_first_host_name_counts_and_is_kept_as_sent() -> None:
    for raw in (b"good.example.org\0.evil.example", b"192.0.2.1", b"MiXeD.Example.", b"\xff\xfe", b"...."):
        assert parse(client_hello(raw)).server_name == raw
    two = extension(SERVER_NAME, server_name((0, b"one"))) + extension(SERVER_NAME, server_name((0, b"two")))
    assert parse(client_hello(None, before=two)).server_name == b"one"
    listed = server_name((9, b"not a host"), (0, b"host"), (0, b"other"))
    assert parse_server_name(Cursor.over(listed)) == b"host"


@pytest.mark.parametrize("raw", [server_name(), server_name((9, b"not a host")), server_name((0, b"")), b""])
def test_a_list_without_a_host_name_gives_none(raw: bytes) -> None:
    hello = parse(client_hello(None, before=extension(SERVER_NAME, raw)))
    assert hello.server_name is None
    assert hello.ja4[3] == "d"  # the extension is there


def test_ech_is_seen() -> None:
    assert parse(client_hello(extra=extension(ECH, b"\0"))).ech
    assert not parse(client_hello()).ech


def test_a_hello_without_extensions_is_one() -> None:
    bare = b"\x01\0\0\x2a" + u16(0x0301) + bytes(32) + b"\0" + u16(2, 0x002F) + b"\x01\0"
    assert parse(bare) == Hello(
        None, (), "1.0", "t10i010000_" + fingerprint("t", 1, False, [0x2F], [], [], [])[11:], False
    )


def test_p7_more_extensions_than_the_bound_are_refused() -> None:
    parse(client_hello(None, alpn=(), versions=(), signatures=(), before=extension(7, b"") * HELLO_EXTENSIONS))
    with pytest.raises(ParseError, match="tls_extensions"):
        parse(client_hello(before=extension(7, b"") * HELLO_EXTENSIONS))


def test_p4_a_flood_of_names_or_protocols_spends_the_budget() -> None:
    for flood in (
        extension(SERVER_NAME, server_name(*[(9, b"")] * 2_000)),
        extension(ALPN, Lengths()(2, b"\0" * 2_000)),
    ):
        with pytest.raises(ParseError, match="step_budget_spent"):
            parse(client_hello(None, alpn=(), before=flood))


@given(
    st.binary(max_size=40),
    st.lists(st.binary(max_size=9), max_size=3),
    st.integers(0, 14),
    st.integers(-300, 300),
    st.sampled_from("tdq"),
)
def test_p1_a_lying_length_gives_a_true_name_or_a_parse_error(
    name: bytes, alpn: list[bytes], at: int, by: int, transport: str
) -> None:
    cookie = b"cookie" if transport == "d" else None
    message = client_hello(name, alpn=alpn, cookie=cookie, lengths=Lengths(at, by))
    try:
        hello = parse(message, transport)
    except ParseError as error:
        event(error.anomaly)
        return
    assert hello.server_name is None or hello.server_name in message
    assert all(protocol in message for protocol in hello.alpn)
    assert len(hello.ja4) == 36


def test_p1_a_hello_cut_anywhere_is_a_parse_error() -> None:
    message = client_hello()
    bare = 4 + 2 + 32 + 33 + 6 + 2  # a hello may end in front of its extensions
    for end in range(4, len(message)):
        if end == bare:
            assert parse(message[:end]).server_name is None
            continue
        with pytest.raises(ParseError):
            parse(message[:end])


@given(
    st.lists(st.sampled_from([0x1301, 0xC02F, 0x0A0A]), max_size=90),
    st.lists(st.sampled_from([0x0403, 0x0804, 0x1A1A]), max_size=90),
    st.lists(st.binary(max_size=80), max_size=3),
    st.integers(0, 60),
)
def test_m3_lists_are_remembered_below_a_bound_and_read_alike_above_it(
    ciphers: list[int], signatures: list[int], alpn: list[bytes], more: int
) -> None:
    types = [7 + number for number in range(more)]
    extra = b"".join(extension(300 + kind, b"") for kind in types)
    message = client_hello(ciphers=ciphers, signatures=signatures, alpn=alpn, extra=extra)
    kinds = [SERVER_NAME, *([ALPN] if alpn else []), 43, *([13] if signatures else [])]
    hello = parse(message)
    assert hello == parse(message)
    assert hello.alpn == tuple(alpn)
    assert hello.ja4 == fingerprint(
        "t",
        0x0304,
        True,
        [number for number in ciphers if number != 0x0A0A],
        [*kinds, *(300 + kind for kind in types)],
        alpn,
        [number for number in signatures if number != 0x1A1A],
    )
    assert room._extensions_once.cache_info().currsize <= 512
