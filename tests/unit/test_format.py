"""Numbers and texts as a person reads them."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greengen.errors import UsageError
from greengen.reports import format as fmt

FINITE = st.floats(min_value=1e-3, max_value=9e8, allow_nan=False)


def joules(value: float | None, low: float | None = None, high: float | None = None, unit: str = "J") -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "unit": unit, "reason": "no counter"}


@pytest.mark.parametrize(
    ("quantity", "shown"),
    [
        (joules(12.3, 9.1, 15), "12.3 J (9.1 to 15.0)"),
        (joules(999.7, 900, 1100), "1.00 kJ (0.90 to 1.10)"),
        (joules(1234.567, 617, 2469), "1.23 kJ (0.62 to 2.47)"),
        (joules(2_500_000), "2.50 MJ"),
        (joules(0.0042, 0.004, 0.005), "4.20 mJ (4.00 to 5.00)"),
        (joules(0.000599, 0.0, 1.161691), "0.000599 J (0 to 1.16)"),
        (joules(0.0, 0.0, 0.5), "0 J (0 to 0.500)"),
        (joules(0.0, 0.0, 0.0), "0 J (0 to 0)"),
        (joules(-3.2, -4.0, 1.0), "-3.20 J (-4.00 to 1.00)"),
        (joules(None), "not measured"),
        (joules(0.2, 0.1, 0.3, unit="g"), "200 mg (100 to 300)"),
        (joules(12_000, unit="g"), "12.0 kg"),
        (joules(344, 336, 352, unit="g/kWh"), "344 g/kWh (336 to 352)"),
        (joules(40_000_000_000), "40,000 MJ"),
        (joules(5e-8), "0.0500 uJ"),
    ],
)
def test_a_quantity_has_three_digits_a_handy_unit_and_its_interval(quantity: dict[str, Any], shown: str) -> None:
    assert fmt.quantity(quantity) == shown


def test_a_narrow_interval_gets_the_digits_that_it_needs() -> None:
    assert fmt.quantity(joules(123.0, 122.8, 123.2)) == "123.0 J (122.8 to 123.2)"


def test_an_end_of_an_interval_is_not_rounded_to_zero() -> None:
    assert fmt.quantity(joules(12.3, 0.004, 24)) == "12.3 J (0.0040 to 24.0)"


@given(FINITE)
def test_what_is_shown_is_the_value_to_three_digits(value: float) -> None:
    number, unit = fmt.value(joules(value)).split()
    factor = {"mJ": 1e-3, "J": 1.0, "kJ": 1e3, "MJ": 1e6}[unit]
    assert float(number.replace(",", "")) * factor == pytest.approx(value, rel=5.1e-3)
    digits = number.replace(",", "").replace(".", "").lstrip("0")
    assert len(digits) == 3


def test_conversion_keeps_value_and_interval_together() -> None:
    assert fmt.in_unit(joules(3600, 1800, 7200), "Wh") == joules(1, 0.5, 2, unit="Wh")
    assert fmt.in_unit(joules(None), "Wh")["value"] is None
    with pytest.raises(UsageError):
        fmt.in_unit(joules(1.0), "g")


@pytest.mark.parametrize(
    ("length", "shown"),
    [
        (0.85, "850 ms"),
        (62.4, "62.4 s"),
        (119.0, "119 s"),
        (722.6, "12 min 3 s"),
        (12_000.0, "3 h 20 min"),
        (None, "not recorded"),
    ],
)
def test_lengths_of_time(length: float | None, shown: str) -> None:
    assert fmt.seconds(length) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.0, "0 %"), (1.0, "100 %"), (0.987, "98.7 %"), (0.99999, ">99.9 %"), (0.0001, "<0.1 %")],
)
def test_a_share_is_not_rounded_to_all_or_nothing(share: float, shown: str) -> None:
    assert fmt.percent(share) == shown


@given(st.text(st.characters(), max_size=40))
def test_printable_text_holds_nothing_that_acts(text: str) -> None:
    shown = fmt.printable(text)
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    shown.encode("utf-8")


@pytest.mark.parametrize("text", ["llama-3.2-1b", "نموذج", "模型 ü é", "👩‍🔬", "<b>"])
def test_printable_text_stays_as_it_is(text: str) -> None:
    assert fmt.printable(text) == text


@given(st.text(max_size=80), st.integers(min_value=8, max_value=40))
def test_shortened_text_fits_and_keeps_both_ends(text: str, width: int) -> None:
    shown = fmt.shortened(text, width)
    whole = fmt.printable(text)
    assert len(shown) == min(len(whole), width)
    assert whole.startswith(shown[:3])
    assert whole.endswith(shown[-1:])


def test_counts() -> None:
    assert fmt.count(1234567) == "1,234,567"
    assert fmt.count(None) == "not recorded"
