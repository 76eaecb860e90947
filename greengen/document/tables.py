"""The document's tables: accounts, domains, models and spans, each number a quantity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from greengen.accounting import functional, remainder
from greengen.accounting import spread as policies
from greengen.accounting.carbon import Footprint
from greengen.accounting.chapter import Chapter
from greengen.accounting.curves import NS, Floats, Ints
from greengen.accounting.entries import Entries
from greengen.accounting.facility import TIERS
from greengen.accounting.ledger import QUIET_ACCOUNTS, Ledger, account_of
from greengen.accounting.table import REQUEST
from greengen.quantity import Quantity, total
from greengen.rows import SpanRow

#: Each span's own joules by policy, by a chapter's id.
Spread = dict[int, dict[str, Floats]]


def accounts(ledger: Ledger, footprint: Footprint) -> list[dict[str, Any]]:
    """Where the joules of the run's cover went; sums to the total."""
    told = []
    for name, rows in ledger.groups(account_of).items():
        label = str(name)
        row = _account(label, "span", partial(Ledger.spans, chosen=_within(label), label=label), footprint)
        told.append(row | {"spans": len(rows)} | _what(rows[0]))
    for name in QUIET_ACCOUNTS:
        nothing = {"spans": 0, "kind": None, "model": None}
        told.append(_account(name, name, partial(Ledger.account, name=name), footprint) | nothing)
    return told


def domains(ledger: Ledger) -> list[dict[str, Any]]:
    """Each domain with its own books."""
    return [_domain(chapter, entries) for chapter in ledger.chapters for entries in chapter.entries]


def _domain(chapter: Chapter, entries: Entries) -> dict[str, Any]:
    domain, curve = entries.books.domain, entries.books.curve
    told = [(name, entries.spans(members, name)) for name, members in _members(chapter).items()]
    told += [(name, entries.account(name)) for name in QUIET_ACCOUNTS]
    exact = entries.books.exact
    counted: list[int | None] = [None] * len(told)
    if exact is not None:
        counted = [exact.spans(members) for members in _members(chapter).values()]
        counted += [exact.account(name) for name in QUIET_ACCOUNTS]
    return {
        "domain": domain.uid,
        "name": domain.name,
        "kind": domain.kind,
        "collector": domain.collector,
        "grade": domain.grade,
        "scope": domain.scope,
        "in_total": entries.in_total,
        "why_not_in_total": entries.left_out,
        "energy_j": entries.energy().as_dict(),
        "known_s": curve.known_s,
        "coverage": min(1.0, curve.known_s / chapter.recorded_s) if chapter.recorded_s else 0.0,
        "idle_power_w": _idle_power(entries).as_dict(),
        "accounts": [
            {"account": name, "energy_j": energy.as_dict()} | _nj(count)
            for (name, energy), count in zip(told, counted, strict=True)
        ],
        "unknown": [
            {
                "t0_s": (stretch.t0_ns - chapter.start_ns) / NS,
                "t1_s": (stretch.t1_ns - chapter.start_ns) / NS,
                "reason": stretch.reason,
                "bound_j": stretch.bound_j,
            }
            for stretch in curve.unknown
        ],
    } | _nj(None if exact is None else exact.total_nj)


def remainders(ledger: Ledger) -> list[dict[str, Any]]:
    """Meters around others against what those sum to: a disagreement, which may be negative, and is no account."""
    return [
        {
            "domain": found.outer.books.domain.uid,
            "name": found.outer.books.domain.name,
            "parts": [
                {"domain": part.books.domain.uid, "name": part.books.domain.name, "grade": part.books.domain.grade}
                for part in found.parts
            ],
            "seconds": found.seconds,
            "energy_j": found.outer_j.as_dict(),
            "parts_j": found.parts_j.as_dict(),
            "remainder_j": found.rest_j.as_dict(),
        }
        for chapter in ledger.chapters
        for found in remainder.remainders(chapter)
    ]


def _nj(energy_nj: int | None) -> dict[str, int]:
    """Whole nanojoules, where they were counted."""
    return {} if energy_nj is None else {"energy_nj": energy_nj}


