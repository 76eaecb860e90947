"""A clock that tests turn, and a collector that says what it is told to: for plug-in authors and for us."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from greengen.collector import Discovery, Domain, Event, Sample, Unavailable, Usage


@dataclass(slots=True)
class FakeClock:
    """A monotonic clock in ns that stands still until it is advanced; a `Host` takes it as `monotonic_ns`."""

    now_ns: int = 1_000_000_000

    def __call__(self) -> int:
        """The time."""
        return self.now_ns

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ns += round(seconds * 1e9)


@dataclass(slots=True)
class ScriptedCollector:
    """Answers each `read()` with the next item of its script; an exception there is raised.

    script   one entry per reading; after the last one, readings are empty
    closed   whether `close()` was called
    """

    domains: Sequence[Domain] = ()
    script: Sequence[Iterable[Sample | Usage | Event] | Exception] = ()
    unavailable: Sequence[Unavailable] = ()
    name: str = "scripted"
    fallback_for: tuple[str, ...] = ()
    closed: bool = False
    _next: int = field(default=0, init=False)

    def discover(self) -> Discovery:
        """The domains it was given."""
        return Discovery(tuple(self.domains), tuple(self.unavailable))

    def read(self) -> list[Sample | Usage | Event]:
        """The next entry of the script."""
        if self._next >= len(self.script):
            return []
        entry = self.script[self._next]
        self._next += 1
        if isinstance(entry, Exception):
            raise entry
        return list(entry)

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True
