"""A sleep that another thread ends; whatever the process does to its descriptors."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from greengen.recording.alarm import Alarm


@pytest.fixture(params=["pipe", "lock"])
def alarm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Alarm]:
    if request.param == "lock":
        monkeypatch.delattr("select.poll")
    made = Alarm()
    yield made
    made.close()


def took_s(work: Callable[[], object]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


def test_it_sleeps_so_long_and_then_says_no(alarm: Alarm) -> None:
    rang = []
    assert took_s(lambda: rang.append(alarm.wait(0.05))) >= 0.049
    assert rang == [False]
    assert not alarm.wait(-1.0)


def test_another_thread_ends_it(alarm: Alarm) -> None:
    threading.Timer(0.05, alarm.ring).start()
    assert took_s(lambda: alarm.wait(30.0)) < 20
    alarm.ring()


def test_a_ring_before_the_sleep_counts(alarm: Alarm) -> None:
    alarm.ring()
    assert alarm.wait(30.0)


def test_it_gives_its_descriptors_back() -> None:
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- names are all that is wanted
    made = Alarm()
    made.close()
    made.close()
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_process_that_closes_all_its_files() -> None:
    made = Alarm()
    assert made._pipe
    for end in made._pipe:
        os.close(end)
    assert took_s(lambda: made.wait(0.05)) >= 0.049
    threading.Timer(0.05, made.ring).start()
    assert made.wait(30.0)
    made.close()


def test_a_stranger_s_file_under_its_numbers_is_left_alone() -> None:
    made = Alarm()
    assert made._pipe
    numbers, theirs = made._pipe, os.pipe()
    for mine, other in zip(numbers, theirs, strict=True):
        os.dup2(other, mine)
    made.ring()
    made.close()
    os.set_blocking(theirs[0], False)
    with pytest.raises(BlockingIOError):
        os.read(theirs[0], 1)
    for end in (*numbers, *theirs):
        os.close(end)  # OSError, if it had been closed
