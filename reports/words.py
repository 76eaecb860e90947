"""What a report says in words: the same sentences in every format."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from greengen.reports import format as fmt
from greengen.reports.series import PowerSeries

GRADES = {
    "measured": "read from a physical sensor or counter",
    "attributed": "a share of a measured total",
    "modelled": "a vendor's estimate, or busy time times a power model, or a share of one",
    "declared": "typed in or published",
}

ACCOUNTS = {
    "span": "work inside recorded spans",
    "overhead": "work of the profiled processes (and the recorder) outside any span",
    "other": "work of other processes",
    "idle": "nobody was working",
}

ALL_MODELLED = (
    "No power counter was readable: all joules are modelled. A lower number means less modelled energy, because "
    "of less busy time; it says nothing of the power that was really drawn."
)

#: The same where something else than busy time is modelled: a maker's own estimate.
ALL_ESTIMATED = (
    "No power sensor was read: all joules are modelled, by what their domains say of themselves. A lower number means "
    "less modelled energy, and the model of one machine is not that of another."
)

#: Said wherever choices are held against one another: nobody has reviewed the comparison.
SCREENING = "screening comparison, not an ISO 14044 comparative assertion"

#: Functional units as they are read.
_UNITS = {
    "output_token": "output token",
    "input_token": "input token",
    "audio_s": "second of audio",
    "video_s": "second of video",
}

#: So many changes of the machine's state are told in the summary; all of them are events.
_CHANGES = 3

#: Kinds of events that joules may be missing for, or be less sure; and so many are told in a summary.
_FAULTS, _MOST_FAULTS = frozenset({"gap", "reset", "freeze"}), 12

_NO_REMEDY = "pass --zone ZONE (such as DEU), or --intensity G (gCO2e/kWh)"


def compares(document: Mapping[str, Any]) -> bool:
    """Whether a document is a comparison, and no report of one run."""
    return str(document["schema"]).startswith("greengen.comparison/")


class Balance(NamedTuple):
    """The check that every joule is booked once.

    sum_j     the sum of the accounts whose energy is known, J; None where none is
    total_j   the total that the domains report, J; None where it is not measured
    missing   the accounts whose energy is not measured
    holds     whether sum and total are the same to float precision; None where one is not known
    """

    sum_j: float | None
    total_j: float | None
    missing: tuple[str, ...]
    holds: bool | None


def balance(document: Mapping[str, Any]) -> Balance:
    """Add up the accounts and hold the sum against the total."""
    known = [row["energy_j"]["value"] for row in document["accounts"] if row["energy_j"]["value"] is not None]
    missing = tuple(row["account"] for row in document["accounts"] if row["energy_j"]["value"] is None)
    total = document["totals"]["energy_j"]["value"]
    booked = math.fsum(known) if known else None
    holds = None
    if booked is not None and total is not None:
        holds = math.isclose(booked, total, rel_tol=1e-9, abs_tol=1e-9)
    return Balance(booked, total, missing, holds)


def all_modelled(document: Mapping[str, Any]) -> bool:
    """Whether a power model stands behind every joule of the total."""
    counted = [row["grade"] for row in document["domains"] if row["in_total"]]
    return bool(counted) and set(counted) == {"modelled"}


def modelled_note(document: Mapping[str, Any]) -> str:
    """What that means; "" where a sensor stands behind some of the total."""
    if not all_modelled(document):
        return ""
    return ALL_ESTIMATED if ALL_ESTIMATED in document["warnings"] else ALL_MODELLED


def grades(quantity: Mapping[str, Any]) -> str:
    """How a quantity is known: ``modelled``, or ``62.0 % measured, 38.0 % modelled``; empty where it is not."""
    if quantity["value"] is None:
        return ""
    shares = quantity.get("grades")
    if not shares:
        return str(quantity["grade"])
    return ", ".join(f"{fmt.percent(share)} {grade}" for grade, share in _by_strength(shares))


def graded(name: str, grade: str) -> str:
    """A domain's name with its grade, which some names tell already."""
    shown = fmt.printable(name)
    return shown if grade in shown else f"{shown} ({fmt.printable(grade)})"


def how_known(document: Mapping[str, Any]) -> list[str]:
    """How the total is known, in sentences."""
    total = document["totals"]["energy_j"]
    if total["value"] is None:
        return [f"The total is not measured: {total['reason']}."]
    shares = total.get("grades")
    if not shares:
        return [f"All of it is {total['grade']}: {GRADES[total['grade']]}.", coverage(document)]
    parts = [f"{fmt.percent(share)} is {grade} ({GRADES[grade]})" for grade, share in _by_strength(shares)]
    return [f"Of the joules, {', '.join(parts[:-1])} and {parts[-1]}.", coverage(document)]


