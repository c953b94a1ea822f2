import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from support.hellos import client_hello, crypto, dtls_records, initial, records

from netwatch.model.packets import TCP, UDP
from netwatch.names.initial import VERSIONS
from netwatch.names.select import ALWAYS, HELLO, INITIAL_MIN, TCP_PORTS, UDP_PORTS, perhaps, plain_dns, wanted

Row = tuple[int, int, int, bytes, int]


def loop(protocol: int, src: int, dst: int, head: bytes, size: int) -> int:
    """What the kernel says, for one packet."""
    if size == 0:
        return 0
    raw = head.ljust(8, b"\0")
    if protocol == TCP and raw[:2] == b"\x16\x03" and raw[2] <= 4 and raw[5] == 1:
        return HELLO
    if protocol == UDP and raw[:2] == b"\x16\xfe" and raw[2] >= 0xFC and raw[3:5] == b"\0\0":
        return HELLO
    if protocol == UDP and raw[0] >= 0xC0 and size >= INITIAL_MIN and int.from_bytes(raw[1:5], "big") in VERSIONS:
        return HELLO
    ports = TCP_PORTS if protocol == TCP else UDP_PORTS if protocol == UDP else ()
    return ALWAYS if src in ports or dst in ports else 0


def kernel(rows: list[Row]) -> list[int]:
    protocol, src, dst, head, size = zip(*rows, strict=True) if rows else ((),) * 5
    return wanted(
        np.array(protocol, np.uint8),
        np.array(src, np.uint16),
        np.array(dst, np.uint16),
        np.array([int.from_bytes(raw[:8].ljust(8, b"\0"), "big") for raw in head], np.uint64),
        np.array(size, np.int32),
    ).tolist()


HEADS = st.one_of(
    st.binary(max_size=8),
    st.builds(
        lambda a, b, c: bytes([0x16, a, b, 0, 0, c, 0, 0]),
        st.sampled_from([3, 0xFE]),
        st.integers(0, 255),
        st.integers(0, 2),
    ),
    st.builds(lambda a, v: bytes([a]) + v.to_bytes(4, "big"), st.integers(0x80, 255), st.sampled_from([*VERSIONS, 7])),
)
PORTS = st.sampled_from([53, 67, 68, 443, 546, 853, 5_353, 5_355, 40_000])


ROWS = st.lists(
    st.tuples(st.sampled_from([TCP, UDP, 1, 132]), PORTS, PORTS, HEADS, st.sampled_from([0, 5, 999, 1_000, 1_400])),
    max_size=30,
)


@given(ROWS)
def test_the_kernel_is_the_loop(rows: list[Row]) -> None:
    assert kernel(rows) == [loop(*row) for row in rows]


@given(ROWS)
def test_what_is_wanted_is_never_left_out_beforehand(rows: list[Row]) -> None:
    for row, mark in zip(rows, kernel(rows), strict=True):
        protocol, src, dst, head, _ = row
        first = head[0] if head else 0
        marks = perhaps(np.uint8([protocol]), np.uint16([src]), np.uint16([dst]), np.uint8([first]))  # type: ignore[arg-type]
        assert marks[0] or not mark


def test_plain_dns_is_one_port_of_dns_and_none_of_another_protocol() -> None:
    ends = [(53, 40_000), (40_000, 53), (53, 53), (53, 5_353), (5_355, 53), (67, 53), (443, 40_000)]
    src, dst = np.array(ends, np.uint16).T
    assert plain_dns(src, dst).tolist() == [True, True, True, False, False, False, False]


def test_what_parsers_read_is_wanted_at_any_point() -> None:
    hello = records(client_hello())
    dtls = dtls_records(client_hello(cookie=b""))[0]
    packet = initial(crypto(0, client_hello()))
    rows = [
        (TCP, 50_000, 9_999, hello, len(hello)),
        (UDP, 50_000, 9_999, dtls, len(dtls)),
        (UDP, 50_000, 9_999, packet, len(packet)),
        (UDP, 5_353, 5_353, b"\0" * 8, 40),
        (TCP, 50_000, 443, b"\x17\x03\x03\0\x10", 21),
    ]
    assert kernel(rows) == [HELLO, HELLO, HELLO, ALWAYS, 0]


def test_no_rows_are_no_rows() -> None:
    assert kernel([]) == []
