"""One pass over a run file or a Parquet file gives what the ledger gives."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import greengen
from greengen import streaming
from greengen.accounting.curves import Floats, Ints
from greengen.accounting.partition import Batch
from greengen.accounting.sharing import Intervals, share
from greengen.collector import Sample
from greengen.errors import RunFileError
from greengen.recording import runfile
from tests.properties.test_sharing import Meter
from tests.unit.recordings import recording


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Overlapping requests of two models and of none, and a training step, between readings of two domains."""
    path = tmp_path / "a.greengen"
    with recording(path) as rec:
        writer = rec.writer
        assert runfile.open_segment(path, writer, "s", {"own_process": True, "interval_s": 0.002})
        for uid in ("gpu0", "gpu1"):
            body = {"uid": uid, "collector": "c", "kind": "gpu", "name": uid, "reading": "energy"}
            writer.put("INSERT INTO domain VALUES(?,?,?)", writer.boot, uid, json.dumps(body))
        joules = 0.0

        def read() -> None:
            nonlocal joules
            joules += 3.5
            now = time.monotonic_ns()
            writer.readings.add([Sample("gpu0", now, joules), Sample("gpu1", now, 2 * joules)])
            time.sleep(0.002)

        read()
        for _ in range(6):
            first = greengen.request(model="small").start()
            read()
            others = [greengen.request(model=model).start() for model in ("large", None)]
            first.end()
            read()
            for other in others:
                other.end()
            with greengen.span(kind="step", model="small"):
                read()
    return path


def test_a_run_file(run: Path) -> None:
    told: dict[int, float] = {}
    sums = streaming.run_file(run, sink=lambda rows, joules: told.update(zip(rows.tolist(), joules, strict=True)))
    ledger = greengen.Run(run).ledger()
    assert sums.spans == {"small": 6, "large": 6, None: 6}
    for model, joules in sums.energy_j.items():
        own = ledger.spans(lambda row, model=model: row.kind == "request" and row.model == model, "it")  # type: ignore[misc]
        assert joules == pytest.approx(own.value, rel=1e-9)
        assert joules > 0
    assert sums.total_j == pytest.approx(ledger.total().value, rel=1e-12)
    assert sum(sums.energy_j.values()) + sums.quiet_j == pytest.approx(sums.total_j, rel=1e-12)
    requests = [ledger.span(chapter, i).value for chapter, i in ledger if chapter.table.rows[i].kind == "request"]
    assert [told[row] for row in range(18)] == pytest.approx(requests, rel=1e-9)


def test_what_is_no_run_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello")
    with pytest.raises(RunFileError, match="not a greengen run file"):
        streaming.run_file(tmp_path / "x")


def spans(rng: np.random.Generator, many: int) -> tuple[Ints, Ints, Floats]:
    start = np.sort(rng.integers(0, 10**12, many))
    return (
        start,
        start + rng.exponential(1e9, many).astype(np.int64),
        rng.uniform(0, 2, many) * rng.integers(0, 2, many),
    )


METERS = [Meter(np.arange(10_001) * 10**8, np.linspace(1, 9, 10_000)) for _ in range(2)]


def test_every_span_is_told_once_with_all_that_it_got() -> None:
    start, stop, weight = spans(np.random.default_rng(5), 60_000)
    expected = share(Intervals(start, stop, weight), METERS, summed=True)
    models = streaming.Models()
    names = ["a", "b", None]

    def batches() -> Iterator[Batch]:
        for at in range(0, start.size, 7_000):
            some = slice(at, at + 7_000)
            yield models.batch([names[i % 3] for i in range(start.size)][some], start[some], stop[some], weight[some])

    told = np.full(start.size, np.nan)

    def sink(rows: Ints, joules: Floats) -> None:
        assert np.isnan(told[rows]).all()
        told[rows] = joules

    energy_j, quiet_j, total_j = streaming.stream(batches(), METERS, sink)
    assert np.isnan(told[weight > 0]).sum() == (start[weight > 0] >= METERS[0].t_ns[-1]).sum()
    np.testing.assert_allclose(np.nan_to_num(told), expected.energy_j[0], rtol=1e-12, atol=0)
    by_model = [expected.energy_j[0, i::3].sum() for i in range(3)]
    np.testing.assert_allclose(energy_j, by_model, rtol=1e-12)
    assert energy_j.sum() + quiet_j == pytest.approx(total_j, rel=1e-12)
    assert models.spans == [20_000, 20_000, 20_000]


def test_too_many_models() -> None:
    at = np.zeros(1 << 16, dtype=np.int64)
    with pytest.raises(ValueError, match="column"):
        streaming.Models().batch([str(i) for i in range(1 << 16)], at, at)


def test_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    start, stop, weight = spans(np.random.default_rng(6), 40_000)
    names = ["a" if i % 2 else "b" for i in range(start.size)]
    pq.write_table(pa.table({"m": names, "from": start, "to": stop, "w": weight}), tmp_path / "spans.parquet")
    sums = streaming.parquet(tmp_path / "spans.parquet", ("m", "from", "to", "w"), METERS)
    expected = share(Intervals(start, stop, weight), METERS, summed=True).energy_j[0]
    assert sums.energy_j == pytest.approx({"b": expected[::2].sum(), "a": expected[1::2].sum()}, rel=1e-12)