def models(ledger: Ledger, footprint: Footprint, spread: Spread) -> list[dict[str, Any]]:
    """Each model's requests together, per request and per output token; `spread` as `by_policy` has it."""
    told = []
    unread = _unread(ledger)
    for model, rows in ledger.groups(lambda row: row.model if row.kind == REQUEST else None).items():
        if model is None:
            continue
        energy = ledger.serving(model)
        # A request outside the readings has no joules in the sum, and no place in the count that divides it.
        read = [row for row in rows if row.uid not in unread] or rows
        requests, divisor = _requests(rows), _requests(read)
        carbon = footprint.of(partial(Ledger.serving, model=model), energy)
        tokens = _tokens(read, "output")
        per_token = energy / tokens if tokens else Quantity.missing("J", "no output tokens were told")
        succeeded = _requests(row for row in read if _succeeded(row))
        per_success = energy / succeeded if succeeded else Quantity.missing("J", "no request succeeded")
        told.append(
            {
                "model": model,
                "requests": requests,
                "requests_not_measured": _requests(row for row in rows if row.uid in unread),
                "succeeded": _requests(row for row in rows if _succeeded(row)),
                "input_tokens": _tokens(rows, "input"),
                "output_tokens": _tokens(rows, "output"),
                "span_s": sum((row.t1_ns - row.t0_ns) / NS for row in rows if row.t1_ns is not None),
                "energy_j": energy.as_dict(),
                "energy_j_per_request": (energy / divisor).as_dict(),
                "energy_j_per_success": per_success.as_dict(),
                "energy_j_wasted": _wasted(ledger, model, rows, energy).as_dict(),
                "energy_j_per_output_token": per_token.as_dict(),
                "energy_wh_per_1000_queries": functional.watt_hours(energy, divisor).as_dict(),
                "carbon_g": carbon.as_dict(),
                "carbon_g_per_request": (carbon / divisor).as_dict(),
                "energy_j_by_policy": _of_model(spread, ledger, model),
            }
        )
    return told


def _succeeded(row: SpanRow) -> bool:
    """Whether a request came to its end, and to a good one: of one left open nobody knows."""
    return row.outcome == "ok" and row.t1_ns is not None


def _wasted(ledger: Ledger, model: str, rows: Iterable[SpanRow], energy: Quantity) -> Quantity:
    """The joules of a model's requests that came to nothing, nested work included, out of `energy` in all."""
    if all(row.outcome == "ok" for row in rows):
        return energy if energy.value is None else Quantity(0.0, "J", energy.grade, basis=energy.basis)
    return ledger.serving(model, lambda request: request.outcome != "ok")


def spans(ledger: Ledger, footprint: Footprint, spread: Spread) -> list[dict[str, Any]]:
    """Every span with its own joules (`self`) and those of the spans inside it (`inclusive`)."""
    told = []
    exact = ledger.asked.exact
    for place, chapter, i in _every(ledger):
        row, table, start = chapter.table.rows[i], chapter.table, chapter.start_ns
        energy = ledger.span(chapter, i)
        inclusive = ledger.span(chapter, i, inclusive=True) if i in table.children else energy
        flags = [*row.flags, *(["open"] if table.left_open[i] else [])]
        flags += ["zero-length"] if table.t1_ns[i] == table.t0_ns[i] else []
        flags += ["unknown-tier"] if row.tier is not None and row.tier not in TIERS else []
        flags += ["unresolved"] if any(e.unresolved[i] for e in chapter.totalled) else []
        told.append(
            {
                "id": row.uid,
                "kind": row.kind,
                "model": row.model,
                "name": row.name,
                "parent": row.parent,
                "tier": row.tier,
                "trace_id": row.trace_id,
                "outcome": row.outcome,
                "flags": flags,
                "labels": row.labels,
                "t0_s": (int(table.t0_ns[i]) - start) / NS,
                "t1_s": (int(table.t1_ns[i]) - start) / NS,
                "input_tokens": row.input_tokens,
                "output_tokens": row.output_tokens,
                "requests": row.requests,
                "coverage": min((float(e.coverage[i]) for e in chapter.totalled), default=0.0),
                "energy_j": energy.as_dict(),
                "energy_j_inclusive": inclusive.as_dict(),
                "energy_j_of_idle": sum(float(e.books.given_j[i]) for e in chapter.totalled),
                "carbon_g": footprint.of(_one(place, i), energy).as_dict(),
                "energy_j_by_policy": {name: float(j[i]) for name, j in spread.get(id(chapter), {}).items()},
            }
            | _nj(sum(e.books.exact.spans(np.array([i])) for e in chapter.totalled if e.books.exact) if exact else None)
        )
    return told


