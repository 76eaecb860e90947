"""A model split at layer k: the first layers on the device, the rest in the cloud, the activations between them.

`C(k) = E_dev(k) · I_d + b(k) · e_net · I_n + E_cl(k) · PUE · I_c`. The best k is found among the measured cut points,
0 (all in the cloud) and L (all on the device) among them: a finite scan, for what is between two was not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from greengen.accounting.drawing import computed, normal_scores
from greengen.accounting.what_if.profiles import Leg, Link, Profile, costs
from greengen.errors import UsageError
from greengen.quantity import Quantity

_DRAWS = 20_000


@dataclass(frozen=True, slots=True)
class Cut:
    """One measured cut point: `layer` layers on the device, and what a unit costs there."""

    layer: int
    profile: Profile


@dataclass(frozen=True, slots=True)
class Split:
    """The cut points in their order, what each costs, which is the least, and how likely each is the least.

    embodied  whether hardware is in the costs
    """

    cuts: tuple[Cut, ...]
    costs: tuple[Quantity, ...]
    best: int
    likely: tuple[float, ...]
    embodied: bool

    @property
    def cut(self) -> Cut:
        """The best one."""
        return self.cuts[self.best]


def at(layer: int, device: Leg | None, cloud: Leg | None, link: Link | None, like: Profile | None = None) -> Cut:
    """A cut point from what was measured there. Without a device it is the pure cloud, without a cloud the pure device.

    like  whose unit and hardware to take
    """
    legs = tuple(leg for leg in (device, cloud) if leg is not None)
    model = like or Profile("", ())
    return Cut(layer, replace(model, name=f"split at {layer}", legs=legs, link=link))


def best(cuts: Sequence[Cut]) -> Split:
    """The best of some measured cut points; of equals the one with fewer layers on the device.

    Raises UsageError for fewer than two, for a layer told twice, or for a cut without grams.
    """
    ordered = tuple(sorted(cuts, key=lambda cut: cut.layer))
    if len(ordered) < 2:  # noqa: PLR2004 -- of one there is no choice
        msg = "a split is chosen among two cut points or more: measure 0 (the cloud), the last layer (the device) …"
        raise UsageError(msg)
    layers = [cut.layer for cut in ordered]
    if len(set(layers)) < len(layers) or layers[0] < 0:
        msg = f"cut points {layers}: pass each layer once, from 0"
        raise UsageError(msg)
    told, embodied = costs([cut.profile for cut in ordered])
    for cut, each in zip(ordered, told, strict=True):
        if each.value is None:
            msg = f"the cut at layer {cut.layer} has no grams: {each.reason}"
            raise UsageError(msg)
    least, likely = least_of(told)
    return Split(ordered, told, least, likely, embodied)


def least_of(told: Sequence[Quantity]) -> tuple[int, tuple[float, ...]]:
    """Which of some known quantities is the least, and how likely each is; equals share."""
    scores = normal_scores(_DRAWS, 0)
    drawn = np.stack([np.broadcast_to(computed(each.to(told[0].unit), scores), (_DRAWS,)) for each in told])
    # What is left of one number on two ways is a rounding error.
    first = drawn <= drawn.min(axis=0) * (1 + 1e-12)
    likely = (first / first.sum(axis=0)).mean(axis=1)
    values = [each.to(told[0].unit).value or 0.0 for each in told]
    return values.index(min(values)), tuple(float(p) for p in likely)
