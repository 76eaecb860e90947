"""Prometheus' text format: metric name, labels and value of each line.

Facts: prometheus.io/docs/instrumenting/exposition_formats, "Text-based format".
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from typing import NamedTuple

_LINE = re.compile(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})?[ \t]+(\S+)(?:[ \t]+-?\d+)?[ \t]*")
_LABEL = re.compile(r'\s*([A-Za-z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_ESCAPE = re.compile(r'\\(["\\n])')


class Metric(NamedTuple):
    """One line."""

    name: str
    labels: dict[str, str]
    value: float


def parse(text: str, wanted: Container[str]) -> Iterator[Metric]:
    """The lines of the metrics `wanted`. Raises ValueError for one that is not in the format."""
    for line in text.splitlines():
        if not line.strip() or line.startswith("#") or re.split(r"[{ \t]", line, maxsplit=1)[0] not in wanted:
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            msg = f"not in Prometheus' format: {line[:80]!r}"
            raise ValueError(msg)
        name, labels, value = match.groups()
        yield Metric(name, _labels(labels or ""), float(value))


def _labels(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(text.rstrip()):
        match = _LABEL.match(text, at)
        if match is None:
            msg = f"not labels in Prometheus' format: {text[:80]!r}"
            raise ValueError(msg)
        found[match[1]] = _ESCAPE.sub(lambda escape: "\n" if escape[1] == "n" else escape[1], match[2])
        at = match.end()
    return found
