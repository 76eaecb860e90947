"""One event per outage: a meter that fails is told once, not at every poll."""

from __future__ import annotations

from collections.abc import Iterator

from greengen.collector import Event, EventKind


class Outages:
    """Which subjects fail at present."""

    def __init__(self) -> None:
        self._down: set[str] = set()

    def begin(self, t_ns: int, subject: str, reason: str, kind: EventKind = "gap") -> Iterator[Event]:
        """The event of a new outage; nothing while it goes on."""
        if subject not in self._down:
            self._down.add(subject)
            yield Event(t_ns, kind, subject, reason)

    def end(self, subject: str) -> None:
        """The subject reads again."""
        self._down.discard(subject)
