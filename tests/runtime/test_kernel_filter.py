"""What of `-f` goes to the kernel, to libpcap, or to the records alone."""

import pytest
from support import cbpf
from support.packets import eth, ip4, tcp, udp

from netwatch.filters.parse import parse
from netwatch.model.errors import UsageError
from netwatch.runtime import libpcap
from netwatch.runtime.kernel_filter import kernel_filter

LONG = "portrange 1-65535 and not (" + " or ".join(f"host 2001:db8:{n:x}::1" for n in range(500)) + ")"
FRAMES = [eth(ip4(tcp(), 6)), eth(ip4(udp(dport=9), 17)), eth(ip4(udp(dport=53), 17))]
needs_libpcap = pytest.mark.skipif(not libpcap.available(), reason="needs libpcap")


def test_netwatchs_own_language_is_for_kernel_and_records() -> None:
    taken = kernel_filter("tcp", 100, kernel=True)
    assert taken.program is not None
    assert [cbpf.run(taken.program, frame) for frame in FRAMES] == [100, 0, 100]
    assert (taken.expression, taken.said) == (parse("tcp"), "")


def test_what_is_too_long_for_the_kernel_is_left_to_the_records() -> None:
    taken = kernel_filter(LONG, 100, kernel=True)
    assert (taken.program, taken.expression) == (None, parse(LONG))
    assert "too long for the kernel: all packets are read, records are filtered" in taken.said


@needs_libpcap
def test_tcpdumps_other_terms_are_libpcaps_alone() -> None:
    taken = kernel_filter("src host 192.0.2.10 and tcp", 100, kernel=True)
    assert taken.program is not None
    assert [cbpf.run(taken.program, frame) for frame in FRAMES] == [100, 0, 100]
    assert taken.expression is None
    assert "libpcap's filter decides" in taken.said


@needs_libpcap
def test_what_neither_has_is_refused_with_both_reasons() -> None:
    with pytest.raises(UsageError, match=r"-f: column 1: .*nor does libpcap take it: column 1"):
        kernel_filter("frobnicate", 100, kernel=True)


@pytest.mark.parametrize("gone", [True, False])
def test_where_the_kernel_must_pass_all_or_libpcap_is_not_there(monkeypatch: pytest.MonkeyPatch, *, gone: bool) -> None:
    if gone:
        monkeypatch.setattr(libpcap, "available", lambda: False)
    with pytest.raises(UsageError, match="column 1"):
        kernel_filter("src host 192.0.2.10", 100, kernel=gone)
    taken = kernel_filter("tcp", 100, kernel=False)
    assert (taken.program, taken.expression) == (None, parse("tcp"))
