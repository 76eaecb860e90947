"""What a report says in words."""

from __future__ import annotations

import pytest

from greengen.reports import words
from tests.unit import documents


def test_the_accounts_sum_to_the_total() -> None:
    document, _ = documents.gpu_and_cpu()
    balance = words.balance(document)
    assert balance.holds is True
    assert balance.sum_j == pytest.approx(document["totals"]["energy_j"]["value"])
    assert balance.missing == ()


def test_a_joule_too_many_breaks_the_balance() -> None:
    document, _ = documents.cpu_only()
    document["accounts"][0]["energy_j"]["value"] += 0.001
    assert words.balance(document).holds is False


def test_without_a_total_there_is_no_balance() -> None:
    document, _ = documents.nothing_known()
    balance = words.balance(document)
    assert balance.holds is None
    assert balance.sum_j is None
    assert balance.missing == ("request/tiny",)


def test_how_live_spans_were_told_apart() -> None:
    document, _ = documents.gpu_and_cpu()
    [(group, told)] = words.sharing(document)
    assert group == "serving"
    weights = "weights fixed 3.00, prefill 1.00, decode 2.40"
    assert told == f"affine; {weights}; fitted over 240 stretches of time: a share is sure to about 1.3 %"
    document["run"]["policy"]["groups"][0] |= {"policy": "phase", "share_sigma": None, "fallback": "affine: no steps"}
    assert words.sharing(document)[0][1] == f"phase; {weights}; nothing better, for affine: no steps"
    assert words.rules(document) == "auto"
    assert words.rules(documents.cpu_only()[0]) == "equal"


def test_all_is_modelled_only_where_each_counted_domain_is() -> None:
    assert words.all_modelled(documents.cpu_only()[0])
    assert not words.all_modelled(documents.gpu_and_cpu()[0])
    assert not words.all_modelled(documents.empty()[0])
    assert not words.all_modelled(documents.nothing_known()[0])


def test_a_makers_own_estimate_is_not_busy_time() -> None:
    document = documents.cpu_only()[0]
    assert words.modelled_note(document) == words.ALL_MODELLED
    document["warnings"].append(words.ALL_ESTIMATED)
    assert words.modelled_note(document) == words.ALL_ESTIMATED
    assert words.ALL_ESTIMATED not in words.warnings(document)
    assert words.modelled_note(documents.gpu_and_cpu()[0]) == ""


def test_how_it_is_known_names_each_grade_with_its_share() -> None:
    mixed = " ".join(words.how_known(documents.gpu_and_cpu()[0]))
    assert "14.1 % is measured" in mixed
    assert "68.0 % is attributed" in mixed
    assert "17.9 % is modelled" in mixed
    assert "99.2 %" in mixed
    assert words.how_known(documents.cpu_only()[0])[0].startswith("All of it is modelled")
    assert "no power counter" in words.how_known(documents.nothing_known()[0])[0]


def test_the_remedy_for_missing_grams_is_never_empty() -> None:
    document, _ = documents.cpu_only()
    assert words.carbon_remedy(document) == document["factors"]["remedy"]
    document["factors"]["remedy"] = ""
    assert "--zone" in words.carbon_remedy(document)
    assert words.carbon_factors(document) == ""


def test_a_reason_does_not_repeat_the_remedy() -> None:
    document, _ = documents.cpu_only()
    remedy = document["factors"]["remedy"]
    document["totals"]["carbon_g"]["reason"] = f"no grid intensity was given: {remedy}"
    assert words.carbon_reason(document) == "no grid intensity was given"


def test_the_factors_behind_the_grams_are_named() -> None:
    told = words.carbon_factors(documents.gpu_and_cpu()[0])
    for part in ("344 g/kWh", "declared", "average; lifecycle", "DEU", "2025", "PUE 1.20", "Ember"):
        assert part in told


def test_the_largest_rows_come_first_and_the_unmeasured_last() -> None:
    document, _ = documents.gpu_and_cpu()
    rows = [*document["spans"], *document["requests"]]
    ranked = words.largest(rows, len(rows))
    known = [row["energy_j_inclusive"]["value"] for row in ranked if row["energy_j_inclusive"]["value"] is not None]
    assert known == sorted(known, reverse=True)
    assert ranked[-1]["id"] == "r/open"
    assert words.largest(rows, 3) == ranked[:3]


def test_a_grade_is_told_once() -> None:
    assert words.graded("CPU package 0", "modelled") == "CPU package 0 (modelled)"
    assert words.graded("CPU (modelled)", "modelled") == "CPU (modelled)"


def test_captions_tell_what_the_figures_show() -> None:
    document, series = documents.gpu_and_cpu()
    power = words.power_caption(series, 26, 976)
    assert "NVIDIA A10 0 (measured): mean 107 W, from 60.0 W to 138 W, known for 61.5 s" in power
    assert "976 more are not drawn" in power
    assert "request/llama-3.2-1b-bf16 1.52 kJ" in words.joules_caption(document, 0)
    assert words.power_caption([], 0, 0) == "Power: not measured. No span was recorded."
    assert words.joules_caption(documents.empty()[0], 0).endswith("By model: none.")
    assert words.joules_caption(documents.nothing_known()[0], 0).endswith("By model: not measured.")


def test_faults_are_told_once_per_domain_and_kind_and_not_without_end() -> None:
    events = [
        {"t_s": float(i), "kind": kind, "subject": f"c:{number}", "reason": f"because {i}"}
        for i in range(3)
        for number in range(7)
        for kind in ("gap", "freeze", "wrap", "state")
    ]
    told = words.faults({"events": events})
    assert told[0] == "gap of c:0, 3 times, first after 0 s: because 0"
    assert told[-1] == "and 2 more, in the events of the other formats"
    assert len(told) == 13
    assert words.faults({"events": [event for event in events if event["kind"] in ("wrap", "state")]}) == []
