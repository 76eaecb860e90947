"""The books of one domain: every joule of its curve, booked once.

Cells are the stretches between readings and between changes of the set of live spans. In each cell
the energy is that of the curve; whose it is follows from the domain's split weight; what is the
profiled processes' goes to the innermost live spans by policy, or to `overhead`, or to `idle`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from greengen.accounting.choice import Chosen, IdleRule, Plan
from greengen.accounting.curves import NJ, NS, Bools, Curve, Floats, Ints, distinct
from greengen.accounting.shares import Shares, share
from greengen.accounting.table import SpanTable
from greengen.accounting.usage import Use, activity
from greengen.accounting.work import Work
from greengen.collector import MACHINE, Domain
from greengen.errors import PolicyError
from greengen.rows import Series

if TYPE_CHECKING:
    from greengen.accounting.exact import Claims

#: Domains of these kinds serve every span of the host, whichever accelerator it names.
SHARED_KINDS = frozenset({"board", "core", "dram", "package", "psys", "soc", "uncore", "wall"})

#: Quiet time from which static power may be told, s (attribution.md A5).
QUIET_S = 30.0

_IDLE_UNTOLD = "{}: nothing told whether anybody worked while no span was live; what it used then is overhead's"

#: (start, end), ns of the host's monotonic clock; None: all that was recorded.
Window = tuple[int, int] | None


class Grid(NamedTuple):
    """The k cells of one domain.

    edges      cell borders, ns, shape (k+1,)
    energy_j   energy of each cell, 0 where it is not known, shape (k,)
    known      whether it is known, shape (k,)
    ours       the part of it that is not foreign work's, shape (k,)
    """

    edges: Ints
    energy_j: Floats
    known: Bools
    ours: Floats

    @property
    def seconds(self) -> Floats:
        """Length of each cell, shape (k,)."""
        return np.diff(self.edges) / NS

    @property
    def known_s(self) -> float:
        """The time over which energy is known."""
        return float(self.seconds[self.known].sum())


class Exact(NamedTuple):
    """Where a domain's nanojoules went: whole numbers that sum to `total_nj`.

    span_nj   each span's own, shape (n,)
    given_nj  idle energy that a second pass has given to each span, shape (n,)
    """

    span_nj: Ints
    given_nj: Ints
    overhead_nj: int
    other_nj: int
    idle_nj: int
    total_nj: int

    def spans(self, members: Ints) -> int:
        """What some spans (indices) have together, with what a second pass gave them."""
        return int(sum(self.span_nj[members].tolist()) + sum(self.given_nj[members].tolist()))

    def account(self, name: str) -> int:
        """`overhead`, `other` or `idle`."""
        return {"overhead": self.overhead_nj, "other": self.other_nj, "idle": self.idle_nj}[name]


@dataclass(frozen=True, slots=True)
class Books:
    """Where a domain's joules went.

    own_j      J of each cell that is the profiled processes', shape (k,)
    shares     whose part of that is how great
    span_j     each span's own joules, shape (n,)
    given_j    idle energy that a second pass has given to each span, shape (n,); none by default
    idle_j     what is left of it
    other_j    foreign work's; None where no split weight can be read, because `other_reason`
    idle_reason  why idle is not known, and 0 here: its joules are overhead's; "": it is known
    exact      the same in whole nanojoules, where that was asked for: then the joules are those
    """

    domain: Domain
    curve: Curve
    table: SpanTable
    work: Work
    plan: Chosen
    grid: Grid
    own_j: Floats
    shares: Shares
    span_j: Floats
    given_j: Floats
    overhead_j: float
    idle_j: float
    other_j: float | None
    other_reason: str
    idle_reason: str = ""
    exact: Exact | None = None

    @property
    def total_j(self) -> float:
        """The curve's energy over the cells: what the accounts must sum to."""
        return float(self.grid.energy_j.sum()) if self.exact is None else self.exact.total_nj / NJ

    @property
    def used(self) -> Bools:
        """Which rows of work may use this domain, shape (m,)."""
        return self.work.on(self.domain, shared=self.domain.kind in SHARED_KINDS)

    @property
    def live(self) -> Bools:
        """Whether any span of positive weight is live in each cell, shape (k,)."""
        return self.shares.heads > 0


