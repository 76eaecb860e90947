"""The two figures, as plotly gets them."""

from __future__ import annotations

import html
import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greengen.reports import figures, lines
from greengen.reports.series import PowerSeries
from tests.unit import documents

TIMES = st.lists(st.floats(0, 1e4, allow_nan=False), min_size=2, max_size=60, unique=True).map(sorted)


@st.composite
def power_series(draw: st.DrawFn) -> PowerSeries:
    times = draw(TIMES)
    powers = st.one_of(st.none(), st.floats(0, 1e3, allow_nan=False))
    power = draw(st.lists(powers, min_size=len(times), max_size=len(times)))
    return PowerSeries("d", "d", "measured", times, power)


@st.composite
def spans(draw: st.DrawFn) -> list[dict[str, Any]]:
    pairs = draw(st.lists(st.tuples(st.integers(0, 50), st.one_of(st.none(), st.integers(0, 20))), max_size=40))
    return [{"t0_s": float(t0), "t1_s": None if length is None else float(t0 + length)} for t0, length in pairs]


def joules_of(series: PowerSeries) -> float:
    steps = zip(series.t_s, series.t_s[1:], series.power_w, strict=False)
    return math.fsum(power * (t1 - t0) for t0, t1, power in steps if power is not None)


def drawn_joules(x: list[float | None], y: list[float | None]) -> float:
    """The area under a drawn line: every second stretch of it is level."""
    area = 0.0
    for x0, x1, y0, y1 in zip(x, x[1:], y, y[1:], strict=False):
        if x0 is not None and x1 is not None and y0 is not None and y0 == y1:
            area += y0 * (x1 - x0)
    return area


@given(power_series(), st.integers(1, 80))
def test_thinning_keeps_the_joules_and_the_breaks(series: PowerSeries, most: int) -> None:
    stretches = lines.steps(series, most)
    drawn = math.fsum(power * (t1 - t0) for stretch in stretches for t0, t1, power in stretch)
    assert drawn == pytest.approx(joules_of(series), rel=1e-9, abs=1e-9)
    assert sum(map(len, stretches)) <= most + len(stretches)
    known = [(t0, t1) for t0, t1, p in zip(series.t_s, series.t_s[1:], series.power_w, strict=False) if p is not None]
    covered = [(t0, t1) for stretch in stretches for t0, t1, _ in stretch]
    assert math.fsum(b - a for a, b in covered) == pytest.approx(math.fsum(b - a for a, b in known))
    for stretch in stretches:
        assert all(a[1] == b[0] for a, b in pairwise(stretch))


@given(power_series())
def test_the_line_is_drawn_over_every_known_step_and_no_other(series: PowerSeries) -> None:
    x, y = lines.outline(lines.steps(series, 10_000))
    assert drawn_joules(x, y) == pytest.approx(joules_of(series), rel=1e-9, abs=1e-9)
    assert (x[0] if x else 0) is not None
    assert all((a is None) == (b is None) for a, b in zip(x, y, strict=True))


@given(spans())
def test_no_two_spans_of_a_lane_overlap_and_no_lane_is_wasted(given_spans: list[dict[str, Any]]) -> None:
    end_s = 60.0
    lane_of, used = lines.lanes(given_spans, end_s)
    taken = [(lane, row["t0_s"], lines.closing(row, end_s)) for lane, row in zip(lane_of, given_spans, strict=True)]
    for i, (lane, t0, t1) in enumerate(taken):
        for other, u0, u1 in taken[i + 1 :]:
            assert lane != other or t1 <= u0 or u1 <= t0
    assert set(lane_of) == set(range(used))
    busiest = max((sum(t0 <= at < max(t1, t0) for _, t0, t1 in taken) for _, at, _ in taken), default=0)
    assert used <= max(busiest, 1) + sum(t0 == t1 for _, t0, t1 in taken)


def test_power_has_a_line_for_each_domain_and_a_band_for_each_span() -> None:
    document, series = documents.gpu_and_cpu()
    figure = figures.power_over_time(document, series)
    power = [trace for trace in figure.data if trace.type == "scatter"]
    bands = [trace for trace in figure.data if trace.type == "bar"]
    assert [trace.name for trace in power] == ["NVIDIA A10 0 (measured)", "CPU package 0 (modelled)"]
    assert power[0].x.count(None) == 1
    assert power[0].fill is None
    assert power[1].fillpattern.shape == "/"
    assert sum(len(trace.x) for trace in bands) == len(document["spans"]) + len(document["requests"])
    assert {trace.name for trace in bands} == {
        "llama-3.2-1b-bf16",
        "llama-3.2-1b-int8",
        "qwen3-0.6b",
        "no model, or one without its own colour",
    }
    assert len({trace.marker.color for trace in bands}) == len(bands)
    assert figure.layout.yaxis.title.text == "Power (W)"
    assert figure.layout.xaxis.title.text == "Time since the start (s)"
    drawn = next(trace for trace in bands if trace.name == "llama-3.2-1b-bf16")
    about = {row[0]: row for row in drawn.customdata}
    assert about["r/0"] == ["r/0", "request llama-3.2-1b-bf16", "180 J (171 to 189) attributed", "2.90 s from 2.00 s"]


def test_a_model_that_was_only_trained_has_its_colour_too() -> None:
    document, series = documents.cpu_only(per_model=2)
    document["spans"][0]["model"] = "trained-only"
    bands = [trace for trace in figures.power_over_time(document, series).data if trace.type == "bar"]
    assert [trace.name for trace in bands] == ["charlm-fp32", "charlm-int8", "trained-only"]
    assert len({trace.marker.color for trace in bands}) == 3


