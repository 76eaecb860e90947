"""Whose part of a cell is how great, by brute force: exact fractions, cell by cell, from the recorded rows.

Nothing here is shared with greengen.accounting. In every cell the groups are found anew: each engine
step that runs is one (the requests with a stint in it), so are the requests of an engine none of
whose steps runs, the requests of a model whose phases or whose tokens are known, and all others.
Groups share by heads; steps whose cost is known share what is theirs by cost over length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from greengen.collector import Domain
from greengen.rows import Engine, EngineStep, SpanRow, Timeline
from tests.properties import oracle

NOTHING = Fraction(0)

#: Kinds of domains that serve the whole host.
HOST_WIDE = ("board", "core", "dram", "package", "psys", "soc", "uncore", "wall")

#: What each policy falls back to.
WEAKER = {"affine": "phase", "phase": "token", "token": "equal"}
USABLE = {
    "steps": ("affine", "phase", "token", "equal"),
    "phases": ("phase", "token", "equal"),
    "tokens": ("token", "equal"),
    "time": ("equal",),
}


@dataclass(frozen=True)
class Prices:
    """What `phase` and `affine` weigh tokens by."""

    fixed: Fraction
    prefill: Fraction
    decode: Fraction
    context: Fraction


DEFAULT = Prices(NOTHING, Fraction(0.2), Fraction(1), NOTHING)


@dataclass
class Group:
    """Those of one group in one cell: `fixed` is shared equally, and what each weighs is its own.

    length   of the step that they are in, once for each device that has a part of it, if what it costs is known
    step     they are in a step of an engine
    waiting  they are between the steps of an engine, and wait if another has one
    """

    fixed: Fraction
    weights: dict[str, Fraction] = field(default_factory=dict)
    length: int = 0
    step: bool = False
    waiting: bool = False

    @property
    def cost(self) -> Fraction:
        return self.fixed + sum(self.weights.values(), NOTHING)

    def parts(self) -> Iterator[tuple[str, Fraction]]:
        heads, whole = len(self.weights), self.cost
        for uid, weight in self.weights.items():
            yield uid, (self.fixed / heads + weight) / whole if whole else Fraction(1, heads)


def used_policy(asked: str, level: str) -> str:
    """The policy that a group's level allows."""
    while asked not in USABLE[level]:
        asked = WEAKER[asked]
    return asked


def sharing(timeline: Timeline, asked: str, given: Prices | None = None) -> oracle.Sharing:
    """The shares of a timeline's spans under a policy; `affine` only with what a step costs `given`."""
    book = _Cells(timeline, asked, given or DEFAULT)
    return oracle.Sharing(frozenset(book.instants()), book.between)


