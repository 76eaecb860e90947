"""What a comparison says in words. Of modelled energy it says "less modelled energy", and names what was seen of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from greengen.accounting.verdict import BLOCKS, FEWEST, Contrast

SCREENING = "screening comparison, not an ISO 14044 comparative assertion"

#: A part that is as good as all.
_NEARLY = 0.999


@dataclass(frozen=True, slots=True)
class Metric:
    """Something that options are held against one another by; the less, the better.

    key     of an option's figure in the document
    of      the attribute of a repeat; "" for latencies
    energy  whether it is made with the energy, and as well known as that
    """

    id: str
    name: str
    key: str
    of: str
    energy: bool = True


METRICS = (
    Metric("energy", "energy", "energy_j", "energy"),
    Metric("energy_per_output_token", "energy", "energy_j_per_output_token", "per_token"),
    Metric("carbon_operational", "operational CO2e", "carbon_operational_g", "operational"),
    Metric("carbon_total", "CO2e", "carbon_total_g", "total"),
    Metric("water", "water", "water_l", "water"),
    Metric("busy", "busy time", "busy_s", "busy", energy=False),
    Metric("latency_p95", "p95 latency", "latency", "", energy=False),
)

#: Of several names, so many are told.
_NAMED = 3

_METHOD = (
    "The repeat is the unit of the statistics: requests of one repeat are no independent samples.",
    f"With fewer than {FEWEST} repeats of either there is no verdict. A ratio is one of geometric means.",
    "Its 95 % interval joins, in quadrature, Welch's t on the logarithms of the repeats and the errors of the meters.",
    "Of the meters' errors only the common gain of one sensor cancels in a ratio; what depends on the load does not.",
    "Where choices did not alternate in the order of recording, it is as wide as a trend and any random walk make it.",
    "What changed between two blocks alone, such as a driver, is in no interval: alternate the choices.",
)

_DRIFT = (
    "The two were recorded one after the other, where a drift of the machine looks like a difference: alternate them"
)

#: unit -> how it is read.
UNITS = {
    "output_token": "output token",
    "input_token": "input token",
    "audio_s": "second of audio",
    "video_s": "second of video",
}


def noun(metric: Metric, grade: str | None) -> str:
    """What is less or more: never plain energy where none was measured."""
    if not metric.energy or grade in {None, "measured", "attributed"}:
        return metric.name
    if metric.name == "energy":
        return f"{grade} energy"
    return f"{metric.name} of {grade} energy"


def per(metric: Metric, unit: str) -> str:
    """Per what a metric is told."""
    if metric.id == "latency_p95":
        return "request"
    return UNITS["output_token"] if metric.id == "energy_per_output_token" else UNITS.get(unit, unit)


def grade_of(kinds: Iterable[Mapping[str, float]]) -> str:
    """How figures are known that are compared, by the part of each in every grade: the weakest that one rests on.

    What is declared in part is told as that part.
    """
    found = [dict(kind) for kind in kinds]
    if any(set(kind) == {"declared"} for kind in found):
        return "declared"
    return "modelled" if any(kind.get("modelled") for kind in found) else "measured"


def verdict(metric: Metric, of: Contrast, baseline: str, said: tuple[str, str], more: Sequence[str] = ()) -> str:
    """One option against the baseline, in a sentence or two.

    said  the functional unit, and how both figures are known
    more  what is to be said with it
    """
    unit, grade = said
    what = noun(metric, grade)
    each = f"per {per(metric, unit)}"
    if of.ratio.value is None:
        return f"no verdict on {metric.name} {each}: {of.reason}"
    told = f"ratio {_digits(of.ratio.value)}, {bounds(of)}"
    part = f"{abs(of.ratio.value - 1.0):.1%}".replace("%", " %")
    if of.answer in {"less", "more"}:
        sentence = f"{part} {of.answer} {what} {each} than {baseline} ({told})"
    elif of.answer == "not distinguishable":
        sentence = f"not distinguishable from {baseline} in {what} {each} ({told})"
        more = [*more, _DRIFT] if of.method == BLOCKS else more
    else:
        sentence = f"no verdict on {what} {each} against {baseline}: {of.reason} ({told})"
    return ". ".join([sentence, *more])


def bounds(of: Contrast) -> str:
    """The interval of a ratio."""
    return f"{_digits(of.low or 0.0)} to {_digits(of.high or 0.0)}"


def evidence(busy: Contrast | None) -> str:
    """What stands behind a modelled difference."""
    if busy is None or busy.ratio.value is None:
        return "No power was measured, and no busy time is there to show as evidence"
    told = f"{_digits(busy.ratio.value)} of the baseline's"
    if busy.repeats and min(busy.repeats) >= FEWEST:
        told += f" ({bounds(busy)})"
    return f"The evidence is busy time: {told}; no power was measured"


def declared(share: float | None, what: str, name: str) -> str:
    """Which part rests on figures that nobody here measured; "" where none does."""
    if not share:
        return ""
    told = (
        "All" if share >= _NEARLY else "Less than 0.1 %" if share < 1 - _NEARLY else f"{share:.1%}".replace("%", " %")
    )
    return f"{told} of the {what} of {name} {'are' if what == 'grams' else 'is'} declared, not measured"


def headline(metric: Metric, rows: Sequence[Mapping[str, Any]], best: str | None, baseline: str, unit: str) -> str:
    """The whole comparison in one sentence.

    rows  the options' rows of the document
    """
    others = [row for row in rows if not row["baseline"]]
    ratios = [row["ratio"][metric.id] for row in others]
    grades = [_grade(row[metric.key]) for row in rows]
    what, each = _noun_of_all(metric, grades), f"per {per(metric, unit)}"
    if len(others) == 1:
        return f"{others[0]['name']}: {ratios[0]['words']}."
    if best is not None:
        own = "" if best == baseline else ": " + ratios[[row["name"] for row in others].index(best)]["words"]
        return f"{best}{' (the baseline)' * (not own)} has the least {what} {each} of {len(rows)} options{own}."
    answers = [ratio["verdict"] for ratio in ratios]
    if set(answers) == {"no verdict"}:
        reasons = dict.fromkeys(str(ratio["reason"]) for ratio in ratios if ratio["reason"])
        return f"No verdict on {what} {each}: {'; '.join(list(reasons)[:2])}."
    return _without_best(f"{what} {each}", baseline, {r["name"]: a for r, a in zip(others, answers, strict=True)})


def _without_best(what: str, baseline: str, answers: Mapping[str, str]) -> str:
    """The same where no option is shown to be below all others."""
    less = [name for name, answer in answers.items() if answer == "less"]
    if less:
        named = ", ".join(less[:_NAMED]) + (f" and {len(less) - _NAMED} more" if len(less) > _NAMED else "")
        return f"Less {what} than {baseline}: {named}. Which of all is the least is not distinguishable."
    if "more" in answers.values():
        return f"No option has less {what} than {baseline}, and some have more. The least is not distinguishable."
    return f"The options are not distinguishable in {what}."


def _grade(figure: Mapping[str, Any]) -> str | None:
    """How an option's figure of the document is known."""
    return None if figure["value"] is None else grade_of([figure.get("grades") or {figure["grade"]: 1.0}])


def _noun_of_all(metric: Metric, grades: Sequence[str | None]) -> str:
    """What is less or more, where options are known in several ways."""
    weak = [grade for grade in ("modelled", "declared") if grade in grades]
    if not metric.energy or not weak:
        return metric.name
    kinds = " or ".join(weak)
    return f"{kinds} energy" if metric.name == "energy" else f"{metric.name} of {kinds} energy"


def method(options: int, unit: str, counts: str, idle: str) -> list[str]:
    """How the numbers were made."""
    counted = (
        "the energy of requests and of what is inside them" if counts == "requests" else "that of whole recordings"
    )
    told = [f"Per {UNITS.get(unit, unit)}. Counted is {counted}. Idle time: {idle}.", *_METHOD]
    if options > 2:  # noqa: PLR2004 -- of two there is one comparison
        told.append(
            f"Each of the {options - 1} comparisons with the baseline stands at 95 % by itself: of many options that "
            "are alike, one in forty is called less by chance."
        )
    return [*told, f"This is a {SCREENING}."]


def _digits(value: float) -> str:
    return f"{value:.3g}" if value < 1e4 else f"{value:,.0f}"  # noqa: PLR2004 -- then it is read without an exponent
