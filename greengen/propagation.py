"""Errors by source, to first order: signed standard uncertainties, and how they add, cancel and widen.

Errors of one source add linearly in a sum; independent sources add in quadrature; in a ratio only the
common multiplicative part (`gain`) of a source cancels. Errors that are factors (`log`) widen an
interval as factors do: by ×/÷, not by ±. Of a product of such factors that is ln² GSD = Σ ln² GSD_i.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

#: Standard uncertainties in one side of a 95 % interval.
Z95 = 1.959963984540054

Errors = tuple["Error", ...]


@dataclass(frozen=True, slots=True)
class Error:
    """One source's part in a quantity's error.

    name   the source; errors of one name move together
    sigma  its standard uncertainty in the quantity's unit, signed by the direction it moves it
    gain   it is a common factor of all readings of the source, so it cancels in a ratio
    log    it is a factor known in order of size only: its interval is ×/÷
    flat   it lies anywhere within ± √3 σ, no value likelier than another (to first order: as any other)
    """

    name: str
    sigma: float
    gain: bool = False
    log: bool = False
    flat: bool = False


def scaled(errors: Errors, factor: float) -> Errors:
    """The errors of a quantity times an exact number."""
    return tuple(Error(e.name, e.sigma * factor, e.gain, e.log, e.flat) for e in errors)


def added(groups: Iterable[Errors]) -> Errors:
    """The errors of a sum, or of a product with each side's in the product's unit: one per source.

    Where parts tell one source differently, what cancels less and what is wider holds of the whole.
    """
    by_name: dict[str, Error] = {}
    for errors in groups:
        for error in errors:
            seen = by_name.get(error.name)
            by_name[error.name] = error if seen is None else _together(seen, error, seen.sigma + error.sigma)
    return tuple(by_name.values())


def divided(a: float, a_errors: Errors, b: float, b_errors: Errors) -> Errors:
    """The errors of a/b, b not 0. A source of both cancels as far as it is a common factor of both."""
    if not a:
        return tuple(replace(e, sigma=e.sigma / b) for e in a_errors)
    above = {e.name: e for e in a_errors}
    below = {e.name: e for e in b_errors}
    errors: list[Error] = []
    for name in dict.fromkeys((*above, *below)):
        e, f = above.get(name), below.get(name)
        x, y = e.sigma / a if e else 0.0, f.sigma / b if f else 0.0
        one, other = e or f, f or e
        assert one is not None and other is not None  # noqa: S101, PT018 -- the name came from one of the two
        sigma = (x - y) if one.gain and other.gain else math.hypot(x, y)
        errors.append(_together(one, other, sigma * (a / b)))
    return tuple(errors)


def interval(value: float, errors: Errors) -> tuple[float, float]:
    """The 95 % interval around a value: its linear errors as ±, those that are factors as ×/÷."""
    linear = Z95 * math.sqrt(math.fsum(e.sigma**2 for e in errors if not e.log))
    factor = Z95 * math.sqrt(math.fsum(e.sigma**2 for e in errors if e.log))
    down = up = 0.0
    if factor and value:
        spread = math.exp(min(factor / abs(value), 50.0))
        down, up = abs(value) * (1 - 1 / spread), abs(value) * (spread - 1)
        # A negative number grows downwards.
        down, up = (down, up) if value > 0 else (up, down)
    elif factor:
        down = up = factor
    return value - math.hypot(down, linear), value + math.hypot(up, linear)


def _together(one: Error, other: Error, sigma: float) -> Error:
    return Error(one.name, sigma, one.gain and other.gain, one.log or other.log, one.flat and other.flat)
