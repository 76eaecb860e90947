"""Small recordings of serving: phases, tokens, devices, and engines with steps and stints of every kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache

from hypothesis import strategies as st

from greengen.accounting.choice import Plan
from greengen.accounting.policies import Coefficients
from greengen.collector import Domain
from greengen.rows import Engine, EngineStep, Phase, Rows, SpanRow, Stint, Timeline
from tests.properties import oracle, policy_oracle
from tests.properties.strategies import DOMAINS, MAX_W, MS, Case, Draw, pick, timelines

#: Two accelerators beside what the whole host shares; the first one has slices, which no counter tells apart.
SLICES = ("c:gpu0/a", "c:gpu0/b")
BOARDS = (
    Domain("c:gpu0", "c", "gpu", "GPU 0", split_reason="no weight", max_power_w=MAX_W, contains=SLICES),
    Domain("c:gpu1", "c", "gpu", "GPU 1", split_reason="no weight", max_power_w=MAX_W),
)
SERVING = (*BOARDS, DOMAINS[0], DOMAINS[3])
NAMED = ("c:gpu0", "c:gpu1", *SLICES, "c:gpu", "c:package", "elsewhere")

#: Quarters and zeros: exact in a double, and each term alone too.
_PRICE = st.sampled_from((0.0, 0.0, 0.25, 1.0, 2.5, 40.0))
coefficients = st.builds(Coefficients, fixed=_PRICE, prefill=_PRICE, decode=_PRICE, context=_PRICE)

_DEVICES: tuple[tuple[str, ...], ...] = ((), (), (), *((name,) for name in NAMED), ("c:gpu0", "c:gpu1"))
_KINDS = ("queue", "prefill", "decode", "decode", "transfer")
_WORK = ((16, 0, 0), (16, 0, 16), (5, 1, 0), (0, 1, 1), (0, 1, 1), (0, 4, 3), (0, 0, 0), (0, 1, 0))
_MARKS = cache(lambda instants: st.lists(st.tuples(st.sampled_from(_KINDS), st.integers(0, instants - 1)), max_size=4))
_TOKENS = st.none() | st.sampled_from((0, 1, 2, 7, 300))


def prices(given: Coefficients | None) -> policy_oracle.Prices | None:
    return None if given is None else policy_oracle.Prices(*map(Fraction, given.as_tuple()))


#: What a step costs is known: those that overlap are compared by it.
costed = st.builds(Plan, st.sampled_from(("auto", "affine")), given=coefficients)


@st.composite
def plans(draw: Draw) -> Plan:
    """Any built-in policy; with what a step costs given, wherever it would be fitted."""
    policy = pick(draw, ("auto", "equal", "token", "phase", "affine"))
    given = draw(coefficients) if policy in {"auto", "affine"} else draw(st.none() | coefficients)
    return Plan(policy, given=given)


def devices(draw: Draw) -> tuple[str, ...]:
    """Mostly all of them, which goes without saying."""
    return pick(draw, _DEVICES)


def phased(draw: Draw, span: SpanRow, instants: Sequence[int]) -> SpanRow:
    """The span with tokens, and with marks in any order, at one time, before its start and after its end."""
    marks = [(kind, instants[at]) for kind, at in draw(_MARKS(len(instants)))]
    return replace(
        span,
        input_tokens=draw(_TOKENS),
        output_tokens=draw(_TOKENS),
        cached_tokens=draw(_TOKENS),
        phases=tuple(Phase(kind, t_ns, devices(draw)) for kind, t_ns in sorted(marks, key=lambda mark: mark[1])),
        devices=devices(draw),
    )


def steps(draw: Draw, engine: str, instants: Sequence[int], *, crowded: bool = False) -> list[EngineStep]:
    """Iterations that follow one another, with pauses, of no length, or overlapping; some were not recorded.

    crowded  they begin soon, and most of them overlap or are close to the next one
    """
    at = pick(draw, instants[:4] if crowded else instants)
    seq = pick(draw, (1, 1, 40))
    found = []
    for _ in range(draw(st.integers(5 if crowded else 1, 8))):
        length = pick(draw, (20, 50, 130) if crowded else (0, 20, 50, 50, 130)) * MS
        found.append(EngineStep(engine, seq, at, at + length, pick(draw, (0, 0, 0, 3))))
        seq += pick(draw, (1, 1, 1, 1, 3))
        at += max(length + pick(draw, (0, 40, -10, -50) if crowded else (0, 0, 0, 70, -50)) * MS, 0)
    return found


def stints(draw: Draw, engine: str, span: str, sequences: tuple[int, int]) -> list[Stint]:
    """A prompt in chunks, then tokens one by one or drafted several at a time, with interruptions; anything."""
    first, last = sequences
    found: dict[int, Stint] = {}
    begin = draw(st.integers(first - 1, last))
    for _ in range(draw(st.integers(0, 3))):
        end = begin + pick(draw, (0, 0, 1, 2, 5))
        prefill, decode, growth = pick(draw, _WORK)
        context = pick(draw, (0, 16, 500))
        found[begin] = Stint(engine, span, begin, end, prefill, decode, context, growth)
        # After a pause, or at once; or beside it: another sequence of the same request.
        begin = pick(draw, (end + 1, end + 1, end + 2, max(begin + 1, end)))
    return list(found.values())


@st.composite
def served(
    draw: Draw,
    boot: str = "boot0",
    *,
    domains: Sequence[Domain] = SERVING,
    base_ns: int | None = None,
    crowded: bool = False,
) -> tuple[Timeline, dict[tuple[str, str], list[oracle.Stretch]]]:
    """One boot of one host that serves requests; `crowded`: by engines most of whose steps overlap."""
    timeline, truth = draw(timelines(boot, domains=domains, base_ns=base_ns, most_segments=1))
    read = sorted({t for series in timeline.samples.values() for t in series.t_ns})
    instants = [read[0] - 200 * MS, *sorted({t + d for t in read for d in (0, 0, 33 * MS, 50 * MS)})]
    spans = [phased(draw, span, instants) for span in timeline.spans]
    engines, all_steps, all_stints = [], [], []
    for number in range(pick(draw, (1, 2, 2) if crowded else (0, 1, 1, 2))):
        uid = f"{boot}:1:1/engine-{number}"
        engines.append(Engine(uid, f"{boot}:1:1", pick(draw, (None, "a")), devices(draw)))
        mine = steps(draw, uid, instants, crowded=crowded)
        for who in [span.uid for span in spans if span.kind != "queue"] + [f"{boot}:9:9/1"]:
            if draw(st.integers(0, 3)):
                all_stints += stints(draw, uid, who, (mine[0].seq, mine[-1].seq))
        all_steps += mine
    whole = replace(timeline, spans=spans, engines=engines, steps=all_steps, stints=all_stints)
    return whole, truth


@st.composite
def serving(draw: Draw, *, domains: Sequence[Domain] = SERVING, most_boots: int = 1, crowded: bool = False) -> Case:
    """A recording of one serving host, or of several boots."""
    found = []
    truth: dict[tuple[str, str], list[oracle.Stretch]] = {}
    for number in range(draw(st.integers(1, most_boots))):
        timeline, happened = draw(served(f"boot{number}", domains=domains, crowded=crowded))
        found.append(timeline)
        truth |= happened
    return Case(Rows(meta={"greengen": "0"}, timelines=found), truth)
