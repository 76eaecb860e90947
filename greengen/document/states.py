"""Where machines, or recordings of one, were not in the same state: then their joules are not compared like with like.

What is set counts: power limits, governor, frequency limits, turbo, power mode, mains or battery; and what
slows a device down. Temperatures and clocks do not: they follow the work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

#: Subjects that begin so are no settings.
_FOLLOW = ("CPU temperature", "temperature of ", "clock at work of ")
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


def _these(names: Sequence[str]) -> str:
    every = list(dict.fromkeys(names))
    left = len(every) - _NAMED
    return ", ".join(every[:_NAMED]) + (f" and {left} more" if left > 0 else "")
