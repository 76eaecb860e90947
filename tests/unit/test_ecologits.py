"""API models that nobody can meter, as ecologits 0.11 estimates them; without it, the extra is named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from greengen.errors import KindMismatchError, UsageError
from greengen.integrations import ecologits
from greengen.recording import export
from greengen.rows import Rows
from greengen.run import Run
from greengen.sites import site
from tests.unit.test_footprint import PACKAGE, requests, timeline


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ecologits.tracers.utils", None)
    with pytest.raises(UsageError, match=r"pip install 'greengen\[ecologits\]'"):
        ecologits.request("openai", "gpt-4o", 400, zone="USA")


def test_no_zone_is_taken_in_silence() -> None:
    with pytest.raises(UsageError, match="no zone was given"):
        ecologits.request("openai", "gpt-4o", 400, zone=None)
    with pytest.raises(UsageError, match="0 tokens or more"):
        ecologits.request("openai", "gpt-4o", -1, zone="USA")


class TestEstimates:
    @pytest.fixture(autouse=True)
    def installed(self) -> None:
        pytest.importorskip("ecologits", reason="the extra `ecologits` is not installed")

    def test_its_ranges_are_kept(self) -> None:
        """0.58 to 0.96 Wh and 0.22 to 0.37 g for 400 tokens of gpt-4o, as ecologits 0.11.3 tells them."""
        told = ecologits.request("openai", "gpt-4o", 400, zone="USA", latency_s=100.0)
        energy = told.energy.to("Wh")
        assert energy.value == pytest.approx((0.5788737899565864 + 0.9637064713962811) / 2)
        assert "0.0005789 to 0.0009637 kWh" in energy.note
        assert energy.low == pytest.approx(0.5788737899565864)
        assert energy.high == pytest.approx(0.9637064713962811)
        assert {q.grade for q in (told.energy, told.operational, told.embodied, told.water)} == {"modelled"}
        assert told.operational.value == pytest.approx((0.2225190848593118 + 0.3704487676047305) / 2)
        assert told.embodied.value == pytest.approx(0.015665118243243244)
        assert told.both().value == pytest.approx((told.operational.value or 0) + (told.embodied.value or 0))
        assert told.water.value == pytest.approx((0.002087573252927439 + 0.003475382524247362) / 2)
        assert any("not been released" in text for text in told.warnings)

    def test_of_a_dense_open_model_it_is_the_worked_example(self) -> None:
        """W11 of the worked examples, by the package itself."""
        from ecologits.impacts.llm import compute_llm_impacts

        found = compute_llm_impacts(
            model_active_parameter_count=70, model_total_parameter_count=70, output_token_count=400,
            if_electricity_mix_adpe=0.0, if_electricity_mix_pe=0.0, if_electricity_mix_gwp=0.04144,
            if_electricity_mix_wue=3.6737, datacenter_pue=1.2, datacenter_wue=0.5,
        )  # fmt: skip
        assert found.usage.energy.value == pytest.approx(0.000263011597, rel=2e-9)
        assert found.embodied.gwp.value == pytest.approx(2.26387813e-05, rel=2e-9)
        assert found.usage.wcf.value == pytest.approx(0.00107581387, rel=1e-8)

    def test_the_parameters_of_one_model_are_one_unknown(self) -> None:
        one, two = (ecologits.request("openai", "gpt-4o", n, zone="USA").energy for n in (100, 200))
        ratio = two / one
        assert (ratio.value or 0) == pytest.approx(2.0, rel=0.03)
        # Each alone is known to a quarter; their latency to the first token is all that does not cancel.
        assert (ratio.high or 9) - (ratio.low or 0) < 0.02

    def test_its_grams_are_of_the_kind_that_a_zone_here_has(self) -> None:
        told = ecologits.request("openai", "gpt-4o", 400, zone="USA")
        intensity = site(zone="USA").intensity
        assert intensity is not None
        assert told.operational.basis == intensity.basis
        with pytest.raises(KindMismatchError):
            told.operational + site(intensity=300.0).intensity.scaled(1.0)  # type: ignore[union-attr]

    def test_the_zone_that_it_assumes_is_taken_where_that_is_said(self) -> None:
        told = ecologits.request("openai", "gpt-4o", 400, zone=ecologits.PROVIDERS_OWN)
        assert told.operational.value == ecologits.request("openai", "gpt-4o", 400, zone="usa").operational.value

    @pytest.mark.parametrize(
        ("provider", "model", "zone"),
        [("openai", "nope", "USA"), ("nobody", "gpt-4o", "USA"), ("openai", "gpt-4o", "XXX")],
    )
    def test_what_it_does_not_know_is_an_error_and_not_nothing(self, provider: str, model: str, zone: str) -> None:
        with pytest.raises(UsageError, match="ecologits cannot tell"):
            ecologits.request(provider, model, 400, zone=zone)

    def test_the_requests_of_a_run(self, tmp_path: Path) -> None:
        path = tmp_path / "client.greengen"
        spans = [span for span in requests() if span.uid != "b/3"]
        named = [type(span)(span.uid, span.process, None, "request", span.t0_ns, span.t1_ns, model="gpt-4o",
                            output_tokens=25) for span in spans]  # fmt: skip
        export.write(Rows(timelines=[timeline([(PACKAGE, 0.001)], spans=named)]), path, force=False)
        told = ecologits.requests(Run(path), "openai", zone="USA")
        one = ecologits.request("openai", "gpt-4o", 25, zone="USA", latency_s=12.5)
        assert list(told) == ["gpt-4o"]
        assert told["gpt-4o"].energy.value == pytest.approx(3 * (one.energy.value or 0))
        assert told["gpt-4o"].energy.grade == "modelled"
