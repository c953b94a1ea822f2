import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.errors import ParseError
from netwatch.names import hpack
from netwatch.names.cursor import Cursor
from netwatch.names.hpack import HeaderTable

GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")]


def decode(table: HeaderTable, block: bytes) -> list[tuple[bytes, bytes]]:
    return list(table.fields(Cursor.over(block)))


@pytest.mark.parametrize(
    "blocks",
    [
        "828684410f7777772e6578616d706c652e636f6d 828684be58086e6f2d6361636865"
        " 828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        "828684418cf1e3c2e5f23a6ba0ab90f4ff 828684be5886a8eb10649cbf 828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    ],
    ids=["C.3", "C.4"],
)
def test_the_requests_of_rfc_7541_appendix_c(blocks: str) -> None:
    table = HeaderTable()
    one, two, three = (decode(table, bytes.fromhex(block)) for block in blocks.split())
    assert one == GET
    assert two == [*GET, (b"cache-control", b"no-cache")]
    assert three == [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":path", b"/index.html"),
        (b":authority", b"www.example.com"),
        (b"custom-key", b"custom-value"),
    ]


def test_a_table_of_256_bytes_forgets_as_in_appendix_c5() -> None:
    table = HeaderTable()
    decode(table, bytes.fromhex("3fe101"))  # size update to 256
    first = bytes.fromhex(
        "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e"
        "1768747470733a2f2f7777772e6578616d706c652e636f6d"
    )
    assert [name for name, _ in decode(table, first)] == [b":status", b"cache-control", b"date", b"location"]
    assert decode(table, bytes.fromhex("4803333037c1c0bf"))[0] == (b":status", b"307")
    with pytest.raises(ParseError, match="hpack_index"):
        decode(table, b"\xc2")  # the fifth entry was pushed out


def encode(text: bytes) -> bytes:
    codes = {symbol: code for code, symbol in hpack._SYMBOLS.items()}
    bits = "".join(bin(codes[byte])[3:] for byte in text)
    bits += "1" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))


@given(st.binary(max_size=60))
def test_the_huffman_code_gives_back_every_text(text: bytes) -> None:
    assert hpack._huffman(encode(text)) == text


def test_the_code_is_complete_and_that_of_appendix_b() -> None:
    assert sum(2.0 ** -(code.bit_length() - 1) for code in hpack._SYMBOLS) == 1.0
    assert encode(b"www.example.com").hex() == "f1e3c2e5f23a6ba0ab90f4ff"


@pytest.mark.parametrize("raw", [b"\xff", b"\xff\xff\xff\xff", b"\x00"])
def test_padding_is_at_most_seven_ones(raw: bytes) -> None:
    with pytest.raises(ParseError, match="hpack_huffman"):
        hpack._huffman(raw)


def test_p4_a_long_code_spends_the_budget() -> None:
    block = b"\x41\xff" + bytes([0x80 | (2_000 - 127) & 0x7F, (2_000 - 127) >> 7]) + bytes(2_000)
    with pytest.raises(ParseError, match="step_budget_spent"):
        decode(HeaderTable(), block)
    with pytest.raises(ParseError, match="step_budget_spent"):
        decode(HeaderTable(), b"\x82" * 2_000)


def test_a_table_larger_than_agreed_is_refused() -> None:
    with pytest.raises(ParseError, match="hpack_table_size"):
        decode(HeaderTable(), bytes.fromhex("3fe27f"))
