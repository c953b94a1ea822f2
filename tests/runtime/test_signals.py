"""The first signal asks for an end, the second one is the end."""

import signal
import threading

import pytest

from netwatch.runtime.signals import stoppable


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_wakes_and_the_second_interrupts(number: signal.Signals) -> None:
    woken: list[int] = []
    with stoppable(lambda: woken.append(1)) as stop:
        assert not stop.asked
        signal.raise_signal(number)
        assert (stop.asked, woken) == (True, [1])
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert woken == [1]


def test_what_was_there_before_is_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stoppable(lambda: None):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] != before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_outside_the_main_thread_nothing_is_caught() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with stoppable(lambda: None) as stop:
            seen.append((stop.asked, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]
