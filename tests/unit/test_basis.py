"""What an intensity is of: read from text, told as text, and never mixed."""

from __future__ import annotations

import pytest

from greengen import data
from greengen.basis import DECLARED, NO_GRID, Basis, common, declared, joined
from greengen.errors import KindMismatchError, UsageError
from greengen.quantity import Quantity, total

TABLE = "average; lifecycle; location-based; generation-based"


def grams(value: float, basis: str | None) -> Quantity:
    return Quantity(value, "g", "modelled", basis=basis)


class TestText:
    def test_the_shipped_tables_text(self) -> None:
        basis = Basis.parse("average; lifecycle; generation-based (no trade)")
        assert basis == Basis("average", "lifecycle", None, "generation")
        assert str(basis) == "average; lifecycle; generation-based"

    def test_every_row_that_ships_is_of_a_stated_kind(self) -> None:
        for text in {row.quantity().basis for row in data.grid_intensities()}:
            basis = Basis.parse(text)
            assert (basis.kind, basis.also) == ("average", ())
            assert Basis.parse(str(basis)) == basis

    @pytest.mark.parametrize("text", ["marginal_short", "short-run marginal", "Marginal  short-run"])
    def test_one_kind_may_be_written_in_several_ways(self, text: str) -> None:
        assert Basis.parse(text).kind == "marginal_short"

    def test_a_bare_marginal_is_of_no_known_run(self) -> None:
        """It may be short or long: nothing is guessed, and it mixes with neither."""
        assert Basis.parse("marginal") == Basis(also=("marginal",))
        for kind in ("short-run marginal", "long-run marginal", "average"):
            with pytest.raises(KindMismatchError, match="marginal"):
                common(["marginal", kind], "add")

    def test_what_it_does_not_know_it_keeps(self) -> None:
        text = "average; location-based; operational gross"
        assert Basis.parse(text).also == ("operational gross",)
        assert str(Basis.parse(text)) == text

    def test_nothing_stated(self) -> None:
        for text in (None, "", " ; "):
            assert Basis.parse(text) == Basis()
        assert str(Basis()) == ""

    def test_one_thing_told_in_two_ways(self) -> None:
        with pytest.raises(UsageError, match="accounting in two ways: location and market"):
            Basis.parse("average; location-based; market-based")

    def test_a_value_that_is_none(self) -> None:
        with pytest.raises(UsageError, match="kind 'mean' is none of average, marginal_short, marginal_long"):
            Basis(kind="mean")  # type: ignore[arg-type]


class TestDeclared:
    def test_as_far_as_the_user_says(self) -> None:
        assert str(declared()) == DECLARED
        assert str(declared("marginal_short", losses="in")) == f"short-run marginal; grid losses in; {DECLARED}"

    def test_with_a_table_it_mixes_once_it_states_what_the_table_states(self) -> None:
        whole = declared("average", scope="lifecycle", accounting="location", side="generation")
        for parts in ([str(whole), TABLE], [TABLE, str(whole)], [NO_GRID, TABLE, str(whole)]):
            assert total([grams(1.0, basis) for basis in parts], "g").basis == str(whole)
        for less in (declared(), declared("average")):
            with pytest.raises(KindMismatchError, match="scope is lifecycle in one and not stated in the other"):
                _ = grams(1.0, TABLE) + grams(1.0, str(less))
        assert (grams(1.0, DECLARED) + grams(1.0, DECLARED)).basis == DECLARED
        with pytest.raises(KindMismatchError, match="declared by the user"):
            _ = grams(1.0, DECLARED) + grams(1.0, None)

    def test_what_is_none_is_refused(self) -> None:
        for stated in ("colour", "also"):
            with pytest.raises(UsageError, match=f"has no {stated}"):
                declared(**{stated: "green"})
        with pytest.raises(UsageError, match="kind 'green'"):
            declared("green")


class TestMixing:
    def test_the_message_names_what_differs(self) -> None:
        with pytest.raises(KindMismatchError) as raised:
            _ = grams(1.0, TABLE) + grams(1.0, "short-run marginal; lifecycle; location-based; generation-based")
        assert "cannot add" in str(raised.value)
        assert "kind is average in one and short-run marginal in the other" in str(raised.value)
        assert "scope" not in str(raised.value)

    def test_stated_is_not_unstated(self) -> None:
        with pytest.raises(KindMismatchError, match="accounting is location-based in one and not stated in the other"):
            _ = grams(1.0, "average; location-based") / grams(1.0, "average")

    def test_the_same_in_other_words_is_the_same(self) -> None:
        one, other = grams(1.0, "average; generation-based (no trade)"), grams(2.0, "generation-based;  average")
        assert (one + other).value == 3.0
        assert (one / other).value == 0.5

    def test_idle_rules_do_not_mix_either(self) -> None:
        with pytest.raises(KindMismatchError, match="capacity-share"):
            _ = grams(1.0, f"{TABLE}; static capacity-share 0") + grams(1.0, TABLE)

    def test_a_product_of_two_kinds(self) -> None:
        rate = Quantity(1.0, "", "declared", basis="market-based")
        with pytest.raises(KindMismatchError, match="accounting"):
            grams(1.0, TABLE).times(rate, "x", unit="g")

    def test_a_product_is_of_what_either_states(self) -> None:
        assert joined("static capacity-share 0", TABLE) == f"static capacity-share 0; {TABLE}"
        assert joined(TABLE, None) == joined(None, TABLE) == joined(TABLE, TABLE) == TABLE
        assert joined(None, None) is None
        assert joined(NO_GRID, TABLE) == TABLE


class TestEmbodied:
    """Grams without an intensity in them: SCI adds them to the operational ones, of whatever kind."""

    @pytest.mark.parametrize("basis", [TABLE, "short-run marginal; direct", DECLARED, "average; as the supplier says"])
    def test_they_add_to_any_kind_and_do_not_change_it(self, basis: str) -> None:
        operational, embodied = grams(2.0, basis), grams(1.0, NO_GRID)
        assert (operational + embodied).basis == (embodied + operational).basis == basis
        assert total([embodied, embodied], "g").basis == NO_GRID
        assert (embodied / operational).value == 0.5

    def test_they_are_no_bridge_between_kinds(self) -> None:
        for parts in ([NO_GRID, TABLE, "market-based"], [TABLE, NO_GRID, "market-based"]):
            with pytest.raises(KindMismatchError, match="accounting"):
                total([grams(1.0, basis) for basis in parts], "g")

    def test_their_idle_rule_is_that_of_the_energy(self) -> None:
        rules = "static capacity-share 0"
        operational = grams(1.0, joined(rules, TABLE))
        assert (operational + grams(1.0, joined(rules, NO_GRID))).basis == operational.basis
        assert (grams(1.0, NO_GRID) + grams(1.0, joined(rules, NO_GRID))).basis == joined(rules, NO_GRID)
        assert (grams(1.0, NO_GRID) + operational).basis == operational.basis  # it states no rule of its own
        for other in (joined("idle pro-rata", NO_GRID), joined("idle pro-rata", TABLE)):
            with pytest.raises(KindMismatchError, match="one is 'idle pro-rata' and the other is not"):
                _ = operational + grams(1.0, other)
        with pytest.raises(KindMismatchError, match="is 'static capacity-share 0' and the other is not"):
            _ = grams(1.0, joined(rules, NO_GRID)) + grams(1.0, TABLE)
        with pytest.raises(KindMismatchError, match="and the other is not"):
            _ = grams(1.0, joined(rules, NO_GRID)) + grams(1.0, joined("idle pro-rata", NO_GRID))
