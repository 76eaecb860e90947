"""Readings on their way to disk: each series thinned, what is left handed over in batches."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from greengen.collector import Sample, Usage
from greengen.recording.thinning import Thinner

#: (kind, subject, consumer): energy or power of a domain, or usage of a resource.
Key = tuple[str, str, str]

#: (series, window_s, t_ns, value, spacing_ns)
Point = tuple[Key, float, int, float, int]


@dataclass(slots=True)
class Batch:
    """What one transaction writes: new points, and points already on disk with the time of the one they replace."""

    points: list[Point] = field(default_factory=list)
    moved: list[tuple[Point, int]] = field(default_factory=list)


class Readings:
    """The series of one recorder. One thread adds; any thread takes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thinners: dict[Key, Thinner] = {}
        self._windows: dict[Key, float] = {}
        self._tolerances: dict[str, float] = {}
        self._points: list[Point] = []

    def tolerate(self, subject: str, tolerance: float) -> None:
        """How far a reading of `subject` may lie from a line that replaces it."""
        self._tolerances[subject] = tolerance

    def add(self, items: Iterable[Sample | Usage]) -> None:
        """Take in readings."""
        with self._lock:
            for item in items:
                key: Key
                value: float
                if isinstance(item, Sample):
                    domain, t_ns, value, kind, window_s = item
                    key = (kind, domain, "")
                else:
                    resource, consumer, t_ns, value = item
                    key, window_s = ("usage", resource, consumer), 0.0
                thinner = self._thinners.get(key)
                if thinner is None:
                    thinner = self._thinners[key] = Thinner(self._tolerances.get(key[1], 0.0))
                    self._windows[key] = window_s
                point = thinner.add(t_ns, value)
                if point is not None:
                    self._points.append((key, window_s, *point))

    def interrupt(self) -> None:
        """No line goes from what was read until now to what comes."""
        with self._lock:
            for key, thinner in self._thinners.items():
                point, _ = thinner.flush()
                # A point on disk that the newest one made redundant stays: it lies on its line.
                if point is not None:
                    self._points.append((key, self._windows[key], *point))
                self._thinners[key] = Thinner(thinner.tolerance)

    def take(self) -> Batch:
        """All points that are to be on disk now; the newest of each series among them."""
        with self._lock:
            batch = Batch(self._points)
            self._points = []
            for key, thinner in self._thinners.items():
                point, redundant = thinner.flush()
                if point is None:
                    continue
                if redundant is None:
                    batch.points.append((key, self._windows[key], *point))
                else:
                    batch.moved.append(((key, self._windows[key], *point), redundant))
        return batch

    def give_back(self, batch: Batch, most: int) -> int:
        """What could not be written waits, `most` points of it; how many were dropped."""
        with self._lock:
            # A point that should have gone and stays does no harm: it lies on its line.
            points = batch.points + [point for point, _ in batch.moved] + self._points
            self._points = points[len(points) - most :] if most < len(points) else points
            return len(points) - len(self._points)
