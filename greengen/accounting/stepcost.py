"""What the steps of an engine cost, in J, and each span's part of that cost by what it alone adds to a step.

A step that serves anybody costs F + b_d·padding, and b_p, b_d and b_kv for each prompt, output and
cached token in it. Fitted coefficients are J already; given ones are of any unit, and scaled so that
the steps that were read in whole cost together what was metered in them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from greengen.accounting.books import SHARED_KINDS, Books
from greengen.accounting.curves import NS, Floats
from greengen.accounting.entries import Entries
from greengen.accounting.placing import counted
from greengen.accounting.policies import Choice, Coefficients
from greengen.accounting.shares import Shares
from greengen.accounting.stints import Lane

#: A step of whose time less than this part was not read was read in whole: seconds as doubles are not exact.
_ALL = 1e-6


@dataclass(frozen=True, slots=True)
class StepCost:
    """What a step of one engine costs, and n spans in its steps.

    coefficients  in the unit in which they were fitted or given; None: not known, because `reason`
    origin        fitted or given
    scale         J per unit of the coefficients; None: not known, because `reason`
    directions    how far one standard uncertainty moves fitted coefficients, a column each way, shape (4, 4)
    predicted_j   what they say of the steps that were read, J, scaled
    domains       those whose joules these are: the ones that the cost is fitted from
    step_j        by their key: each span's part, by policy, of what the steps cost there, shape (n,)
    portion       by their key: which part of what the steps cost they cost there
    steps, alone  how many each span had a part in, and in how many of them nobody else had, shape (n,)
    adds          what a step without it would lack: 1 where it was alone, and its prefill, decode (with the
                  padding, where it was alone) and context tokens, over the time read, shape (n, 4)
    read          how many of its steps were read, shape (n,)
    """

    engine: str
    name: str
    coefficients: Coefficients | None
    origin: str
    scale: float | None
    directions: Floats
    predicted_j: float | None
    domains: tuple[Entries, ...]
    step_j: Mapping[str, Floats]
    portion: Mapping[str, float]
    steps: Floats
    alone: Floats
    adds: Floats
    read: Floats
    reason: str = ""


def step_costs(
    entries: Sequence[Entries], choices: Sequence[Choice], given: Coefficients | None
) -> tuple[StepCost, ...]:
    """The cost of a step of every engine on a timeline, from its books and how each group was shared."""
    groups = entries[0].books.work.groups if entries else ()
    engines: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        if group.lane is not None:
            engines.setdefault(group.lane.engine, []).append(place)
    return tuple(_cost(entries, choices[places[0]], given, places) for places in engines.values())


def _cost(entries: Sequence[Entries], choice: Choice, given: Coefficients | None, places: Sequence[int]) -> StepCost:
    work = entries[0].books.work
    lanes = [lane for place in places if (lane := work.groups[place].lane) is not None]
    domains = _metered(entries, lanes)
    # A step counts by the part of its time that every one of the domains was read in, as its joules do.
    read = [_read_in_all(domains, lane) for lane in lanes]
    whole = [(part >= 1).astype(float) for part in read]
    step_j = {e.key: np.zeros(work.spans) for e in domains}
    whole_j = 0.0
    for e in domains:
        own_j = e.books.own_j
        for place, all_of_it in zip(places, whole, strict=True):
            part = e.books.shares.parts[place]
            alone = Shares(work.spans, e.books.shares.heads, (part,))
            step_j[e.key] += alone.spread(own_j)
            of_group_j = own_j * alone.of(np.ones(work.spans, dtype=bool))
            per_step_j = np.bincount(part.step.astype(np.int64), of_group_j, minlength=all_of_it.size)
            whole_j += float((per_step_j * all_of_it).sum())
    steps_j = math.fsum(float(joules.sum()) for joules in step_j.values())
    coefficients, origin, reason = _coefficients(choice, given)
    scale = predicted_j = None
    if coefficients is not None:
        prices = np.array(coefficients.as_tuple())
        units, all_units = (
            float(sum(_features(lane, part) @ prices for lane, part in zip(lanes, parts, strict=True)))
            for parts in (whole, read)
        )
        if not domains:
            reason = "no domain that its steps ran on was read"
        elif origin == "given" and units <= 0:
            reason = "of its steps that were read in whole, the coefficients say that none costs anything"
        else:
            scale = 1.0 if origin == "fitted" else whole_j / units
            predicted_j = scale * all_units
    return StepCost(
        engine=lanes[0].engine,
        name=lanes[0].name,
        coefficients=coefficients,
        origin=origin,
        scale=scale,
        directions=_directions(choice) if origin == "fitted" else np.zeros((4, 0)),
        predicted_j=predicted_j,
        domains=domains,
        step_j=step_j,
        portion={key: float(joules.sum()) / (steps_j or 1.0) for key, joules in step_j.items()},
        steps=_counts(lanes, [np.ones(part.size) for part in read], work.spans),
        alone=_counts(lanes, [(_live(lane) == 1).astype(float) for lane in lanes], work.spans),
        adds=sum((_adds(lane, part, work.spans) for lane, part in zip(lanes, read, strict=True)), np.zeros((1, 4))),
        read=_counts(lanes, read, work.spans),
        reason=reason,
    )


def _directions(choice: Choice) -> Floats:
    values, vectors = np.linalg.eigh(np.array(choice.covariance or np.zeros((4, 4))))
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _coefficients(choice: Choice, given: Coefficients | None) -> tuple[Coefficients | None, str, str]:
    """(what a step costs, whether that was fitted or given, why it is not known)."""
    if choice.policy == "affine" and choice.coefficients is not None:
        return choice.coefficients, "given" if choice.sigma is None else "fitted", ""
    if given is not None:
        return given, "given", ""
    why = choice.fallback or f"its requests are shared by the policy {choice.policy}, which has no use for it"
    return None, "", f"what a step costs is not known: {why}; the policy affine fits it, or it is given"


def _metered(entries: Sequence[Entries], lanes: Sequence[Lane]) -> tuple[Entries, ...]:
    """What an engine's cost is fitted from: its own devices, else all accelerators, else all that is counted."""
    known = [e for e in entries if e.books.grid.known_s > 0]
    named = {uid for lane in lanes for uid in lane.devices}
    counted_ = [e for e in known if e.in_total]
    own = [e for e in known if e.books.domain.uid in named]
    chosen = own or [e for e in counted_ if e.books.domain.kind not in SHARED_KINDS] or counted_
    # Another's device may be all that was read, and tells nothing of this one.
    return tuple(e for e in chosen if not named or e.books.domain.uid in named or e.books.domain.kind in SHARED_KINDS)