def traces(ledger: Ledger, footprint: Footprint) -> list[dict[str, Any]]:
    """Requests that several tiers or recordings served, joined by their trace id: what each cost, and all together."""
    joined: dict[str, list[tuple[int, Chapter, int]]] = {}
    for place, chapter, i in _every(ledger):
        trace = chapter.table.rows[i].trace_id
        if trace is not None:
            joined.setdefault(trace, []).append((place, chapter, i))
    told = []
    for trace, members in joined.items():
        places: dict[tuple[str | None, str], list[Quantity]] = {}
        for _, chapter, i in members:
            where = (chapter.table.rows[i].tier, chapter.timeline.hostname)
            places.setdefault(where, []).append(ledger.span(chapter, i))
        if len(places) < 2:  # noqa: PLR2004 -- on one place it is a request like any other
            continue
        sums = {where: total(found, "J") for where, found in places.items()}
        energy = total(sums.values(), "J")
        told.append(
            {
                "trace_id": trace,
                "energy_j": energy.as_dict(),
                "carbon_g": footprint.of(_sum([_one(place, i) for place, _, i in members]), energy).as_dict(),
                "parts": [
                    {"tier": tier, "hostname": host, "spans": len(places[tier, host]), "energy_j": part.as_dict()}
                    for (tier, host), part in sums.items()
                ],
            }
        )
    return told


def by_policy(ledger: Ledger) -> Spread:
    """Each span's own joules under every policy that a chapter allows, where that is more than one; by chapter's id."""
    found = {}
    for chapter in ledger.chapters:
        if any(choice.policy != "equal" or choice.fallback for choice in chapter.choices):
            several = [policies.by_policy(e.books, ledger.asked, chapter.choices) for e in chapter.totalled]
            found[id(chapter)] = policies.together(several)
    return found


def _of_model(spread: Spread, ledger: Ledger, model: str) -> dict[str, float]:
    """A model's requests together, with the spans inside them."""
    totals: dict[str, float] = {}
    for chapter in ledger.chapters:
        rows, request = chapter.table.rows, chapter.table.request
        inside = [i for i, row in enumerate(rows) if row.model == model and request[i] >= 0]
        for name, joules in spread.get(id(chapter), {}).items():
            totals[name] = totals.get(name, 0.0) + float(joules[inside].sum())
    return totals


def _requests(rows: Iterable[SpanRow]) -> int:
    """How many requests some spans stand for."""
    return sum(row.requests for row in rows)


def _tokens(rows: Iterable[SpanRow], way: str) -> int | None:
    """The tokens of some spans; None where none of them was told."""
    known = [count for row in rows if (count := getattr(row, f"{way}_tokens")) is not None]
    return sum(known) if known else None


def _unread(ledger: Ledger) -> frozenset[str]:
    """The spans of which no counted domain was read at any moment."""
    return frozenset(
        chapter.table.rows[i].uid
        for chapter in ledger.chapters
        for i in np.flatnonzero(np.max([e.coverage for e in chapter.totalled], axis=0, initial=0.0) <= 0)
        if chapter.totalled
    )


def _account(name: str, type_: str, tell: Callable[[Ledger], Quantity], footprint: Footprint) -> dict[str, Any]:
    energy = tell(footprint.ledger)
    return {
        "account": name,
        "type": type_,
        "energy_j": energy.as_dict(),
        "carbon_g": footprint.of(tell, energy).as_dict(),
    }


def _every(ledger: Ledger) -> Iterator[tuple[int, Chapter, int]]:
    """Every span, as (the chapter's place, the chapter, the span's index)."""
    for place, chapter in enumerate(ledger.chapters):
        for i in range(len(chapter.table)):
            yield place, chapter, i


def _one(place: int, index: int) -> Callable[[Ledger], Quantity]:
    return lambda ledger: ledger.span(ledger.chapters[place], index)


def _sum(each: Iterable[Callable[[Ledger], Quantity]]) -> Callable[[Ledger], Quantity]:
    return lambda ledger: total([tell(ledger) for tell in each], "J")


def _what(row: SpanRow) -> dict[str, Any]:
    return {"kind": row.kind, "model": row.model}


def _within(name: str) -> Callable[[SpanRow], bool]:
    return lambda row: account_of(row) == name


def _members(chapter: Chapter) -> dict[str, Ints]:
    members: dict[str, list[int]] = {}
    for i, row in enumerate(chapter.table.rows):
        members.setdefault(account_of(row), []).append(i)
    return {name: np.array(indices, dtype=np.int64) for name, indices in members.items()}


def _idle_power(entries: Entries) -> Quantity:
    if entries.books.domain.idle_w is not None:
        return Quantity(entries.static_w, "W", "declared", note="stated by the domain's model")
    if not entries.static_fitted:
        return Quantity.missing("W", "this run's load varied too little to tell static power from work")
    return Quantity(entries.static_w, "W", "attributed", note="upper estimate, fitted from this run")
