"""One question as it was asked: its values checked as they are taken, its options found, what is unknown refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from greengen.accounting import student
from greengen.accounting.deployment import TierUse
from greengen.accounting.option import Measured
from greengen.accounting.what_if.profiles import Leg, Link, Profile, kwh_per_gb
from greengen.comparison import Comparison
from greengen.errors import UsageError
from greengen.propagation import Z95
from greengen.quantity import Error, Quantity, total

#: No figure that anybody asks about is larger: what is above is a slip, and would leave the range of numbers.
MOST = 1e15


@dataclass
class Table:
    """A question: `told` are its keys, and `folder` is what its paths are relative to."""

    comparison: Comparison
    told: dict[str, Any]
    folder: Path = Path()
    taken: set[str] = field(default_factory=set)

    @cached_property
    def profiles(self) -> dict[str, Profile]:
        """Every option of the comparison, by name."""
        return {one.name: of(one, self.comparison) for one in self.comparison.options}

    @property
    def unit(self) -> str:
        """The functional unit."""
        return self.comparison.rules.unit

    def text(self, key: str, default: str | None = None) -> str:
        """A text. Raises UsageError where it is not stated and has no default."""
        value = self._take(key, default)
        if not isinstance(value, str):
            msg = f"{key} {value!r} is no text"
            raise UsageError(msg)
        return value

    def has(self, key: str) -> bool:
        """Whether it is stated."""
        return key in self.told

    def number(self, key: str, default: float | None = None, *, above: float = -math.inf, least: float = 0.0) -> float:
        """A number of at least `least`, above `above`. Raises UsageError."""
        value = self._take(key, default)
        if not _is_number(value) or not least <= value or value <= above:
            bound = f"above {above:g}" if above >= least else f"of {least:g} or more"
            msg = f"{key} {value!r} is not possible: pass a number {bound}, at most {MOST:g}"
            raise UsageError(msg)
        return float(value)

    def numbers(self, key: str, default: list[float] | None = None) -> list[float]:
        """A list of numbers of 0 or more, ascending. Raises UsageError."""
        value = self._take(key, default)
        found = value if isinstance(value, list) else [value]
        if not found or not all(_is_number(each) for each in found):
            msg = f"{key} {value!r} is not possible: pass a list of numbers of 0 or more"
            raise UsageError(msg)
        return sorted(float(each) for each in found)

    def texts(self, key: str, default: list[str] | None = None) -> list[str]:
        """A list of texts. Raises UsageError."""
        value = self._take(key, default)
        if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
            msg = f"{key} {value!r} is not possible: pass a list of names"
            raise UsageError(msg)
        return value

    def mapping(self, key: str, default: dict[str, Any] | None = None) -> dict[str, Any]:
        """A table. Raises UsageError."""
        value = self._take(key, default)
        if not isinstance(value, Mapping):
            msg = f"{key} {value!r} is no table"
            raise UsageError(msg)
        return dict(value)

    def option(self, key: str, default: str | None = None) -> Profile:
        """The option that a key names. Raises UsageError."""
        return self.named(self.text(key, default), key)

    def options(self) -> list[Profile]:
        """Those that `options` names, or all."""
        return [self.named(name, "options") for name in self.texts("options", list(self.profiles))]

    def named(self, name: str, key: str) -> Profile:
        """An option by its name. Raises UsageError."""
        if name not in self.profiles:
            msg = f"{key} {name!r} is none of the deployments: {', '.join(self.profiles)}"
            raise UsageError(msg)
        return self.profiles[name]

    def measured(self, name: str) -> Measured:
        """An option as the comparison has it."""
        return next(one for one in self.comparison.options if one.name == name)

    def path(self, key: str) -> Path:
        """A file, relative to where the question stands."""
        return self.folder / self.text(key)

    def tier(self) -> str | None:
        """The tier that a question is about; None: all."""
        return self.text("tier") if self.has("tier") else None

    def done(self) -> None:
        """Raise UsageError for keys that nobody took."""
        strange = sorted(self.told.keys() - self.taken)
        if strange:
            msg = f"{', '.join(strange)} says nothing here; known are {', '.join(sorted(self.taken))}"
            raise UsageError(msg)

    def _take(self, key: str, default: Any) -> Any:  # noqa: ANN401 -- whatever stands in a file
        self.taken.add(key)
        value = self.told.get(key, default)
        if value is None:
            msg = f"{key} is not stated"
            raise UsageError(msg)
        return value


def of(one: Measured, comparison: Comparison) -> Profile:
    """An option as a profile: the means over its repeats, with what these scatter by as an error of its own."""
    unit = comparison.rules.unit
    tiers: dict[str | None, list[TierUse]] = {}
    for repeat in one.repeats:
        for use in repeat.tiers:
            tiers.setdefault(use.tier, []).append(use)
    legs = []
    for tier, uses in tiers.items():
        if tier == "network":
            continue
        site, name = uses[0].site, one.name if tier is None else f"{one.name}, {tier} tier"
        energy = mean(name, [use.energy for use in uses])
        legs.append(Leg(tier, energy, site.intensity, site.overhead, _cooled(uses)))
    embodied = mean(f"{one.name}, hardware", [repeat.embodied for repeat in one.repeats])
    return Profile(one.name, tuple(legs), _link(one, comparison), embodied, unit)


def mean(name: str, values: list[Quantity]) -> Quantity:
    """The mean of repeats. What they scatter by is one error, sized so that 1.96 of it are t at 95 %."""
    whole = total(values, values[0].unit).scaled(1.0 / len(values))
    n = len(values)
    if whole.value is None or n < 2:  # noqa: PLR2004 -- one repeat does not scatter
        return whole
    variance = sum(((each.value or 0.0) - whole.value) ** 2 for each in values) / (n - 1)
    sigma = math.sqrt(variance / n) * student.quantile(0.975, n - 1.0) / Z95
    if not sigma:
        return whole
    nothing = Quantity(
        0.0, whole.unit, whole.grade, (Error(f"scatter of the repeats of {name}", sigma),), basis=whole.basis
    )
    return whole + nothing


def _cooled(uses: list[TierUse]) -> float:
    """The part of the energy that the PUE is on."""
    use = uses[0]
    pue, it, all_of_it = use.site.pue_value, use.energy.value, use.facility.value
    if pue is None or not it or all_of_it is None:
        return 1.0
    if pue == 1.0:
        return 1.0
    return min(1.0, max(0.0, (all_of_it / it - 1.0) / (pue - 1.0)))


def _link(one: Measured, comparison: Comparison) -> Link | None:
    """What goes between tiers. Where no kWh per GB was stated there is none of its grams yet."""
    moved = [repeat.network_bytes for repeat in one.repeats if repeat.network_bytes is not None]
    if not moved:
        return None
    uses = [use for repeat in one.repeats for use in repeat.tiers]
    network = next((use.site.intensity for use in uses if use.tier == "network"), None)
    price = comparison.rules.link.get("kwh_per_gb")
    intensity = network or one.site.intensity
    return Link(sum(moved) / len(moved), kwh_per_gb(0.0 if price is None else float(price)), intensity)


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and 0.0 <= value <= MOST
