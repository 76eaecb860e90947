"""`--fail-on "energy>+5%"`: when a comparison is bad news, as a machine asks it.

It holds where the whole 95 % interval of the ratio lies beyond the threshold: a run that scattered upwards is no
regression, and fails nothing. Where there is no verdict (too few repeats, a figure that is missing) it cannot be
decided, which is an error: a gate that cannot see must not let pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from greengen.errors import UsageError

_FORM = re.compile(r"\s*([A-Za-z0-9_-]+)\s*([<>])\s*([+-]?\d+(?:\.\d+)?)\s*%\s*")


@dataclass(frozen=True, slots=True)
class Condition:
    """A metric's ratio to the baseline beyond `1 + percent/100`, on one side."""

    metric: str
    side: Literal["<", ">"]
    percent: float
    text: str

    @property
    def threshold(self) -> float:
        """The ratio beyond which it holds."""
        return 1.0 + self.percent / 100.0

    def holds(self, ratio: Mapping[str, Any]) -> bool:
        """Whether all of the interval is beyond the threshold."""
        return bool(ratio["low"] > self.threshold if self.side == ">" else ratio["high"] < self.threshold)


def condition(text: str) -> Condition:
    """A condition such as `energy>+5%`. Raises UsageError."""
    match = _FORM.fullmatch(text)
    if match is None or float(match[3]) <= -100.0:  # noqa: PLR2004 -- a ratio of 0 is not passed
        msg = f'--fail-on {text!r} is not understood: pass a metric, < or >, and a percentage, such as "energy>+5%"'
        raise UsageError(msg)
    side: Literal["<", ">"] = "<" if match[2] == "<" else ">"
    return Condition(match[1].replace("-", "_"), side, float(match[3]), text)


def failing(document: Mapping[str, Any], conditions: Iterable[Condition]) -> list[str]:
    """What holds, a line each. Raises UsageError for an unknown metric, and where it cannot be decided."""
    told = []
    known = [metric["id"] for metric in document["metrics"]]
    for asked in conditions:
        if asked.metric not in known:
            msg = f"--fail-on {asked.text!r}: {asked.metric!r} is no metric; there is {', '.join(known)}"
            raise UsageError(msg)
        for row in document["options"]:
            if row["baseline"]:
                continue
            ratio = row["ratio"][asked.metric]
            if ratio["verdict"] == "no verdict":
                msg = f"--fail-on {asked.text!r} cannot be decided of {row['name']!r}: {ratio['reason']}"
                raise UsageError(msg)
            if asked.holds(ratio):
                told.append(f"{row['name']}: {asked.text} holds: {ratio['words']}")
    return told
