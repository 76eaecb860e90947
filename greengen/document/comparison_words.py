"""What a comparison says in words. Of modelled energy it says "less modelled energy", and names what was seen of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from greengen.accounting.verdict import BLOCKS, FEWEST, Contrast

SCREENING = "screening comparison, not an ISO 14044 comparative assertion"

#: A part that is as good as all.
NEARLY = 0.999


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
_LISTED = 10

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
    if of.answer in {"less", "more"}:
        sentence = f"{_part(of.ratio.value)} {of.answer} {what} {each} than {baseline} ({told})"
    elif of.answer == "not distinguishable":
        sentence = f"not distinguishable from {baseline} in {what} {each} ({told})"
        more = [*more, _DRIFT] if of.method == BLOCKS else more
    else:
        sentence = f"no verdict on {what} {each} against {baseline}: {of.reason} ({told})"
    return ". ".join([sentence, *more])


def bounds(of: Contrast) -> str:
    """The interval of a ratio."""
    if of.low is None or of.high is None:
        return "interval not known"
    return f"{_digits(of.low)} to {_digits(of.high)}"


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
    told = "All" if share >= NEARLY else "Less than 0.1 %" if share < 1 - NEARLY else f"{share:.1%}".replace("%", " %")
    return f"{told} of the {what} of {name} {'are' if what == 'grams' else 'is'} declared, not measured"


def modelled(rows: Sequence[Mapping[str, Any]], best: str | None) -> list[str]:
    """What stands behind the verdict where no power was measured; nothing where it was."""
    if not any(_grade(row["energy_j"]) == "modelled" for row in rows):
        return []
    others = [row for row in rows if not row["baseline"]]
    chosen = [row for row in others if row["name"] == best] or others
    busy = chosen[0]["ratio"]["busy"]
    if len(chosen) > 1 or busy["value"] is None:
        return [
            "No power was measured: energy is modelled from busy time, which is the evidence and stands beside each"
        ]
    told = f"that of {chosen[0]['name']} is {_digits(busy['value'])} of the baseline's"
    ends = "" if busy.get("low") is None else f" ({_digits(busy['low'])} to {_digits(busy['high'])})"
    return [f"No power was measured. The evidence is busy time: {told}{ends}"]


def rests_on_declared(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What of the options rests on figures that nobody here measured; one line for all that are published whole."""
    told, published = [], []
    for row in rows:
        if row["origin"] != "declared":
            what = "energy" if row["carbon_operational_g"]["value"] is None else "grams"
            told.append(declared(row["declared_share"], what, row["name"]))
            continue
        more = [] if row["batch"] is None else [f"assumes a batch of {_digits(row['batch']['mean'])}"]
        more += ["its interval is not known"] if row["energy_j"].get("low") is None else []
        published.append(f"{row['name']} ({'; '.join(more)})" if more else row["name"])
    if published:
        which = "all options" if len(published) == len(rows) else "these options"
        left = len(published) - _LISTED
        listed = ", ".join(published[:_LISTED]) + (f" and {left} more" if left > 0 else "")
        told.append(f"Published, not measured, is the energy of {which}: {listed}")
    return [text for text in told if text]


def headline(metric: Metric, rows: Sequence[Mapping[str, Any]], best: str | None, baseline: str, unit: str) -> str:
    """The whole comparison in one short sentence, the metric told once; all else stands in the options' sentences.

    rows  the options' rows of the document
    """
    others = [row for row in rows if not row["baseline"]]
    ratios = {row["name"]: row["ratio"][metric.id] for row in others}
    what = _noun_of_all(metric, [_grade(row[metric.key]) for row in rows])
    each = f"per {per(metric, unit)}"
    answers = {name: str(ratio["verdict"]) for name, ratio in ratios.items()}
    if set(answers.values()) == {"no verdict"}:
        reasons = dict.fromkeys(str(ratio["reason"]) for ratio in ratios.values() if ratio["reason"])
        return f"No verdict on {what} {each}: {'; '.join(list(reasons)[:2])}."
    if len(others) == 1:
        [(name, ratio)] = ratios.items()
        if ratio["verdict"] == "not distinguishable":
            return f"{name} is not distinguishable from {baseline} in {what} {each}."
        return f"{name} has {_apart(ratio, what)} {each} than {baseline}{_ends(ratio)}."
    if best == baseline:
        return f"Of {len(rows)} options, {best}, the baseline, has the least {what} {each}."
    if best is not None:
        told = f"{_apart(ratios[best])} than {baseline}{_ends(ratios[best])}"
        return f"Of {len(rows)} options, {best} has the least {what} {each}: {told}."
    return _without_best(f"{what} {each}", baseline, answers)


def _apart(ratio: Mapping[str, Any], what: str = "") -> str:
    """How far a figure that is less or more is from the baseline's: ``86 % less``."""
    told = f"{_part(ratio['value'])} {ratio['verdict']}"
    return f"{told} {what}" if what else told


def _ends(ratio: Mapping[str, Any]) -> str:
    """The interval of how far: `` (70 to 94 %)``."""
    parts = sorted(abs(ratio[end] - 1.0) for end in ("low", "high"))
    low, high = (_part(1.0 + part) for part in parts)
    return f" ({low.removesuffix(' %')} to {high})"


def _part(ratio: float) -> str:
    """How far a ratio is from 1: in whole per cent, and finer where that would say nothing."""
    part = abs(ratio - 1.0)
    return f"{part:.{0 if 0.095 <= part < 0.985 or part > 1.0 else 1}%}".replace("%", " %")  # noqa: PLR2004 -- 9.5 and 98.5 %


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
