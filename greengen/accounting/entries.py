"""A domain's books as quantities: every entry with its interval, its grade and its error sources."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from greengen.accounting import edges, sampling, timing, uncertainty
from greengen.accounting.books import Books
from greengen.accounting.curves import NS, Bools, Floats, Ints
from greengen.accounting.usage import Use
from greengen.quantity import Z95, Error, Grade, Quantity

_LOST = "its readings do not reach into this time"


@dataclass(frozen=True, slots=True)
class Entries:
    """The books of one domain on one timeline, ready to be asked.

    key        the domain and the boot in which it was read
    sensor     the domain and its host: its gain is the same in every boot
    in_total   whether a run's total counts this domain; `left_out` says why not
    static_w   power that does not follow work, W: an upper estimate (`static_fitted`) or bound
    coverage   which part of each span's time the domain was read in, shape (n,)
    unresolved spans too short for what this domain can tell, shape (n,)
    ticks_j    what the step of the machine's clock of busy time makes of `other`, J, standard uncertainty
    """

    key: str
    sensor: str
    books: Books
    left_out: str
    static_w: float
    static_fitted: bool
    errors: uncertainty.SpanErrors
    coverage: Floats
    unresolved: Bools
    ticks_j: float

    @property
    def in_total(self) -> bool:
        """Whether a run's total counts this domain."""
        return not self.left_out

    def energy(self) -> Quantity:
        """The domain's energy over the time it is known."""
        curve = self.books.curve
        if not self.books.grid.known_s:
            return self._unread()
        grade: Grade = "measured" if self.books.domain.grade == "measured" else "modelled"
        errors = [
            *self._common(self.books.total_j, "all"),
            self._offset(),
            Error(f"timing:{self.key}:window", uncertainty.of_window(self.books)),
            Error(f"sampling:{self.key}:all", sampling.of_energy(curve, self.books.grid.known_s)),
            Error(f"hidden wraps:{self.key}", curve.hidden_j / Z95),
        ]
        note = ""
        first, last = self.books.grid.edges[[0, -1]]
        lost = [stretch for stretch in curve.unknown if stretch.t0_ns < last and stretch.t1_ns > first]
        if lost:
            bounds = [stretch.bound_j for stretch in lost]
            most = (
                f"at most {math.fsum(b for b in bounds if b is not None):.4g} J" if None not in bounds else "no bound"
            )
            note = f"without {len(bounds)} stretch(es) of {self.books.domain.name} that are not known ({most})"
        return self._entry(self.books.total_j, grade, errors, note)

    def over(self, energy_j: float, ends_ns: Ints) -> Quantity:
        """The curve's energy between two times, `energy_j`, as a quantity."""
        _, half_j = timing.half_width(self.books.curve, ends_ns)
        errors = [*self._common(energy_j, "all"), self._offset()]
        errors.append(Error(f"timing:{self.key}:window", float(np.hypot(*half_j)) / Z95))
        seconds = float(ends_ns[-1] - ends_ns[0]) / NS
        errors.append(Error(f"sampling:{self.key}:all", sampling.of_energy(self.books.curve, seconds)))
        return self._entry(energy_j, "measured" if self.books.domain.grade == "measured" else "modelled", errors)

    def spans(self, members: Ints, label: str) -> Quantity:
        """The own joules of some spans (indices) together. `label` names them: the workload term is theirs."""
        books = self.books
        if not self.coverage[members].any():
            return Quantity.missing("J", f"{books.domain.name}: {_LOST}")
        given = float(books.given_j[members].sum())
        value = float(books.span_j[members].sum()) + given
        if members.size == 1:
            share, between = float(self.errors.share[members[0]]), float(self.errors.timing[members[0]])
        else:
            inside = np.zeros(len(books.table), dtype=bool)
            inside[members] = True
            part = books.shares.of(inside)
            share = uncertainty.share_of_group(books, part, books.shares.doubt(inside))
            own = part * books.grid.ours
            between = math.hypot(edges.of_account(books, own), sampling.of_account(books, own))
        between = math.hypot(between, float(np.sqrt((self.errors.seconds[members] ** 2).sum())))
        errors = [
            *self._common(value, label),
            Error(f"timing:{self.key}:{label}", between),
            Error(f"share:{self.key}:{label}", share, log=True),
            Error(f"split:{self.key}", float(self.errors.split[members].sum()), log=True),
            Error(f"static:{self.key}", float(self.errors.static[members].sum())),
        ]
        for name, relative in books.plan.directions.items():
            errors.append(Error(f"coefficients:{name}", float((books.span_j[members] * relative[members]).sum())))
        if given:
            errors.append(Error(f"idle:{self.key}", given * self._idle_doubt()))
        return self._entry(value, self._attributed(), errors)

    def _entry(self, value: float, grade: Grade, errors: Iterable[Error], note: str = "") -> Quantity:
        sized = tuple(error for error in errors if error.sigma)
        return self.told(Quantity(value, "J", grade, sized, basis=self.books.plan.plan.rules, note=note))

    def told(self, quantity: Quantity) -> Quantity:
        """A number of this domain as it is given out: here, the joules that were read."""
        return quantity

    def _idle_doubt(self) -> float:
        """The relative σ of all idle energy, by timing and by whose work it was."""
        total = float(self.books.given_j.sum())
        split, static = uncertainty.of_quiet(self.books, self.static_w)
        return min(math.hypot(split, static) / total, 1.0) if total else 0.0

    def account(self, name: str) -> Quantity:
        """`other`, `idle` or `overhead`."""
        books = self.books
        if not books.grid.known_s:
            return self._unread()
        if name == "other":
            if books.other_j is None:
                return Quantity.missing("J", books.other_reason)
            value = books.other_j
            split, static = uncertainty.of_foreign(books, self.static_w)
            ticks = self.ticks_j
        elif name == "idle" and books.idle_reason:
            return Quantity.missing("J", books.idle_reason)
        else:
            value = books.overhead_j if name == "overhead" else books.idle_j
            quiet_j = books.overhead_j + books.idle_j
            split, static = uncertainty.of_quiet(books, self.static_w)
            of_quiet = value / quiet_j if quiet_j else 0.0
            split, static = split * of_quiet, static * of_quiet
            ticks = 0.0
        # What the edges of spans may have put on the wrong side, the quiet time has too little or too much of.
        quiet = np.where(books.live, 0.0, books.grid.ours)
        between = edges.of_account(books, quiet, quiet=True) if name != "other" and value else 0.0
        missed = sampling.of_account(books, 1.0 - books.grid.ours if name == "other" else quiet) if value else 0.0
        # Where a counter has not moved, what it may have held back may be anybody's.
        part = value / books.total_j if books.total_j else 1.0
        errors = [
            *self._common(value, name),
            self._offset(part),
            Error(f"timing:{self.key}:{name}", between),
            Error(f"sampling:{self.key}:{name}", missed),
            Error(f"split:{self.key}", split, log=True),
            Error(f"static:{self.key}", static),
            Error(f"ticks:{self.key}", ticks),
        ]
        return self._entry(value, self._attributed(), errors)

    def _unread(self) -> Quantity:
        name, curve = self.books.domain.name, self.books.curve
        if curve.known.any():
            return Quantity.missing("J", f"{name}: {_LOST}")
        return Quantity.missing(
            "J", f"{name}: {curve.unknown[0].reason}" if curve.unknown else f"no two readings of {name}"
        )

    def _attributed(self) -> Grade:
        return "attributed" if self.books.domain.grade == "measured" else "modelled"

    def _common(self, value: float, label: str) -> list[Error]:
        domain = self.books.domain
        modelled = domain.grade == "modelled"
        errors = [Error(f"gain:{self.sensor}", value * domain.gain, gain=True, log=modelled)]
        if domain.workload:
            errors.append(Error(f"workload:{self.key}:{label}", value * domain.workload, log=modelled))
        return [e for e in errors if e.sigma]

    def _offset(self, part: float = 1.0) -> Error:
        return Error(f"resolution:{self.key}", part * self.books.domain.resolution_j / math.sqrt(6.0))


