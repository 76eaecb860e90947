"""Every policy against exact fractions: what each span, and each other account, has of each domain."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from greengen.accounting.choice import Plan
from tests.properties import oracle, policy_oracle, told
from tests.properties.serving import costed, plans, prices, serving
from tests.properties.strategies import FEW, Case


def check(case: Case, plan: Plan, window: tuple[int, int] | None = None) -> None:
    """Each account is what brute force says, to 1e-9 of itself, and all sum to the curve."""
    books = told.books(case.rows, window, plan)
    for timeline, domain, stretches in case.domains():
        sharing = policy_oracle.sharing(timeline, plan.policy, prices(plan.given))
        truth = oracle.book(timeline, domain, stretches, window, sharing)
        book = books[timeline.boot_id, domain.uid]
        found, total_j = told.accounts(book), float(truth.total)
        for name, joules in told.expected(truth).items():
            a = found[name]
            assert (a is None) == (joules is None)
            assert a is None or joules is None or abs(a - joules) <= 1e-9 * joules + 1e-14 * total_j, (
                f"{name} of {domain.uid}: {a} and not {joules}"
            )
        assert abs(told.whole(found) - total_j) <= 1e-12 * max(total_j, 1e-300)


@given(serving(), plans())
def test_every_account_is_what_its_definition_says(case: Case, plan: Plan) -> None:
    check(case, plan)


@given(serving(crowded=True), costed)
def test_steps_that_overlap_share_by_what_they_draw(case: Case, plan: Plan) -> None:
    check(case, plan)


@FEW
@given(serving(), plans(), st.data())
def test_so_it_is_within_a_window(case: Case, plan: Plan, data: st.DataObject) -> None:
    stretches = [s for found in case.truth.values() for s in found]
    if not stretches:
        return
    first, last = max(f[0].t0_ns for f in case.truth.values() if f), min(f[-1].t1_ns for f in case.truth.values() if f)
    if first >= last:
        return
    a, b = sorted(data.draw(st.tuples(*[st.integers(first, last)] * 2).filter(lambda ends: ends[0] != ends[1])))
    check(case, plan, (a, b))
