"""Ask a slow meter in a thread of its own, and hand out what came: no reading waits for a plug or a BMC.

A poller belongs to the process that started it: a thread does not survive a fork, and a child leaves
everything here alone.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from greengen.collector import Domain, Event, Sample
from greengen.collectors._outage import Outages

T = TypeVar("T")

#: Answers that wait to be taken; a recorder takes them ten times a second.
_MOST = 1024
#: How long `close` waits for a thread that is in the middle of a question.
_CLOSE_S = 0.5
#: What asking fails with: the network, the command, or an answer that means nothing.
_FAILURES = (OSError, ValueError)
#: And what a stranger's answer can bring about that nobody foresaw: it must not end the thread.
_UNFORESEEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError)


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What one question brought: a value, or why there is none. `t_ns`: midway between question and answer."""

    t_ns: int
    value: T | None
    trouble: str = ""


class Poller(Generic[T]):
    """Calls `ask` every `period_s`, in a thread named after `name`.

    ask    takes the reading; raises OSError or ValueError, whose text is the reason
    clock  monotonic, ns: what answers are stamped with
    abort  makes a question that is under way fail soon, when the poller closes
    end    gives back what the questions held, after the last one
    """

    def __init__(
        self,
        name: str,
        ask: Callable[[], T],
        *,
        period_s: float,
        clock: Callable[[], int],
        abort: Callable[[], None] | None = None,
        end: Callable[[], None] | None = None,
    ) -> None:
        self.name, self.period_s = name, period_s
        self._ask, self._clock, self._abort, self._end = ask, clock, abort, end
        self._answers: deque[Answer[T]] = deque(maxlen=_MOST)
        self._asked_ns = 0
        self._answered = threading.Event()
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._pid = 0

    def start(self) -> None:
        """Begin to ask."""
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name=f"greengen-poll {self.name}", daemon=True)
        self._thread.start()

    def first(self, seconds: float) -> Answer[T]:
        """The first answer, which is waited for so long at most; it stays to be taken."""
        if not self._answered.wait(seconds):
            return Answer(self._clock(), None, f"no answer within {seconds:g} s")
        return self._answers[-1]

    def hasten(self) -> None:
        """Ask the next question now."""
        self._wake.set()

    def poll(self) -> None:
        """Ask once, in the caller's thread."""
        self._asked_ns = asked_ns = self._clock()
        try:
            value, trouble = self._ask(), ""
        except _FAILURES as error:
            value, trouble = None, str(error) or type(error).__name__
        except _UNFORESEEN as error:
            value, trouble = None, f"its answer cannot be read ({type(error).__name__}: {str(error)[:80]})"
        self._answers.append(Answer((asked_ns + self._clock()) // 2, value, trouble))
        self._asked_ns = 0
        self._answered.set()

    def take(self) -> Iterator[Answer[T]]:
        """The answers since the last time, each once."""
        while self._answers:
            yield self._answers.popleft()

    def waiting_s(self) -> float:
        """For how long the question under way has had no answer."""
        asked_ns = self._asked_ns
        return (self._clock() - asked_ns) / 1e9 if asked_ns else 0.0

    def close(self) -> None:
        """End the thread; one that hangs is left to die with its question. Does nothing in a forked child."""
        thread, self._thread = self._thread, None
        if thread is None or self._pid != os.getpid():
            return
        self._closing = True
        self._wake.set()
        if self._abort is not None:
            self._abort()
        thread.join(_CLOSE_S)
        if self._end is not None:
            self._end()

    def _run(self) -> None:
        while not self._closing:
            self._wake.clear()
            begun = time.monotonic()
            self.poll()
            if not self._closing:
                self._wake.wait(max(0.0, begun + self.period_s - time.monotonic()))


class Polled(Generic[T]):
    """The rows of one polled meter, and one `gap` event per outage of it.

    uids        the domains that its answers tell of
    rows        an answer's time, ns, and its value → samples and events
    patience_s  a question that is open for longer is an outage, even while its thread hangs
    """

    def __init__(
        self,
        uids: Sequence[str],
        poller: Poller[T],
        rows: Callable[[int, T], Iterator[Sample | Event]],
        patience_s: float,
    ) -> None:
        self.poller = poller
        self._uids, self._rows, self._patience_s = uids, rows, patience_s
        self._outages = Outages()
        self._late = False
        self._begun_ns: int | None = None

    def read(self, now_ns: int) -> Iterator[Sample | Event]:
        """What came since the last reading; never waits."""
        if self._begun_ns is None:
            # A recording begins with its first reading: what was said before is not of it, and the next
            # answer is not half a period away.
            self._begun_ns = now_ns
            self.poller.hasten()
        for answer in self.poller.take():
            if answer.t_ns < self._begun_ns:
                continue
            self._late = False
            if answer.value is None:
                yield from self._gap(answer.t_ns, f"{self.poller.name}: {answer.trouble}")
                continue
            for uid in self._uids:
                self._outages.end(uid)
            yield from self._rows(answer.t_ns, answer.value)
        waiting_s = self.poller.waiting_s()
        if waiting_s > self._patience_s and not self._late:
            self._late = True
            yield from self._gap(now_ns, f"{self.poller.name}: no answer for {waiting_s:.1f} s")

    def _gap(self, t_ns: int, reason: str) -> Iterator[Event]:
        for uid in self._uids:
            yield from self._outages.begin(t_ns, uid, reason)


class SlowMeters:
    """The polled meters of a collector."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._polled: list[Polled[Any]] = []

    def ask(self, poller: Poller[T], wait_s: float) -> Answer[T]:
        """Begin to ask, and wait for the first answer, `wait_s` at most; without one, it ends."""
        poller.start()
        first = poller.first(wait_s)
        if first.value is None:
            poller.close()
        return first

    def add(self, polled: Polled[T]) -> None:
        """Hand out the rows of a meter that is asked, from now on."""
        self._polled.append(polled)

    def start(self, domain: Domain, poller: Poller[float], wait_s: float) -> str:
        """Begin to ask a gauge of power; why it is no domain, where it is none."""
        first = self.ask(poller, wait_s)
        if first.value is None:
            return first.trouble
        self._take(domain, poller, 2 * wait_s)
        return ""

    def start_unheard(self, domain: Domain, poller: Poller[float], patience_s: float) -> None:
        """Begin to ask a meter that may have nothing to say yet."""
        poller.start()
        self._take(domain, poller, patience_s)

    def _take(self, domain: Domain, poller: Poller[float], patience_s: float) -> None:
        def rows(t_ns: int, power_w: float) -> Iterator[Sample | Event]:
            yield Sample(domain.uid, t_ns, power_w, "power")

        self.add(Polled((domain.uid,), poller, rows, patience_s))

    def read(self) -> Iterator[Sample | Event]:
        """What they have said since the last reading; waits for none."""
        now_ns = self._clock() if self._polled else 0
        for polled in self._polled:
            yield from polled.read(now_ns)

    def close(self) -> None:
        """End the threads."""
        for polled in self._polled:
            polled.poller.close()
        self._polled = []
