"""The figures of a comparison that have two axes: what is given up for what, and how it goes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from greengen.reports import comparison_bars as bars
from greengen.reports import comparison_planes as planes
from greengen.reports import format as fmt
from greengen.reports import scaled
from greengen.reports.comparison_figures import Document, Figure, Option, chosen, drawn, per, reason, table

#: Beyond this factor between most and least an axis is one of factors.
_FAR = 20
_PANELS = 4


def cost(document: Document) -> tuple[str, str]:
    """(key, what it is per) of the energy that choices are held against: per output token where that is known."""
    key = "energy_j_per_output_token"
    known = sum(option[key]["value"] is not None for option in document["options"])
    return (key, "output token") if known > 1 else ("energy_j", per(document))


def tradeoffs(document: Document) -> Iterator[Figure]:
    """Quality, and the 95th percentile of the latency, against energy."""
    yield _tradeoff(document, "quality")
    yield _tradeoff(document, "latency")


def _tradeoff(document: Document, what: str) -> Figure:
    quality = what == "quality"
    key, below = cost(document)
    metric = next((o["quality"]["metric"] for o in document["options"] if o["quality"].get("value") is not None), "")
    title = f"{'Quality' if quality else 'p95 latency'} against energy per {below}"
    identity = f"tradeoff-{what}"
    options, notes = chosen(document)
    rows = [(o, o[key], _quality(o) if quality else o["latency"].get("p95_s")) for o in options]
    known = [(o, x, y) for o, x, y in rows if x["value"] is not None and y and y["value"] is not None]
    if len(known) < 2:  # noqa: PLR2004 -- one point is held against nothing
        said = "quality is known for fewer than two options" if quality else "the latency of fewer than two is known"
        return Figure(identity, title, missing=reason([x for _, x, y in rows if y]) or said)
    xs = scaled.together([x for _, x, _ in known])
    ys = [y for _, _, y in known] if quality else [_seconds(y) for _, _, y in known]
    higher = quality and all(o["quality"].get("higher_is_better", True) for o, _, _ in known)
    best = planes.front([(x["value"], y["value"]) for x, y in zip(xs, ys, strict=True)], higher=higher)
    points = [
        planes.Point(o["name"], x["value"], y["value"], scaled.ends(x), scaled.ends(y), front)
        for (o, _, _), x, y, front in zip(known, xs, ys, best, strict=True)
    ]
    sizes = [x["value"] for x in xs]
    axes = planes.Axes(
        x=f"{scaled.unit_of(xs).partition('/')[0]} per {below} (to the left: less)",
        y=f"{fmt.shortened(metric, 30)} (up: better)" if higher else "p95 latency (s; down: better)",
        x_log=min(sizes) > 0 and max(sizes) > _FAR * min(sizes),
    )
    if quality and not higher:
        axes = planes.Axes(x=axes.x, y=f"{fmt.shortened(metric, 30)} (down: better)", x_log=axes.x_log)

    def chart(width: float) -> tuple[str, float]:
        return planes.scatter(points, axes, width)

    names = ", ".join(fmt.printable(p.name) for p in sorted(points, key=lambda p: p.x) if p.front)
    summary = [
        f"On the front, where no other is better both ways: {names}.",
        "Filled marks, joined by steps, are the front; hollow marks are behind it. Whiskers are 95 % intervals.",
    ]
    left = [fmt.printable(o["name"]) for o, x, y in rows if x["value"] is None or not y or y["value"] is None]
    summary += [f"Not drawn, because one of the two is not known: {', '.join(left)}."] if left else []
    cells = [
        (p.name, x, _with_metric(y, metric) if quality else y, "yes" if p.front else "no")
        for p, x, y in zip(points, xs, ys, strict=True)
    ]
    heads = ("option", f"energy per {below}", "quality" if quality else "p95 latency", "on the front")
    return drawn(identity, title, summary + notes, chart, table(title, heads, cells))


def _quality(option: Option) -> Mapping[str, Any]:
    told = option["quality"]
    return {key: told.get(key) for key in ("value", "low", "high")} | {"unit": "", "reason": told.get("reason", "")}


def _with_metric(q: Mapping[str, Any], metric: str) -> str:
    """A figure of quality with its interval."""
    return f"{fmt.quantity(q)} {metric}" if q.get("low") is not None else f"{q['value']:.4g} {metric}, no interval"


def _seconds(q: Mapping[str, Any]) -> dict[str, Any]:
    return fmt.in_unit(q, "s")


def batch(document: Document) -> Figure:
    """Joules per output token against how many requests were live at once."""
    title = "Energy per output token against batch size"
    options, notes = chosen(document, 8)
    known = [o for o in options if any(row["energy_j_per_output_token"]["value"] is not None for row in o["by_batch"])]
    sizes = sorted({row["batch"] for o in known for row in o["by_batch"]})
    if len(sizes) < 2:  # noqa: PLR2004 -- one size is no curve
        why = "no option has requests at more than one batch size" if sizes else "batch sizes are not known"
        return Figure("batch", title, missing=why)
    flat = [row["energy_j_per_output_token"] for o in known for row in o["by_batch"]]
    same = scaled.together(flat)
    queue = iter(same)
    curves, cells = [], []
    for option in known:
        at = {row["batch"]: (next(queue), row["requests"]) for row in option["by_batch"]}
        found = [at.get(size, ({"value": None}, 0))[0] for size in sizes]
        ends = [scaled.ends(q) for q in found]
        low, high = [e[0] if e else None for e in ends], [e[1] if e else None for e in ends]
        curves.append(planes.Line(option["name"], [q["value"] for q in found], low, high))
        cells += [(option["name"], size, requests, q) for size, (q, requests) in at.items()]
    axes = planes.Axes(
        x="requests live at once", y=f"{scaled.unit_of(same).partition('/')[0]} per output token", whiskers=True
    )

    def chart(width: float) -> tuple[str, float]:
        return planes.lines([str(size) for size in sizes], curves, axes, width)

    summary = [f"{fmt.printable(o['name'])}: {_from_to(c)}." for o, c in zip(known, _by_option(cells), strict=True)]
    summary.append("Requests are grouped by how many were live at once; whiskers are 95 % intervals.")
    heads = ("option", "batch", "requests", "energy per output token")
    return drawn("batch", title, summary + notes, chart, table(title, heads, cells))


def _by_option(cells: Sequence[tuple[Any, ...]]) -> list[list[tuple[Any, ...]]]:
    names = dict.fromkeys(cell[0] for cell in cells)
    return [[cell for cell in cells if cell[0] == name] for name in names]


def _from_to(cells: Sequence[tuple[Any, ...]]) -> str:
    known = [cell for cell in cells if cell[3]["value"] is not None]
    first, last = known[0], known[-1]
    one = f"{scaled.told(first[3])}, at {first[1]}"
    return one if first is last else f"{one}; {scaled.told(last[3])}, at {last[1]}"


def power(document: Document) -> Iterator[Figure]:
    """Power over time with bands of phases, of the first repeat of each option: one figure each."""
    options = [option for option in chosen(document)[0] if option["power"]]
    if not options:
        why = "no option was recorded here with a power over time"
        yield Figure("power", "Power over time", missing=why)
    for i, option in enumerate(options[:_PANELS]):
        yield _power(option, f"power-{i}", len(options) - _PANELS if i == _PANELS - 1 else 0)


def _power(option: Option, identity: str, left: int) -> Figure:
    title = f"Power over time: {fmt.printable(option['name'])}"
    curves = [(f"{row['name']}, {row['grade']}", row["t_s"], row["power_w"]) for row in option["power"]][:8]
    phases = [(row["kind"], row["t0_s"], row["t1_s"]) for row in option["phases"]]
    kinds = list(dict.fromkeys(kind for kind, _, _ in phases))[:6]

    def chart(width: float) -> tuple[str, float]:
        return planes.power(curves, [phase for phase in phases if phase[0] in kinds], width)

    cells = []
    for name, t, powers in curves:
        steps = [(p, t1 - t0) for t0, t1, p in zip(t, t[1:], powers, strict=False) if p is not None]
        seconds = math.fsum(step for _, step in steps)
        mean = math.fsum(p * step for p, step in steps) / seconds if seconds else None
        told = [fmt.NOT_MEASURED] * 3 if mean is None else [_watts(w) for w in (mean, min(steps)[0], max(steps)[0])]
        cells.append((name, *told, fmt.seconds(seconds)))
    summary = [
        f"{fmt.printable(row[0])}: mean {row[1]}, from {row[2]} to {row[3]}, known for {row[4]}." for row in cells
    ]
    summary.append("The first repeat, as it was read; errors of the meter are in the joules, not drawn here.")
    told_phases = ", ".join(map(fmt.printable, kinds))
    summary += [f"Bands below: when a span of that kind was live ({told_phases})."] if kinds else []
    summary += [f"Not drawn, but in the data of this page: the power of {left} more."] if left > 0 else []
    heads = ("device", "mean power", "least", "most", "known for")
    return drawn(identity, title, summary, chart, table(title, heads, cells))


def _watts(power_w: float) -> str:
    return fmt.value({"value": power_w, "unit": "W"})


def distribution(document: Document) -> Figure:
    """How the joules of single requests are spread."""
    title = "Joules of single requests"
    common = document["distribution"]
    options, notes = chosen(document, 8)
    known = [o for o in options if o["distribution"] and sum(o["distribution"]["counts"])]
    if not common or not known:
        return Figure("distribution", title, missing="no option has joules of single requests")
    edges, unit = common["edges"], str(common["unit"])
    rows, cells = [], []
    for option in known:
        counts, outside = (
            option["distribution"]["counts"],
            option["distribution"]["below"] + option["distribution"]["above"],
        )
        middle = _quantile(counts, edges, 0.5)
        between = f"{fmt.number(middle[0])} to {fmt.number(middle[1])}"
        text = f"median {between} {unit}, {option['energy_j'].get('grade', '')}"
        rows.append((option["name"], counts, text))
        ninth = _quantile(counts, edges, 0.95)
        places = [f"{fmt.number(low)} to {fmt.number(high)} {unit}" for low, high in (middle, ninth)]
        cells.append((option["name"], sum(counts) + outside, *places, outside))

    def chart(width: float) -> tuple[str, float]:
        return bars.histograms(rows, edges, f"{unit} of one request", width, log=common["scale"] == "log")

    summary = [f"{fmt.printable(name)}: {text}." for name, _, text in rows]
    summary.append(f"{str(common['note']).capitalize()}. Each histogram is as high as its own top.")
    heads = ("option", "requests", "median between", "95th percentile between", "off the scale")
    return drawn("distribution", title, summary + notes, chart, table(title, heads, cells))


def _quantile(counts: Sequence[int], edges: Sequence[float], share: float) -> tuple[float, float]:
    """The edges of the bin in which a quantile lies."""
    reached, wanted = 0, share * sum(counts)
    for i, count in enumerate(counts):
        reached += count
        if reached >= wanted:
            return edges[i], edges[i + 1]
    return edges[-2], edges[-1]