def grid(curve: Curve, borders: Sequence[Ints], ours: Use | None, window: Window) -> Grid:
    """Cut the curve's time into cells at `borders`, within `window` if given."""
    edges = distinct(np.concatenate([curve.t_ns, *borders]))
    lowest, highest = (int(curve.t_ns[0]), int(curve.t_ns[-1])) if curve.t_ns.size else (0, 0)
    if window is not None:
        lowest = max(lowest, window[0])
        highest = max(min(highest, window[1]), lowest)
    inside = edges[(edges > lowest) & (edges < highest)]
    edges = np.concatenate(([lowest], inside, [highest])).astype(np.int64)
    energy_j, known = curve.cells(edges)
    part = ours.between(edges).ours if ours is not None else np.ones(energy_j.size)
    return Grid(edges, energy_j, known, part)


def book(
    curve: Curve,
    spans: tuple[SpanTable, Work, Chosen],
    usage: tuple[Mapping[str, Use], Mapping[tuple[str, str], Series]],
    window: Window = None,
) -> Books:
    """Book every joule of `curve`. `usage`: by resource, what tells processes apart; and all that was recorded."""
    table, work, plan = spans
    uses, recorded = usage
    domain = curve.domain
    split, working = uses.get(domain.split or ""), uses.get(domain.activity or "")
    of_device = recorded.get((domain.activity or "", MACHINE)) if working is None else None
    knots = [t_ns for use in (split, working) if use is not None for t_ns in (use.t_ns, use.foreign_t_ns)]
    knots += [np.array(of_device.t_ns, dtype=np.int64)] if of_device is not None else []
    cells = grid(curve, [table.from_ns, table.to_ns, *work.borders(), *knots], split, window)
    used = work.on(domain, shared=domain.kind in SHARED_KINDS)
    whole = domain.kind in SHARED_KINDS
    shares = share(work, plan.weights, plan.intensity, used, cells.edges, whole=whole)
    live = shares.heads > 0
    static_j, held = _static(curve, cells, live, plan.plan)
    told: Bools | None = None
    if working is not None:
        told = worked = working.between(cells.edges).worked
        recorder = working.between(cells.edges).recorder_part
    else:
        told = activity(of_device, cells.edges)
        worked = np.ones(cells.energy_j.size, dtype=bool) if told is None else told
        recorder = np.zeros_like(cells.energy_j)
    reason = domain.split_reason or "no weight says whose work it was; sole tenancy is assumed"
    if split is None and domain.split == "cpu":
        reason = "the CPU time of processes could not be read; sole tenancy is assumed"
    elif split is None and domain.split:
        reason = f"what each process used of {domain.split} was not told, or too seldom, or by several recorders"
        reason += " apart; sole tenancy is assumed"
    # What part of each cell's energy is whose; a live span has all that is ours of it.
    fixed = np.divide(static_j, cells.energy_j, out=np.zeros_like(static_j), where=cells.energy_j > 0)
    own = (1.0 - fixed) * cells.ours + fixed * held
    other = (1.0 - fixed) * _foreign(split, cells.edges) if split is not None else np.zeros_like(own)
    quiet = np.where(live, 0.0, own)
    overhead = np.where(worked, quiet, quiet * recorder)
    idle = np.where(worked, 0.0, quiet * (1.0 - recorder)) + fixed * (1.0 - held)
    own_j = cells.energy_j * own
    span_j = shares.spread(own_j)
    overhead_j, other_j, idle_j = (float((cells.energy_j * part).sum()) for part in (overhead, other, idle))
    given_j = _second_pass(table, span_j, idle_j, plan.plan.idle)
    exact = None
    if plan.plan.exact:
        from greengen.accounting.exact import Claims, cells_nj  # noqa: PLC0415 -- for those who ask

        claims = Claims(np.stack((overhead, other, idle)), np.where(live, own, 0.0), shares, _order(table, span_j))
        exact = _exactly(table, cells_nj(curve, cells.edges), claims, plan.plan.idle)
        span_j, given_j = exact.span_nj / NJ, exact.given_nj / NJ
        overhead_j, other_j, idle_j = exact.overhead_nj / NJ, exact.other_nj / NJ, exact.idle_nj / NJ
    return Books(
        domain=domain,
        curve=curve,
        table=table,
        work=work,
        plan=plan,
        grid=cells,
        own_j=own_j,
        shares=shares,
        span_j=span_j,
        given_j=given_j,
        overhead_j=overhead_j,
        idle_j=0.0 if given_j.any() else idle_j,
        other_j=None if split is None else other_j,
        other_reason="" if split is not None else reason,
        idle_reason="" if told is not None or idle_j or not overhead_j else _IDLE_UNTOLD.format(domain.name),
        exact=exact,
    )