def coverage(document: Mapping[str, Any]) -> str:
    """For how much of the recording the power of the counted domains is known."""
    totals, run = document["totals"], document["run"]
    whole = f"{fmt.seconds(totals['known_s'])} of {fmt.seconds(run['duration_s'])}"
    # Of several hosts `coverage` is the worst one's.
    share = fmt.percent(min(1.0, totals["known_s"] / run["duration_s"]) if run["duration_s"] else 0.0)
    if totals["coverage"] >= 1:
        return f"Power is known for all of the recording ({fmt.seconds(run['duration_s'])})."
    return f"Power is known for {whole} ({share}); joules outside that time are in no account."


def carbon_remedy(document: Mapping[str, Any]) -> str:
    """What to pass on the command line so that grams can be told."""
    return str(document["factors"]["remedy"] or _NO_REMEDY)


def carbon_reason(document: Mapping[str, Any]) -> str:
    """Why there are no grams, without the remedy: that is told beside it."""
    reason = str(document["totals"]["carbon_g"]["reason"])
    return reason.replace(carbon_remedy(document), "").rstrip(" :;,.") or reason


def carbon_factors(document: Mapping[str, Any]) -> str:
    """The factors behind the grams, in one line; empty where there is no intensity."""
    factors = document["factors"]
    if not factors["intensity"] or factors["intensity"]["value"] is None:
        return ""
    grid = f"grid intensity {fmt.quantity(factors['intensity'])} {factors['intensity']['grade']}"
    parts = [grid, factors["intensity"].get("basis"), factors["zone"]]
    pue = "PUE not given" if factors["pue"] is None else f"PUE {fmt.number(factors['pue'])}"
    if factors["pue"] is not None and not document.get("footprint", {"pue_on": True})["pue_on"]:
        pue = f"{pue} (on nothing that was read)"
    return ", ".join(str(part) for part in (*parts, factors["year"], pue, factors["intensity_source"]) if part)


