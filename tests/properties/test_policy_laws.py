"""Laws 5 and 6 under every policy, and what attribution.md A4 asks of shares: scale, parts, more work, meters."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from hypothesis import assume, given
from hypothesis import strategies as st

from greengen.accounting.choice import Plan
from greengen.accounting.policies import Coefficients
from greengen.collector import Domain
from greengen.rows import EngineStep, Phase, Rows, Series, SpanRow, Stint, Timeline
from tests.properties import told
from tests.properties.serving import BOARDS, plans, serving
from tests.properties.strategies import FEW, Case

T = TypeVar("T")

_SCALES = (2.0**-900, 1e-6, 3.0, 1e6, 2.0**900)


def _same(before: dict[tuple[str, str], told.Accounts], after: dict[tuple[str, str], told.Accounts]) -> None:
    assert before.keys() == after.keys()
    for key, accounts in before.items():
        told.same(after[key], accounts, told.whole(accounts))


def _changed(case: Case, plan: Plan, change: Callable[[Timeline], Timeline]) -> None:
    """Fails where a change that must not matter does."""
    [timeline] = case.rows.timelines
    after = told.every_account(Rows(timelines=[change(timeline)]), policy=plan)
    _same(told.every_account(case.rows, policy=plan), after)


@given(serving(), plans(), st.integers(0, 2**32))
def test_order_does_not_matter(case: Case, plan: Plan, seed: int) -> None:
    rng = random.Random(seed)

    def mixed(items: list[T]) -> list[T]:
        return rng.sample(items, len(items))

    _changed(
        case,
        plan,
        lambda t: replace(
            t, spans=mixed(t.spans), engines=mixed(t.engines), steps=mixed(t.steps), stints=mixed(t.stints)
        ),
    )


@FEW
@given(serving(), plans(), st.integers(0, 2**32))
def test_names_do_not_matter(case: Case, plan: Plan, seed: int) -> None:
    rng = random.Random(seed)
    names: dict[str, str] = {}

    def name(old: str) -> str:
        return names.setdefault(old, f"{rng.random():.9f}")

    def phase(mark: Phase) -> Phase:
        return mark._replace(devices=tuple(map(name, mark.devices)))

    def span(row: SpanRow) -> SpanRow:
        renamed = replace(row, uid=name(row.uid), parent=name(row.parent) if row.parent else None)
        model = name(row.model) if row.model else None
        used = tuple(map(name, row.devices))
        return replace(renamed, model=model, phases=tuple(map(phase, row.phases)), devices=used)

    [t] = case.rows.timelines
    before = told.every_account(case.rows, policy=plan)
    renamed = replace(
        t,
        domains=[replace(d, uid=name(d.uid), contains=tuple(map(name, d.contains))) for d in t.domains],
        samples={name(uid): series for uid, series in t.samples.items()},
        spans=[span(row) for row in t.spans],
        engines=[
            replace(e, uid=name(e.uid), model=name(e.model) if e.model else None, devices=tuple(map(name, e.devices)))
            for e in t.engines
        ],
        steps=[step._replace(engine=name(step.engine)) for step in t.steps],
        stints=[stint._replace(engine=name(stint.engine), span=name(stint.span)) for stint in t.stints],
    )
    after = told.every_account(Rows(timelines=[renamed]), policy=plan)
    for (boot, uid), accounts in before.items():
        mine = {names.get(key, key): joules for key, joules in accounts.items()}
        told.same(after[boot, names[uid]], mine, told.whole(accounts))


def _weighs_work(plan: Plan) -> bool:
    return plan.policy != "equal" and (plan.given is None or not plan.given.fixed)


@given(plans().filter(_weighs_work), serving(), st.data())
def test_a_request_that_waits_or_weighs_nothing_gets_nothing_and_moves_nobody(
    plan: Plan, case: Case, data: st.DataObject
) -> None:
    """In a queue, before its first step, in steps without a token of it, and with no work in its phases."""
    [t] = case.rows.timelines
    start, end = min(s.t_ns[0] for s in t.samples.values()), max(s.t_ns[-1] for s in t.samples.values())
    idle = SpanRow("boot0:2:2/1", "boot0:2:2", None, "request", start, end, data.draw(st.sampled_from((None, "a"))))
    queued = replace(idle, uid="boot0:2:2/2", input_tokens=9, output_tokens=9, phases=(Phase("queue", start),))
    # A first token that never came: all that it read lay in a cache.
    cached = replace(queued, uid="boot0:2:2/3", cached_tokens=9, output_tokens=1, phases=(Phase("decode", end),))
    new, stints = [queued, cached], list(t.stints)
    if t.steps:
        engine = data.draw(st.sampled_from(t.steps)).engine
        mine = [step for step in t.steps if step.engine == engine]
        last = max(mine, key=lambda step: step.t0_ns)
        waits = replace(idle, uid="boot0:2:2/4", t0_ns=min(start, last.t0_ns), t1_ns=last.t0_ns)
        stints.append(Stint(engine, waits.uid, last.seq, last.seq))
        absent = replace(idle, uid="boot0:2:2/5", t1_ns=start)
        stints.append(Stint(engine, absent.uid, min(s.seq for s in mine), data.draw(st.integers(1, 60))))
        new += [waits, absent]
    more = told.every_account(Rows(timelines=[replace(t, spans=[*t.spans, *new], stints=stints)]), policy=plan)
    for key, accounts in told.every_account(case.rows, policy=plan).items():
        assert [more[key].pop(row.uid) for row in new] == [0.0] * len(new)
        told.same(more[key], accounts, told.whole(accounts))


@FEW
@given(serving(), plans())
def test_identical_requests_get_identical_joules(case: Case, plan: Plan) -> None:
    """A twin of every span, at its side in every step."""
    [t] = case.rows.timelines
    twins = [replace(row, uid=f"{row.uid}0000", parent=f"{row.parent}0000" if row.parent else None) for row in t.spans]
    beside = [stint._replace(span=f"{stint.span}0000") for stint in t.stints]
    doubled = Rows(timelines=[replace(t, spans=[*t.spans, *twins], stints=[*t.stints, *beside])])
    for accounts in told.every_account(doubled, policy=plan).values():
        for row in t.spans:
            assert accounts[row.uid] == accounts[f"{row.uid}0000"]


@FEW
@given(plans().filter(lambda plan: plan.given is not None), serving(), st.sampled_from(_SCALES))
def test_only_ratios_of_coefficients_matter(plan: Plan, case: Case, scale: float) -> None:
    given_ = plan.given or Coefficients()
    scaled = replace(plan, given=Coefficients(*(value * scale for value in given_.as_tuple())))
    before = told.every_account(case.rows, policy=plan)
    _same(before, told.every_account(case.rows, policy=scaled))


@given(serving(), plans(), st.data())
def test_a_stint_may_be_told_in_parts(case: Case, plan: Plan, data: st.DataObject) -> None:
    [t] = case.rows.timelines
    long = [i for i, stint in enumerate(t.stints) if stint.last > stint.first]
    assume(long)
    i = data.draw(st.sampled_from(long))
    whole = t.stints[i]
    at = data.draw(st.integers(whole.first + 1, whole.last))
    rest = whole._replace(first=at, context=whole.context + whole.growth * (at - whole.first))
    parts = [*t.stints[:i], whole._replace(last=at - 1), rest, *t.stints[i + 1 :]]
    _changed(case, plan, lambda line: replace(line, stints=parts))


@given(serving(), plans(), st.data())
def test_a_request_may_be_told_as_several_sequences(case: Case, plan: Plan, data: st.DataObject) -> None:
    """The step itself is paid for once per request; tokens are each sequence's own."""
    [t] = case.rows.timelines
    assume(t.stints)
    i = data.draw(st.integers(0, len(t.stints) - 1))
    whole = t.stints[i]
    part = [data.draw(st.integers(0, amount)) for amount in whole[4:]]
    mine = Stint(*whole[:4], *part)
    others = Stint(*whole[:4], *(amount - taken for amount, taken in zip(whole[4:], part, strict=True)))
    _changed(case, plan, lambda line: replace(line, stints=[*t.stints[:i], mine, others, *t.stints[i + 1 :]]))


