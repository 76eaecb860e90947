"""More requests than fit into memory: joules by model from a run file or a Parquet file, in one pass.

Spans are read in the order of their start; what is held is the curves, a batch, and what is live at
once. Each span of the kind asked for counts as one interval, what is inside it included. Foreign work
is not told apart: of a domain that others use too, `Run.ledger` gives a smaller part to spans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from greengen.accounting import timelines
from greengen.accounting.curves import Floats, Ints
from greengen.accounting.kernel import energies
from greengen.accounting.partition import Batch, Steps, cut
from greengen.accounting.table import REQUEST
from greengen.recording import reader

#: Is given (row numbers, J) of spans as they end: rows count from 0 in the order of their start.
Sink = Callable[[Ints, Floats], None]

#: So many rows are fetched at once.
_ROWS = 1 << 14

#: The low bits of an owner say which model it is of, the others which row it was.
_MODEL_BITS = 16


@dataclass(slots=True)
class Models:
    """Models in the order in which they appeared, with the spans of each."""

    code: dict[str | None, int] = field(default_factory=dict)
    spans: list[int] = field(default_factory=list)
    rows: int = 0

    def batch(self, models: Sequence[str | None], from_ns: Ints, to_ns: Ints, weight: Floats | None = None) -> Batch:
        """The next spans as a batch, those that weigh nothing left out. Raises ValueError for too many models."""
        codes = np.array([self.code.setdefault(model, len(self.code)) for model in models], dtype=np.int64)
        if len(self.code) >= 1 << _MODEL_BITS:
            msg = f"more than {(1 << _MODEL_BITS) - 1} models: is the column one of models?"
            raise ValueError(msg)
        self.spans += [0] * (len(self.code) - len(self.spans))
        for code, count in enumerate(np.bincount(codes, minlength=len(self.code)).tolist()):
            self.spans[code] += count
        owner = (np.arange(self.rows, self.rows + codes.size) << _MODEL_BITS) | codes
        self.rows += codes.size
        batch = Batch(owner, from_ns, to_ns, weight)
        return batch if weight is None else batch[np.flatnonzero(weight)]


@dataclass(frozen=True, slots=True)
class Sums:
    """Joules of a pass; `energy_j`, by model, and `quiet_j`, while no span was live, sum to `total_j`."""

    spans: dict[str | None, int]
    energy_j: dict[str | None, float]
    quiet_j: float
    total_j: float


def run_file(path: Path, *, kind: str = REQUEST, sink: Sink | None = None) -> Sums:
    """By model, over the cover of all domains, what the spans of a kind cost; all weigh the same.

    Raises RunFileError for what is no run file.
    """
    models = Models()
    parts = []
    for timeline in reader.read(path, spans=False).timelines:
        found, left_out = timelines.read_curves(timelines.as_one(timeline))
        counted = [curve for uid, curve in found.items() if not left_out[uid] and curve.t_ns.size]
        with reader.opened(path) as (connection, _):
            # An open span ends where its process was last seen. SQLite sorts on disk what is too much for its cache.
            rows = connection.execute(
                "SELECT s.model, s.t0_ns, max(s.t0_ns, coalesce(s.t1_ns, p.last_seen_ns)) FROM span s "
                "JOIN process p ON p.id = s.process WHERE p.boot = ? AND s.kind = ? ORDER BY s.t0_ns, s.process, s.seq",
                (timeline.boot_id, kind),
            )
            parts.append(stream(_fetched(models, partial(rows.fetchmany, _ROWS)), counted, sink))
    return _sums(models, parts)


def parquet(path: Path, columns: Sequence[str], meters: Sequence[Steps], *, sink: Sink | None = None) -> Sums:
    """By model, what the spans of a Parquet file cost, of which `columns` are model, start, end and maybe weight.

    Start and end in ns of the meters' clock. Raises ValueError for rows that are not in the order of their start.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415 -- an extra, and 50 MB

    models = Models()

    def batches() -> Iterator[Batch]:
        with pq.ParquetFile(path) as file:
            for rows in file.iter_batches(batch_size=_ROWS, columns=list(columns)):
                model, *numbers = (rows.column(name) for name in columns)
                yield models.batch(model.to_pylist(), *(column.to_numpy(zero_copy_only=False) for column in numbers))

    return _sums(models, [stream(batches(), meters, sink)])


def stream(batches: Iterable[Batch], meters: Sequence[Steps], sink: Sink | None = None) -> tuple[Floats, float, float]:
    """(J by model, J while no span was live, J in all) of spans as they come, which `Models.batch` made.

    All the meters are shared among all the spans. Of a span outside the meters' time nothing is known, and `sink` is
    not told.
    """
    energy_j, quiet_j = np.zeros(0), 0.0
    so_far, owner = np.zeros(0), np.zeros(0, dtype=np.int64)
    for part in map(partial(energies, summed=True), cut(batches, meters)):
        joules = part.energy_j[0]
        sums = np.bincount(part.owner & ((1 << _MODEL_BITS) - 1), joules, minlength=energy_j.size).astype(float)
        sums[: energy_j.size] += energy_j
        energy_j = sums
        quiet_j += sum(float(quiet.sum()) for quiet in part.quiet_j)
        if sink is None:
            continue
        # Those that were live before stand first, in the order in which they went on.
        joules[: so_far.size] += so_far
        ended = np.ones(joules.size, dtype=bool)
        ended[part.goes_on] = False
        sink(part.owner[ended] >> _MODEL_BITS, joules[ended])
        so_far, owner = joules[part.goes_on], part.owner[part.goes_on]
    if sink is not None and owner.size:
        sink(owner >> _MODEL_BITS, so_far)
    total_j = sum(float(meter.step_j.sum()) for meter in meters)
    return energy_j, quiet_j, total_j


def _fetched(models: Models, fetch: Callable[[], list[tuple[str | None, int, int]]]) -> Iterator[Batch]:
    while rows := fetch():
        names, start, stop = zip(*rows, strict=True)
        yield models.batch(names, np.array(start, dtype=np.int64), np.array(stop, dtype=np.int64))


def _sums(models: Models, parts: Sequence[tuple[Floats, float, float]]) -> Sums:
    energy_j = {
        model: sum(float(joules[code]) for joules, _, _ in parts if code < joules.size)
        for model, code in models.code.items()
    }
    spans = {model: models.spans[code] for model, code in models.code.items()}
    return Sums(spans, energy_j, sum(quiet for _, quiet, _ in parts), sum(total for _, _, total in parts))
