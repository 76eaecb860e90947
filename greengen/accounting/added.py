"""What an accelerator adds to a meter that holds the CPUs too: power = idle + cpu x busy + added x its own busy part.

A plane through stretches of the run, fitted as `calibration` fits its line. What the accelerator draws
idle is in the idle power of the whole, from which no meter outside it can tell it apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from greengen.accounting.calibration import (
    MIN_RANGE,
    MIN_STRETCHES,
    MOST_UNSURE,
    ROUNDS,
    TUKEY,
    Stretches,
    covariance,
    interval,
    scale,
    start,
    student,
    tukey,
)
from greengen.accounting.curves import Floats
from greengen.errors import UsageError
from greengen.quantity import Z95

#: So many stretches are needed with the accelerator idle, and with it busy.
_MIN_SIDE = 5

#: Busy times that go together more than this cannot be told apart.
_ALIKE = 0.95

#: CPUs whose busy part varies by less than this tell nothing of what they add.
_STILL = 0.02

_BACKFITS = 20

_REMEDY = (
    "record one in which the accelerator idles for 20 s and works for 20 s, in turns, and the CPUs also work alone for "
    "some of the time"
)


@dataclass(frozen=True, slots=True)
class Added:
    """The fit. The interval is of 95 %, with the meter's own error.

    active_w    what the accelerator adds while it is busy, W
    sigma       relative standard uncertainty of that, without the meter's gain
    residual_w  standard deviation of a stretch's power around the plane, W
    cpu_w       what all CPUs busy add beside it, W
    idle_w      power of all behind the meter, idle, the accelerator among it, W
    outliers    stretches that the plane was not laid through
    busy        the least and the greatest busy part of the accelerator
    """

    active_w: float
    active_interval_w: tuple[float, float]
    sigma: float
    residual_w: float
    cpu_w: float
    idle_w: float
    stretches: int
    outliers: int
    busy: tuple[float, float]


def fit(told: Stretches, load: Floats, gain: float = 0.0) -> Added:
    """The plane through `told` and `load`. Raises UsageError where they say too little.

    load  the accelerator's busy part in each stretch, shape (n,)
    gain  relative standard uncertainty of the meter
    """
    _check(told, load)
    still = float(np.ptp(told.busy)) < _STILL
    parts = (load,) if still else (told.busy, load)
    design = np.column_stack((np.ones_like(load), *parts))
    weights = _start(told, load, still=still)
    for _ in range(ROUNDS):
        residual = told.power_w - design @ weights
        sd = scale(load, residual, told.power_w)
        root = np.sqrt(tukey(residual / sd)) / sd
        before = weights
        weights = np.asarray(np.linalg.lstsq(design * root[:, None], told.power_w * root, rcond=None)[0], dtype=float)
        if np.abs(weights - before).sum() <= 1e-10 * np.abs(weights).sum():
            break
    residual = told.power_w - design @ weights
    sd = scale(load, residual, told.power_w)
    spread, free = covariance(parts, residual, sd)
    kept = np.abs(residual) < TUKEY * sd
    added, wide = float(weights[-1]), student(free)
    reach = wide * math.sqrt(spread[-1, -1])
    if added <= MOST_UNSURE * reach:
        msg = (
            f"the meter does not follow the accelerator: busy it adds {added:.3g} W +- {reach:.2g} W; name the meter "
            "that holds it with --meter, and record a longer run with nothing else at work behind it"
        )
        raise UsageError(msg)
    return Added(
        active_w=added,
        active_interval_w=interval(added, reach, gain),
        sigma=reach / Z95 / added,
        residual_w=math.sqrt(float((residual[kept] ** 2).sum()) / max(int(kept.sum()) - design.shape[1], 1)),
        cpu_w=0.0 if still else float(weights[1]),
        idle_w=float(weights[0]),
        stretches=load.size,
        outliers=int(load.size - kept.sum()),
        busy=(float(load.min()), float(load.max())),
    )


def _check(told: Stretches, load: Floats) -> None:
    if load.size < MIN_STRETCHES:
        msg = f"{load.size} stretches are too few to calibrate with, {MIN_STRETCHES} are the least: {_REMEDY}"
        raise UsageError(msg)
    least, most = float(load.min()), float(load.max())
    quiet = int((load < (least + most) / 2).sum())
    if most - least < MIN_RANGE or min(quiet, load.size - quiet) < _MIN_SIDE:
        msg = (
            f"the accelerator's load varies too little to calibrate with: it was {least:.0%} to {most:.0%} busy, and "
            f"{MIN_RANGE:.0%} are needed, with {_MIN_SIDE} stretches on either side of the middle; {_REMEDY}"
        )
        raise UsageError(msg)
    if np.ptp(told.busy) >= _STILL:
        alike = float(np.corrcoef(told.busy, load)[0, 1])
        if abs(alike) > _ALIKE:
            msg = (
                f"CPUs and accelerator were busy together (their busy times correlate by {alike:.2f}), so that their "
                f"powers cannot be told apart: {_REMEDY}"
            )
            raise UsageError(msg)


def _start(told: Stretches, load: Floats, *, still: bool) -> Floats:
    """Idle and slopes that half the stretches cannot mislead: lines through what the other line leaves, in turns."""
    idle, added = start(load, told.power_w)
    if still:
        return np.array([idle, added])
    cpu = 0.0
    for _ in range(_BACKFITS):
        _, cpu = start(told.busy, told.power_w - added * load)
        idle, added = start(load, told.power_w - cpu * told.busy)
    return np.array([idle, cpu, added])
