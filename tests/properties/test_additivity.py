"""Law 4: what [a, b] and [b, c] hold adds up to what [a, c] holds, in every account, for any b."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.properties import told
from tests.properties.strategies import FEW, Case, cases


def _added(one: told.Accounts, other: told.Accounts) -> told.Accounts:
    return {
        name: None if (a := one[name]) is None or (b := other[name]) is None else a + b for name in {**one, **other}
    }


@given(cases(), st.data())
def test_windows_add_up(case: Case, data: st.DataObject) -> None:
    ends = [t for stretches in case.truth.values() for s in stretches for t in (s.t0_ns, s.t1_ns)] or [0]
    times = st.integers(min(ends) - 10**9, max(ends) + 10**9) | st.sampled_from(ends)
    a, b, c = sorted(data.draw(st.tuples(times, times, times)))
    whole, first, second = (told.every_account(case.rows, window) for window in ((a, c), (a, b), (b, c)))
    for key, accounts in whole.items():
        told.same(_added(first[key], second[key]), accounts, sum(v or 0.0 for v in accounts.values()))


@FEW
@given(cases())
def test_a_window_around_everything_is_everything(case: Case) -> None:
    everything = told.every_account(case.rows)
    around = told.every_account(case.rows, (-(10**9), 2 * 10**15))
    for key, accounts in everything.items():
        told.same(around[key], accounts, sum(v or 0.0 for v in accounts.values()))