def test_an_open_span_is_drawn_to_the_end_and_said_to_be_missing() -> None:
    document, series = documents.gpu_and_cpu()
    bands = [trace for trace in figures.power_over_time(document, series).data if trace.type == "bar"]
    nameless = next(trace for trace in bands if trace.name.startswith("no model"))
    assert nameless.base[0] + nameless.x[0] == pytest.approx(document["run"]["duration_s"])
    assert nameless.customdata[0][2] == "not measured: the span was still open"
    assert nameless.customdata[0][3].endswith("still open")


def test_two_thousand_spans_are_drawn_the_largest_and_the_rest_is_counted() -> None:
    document, series = documents.cpu_only(per_model=1200)
    document["requests_left_out"] = 7
    drawn, left_out = figures.drawn_spans(document)
    assert len(drawn) == figures.MAX_SPANS
    assert left_out == 2402 - figures.MAX_SPANS + 7
    joules = [row["energy_j_inclusive"]["value"] for row in drawn]
    others = {row["id"] for row in drawn}
    assert min(joules) >= max(r["energy_j_inclusive"]["value"] for r in document["requests"] if r["id"] not in others)
    figure = figures.power_over_time(document, series)
    assert sum(len(trace.x) for trace in figure.data if trace.type == "bar") == figures.MAX_SPANS


def test_bars_of_the_accounts_stack_to_their_energy() -> None:
    document, _ = documents.gpu_and_cpu()
    figure = figures.joules(document)
    bars = [trace for trace in figure.data if trace.type == "bar" and trace.xaxis is None]
    whiskers = next(trace for trace in figure.data if trace.name == "95 % interval" and trace.xaxis == "x")
    assert figure.layout.xaxis.title.text == "Energy by account (kJ)"
    stacked: dict[int, float] = {}
    for trace in bars:
        for y, x in zip(trace.y, trace.x, strict=True):
            stacked[y] = stacked.get(y, 0.0) + x
    for y, row in enumerate(document["accounts"]):
        energy = row["energy_j"]
        assert stacked[y] == pytest.approx(energy["value"] / 1000)
        at = whiskers.y.index(y)
        assert whiskers.x[at] + whiskers.error_x.array[at] == pytest.approx(energy["high"] / 1000)
        assert whiskers.x[at] - whiskers.error_x.arrayminus[at] == pytest.approx(energy["low"] / 1000)
    assert [trace.name for trace in bars] == ["NVIDIA A10 0 (measured)", "CPU package 0 (modelled)"]
    assert set(bars[0].marker.pattern.shape) == {""}
    assert set(bars[1].marker.pattern.shape) == {"/"}


def test_bars_of_the_models_carry_their_intervals() -> None:
    document, _ = documents.cpu_only()
    figure = figures.joules(document)
    bars = next(trace for trace in figure.data if trace.type == "bar" and trace.xaxis == "x2")
    whiskers = next(trace for trace in figure.data if trace.type == "scatter" and trace.xaxis == "x2")
    assert figure.layout.xaxis2.title.text == "Energy by model (J)"
    for y, row in enumerate(document["models"]):
        assert bars.x[y] == row["energy_j"]["value"]
        assert bars.marker.pattern.shape[y] == "/"
        assert whiskers.x[y] + whiskers.error_x.array[y] == pytest.approx(row["energy_j"]["high"])


def test_what_is_missing_is_written_where_its_bar_would_be() -> None:
    texts = [note.text for note in figures.joules(documents.nothing_known()[0]).layout.annotations]
    assert texts == ["not measured", "not measured"]
    assert not any(trace.x for trace in figures.joules(documents.nothing_known()[0]).data)
    texts = [note.text for note in figures.joules(documents.gpu_and_cpu()[0]).layout.annotations]
    assert texts == ["+ a part not measured"]
    power = figures.power_over_time(documents.nothing_known()[0], [])
    assert [note.text for note in power.layout.annotations] == ["power: not measured"]


def test_many_accounts_are_cut_to_the_largest() -> None:
    document, _ = documents.cpu_only()
    rows = [dict(document["accounts"][0], account=f"request/m{i}") for i in range(60)]
    for i, row in enumerate(rows):
        row["energy_j"] = documents.modelled(float((i * 37) % 60 + 1)).as_dict()
    drawn = figures.drawn_rows(rows)
    assert len(drawn) == figures.MAX_ROWS
    assert min(r["energy_j"]["value"] for r in drawn) > 60 - figures.MAX_ROWS
    assert drawn == [row for row in rows if row in drawn]


def strings(item: Any) -> list[str]:  # noqa: ANN401
    if isinstance(item, str):
        return [item]
    if isinstance(item, dict):
        return [text for part in item.values() for text in strings(part)]
    return [text for part in item for text in strings(part)] if isinstance(item, (list, tuple)) else []


def test_no_text_of_a_user_is_a_tag_for_plotly() -> None:
    document, series = documents.hostile()
    for figure in (figures.power_over_time(document, series), figures.joules(document)):
        shown = figure.to_dict()
        ours = [trace.pop("hovertemplate") for trace in shown["data"]]
        texts = strings(shown)
        assert not [text for text in texts if "<" in text or ">" in text]
        assert not any(char in text for text in [*texts, *ours] for char in "\u2028\u2029\x1b\x00\u202e")
    names = [html.unescape(name) for name in figures.joules(document).layout.yaxis2.ticktext]
    assert "[red]x[/red] [l...y[/link]" in names
    assert "caf\\udce9.py" in names