def imported(document: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """(format, lines of what and told) of each log that was recorded elsewhere."""
    return [
        (str(entry["format"]), [(line["what"], line["told"]) for line in entry["summary"]])
        for entry in document.get("imported", ())
    ]


def state(document: Mapping[str, Any]) -> str:
    """The machine's state at the start and what changed, as one line; "" where nothing is known."""
    rows = document["run"].get("state", [])
    several = len({row["host"] for row in rows}) > 1
    told = [f"{row['host'] + ': ' if several else ''}{row['subject']} {row['value']}" for row in rows]
    changed = [f"after {fmt.seconds(event['t_s'])} {event['reason']}" for event in _state_events(document)]
    return ", ".join(told) + (f"; then {'; '.join(changed[:_CHANGES])}" if changed else "") + _more(changed)


def containers(document: Mapping[str, Any]) -> str:
    """The containers and pods whose work was recorded, as one line; "" where it was none's."""
    told = []
    for row in document["run"].get("containers", []):
        # A pod has a name where it was told one, and always a uid.
        pod = row.get("pod") or row.get("pod_uid")
        parts = [f"pod {pod}" + (f" in {row['namespace']}" if "namespace" in row else "")] if pod else []
        if "container" in row:
            parts.append(f"container {row['container']}" + (f" ({row['runtime']})" if "runtime" in row else ""))
        if "cgroup" in row:
            parts.append(f"cgroup {row['cgroup']}")
        told.append(", ".join(parts))
    return "; ".join(filter(None, told))


def _state_events(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [event for event in document["events"] if event["kind"] == "state"]


def _more(changed: Sequence[str]) -> str:
    left = len(changed) - _CHANGES
    return f"; and {left} more changes" if left > 0 else ""


def sharing(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(group of spans, how its energy was shared): policy, coefficients, how sure, and why none better was used."""
    told = []
    for group in document["run"]["policy"].get("groups", ()):
        parts = [str(group["policy"])]
        known = {name: value for name, value in group["coefficients"].items() if value}
        if known:
            parts.append("weights " + ", ".join(f"{name} {fmt.number(value)}" for name, value in known.items()))
        if group["share_sigma"] is not None:
            windows = group["details"].get("windows")
            over = f" over {fmt.count(int(windows))} stretches of time" if windows else ""
            parts.append(f"fitted{over}: a share is sure to about {fmt.percent(group['share_sigma'])}")
        if group["fallback"]:
            parts.append(f"nothing better, for {group['fallback']}")
        told.append((str(group["group"]), "; ".join(parts)))
    return told


def rules(document: Mapping[str, Any]) -> str:
    """The policy asked for, and the rules for idle and static power where they are not the usual ones."""
    policy = document["run"]["policy"]
    return ", ".join(str(part) for part in (policy["name"], policy.get("rules")) if part)


def failures(document: Mapping[str, Any]) -> bool:
    """Whether any request came to nothing, so that joules per success differ from joules per request."""
    return any(row["succeeded"] < row["requests"] for row in document["models"])


def partly_missing(document: Mapping[str, Any]) -> set[str]:
    """The accounts of which some counted domain's part is not measured."""
    return {
        part["account"]
        for row in document["domains"]
        if row["in_total"]
        for part in row["accounts"]
        if part["energy_j"]["value"] is None
    }


def power_caption(series: Iterable[PowerSeries], drawn: int, left_out: int) -> str:
    """The power figure, told: what is read off it without seeing it."""
    parts = []
    for line in series:
        steps = [
            (power, t1 - t0)
            for t0, t1, power in zip(line.t_s, line.t_s[1:], line.power_w, strict=False)
            if power is not None and t1 > t0
        ]
        known = math.fsum(length for _, length in steps)
        if not steps:
            parts.append(f"{graded(line.name, line.grade)}: {fmt.NOT_MEASURED}")
            continue
        mean = math.fsum(power * length for power, length in steps) / known
        least, most = min(steps)[0], max(steps)[0]
        parts.append(
            f"{graded(line.name, line.grade)}: mean {fmt.value(_watts(mean))}, from "
            f"{fmt.value(_watts(least))} to {fmt.value(_watts(most))}, known for {fmt.seconds(known)}"
        )
    power = "; ".join(parts) or f"Power: {fmt.NOT_MEASURED}"
    spans = f"{fmt.count(drawn)} live spans are drawn as bands" if drawn else "No span was recorded"
    rest = f", those with the most joules; {fmt.count(left_out)} more are not drawn" if left_out else ""
    return f"{power}. {spans}{rest}."


def joules_caption(document: Mapping[str, Any], left_out: int) -> str:
    """The joules figure, told."""
    accounts = _told(document["accounts"], "account")
    models = _told(document["models"], "model")
    rest = f" {fmt.count(left_out)} accounts and models with less are in the tables only." if left_out else ""
    return f"By account: {accounts}. By model: {models}.{rest}"


def _told(rows: Sequence[Mapping[str, Any]], key: str) -> str:
    most = 4
    known = sorted((r for r in rows if r["energy_j"]["value"] is not None), key=lambda r: -r["energy_j"]["value"])
    told = [f"{fmt.printable(row[key])} {fmt.quantity(row['energy_j'])}" for row in known[:most]]
    more = [f"{len(known) - most} with less"] if len(known) > most else []
    return "; ".join([*told, *more]) or (fmt.NOT_MEASURED if rows else "none")


def unit(name: str) -> str:
    """A functional unit in words."""
    return _UNITS.get(name, name)


def _watts(power_w: float) -> dict[str, Any]:
    return {"value": power_w, "unit": "W"}


def largest(rows: Iterable[Mapping[str, Any]], n: int) -> list[Mapping[str, Any]]:
    """The n rows with the most joules, nested work included; those not measured come last, longest first."""

    def size(row: Mapping[str, Any]) -> tuple[bool, float, float]:
        joules = row["energy_j_inclusive"]["value"]
        length = 0.0 if row["t1_s"] is None else row["t1_s"] - row["t0_s"]
        return joules is not None, joules or 0.0, length

    return sorted(rows, key=size, reverse=True)[:n]


def _by_strength(shares: Mapping[str, float]) -> list[tuple[str, float]]:
    return [(grade, shares[grade]) for grade in GRADES if grade in shares]


def faults(document: Mapping[str, Any]) -> list[str]:
    """Gaps, resets and freezes: of each domain and kind the first, and how many there were."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for event in document["events"]:
        if event["kind"] in _FAULTS:
            found.setdefault((event["subject"], event["kind"]), []).append(event)
    told = []
    for (subject, kind), alike in found.items():
        times = f", {len(alike)} times" if len(alike) > 1 else ""
        told.append(f"{kind} of {subject}{times}, first after {fmt.seconds(alike[0]['t_s'])}: {alike[0]['reason']}")
    left = len(told) - _MOST_FAULTS
    return told if left <= 0 else [*told[:_MOST_FAULTS], f"and {left} more, in the events of the other formats"]


def warnings(document: Mapping[str, Any]) -> list[str]:
    """The warnings that the summary does not tell already."""
    return [warning for warning in document["warnings"] if warning not in (ALL_MODELLED, ALL_ESTIMATED)]
