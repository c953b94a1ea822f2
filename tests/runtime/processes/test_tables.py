"""Tables of /proc/net as a little-endian kernel writes them."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.address import V6, address_text
from netwatch.runtime.processes.tables import addresses, sockets

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LINE = "   0: {} {} 01 00000000:00000000 00:00000000 00000000  {}        0 {} 1 00000000db257279 100 0 0 10 0\n"
LITTLE = pytest.mark.skipif(sys.byteorder != "little", reason="the lines are of such a machine")
TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 192.168.1.0
        /24 link UNICAST
Local:
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     |-- 192.168.1.23
        /32 host LOCAL
"""
INET6 = "20010db8000000000000000000000023 02 40 00 80     eth0\n00000000000000000000000000000001 01 80 10 80       lo\n"


def texts(text: str, user: int = 1000) -> list[tuple[str, int, str, int, int, bool]]:
    return [
        (address_text(one.local), one.local_port, address_text(one.remote), one.remote_port, one.token, one.ours)
        for one in sockets(text, 6, user)
    ]


@LITTLE
def test_a_socket_of_each_family_is_read() -> None:
    v4 = LINE.format("1701A8C0:C3BB", "077100CB:01BB", 1000, 4711)
    v6 = LINE.format("B80D0120000000000000000023000000:C3BC", "B80D0120000000000000000007000000:01BB", 33, 4712)
    assert texts(HEAD + v4 + v6) == [
        ("192.168.1.23", 50107, "203.0.113.7", 443, 4711, True),
        ("2001:db8::23", 50108, "2001:db8::7", 443, 4712, False),
    ]


@LITTLE
def test_ipv4_by_a_socket_of_ipv6_is_ipv4() -> None:
    mapped = LINE.format("0000000000000000FFFF00001701A8C0:C3BB", "0000000000000000FFFF0000077100CB:01BB", 1000, 1)
    assert texts(HEAD + mapped) == [("192.168.1.23", 50107, "203.0.113.7", 443, 1, True)]
    wild = LINE.format("00000000000000000000000000000000:0016", "00000000000000000000000000000000:0000", 0, 2)
    assert [one.local for one in sockets(HEAD + wild, 6, 0)] == [V6]


def test_what_no_process_has_any_more_is_left_out_and_root_sees_all() -> None:
    lines = LINE.format("0100007F:0016", "00000000:0000", 0, 0) + LINE.format("0100007F:0016", "00000000:0000", 7, 9)
    assert [(one.token, one.ours) for one in sockets(HEAD + lines, 6, 0)] == [(9, True)]


@given(st.text("0123456789ABCDEFx: \n", max_size=200))
def test_other_lines_are_left_out(text: str) -> None:
    for one in sockets(HEAD + text, 17, 0):
        assert 0 <= one.local < 2 * V6


def test_own_addresses_are_the_local_ones() -> None:
    own = sorted(map(address_text, addresses(TRIE, INET6)))
    assert own == ["127.0.0.1", "192.168.1.23", "2001:db8::23", "::1"]
    assert addresses("", "") == set()