def enter(books: Books, split: Use | None, left_out: str, *, boot: str, host: str) -> Entries:
    """Size the errors of `books`. `split`: the use that divided its energy between processes."""
    static_w, fitted = uncertainty.static_power(books.curve, split)
    return Entries(
        key=f"{boot}:{books.domain.uid}",
        sensor=f"{host}:{books.domain.uid}",
        books=books,
        left_out=left_out,
        static_w=static_w,
        static_fitted=fitted,
        errors=uncertainty.of_spans(books, static_w),
        coverage=_coverage(books),
        unresolved=timing.unresolved(books),
        ticks_j=uncertainty.of_ticks(books, split),
    )


def _coverage(books: Books) -> Floats:
    table, cells = books.table, books.grid
    base = cells.edges[0]
    knots = (cells.edges - base).astype(float)
    known = np.concatenate(([0.0], np.cumsum(cells.seconds * cells.known)))
    start, end = (np.interp((t - base).astype(float), knots, known) for t in (table.t0_ns, table.t1_ns))
    seconds = (table.t1_ns - table.t0_ns) / NS
    # A span of no length has nothing to cover: what counts is whether its moment was recorded.
    known_at = np.concatenate(([False], cells.known, [False]))
    before, after = (known_at[np.searchsorted(cells.edges, table.t0_ns, side=side)] for side in ("left", "right"))
    inside = before | after
    return np.asarray(np.divide(end - start, seconds, out=inside.astype(float), where=seconds > 0).clip(0.0, 1.0))
