"""Figures of quality: their intervals against published ones, what has none, and how reports tell them."""

from __future__ import annotations

import pytest

from greengen.accounting.quality import BARE, STATED, quality, wilson
from greengen.comparison import compare
from greengen.errors import UsageError

API = {"energy_j": 2.0, "gsd": 1.2, "per": "request", "boundary": "machine", "source": "us"}


class TestIntervals:
    def test_wilson(self) -> None:
        """The cases of Newcombe, Stat. Med. 17:857 (1998); and at an end the part lies 1.96 of its errors away."""
        assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
        assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
        assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
        assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)
        assert wilson(20, 20)[1] == 1.0
        for end in wilson(182, 200):
            assert abs(182 / 200 - end) == pytest.approx(1.959964 * (end * (1 - end) / 200) ** 0.5, rel=1e-6)

    def test_across_values(self) -> None:
        """0.5, 0.6, 0.7: t of 2 degrees, 4.302653, times 0.1 over the root of 3."""
        told = quality("a", {"values": [0.5, 0.6, 0.7], "each": "seed", "source": "us"})
        assert told is not None
        assert told.value == pytest.approx(0.6)
        assert told.source == "us"
        assert told.high == pytest.approx(0.848414, abs=1e-6)
        assert told.low == pytest.approx(0.351586, abs=1e-6)
        assert told.how == "Student's t across 3 times one seed"

    def test_what_does_not_scatter_is_not_exact(self) -> None:
        told = quality("a", {"values": [1.0, 1.0, 1.0]})
        assert told is not None
        assert (told.value, told.low, told.high, told.how) == (1.0, None, None, f"{BARE}: 3 values, all alike")

    def test_stated(self) -> None:
        told = quality("a", {"value": 0.9, "low": 0.8, "high": 0.95, "source": "a paper"})
        assert told is not None
        assert (told.low, told.high, told.how) == (0.8, 0.95, STATED)
        bare = quality("a", 0.9)
        assert bare is not None
        assert (bare.low, bare.high, bare.how) == (None, None, BARE)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (True, "quality True of 'a' is no number"),
        ({"source": "us"}, "it has no figure; state value"),
        ({"value": 0.9, "of": 20}, "of says nothing; state value"),
        ({"value": 0.9, "low": 0.91, "high": 0.95}, "0.9 is not within its interval from 0.91 to 0.95"),
        ({"value": 0.9, "low": 0.8}, "quality None of 'a' is no number"),
        ({"correct": 3, "of": 2}, "3 correct of 2 is not possible"),
        ({"correct": 3}, "quality None of 'a' is no number"),
        ({"values": []}, "values are no list of numbers"),
    ],
)
def test_what_is_no_figure_is_refused(told: object, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        quality("a", told)
    assert said in str(refused.value)


def test_it_is_told_with_its_interval_and_whence_it_is() -> None:
    counted = {"correct": 19, "of": 20, "source": "our exam"}
    sure = {"values": [0.99, 1.0, 1.0], "each": "seed"}
    compared = compare({"a": API, "b": API, "c": API}, quality={"a": counted, "b": 0.5, "c": sure})
    a, b, c = (row["quality"] for row in compared.document()["options"])
    assert (a["low"], a["high"]) == pytest.approx(wilson(19, 20))
    assert (a["grade"], a["source"], a["how"]) == ("declared", "our exam", "Wilson's score interval of 20 answers")
    assert (b["low"], b["high"], b["source"], b["how"]) == (None, None, "declared", BARE)
    assert c["high"] == 1.0
    text = compared.render("markdown")
    assert "| 0.950 (0.764 to 0.991) |" in text
    assert "| 0.5, no interval |" in text
    assert "Quality: quality, higher is better; declared." in text
    assert "quality: our exam; Wilson's score interval of 20 answers (a)" in text
    page = compared.render("html")
    assert '0.500</span><span class="ci">(no interval)</span>' in page
    assert "of each option" in page
    assert ",quality: quality,,0.5,,,declared," in compared.render("csv")
