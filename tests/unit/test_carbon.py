"""From joules to grams: energy × PUE × grid intensity."""

from __future__ import annotations

import math

import pytest

from greengen import data
from greengen.accounting.carbon import REMEDY, Footprint, Site, declared_intensity
from greengen.accounting.ledger import Ledger, build
from greengen.collector import Domain
from greengen.errors import UsageError
from greengen.quantity import Z95, Quantity
from greengen.rows import Rows, Segment, Series, SpanRow, Timeline
from greengen.run import site

SECOND = 1_000_000_000
KWH_J = 3.6e6


def ledger(*kwh: float) -> Ledger:
    """Requests one after the other, of so many kWh each, 1 s each, read at each of their edges."""
    t_ns = [i * SECOND for i in range(len(kwh) + 1)]
    values = [math.fsum(kwh[:i]) * KWH_J for i in range(len(kwh) + 1)]
    package = Domain("rapl:package-0", "rapl", "package", "CPU")
    spans = [SpanRow(f"p/{i}", "p", None, "request", a, a + SECOND) for i, a in enumerate(t_ns[:-1])]
    timeline = Timeline(
        "b",
        "h",
        domains=[package],
        samples={package.uid: Series(t_ns, values, [0, *[SECOND] * len(kwh)])},
        spans=spans,
        segments=[Segment("s", "p", 0, t_ns[-1], 0, {"interval_s": 1.0})],
    )
    return build(Rows(timelines=[timeline]))


def test_a_kilowatt_hour_is_as_many_grams_as_the_grid_says() -> None:
    footprint = Footprint(ledger(1.0, 3.0), declared_intensity(250.0))
    assert footprint.total().value == pytest.approx(1000.0)
    assert footprint["p/0"].value == pytest.approx(250.0)
    assert footprint["p/1"].value == pytest.approx(750.0)
    assert footprint.total().unit == "g"


def test_the_facility_uses_pue_times_as_much() -> None:
    where = Site(declared_intensity(250.0).intensity, "me", pue=1.2)
    total = Footprint(ledger(1.0), where).total()
    assert total.value == pytest.approx(300.0)
    assert [(f.name, f.value, f.grade) for f in total.factors] == [
        ("PUE", 1.2, "declared"),
        ("grid intensity", 250.0, "declared"),
    ]


def test_without_a_pue_it_is_the_it_boundary() -> None:
    """Not a factor of 1.0 that nobody stated."""
    assert [f.name for f in Footprint(ledger(1.0), declared_intensity(250.0)).total().factors] == ["grid intensity"]


def test_a_zone_brings_its_spread_and_its_basis() -> None:
    row = data.grid_intensity("DEU")
    total = Footprint(ledger(1.0), site(zone="deu")).total()
    assert total.value == pytest.approx(row.value)
    assert total.basis == row.quantity().basis
    errors = [error for error in total.errors if error.name.startswith("intensity:")]
    assert [(e.name, e.gain, e.log) for e in errors] == [("intensity:DEU", True, True)]
    assert errors[0].sigma == pytest.approx(row.value * math.log(row.gsd))


def test_on_one_grid_two_requests_compare_as_their_energies_do() -> None:
    """The uncertainty of the grid is common to both, and cancels."""
    footprint = Footprint(ledger(1.0, 3.0), site(zone="DEU"))
    ratio, energies = footprint["p/0"] / footprint["p/1"], footprint.ledger["p/0"] / footprint.ledger["p/1"]
    assert ratio.value == pytest.approx(energies.value)
    assert ratio.low == pytest.approx(energies.low)
    assert ratio.high == pytest.approx(energies.high)


def test_on_two_grids_their_spreads_add_in_quadrature() -> None:
    one, other = (Footprint(ledger(1.0), site(zone=zone)).total() for zone in ("DEU", "USA"))
    ratio = one / other
    gsds = [data.grid_intensity(zone).gsd for zone in ("DEU", "USA")]
    band = math.exp(Z95 * math.hypot(*(math.log(gsd) for gsd in gsds)))
    assert ratio.high == pytest.approx((ratio.value or 0.0) * band)


def test_what_is_missing_stays_so() -> None:
    nothing = Footprint(ledger(1.0), Site())
    assert nothing.total().value is None
    assert REMEDY in nothing.total().reason
    unread = Footprint(build(Rows()), declared_intensity(250.0)).total()
    assert (unread.value, unread.reason) == (None, "no domain was read")


def test_a_span_of_another_run_is_an_error_or_pending() -> None:
    footprint = Footprint(build(Rows()), declared_intensity(250.0))
    with pytest.raises(UsageError, match="not a span of this run"):
        footprint["p/7"]
    with pytest.raises(UsageError, match="not a span of this run"):
        footprint[object()]


def test_a_free_grid_is_0_grams_and_not_missing() -> None:
    total = Footprint(ledger(1.0), declared_intensity(0.0)).total()
    assert total.value == 0.0
    assert isinstance(total, Quantity)