def _read(books: Books, lane: Lane) -> Floats:
    """Which part of each step's time was read, shape (K,); of a step of no length none."""
    cells = books.grid
    base = cells.edges[0]
    knots = (cells.edges - base).astype(float)
    known_s = np.concatenate(([0.0], np.cumsum(cells.seconds * cells.known)))
    begin, end = (np.interp((t - base).astype(float), knots, known_s) for t in (lane.t0_ns, lane.t1_ns))
    length_s = (lane.t1_ns - lane.t0_ns) / NS
    part = np.divide(end - begin, length_s, out=np.zeros(length_s.size), where=length_s > 0)
    return np.asarray(np.where(part > 1 - _ALL, 1.0, part))


def _read_in_all(domains: Sequence[Entries], lane: Lane) -> Floats:
    """The same of the domain that was read least."""
    if not domains:
        return np.zeros(lane.t0_ns.size)
    return np.asarray(np.min([_read(e.books, lane) for e in domains], axis=0))


def _live(lane: Lane) -> Floats:
    """How many spans have a part in each step, shape (K,)."""
    return counted(lane.first, lane.last + 1, np.ones(lane.owner.size), lane.t0_ns.size).astype(float)


def _over(lane: Lane, per_step: Floats) -> Floats:
    """Σ of per_step over the steps of each stint, shape (q,)."""
    cumulated = np.concatenate(([0.0], np.cumsum(per_step)))
    return np.asarray(cumulated[lane.last + 1] - cumulated[lane.first])


def _counts(lanes: Sequence[Lane], per_step: Sequence[Floats], spans: int) -> Floats:
    found = np.zeros(spans)
    for lane, amount in zip(lanes, per_step, strict=True):
        found += np.bincount(lane.owner, _over(lane, amount), minlength=spans)
    return found


def _tokens(lane: Lane, read: Floats) -> tuple[Floats, Floats, Floats]:
    """Prefill, decode and context tokens of each stint over its steps, by how much of each was read, shape (q,)."""
    times, rising = _over(lane, read), _over(lane, read * np.arange(read.size))
    context = (lane.context - lane.growth * lane.first) * times + lane.growth * rising
    return lane.prefill * times, lane.decode * times, np.maximum(context, 0.0)


def _features(lane: Lane, read: Floats) -> Floats:
    """Steps that serve anybody, and prefill, decode and context tokens in them, with the padding, shape (4,)."""
    busy = read * (_live(lane) > 0)
    prefill, decode, context = (math.fsum(tokens.tolist()) for tokens in _tokens(lane, read))
    return np.array([busy.sum(), prefill, decode + float((busy * lane.padding).sum()), context])


def _adds(lane: Lane, read: Floats, spans: int) -> Floats:
    """What the steps would lack without each span, in the order of the coefficients, shape (n, 4)."""
    alone = read * (_live(lane) == 1)
    prefill, decode, context = _tokens(lane, read)
    rows = (_over(lane, alone), prefill, decode + _over(lane, alone * lane.padding), context)
    return np.column_stack([np.bincount(lane.owner, row, minlength=spans) for row in rows])
