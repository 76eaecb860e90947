"""API models that nobody outside can meter: what ecologits (mlco2, MPL-2.0) estimates of a request.

Of closed models ecologits knows ranges of parameters; its minimum and maximum are kept as they are, and every
number has the grade `modelled`. They say what the parameters may be, and nothing of how exact its regression and
its factors are. Its energies hold the PUE that it takes for the provider.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from greengen.basis import NO_GRID, Basis
from greengen.errors import UsageError
from greengen.quantity import Z95, Error, Quantity, total

if TYPE_CHECKING:
    from greengen.run import Run

#: Zone that stands for where ecologits takes a provider's data centres to be.
PROVIDERS_OWN = "provider"

NOTE = "estimated by ecologits: the range is that of the model's unknown parameters, not of its factors"

#: OWID's yearly averages by country, as in greengen's own table.
_BASIS = str(Basis("average", "lifecycle", "location", "generation", "out"))


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one request, or several together, are estimated to cost.

    energy       J at the facility
    operational  gCO2e of that energy
    embodied     gCO2e of the hardware's share
    water        L, on site and off site
    warnings     what ecologits says of the model
    """

    energy: Quantity
    operational: Quantity
    embodied: Quantity
    water: Quantity
    warnings: tuple[str, ...] = ()

    def both(self) -> Quantity:
        """Operational and embodied gCO2e."""
        return total((self.operational, replace(self.embodied, basis=self.operational.basis)), "g")


def request(
    provider: str, model: str, output_tokens: int, *, zone: str | None, latency_s: float = math.inf
) -> Estimate:
    """What a request to an API is estimated to cost. Raises UsageError, also where ecologits is not installed.

    provider   as ecologits names it: openai, anthropic, mistralai, google_genai, cohere, huggingface_hub
    zone       ISO-3 country of the data centre, or `provider` for the one that ecologits takes it to be
    latency_s  the length of the request, where it was measured: no request takes longer than it did
    """
    if zone is None:
        msg = f"no zone was given: pass an ISO-3 country, or {PROVIDERS_OWN!r} for the one that ecologits assumes"
        raise UsageError(msg)
    if isinstance(output_tokens, bool) or output_tokens < 0 or not latency_s > 0:
        msg = f"{output_tokens} output tokens in {latency_s:g} s: pass 0 tokens or more, and a time above 0"
        raise UsageError(msg)
    where = None if zone == PROVIDERS_OWN else zone.strip().upper()
    found = _library()(provider, model, output_tokens, latency_s, where)
    if found.errors:
        told = " ".join(error.message for error in found.errors)
        msg = f"ecologits cannot tell {provider}/{model}: {told}"
        raise UsageError(msg)
    name = f"ecologits:{provider}/{model}"
    return Estimate(
        energy=_kept(found.usage.energy.value, "kWh", f"{name}:usage").to("J"),
        operational=_kept(found.usage.gwp.value, "kg", f"{name}:usage", _BASIS).to("g"),
        embodied=_kept(found.embodied.gwp.value, "kg", f"{name}:embodied", NO_GRID).to("g"),
        water=_kept(found.usage.wcf.value, "L", f"{name}:usage"),
        warnings=tuple(warning.message for warning in found.warnings or ()),
    )


def requests(run: Run, provider: str, *, zone: str | None) -> dict[str, Estimate]:
    """What the requests of a run are estimated to cost, by model; those that tell no output tokens are left out.

    A run of calls to an API meters the client alone. Raises UsageError.
    """
    by_model: dict[str, list[Estimate]] = {}
    for timeline in run.rows().timelines:
        for span in timeline.spans:
            if span.kind == "request" and span.model is not None and span.output_tokens is not None:
                seconds = math.inf if span.t1_ns is None else (span.t1_ns - span.t0_ns) / 1e9 or math.inf
                one = request(provider, span.model, span.output_tokens, zone=zone, latency_s=seconds)
                by_model.setdefault(span.model, []).append(one)
    return {model: _sum(found) for model, found in by_model.items()}


def _sum(found: list[Estimate]) -> Estimate:
    return Estimate(
        energy=total([one.energy for one in found], "J"),
        operational=total([one.operational for one in found], "g"),
        embodied=total([one.embodied for one in found], "g"),
        water=total([one.water for one in found], "L"),
        warnings=tuple(dict.fromkeys(text for one in found for text in one.warnings)),
    )


def _kept(value: Any, unit: str, source: str, basis: str | None = None) -> Quantity:
    """A number of ecologits, or its range, which is the interval; bounds of one source move together."""
    low, high = (float(getattr(value, end, value)) for end in ("min", "max"))
    told = f"{NOTE}; {low:.4g} to {high:.4g} {unit}" if high > low else NOTE
    errors = (Error(source, (high - low) / 2.0 / Z95, gain=True),) if high > low else ()
    return Quantity((low + high) / 2.0, unit, "modelled", errors, basis=basis, note=told)


def _library() -> Any:
    try:
        from ecologits.tracers.utils import llm_impacts  # noqa: PLC0415 -- an extra
    except ImportError as error:
        msg = "ecologits is not installed: pip install 'greengen[ecologits]'"
        raise UsageError(msg) from error
    return llm_impacts
