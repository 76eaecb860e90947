"""Slow meters in threads: each answer once, at its own time, and nobody waits for one that hangs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from greengen.collector import Event, Sample
from greengen.collectors._poller import Polled, Poller
from greengen.testing.scripted import FakeClock


def poller(*script: float | Exception, clock: FakeClock, slow_s: float = 0.0) -> Poller[float]:
    answers = iter(script)

    def ask() -> float:
        clock.advance(slow_s)
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Poller("m", ask, period_s=60, clock=clock)


def rows(t_ns: int, value: float) -> Iterator[Sample]:
    yield Sample("m", t_ns, value, "power")


def test_an_answer_is_taken_once_and_has_its_own_time() -> None:
    clock = FakeClock(0)
    asked = poller(4.0, 5.0, clock=clock, slow_s=2)
    asked.poll()
    clock.advance(30)
    polled = Polled(("m",), asked, rows, 9)
    # What was said before the first reading is not of the recording.
    assert list(polled.read(clock())) == []
    asked.poll()
    clock.advance(30)
    assert list(polled.read(clock())) == [Sample("m", 33_000_000_000, 5.0, "power")]
    assert list(polled.read(clock())) == []


def test_a_failure_is_told_once_per_outage() -> None:
    clock = FakeClock()
    asked = poller(OSError("gone"), ValueError("no JSON"), 3.0, OSError("gone"), clock=clock)
    polled = Polled(("a", "b"), asked, rows, 9)
    assert list(polled.read(clock())) == []
    told = []
    for _ in range(4):
        asked.poll()
        told.append([(row.subject, row.reason) for row in polled.read(clock()) if isinstance(row, Event)])
    gone = [("a", "m: gone"), ("b", "m: gone")]
    assert told == [gone, [], [], gone]


def test_an_answer_that_nobody_foresaw_is_an_outage_and_not_the_end_of_the_thread() -> None:
    clock = FakeClock()
    asked = poller(RecursionError("too deep"), OverflowError("too large"), 3.0, clock=clock)
    polled = Polled(("m",), asked, rows, 9)
    assert list(polled.read(clock())) == []
    asked.poll()
    [gap] = polled.read(clock())
    assert isinstance(gap, Event)
    assert gap.reason == "m: its answer cannot be read (RecursionError: too deep)"
    asked.poll()
    asked.poll()
    assert [row.value for row in polled.read(clock()) if isinstance(row, Sample)] == [3.0]


def test_a_question_that_hangs_is_an_outage_and_ends_with_the_poller() -> None:
    released = threading.Event()

    def ask() -> float:
        released.wait(30)
        raise OSError

    asked = Poller("m", ask, period_s=0.01, clock=time.monotonic_ns, abort=released.set)
    asked.start()
    polled = Polled(("m",), asked, rows, 0.05)
    assert asked.first(0.1).trouble == "no answer within 0.1 s"
    [event] = [row for row in polled.read(time.monotonic_ns()) if isinstance(row, Event)]
    assert (event.kind, event.subject) == ("gap", "m")
    assert "no answer for" in event.reason
    assert list(polled.read(time.monotonic_ns())) == []
    asked.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "greengen-poll m"]


def test_it_keeps_its_period_and_can_be_hastened() -> None:
    asked = Poller("m", lambda: 1.0, period_s=0.2, clock=time.monotonic_ns)
    asked.start()
    assert asked.first(5).value == 1.0
    asked.hasten()
    time.sleep(0.1)
    assert len(list(asked.take())) >= 2
    time.sleep(0.5)
    times = [answer.t_ns / 1e9 for answer in asked.take()]
    assert 1 <= len(times) <= 4
    assert times == sorted(set(times))
    asked.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_leaves_it_alone() -> None:
    program = """
import os, time
from greengen.collectors._poller import Poller
asked = Poller("m", lambda: 1.0, period_s=0.01, clock=time.monotonic_ns)
asked.start(); asked.first(5)
child = os.fork()
if not child:
    asked.close()
    os._exit(7 if asked._closing else 0)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
list(asked.take()); asked._answered.clear()
print(code, bool(asked.first(5))); asked.close(); print(asked._closing)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split() == ["0", "True", "True"]
