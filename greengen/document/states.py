"""Where machines, or recordings of one, were not in the same state: then their joules are not compared like with like.

What is set counts: power limits, governor, frequency limits, turbo, power mode, mains or battery; and what
slows a device down. Temperatures and clocks do not: they follow the work. Of repeats that are compared,
those at their start are told where they are far apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

#: Subjects that begin so are no settings.
_FOLLOW = ("CPU temperature", "temperature of ", "clock at work of ")
_READ = re.compile(r"(\d+(?:\.\d+)?) (C|MHz)")
#: A temperature, °C, and a clock, as a factor, that are this far apart are not alike.
_WARMER_C, _FASTER = 15.0, 1.2
#: So many of those that share a value are named.
_NAMED = 3


def differences(states: Iterable[tuple[str, Mapping[str, str]]]) -> list[str]:
    """A warning per subject that is not the same in all of them; of what only one of them tells, nothing is said.

    states  (what a reader calls the run or its recording, subject → value as in `run.state`)
    """
    told: dict[str, dict[str, list[str]]] = {}
    for name, state in states:
        for subject, value in state.items():
            if not subject.startswith(_FOLLOW):
                told.setdefault(subject, {}).setdefault(value, []).append(name)
    return [
        f"{subject} was not the same throughout: "
        + "; ".join(f"{value} in {_these(names)}" for value, names in values.items())
        + ". The same work costs other joules under another setting."
        for subject, values in told.items()
        if len(values) > 1
    ]


def ranges(states: Iterable[tuple[str, Mapping[str, str]]]) -> list[str]:
    """A line per temperature or clock that recordings did not begin alike in; `states` as of `differences`."""
    found: dict[str, list[tuple[float, str, str]]] = {}
    for name, state in states:
        for subject, value in state.items():
            match = _READ.match(value)
            if subject.startswith(_FOLLOW) and match:
                found.setdefault(subject, []).append((float(match[1]), match[2], name))
    told = []
    for subject, values in found.items():
        (low, unit, first), (high, _, last) = min(values), max(values)
        if high - low >= _WARMER_C if unit == "C" else high > _FASTER * low:
            told.append(f"{subject} was {low:g} {unit} when {first} began, and {high:g} {unit} when {last} did.")
    return told


def _these(names: Sequence[str]) -> str:
    every = list(dict.fromkeys(names))
    left = len(every) - _NAMED
    return ", ".join(every[:_NAMED]) + (f" and {left} more" if left > 0 else "")