class _Cells:
    def __init__(self, timeline: Timeline, asked: str, prices: Prices) -> None:
        self.asked, self.prices = asked, prices
        # Prices of steps alone say nothing of phases.
        self.of_phases = prices if prices.prefill + prices.decode else DEFAULT
        self.live = oracle.lives(timeline)
        self.spans = {span.uid: span for span in timeline.spans}
        self.stints = [stint for stint in timeline.stints if stint.span in self.spans]
        self.steps: dict[str, list[EngineStep]] = {}
        for step in timeline.steps:
            self.steps.setdefault(step.engine, []).append(step)
        self.engines = {uid: Engine(uid, "") for uid in self.steps} | {e.uid: e for e in timeline.engines}
        self.stays = {uid: self._stays(uid) for uid in self.spans}
        self.phases = {uid: self._phases(span) for uid, span in self.spans.items()}

    def instants(self) -> set[int]:
        times = {t for step in (s for steps in self.steps.values() for s in steps) for t in (step.t0_ns, step.t1_ns)}
        times |= {t for phases in self.phases.values() for _, a, b, _ in phases for t in (a, b)}
        return times | {t for span in self.spans.values() for t in (span.t0_ns, self.live.ends[span.uid])}

    def between(self, domain: Domain, a: int, b: int) -> dict[str, Fraction]:
        groups = [group for group in self._groups(domain, a, b) if group.weights]
        costly = [group for group in groups if group.length]
        if costly or (domain.kind not in HOST_WIDE and any(group.step for group in groups)):
            # While a step runs nobody waits at the device's expense.
            groups = [group for group in groups if not group.waiting]
        heads = sum(len(group.weights) for group in groups)
        drawn = sum((group.cost / group.length for group in costly), NOTHING)
        known = sum(len(group.weights) for group in costly)
        found: dict[str, Fraction] = {}
        for group in groups:
            ours = Fraction(len(group.weights), heads)
            if group.length and drawn:
                ours = Fraction(known, heads) * (group.cost / group.length) / drawn
            for uid, part in group.parts():
                found[uid] = found.get(uid, NOTHING) + part * ours
        return found

    def _groups(self, domain: Domain, a: int, b: int) -> Iterator[Group]:
        at_work = self.live.innermost(a, b)
        for uid, steps in self.steps.items():
            running = [step for step in steps if step.t0_ns <= a and b <= step.t1_ns]
            if not _uses(domain, self.engines[uid].devices):
                continue
            for step in running:
                group = self._step(step)
                group.length *= 1 if domain.kind in HOST_WIDE else max(len(self.engines[uid].devices), 1)
                yield group
            if not running:
                members = [span for span in at_work if uid in self._at(span, a)]
                # On the host, if it is known what steps cost.
                waiting = domain.kind not in HOST_WIDE or self._wanted() == "affine"
                yield Group(Fraction(1), dict.fromkeys(members, NOTHING), waiting=waiting)
        others: dict[tuple[str | None, str], Group] = {}
        for uid in at_work:
            if self.stays[uid]:
                continue
            kind, _, _, devices = next(p for p in self.phases[uid] if p[1] <= a and b <= p[2])
            if kind == "queue" or not _uses(domain, devices):
                continue
            level = self._level(uid)
            policy = used_policy("equal" if self.asked == "auto" and level == "tokens" else self._wanted(), level)
            group = others.setdefault(
                (self._model(uid) if level != "time" else None, level), Group(Fraction(policy == "equal"))
            )
            weight = self._phase_weight(policy, uid, kind)
            if group.fixed or weight:
                group.weights[uid] = weight
        yield from others.values()

    def _wanted(self) -> str:
        return "affine" if self.asked == "auto" else self.asked

    def _step(self, step: EngineStep) -> Group:
        """The requests with a stint in a step: each is one player, however many stints it has there."""
        policy = self._wanted()
        prices = self.of_phases if policy == "phase" else self.prices
        fixed = Fraction(policy == "equal")
        counted = bool(fixed)
        if policy == "affine":
            fixed, counted = prices.fixed + prices.decode * step.padding, prices.fixed > 0
        group = Group(fixed, length=step.t1_ns - step.t0_ns if policy == "affine" else 0, step=True)
        for stint in self.stints:
            if stint.engine != step.engine or not stint.first <= step.seq <= stint.last:
                continue
            context = stint.context + stint.growth * (step.seq - stint.first)
            grows = policy in {"affine", "phase"} and prices.context * stint.growth > 0
            weight = NOTHING
            if policy == "token":
                weight = Fraction(stint.prefill + stint.decode)
            elif policy != "equal":
                weight = prices.prefill * stint.prefill + prices.decode * stint.decode + prices.context * context
            if counted or grows or weight:
                group.weights[stint.span] = group.weights.get(stint.span, NOTHING) + weight
        return group

    def _stays(self, uid: str) -> dict[str, tuple[int, int]]:
        """Engine → when the span's first step there began, and its last one ended."""
        found = {}
        for engine, steps in self.steps.items():
            mine = [
                step
                for step in steps
                for stint in self.stints
                if stint.span == uid and stint.engine == engine and stint.first <= step.seq <= stint.last
            ]
            if mine:
                found[engine] = (min(step.t0_ns for step in mine), max(step.t1_ns for step in mine))
        return found

    def _at(self, uid: str, t_ns: int) -> set[str]:
        """The engines that a request is at: from its first step there, to its last one if it goes on at another.

        Before the first of all it waits, and on its way it is at none.
        """
        stays = self.stays[uid]
        gone = {
            engine
            for engine, (since, last) in stays.items()
            if last <= t_ns and any(begun >= last and begun > since for begun, _ in stays.values())
        }
        return {engine for engine, (since, _) in stays.items() if since <= t_ns} - gone

    def _phases(self, span: SpanRow) -> list[tuple[str, int, int, tuple[str, ...]]]:
        start, end = span.t0_ns, self.live.ends[span.uid]
        marks = [(min(max(p.t0_ns, start), end), p.kind, p.devices) for p in sorted(span.phases, key=lambda p: p.t0_ns)]
        if not marks:
            return [("", start, end, span.devices)]
        before = "queue" if marks[0][1] == "prefill" else "prefill"
        chain = [(start, before, ()), *marks, (end, "", ())]
        return [(kind, a, b, devices or span.devices) for (a, kind, devices), (b, _, _) in pairwise(chain) if b > a]

    def _level(self, uid: str) -> str:
        span = self.spans[uid]
        if span.kind != "request" or span.output_tokens is None:
            return "time"
        if any(mark.kind == "decode" for mark in span.phases):
            return "phases"
        return "tokens" if self._read(span) + span.output_tokens else "time"

    @staticmethod
    def _read(span: SpanRow) -> int:
        return max((span.input_tokens or 0) - (span.cached_tokens or 0), 0)

    def _model(self, uid: str) -> str | None:
        """Its own, or that of the span around it."""
        span = self.spans[uid]
        while span.model is None and span.parent in self.spans:
            span = self.spans[span.parent]
        return span.model

    def _phase_weight(self, policy: str, uid: str, kind: str) -> Fraction:
        """Per second of the phase."""
        if policy == "equal":
            return NOTHING
        span, level = self.spans[uid], self._level(uid)
        written = span.output_tokens or 0
        if level == "tokens":
            working = sum(end - start for what, start, end, _ in self.phases[uid] if what != "queue")
            return Fraction(self._read(span) + written, working)
        of_kind = sum(end - start for what, start, end, _ in self.phases[uid] if what == kind)
        if kind == "prefill":
            return (self.of_phases.prefill if policy == "phase" else 1) * Fraction(self._read(span), of_kind)
        if kind == "decode":
            rate = Fraction(max(written - 1, 0), of_kind)
            if policy == "token":
                return rate
            context = (span.input_tokens or 0) + Fraction(written, 2)
            return rate * (self.of_phases.decode + self.of_phases.context * context)
        return NOTHING


def _uses(domain: Domain, devices: tuple[str, ...]) -> bool:
    return domain.kind in HOST_WIDE or not devices or any(uid in devices for uid in (domain.uid, *domain.contains))