def _order(table: SpanTable, span_j: Floats) -> Ints:
    """A place for each span that its name does not decide, shape (n,)."""
    place = np.empty(len(table), dtype=np.int64)
    place[np.lexsort((span_j, table.t1_ns, table.t0_ns))] = np.arange(len(table))
    return place


def _exactly(table: SpanTable, cell_nj: Ints, claims: Claims, rule: IdleRule) -> Exact:
    """The books in whole nanojoules."""
    from greengen.accounting.exact import apportion, largest_remainder  # noqa: PLC0415 -- for those who ask

    quiet_nj, span_nj = apportion(cell_nj, claims)
    overhead_nj, other_nj, idle_nj = quiet_nj.tolist()
    weights = _weights(table, span_nj.astype(float), rule)
    given_nj = np.zeros(len(table), dtype=np.int64)
    if weights is not None and weights.any():
        one = np.zeros(len(table), dtype=np.int64)
        given_nj = largest_remainder(one, weights, claims.order, np.array([idle_nj]))
        idle_nj = 0
    return Exact(span_nj, given_nj, overhead_nj, other_nj, idle_nj, sum(cell_nj.tolist()))


def _foreign(use: Use, edges: Ints) -> Floats:
    busy = use.between(edges)
    total = busy.profiled + busy.recorder + busy.foreign
    return np.divide(busy.foreign, total, out=np.zeros_like(total), where=total > 0)


def _static(curve: Curve, cells: Grid, live: Bools, plan: Plan) -> tuple[Floats, float]:
    """(static energy of each cell that goes by the capacity held, the part held)."""
    if plan.static == "busy-share" or plan.held is None:
        return np.zeros_like(cells.energy_j), 1.0
    static_w = quiet_power_w(curve, cells, live)
    if static_w is None:
        msg = (
            f"the static power of {curve.domain.name} is not known: record {QUIET_S:g} s in which nothing runs, "
            "or leave static power with the busy share"
        )
        raise PolicyError(msg)
    return np.minimum(static_w * cells.seconds, cells.energy_j), plan.held


def quiet_power_w(curve: Curve, cells: Grid, live: Bools) -> float | None:
    """What the domain draws with everything loaded and nothing to do, W, or None where the run does not tell.

    The lowest twentieth of such time, and not the least reading (attribution.md A5).
    """
    if curve.domain.idle_w is not None:
        return curve.domain.idle_w
    quiet = ~live & cells.known & (cells.seconds > 0)
    seconds = cells.seconds[quiet]
    if float(seconds.sum()) < QUIET_S:
        return None
    power = cells.energy_j[quiet] / seconds
    order = np.argsort(power)
    passed = np.cumsum(seconds[order])
    return float(power[order][np.searchsorted(passed, passed[-1] / 20)])


def _second_pass(table: SpanTable, span_j: Floats, idle_j: float, rule: IdleRule) -> Floats:
    """What each span is given of idle energy, shape (n,); nothing where there is no span to give it to."""
    weights = _weights(table, span_j, rule)
    total = 0.0 if weights is None else float(weights.sum())
    return np.zeros(len(table)) if weights is None or not total else idle_j * weights / total


def _weights(table: SpanTable, span_j: Floats, rule: IdleRule) -> Floats | None:
    """By what a second pass gives idle energy to spans, shape (n,); None: it does not."""
    return {"pro-rata": span_j, "resident-time": (table.t1_ns - table.t0_ns).astype(float)}.get(rule)
