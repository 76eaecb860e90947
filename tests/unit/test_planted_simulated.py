"""The planted meter through every kind of counter, simulated: what greengen claims holds, and can fail to."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from greengen.testing import planted, trees
from greengen.testing.planted_counters import AVERAGED_MS, COUNTERS, Shown, names
from greengen.testing.planted_meter import METER, draw
from greengen.testing.planted_simulated import Simulator, simulate, truth_of
from greengen.testing.planted_trial import Trial
from greengen.testing.planted_work import AT_ONCE, IN_TURN, UNITS, worker_name

MS = 1_000_000


@pytest.mark.parametrize("counter", names())
def test_claims_hold_where_the_meter_itself_is_right(counter: str, tmp_path: Path) -> None:
    proof = planted.simulate(10, 0, tmp_path, counter=COUNTERS[counter], gains=False)
    assert set(proof.kinds) == {"total", IN_TURN, AT_ONCE, "other", "own", "unchanged"}
    assert {kind: proof.coverage(kind) for kind in proof.kinds if proof.coverage(kind) < planted.REQUIRED} == {}
    assert proof.holds
    assert all(claim.resolved for claim in proof.claims)
    # Alone and one after another, work is told apart; of what is only modelled nobody claims much.
    widths = {c.kind: c.width for c in proof.claims if c.where != "beside"}
    assert widths[IN_TURN] < (0.25 if COUNTERS[counter].measures else 0.7)
    assert widths["total"] < 0.03 if COUNTERS[counter].measures else widths["total"] > 0.7


def total(trial: Trial) -> bool:
    [claim] = [claim for claim in trial.claims if claim.kind == "total"]
    return claim.holds


@pytest.mark.parametrize("counter", [name for name in names() if COUNTERS[name].measures])
def test_a_meter_that_is_off_is_covered_as_far_as_its_collector_says(counter: str, tmp_path: Path) -> None:
    simulator = Simulator.on(tmp_path, COUNTERS[counter])
    assert [total(simulator.run(1, gain=gain)) for gain in (-3.0, -1.5, 1.5, 3.0)] == [False, True, True, False]


def test_spans_too_short_for_an_average_are_said_to_be_unresolved(tmp_path: Path) -> None:
    short = replace(COUNTERS["averaged"], unit_s=AVERAGED_MS / 1000)
    claims = Simulator.on(tmp_path, short).run(1, gain=None, neighbour=False).claims
    unresolved = {claim.what for claim in claims if not claim.resolved}
    # All are compared with the least, which is one window long.
    assert unresolved == {f"{worker_name(phase, n)} / 1" for phase in (IN_TURN, AT_ONCE) for n in UNITS[1:]}
    assert all(claim.holds for claim in claims)


def test_the_log_is_the_sealed_model_and_work_is_what_was_asked_for() -> None:
    work = simulate(3, 0.1, neighbour=True)
    truth, _ = truth_of(work, draw(3))
    assert float(truth.energy_uj[-1]) / 1e6 == pytest.approx(truth.modelled_j(), abs=1e-4)
    for phase, units in itertools.product((IN_TURN, AT_ONCE), UNITS):
        cpu_ns, (first, last) = work.cpu_ns[worker_name(phase, units)], work.live[worker_name(phase, units)]
        assert cpu_ns.sum() == cpu_ns[first:last].sum() == units * 100 * MS
    assert work.cpu_ns[METER].sum() > 0
    assert not (simulate(4, 0.1, neighbour=True).cpu_ns[METER][:100] == work.cpu_ns[METER][:100]).all()


@pytest.fixture
def shown(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Shown, Path]]:
    counter = COUNTERS[request.param]
    host = counter.build(trees.machine(tmp_path, model=trees.INTEL_LAPTOP_CPU, cpus=2))
    opened = counter.open(host.sysfs)
    file = {
        "energy": "class/powercap/intel-rapl:0/energy_uj",
        "averaged": "class/hwmon/hwmon2/device/power1_average",
        "instant": "class/hwmon/hwmon2/power1_input",
    }
    yield opened, host.sysfs / file[counter.name]
    opened.close()


@pytest.mark.parametrize("shown", ["averaged"], indirect=True)
def test_an_average_is_of_its_window_and_changes_once_in_it(shown: tuple[Shown, Path]) -> None:
    meter, file = shown
    told = []
    # 10 W, and from 150 ms on 30 W.
    for ms in range(401):
        meter.show(ms * MS, ms * 0.01 + max(ms - 150, 0) * 0.02)
        told.append(int(file.read_text()))
    assert [told[ms] / 1e6 for ms in (1, 101, 150, 201, 301, 400)] == pytest.approx([10, 10, 10, 20.2, 30, 30], abs=0.3)
    assert sum(before != after for before, after in itertools.pairwise(told)) <= 5


@pytest.mark.parametrize("shown", ["instant"], indirect=True)
def test_an_instant_is_of_the_last_step(shown: tuple[Shown, Path]) -> None:
    meter, file = shown
    for t_ns, energy_j in ((0, 0.0), (MS, 0.01), (2 * MS, 0.04)):
        meter.show(t_ns, energy_j)
    assert int(file.read_text()) == 30_000_000


@pytest.mark.parametrize("shown", ["energy"], indirect=True)
def test_a_counter_begins_anew(shown: tuple[Shown, Path]) -> None:
    meter, file = shown
    meter.show(0, 0.0)
    first = int(file.read_text())
    meter.show(MS, 59.5)
    assert int(file.read_text()) == first - 500_000


def test_the_command_simulates(tmp_path: Path) -> None:
    arguments = ["--trials", "2", "--simulated", "--counter", "averaged", "--json", os.fspath(tmp_path / "p.json")]
    done = CliRunner().invoke(planted.main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == "the claims hold"
    assert (tmp_path / "p.json").exists()