@given(serving(), plans(), st.data())
def test_more_tokens_never_lower_one_s_own_part(case: Case, plan: Plan, data: st.DataObject) -> None:
    """All else as it was; a request that had none may come to be one of those that share."""
    [t] = case.rows.timelines
    assume(t.stints)
    i = data.draw(st.integers(0, len(t.stints) - 1))
    more = data.draw(st.tuples(*[st.sampled_from((0, 1, 50))] * 4))
    grown = Stint(*t.stints[i][:4], *(amount + extra for amount, extra in zip(t.stints[i][4:], more, strict=True)))
    stints = [*t.stints[:i], grown, *t.stints[i + 1 :]]
    before = told.every_account(case.rows, policy=plan)
    after = told.every_account(Rows(timelines=[replace(t, stints=stints)]), policy=plan)
    for key, accounts in before.items():
        had, has = accounts.get(grown.span, 0.0) or 0.0, after[key].get(grown.span, 0.0) or 0.0
        assert has >= had - 1e-12 * max(told.whole(accounts), 1.0)


@FEW
@given(serving(domains=BOARDS[:1]), plans(), st.lists(st.integers(0, 40), min_size=8, max_size=8))
def test_what_two_meters_tell_adds_up(case: Case, plan: Plan, gains: list[int]) -> None:
    """With the same knots: accounts of the sum are the sums of accounts."""
    [t] = case.rows.timelines
    board = BOARDS[0]
    times = t.samples[board.uid].t_ns

    def recorded(domain: Domain, steps: list[int]) -> Timeline:
        values = [float(sum(steps[:k])) for k in range(len(times))]
        series = Series(times, values, t.samples[board.uid].spacing_ns)
        plain = replace(domain, kind="board", max_power_w=None, wrap_j=None)
        return replace(t, domains=[plain], samples={domain.uid: series}, usage={})

    other = gains[::-1]
    ones = [recorded(board, steps) for steps in (gains, other, [a + b for a, b in zip(gains, other, strict=True)])]
    one, two, both = (told.every_account(Rows(timelines=[line]), policy=plan)["boot0", board.uid] for line in ones)
    added = {name: None if (a := one[name]) is None or (b := two[name]) is None else a + b for name in both}
    told.same(added, both, told.whole(both))


@FEW
@given(serving(most_boots=2), plans(), st.data())
def test_no_account_is_negative(case: Case, plan: Plan, data: st.DataObject) -> None:
    ends = [t for stretches in case.truth.values() for s in stretches for t in (s.t0_ns, s.t1_ns)] or [0]
    window = data.draw(st.none() | st.tuples(*[st.integers(min(ends), max(ends))] * 2))
    for accounts in told.every_account(case.rows, window, plan).values():
        assert all(joules is None or joules >= 0.0 for joules in accounts.values())


@FEW
@given(serving(), plans())
def test_steps_of_no_length_take_nothing(case: Case, plan: Plan) -> None:
    """But in them a request may have come to its engine."""
    [t] = case.rows.timelines
    seqs = [(step.engine, step.seq) for step in t.steps]
    moments = [EngineStep(s.engine, s.seq + 1, s.t1_ns, s.t1_ns) for s in t.steps if (s.engine, s.seq + 1) not in seqs]
    within = [m for m in moments if any(s.engine == m.engine and s.first <= m.seq <= s.last for s in t.stints)]
    kept = [moment for moment in moments if moment not in within]
    _changed(case, plan, lambda line: replace(line, steps=[*t.steps, *kept]))
