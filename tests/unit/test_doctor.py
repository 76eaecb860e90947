"""greengen doctor, on fake machines and on this one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from greengen.cli import doctor
from greengen.cli.selftest import Live, read_live, words
from greengen.collector import Discovery, Domain, Event, Sample, Unavailable
from greengen.errors import UsageError
from greengen.plugins import Found
from greengen.testing import trees
from tests.hosts import loading


def run(*arguments: str) -> str:
    result = CliRunner().invoke(doctor.command, ["--seconds", "0.1", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def report(*arguments: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(run("--json", *arguments))
    return loaded


@pytest.fixture
def laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = trees.intel_laptop(tmp_path)
    for name, value in trees.environment(host).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("GREENGEN_PYNVML", "greengen.testing.fake_pynvml")


def test_the_command_is_named_doctor() -> None:
    assert doctor.command.name == "doctor"


@pytest.mark.usefixtures("laptop")
def test_json_of_a_laptop() -> None:
    told = report("--collectors", "rapl,cpu_model")
    assert told["schema"] == "greengen.doctor/1"
    assert told["machine"]["logical_cpus"] >= 1
    domains = {row["domain"]: row for row in told["domains"]}
    assert set(domains) == {"rapl:package-0", "rapl:package-0/core", "rapl:package-0/uncore", "rapl:psys"}
    package = domains["rapl:package-0"]
    assert (package["kind"], package["grade"], package["scope"], package["split"]) == (
        "package",
        "measured",
        "host",
        "cpu",
    )
    assert package["resolution_j"] == pytest.approx(61e-6, rel=1e-3)
    assert package["refresh_s"] == 0.001
    assert package["live"]["moved"] is False
    assert "stood still" in package["live"]["note"]
    assert domains["rapl:psys"]["alternative"] is True
    assert "sole tenancy" in domains["rapl:psys"]["split_reason"]
    assert told["unavailable"] == []
    assert told["warnings"] == []


@pytest.mark.usefixtures("two_gpus")
def test_json_of_gpus_that_draw_a_known_power() -> None:
    told = report("--collectors", "nvml")
    assert [row["live"]["power_w"] for row in told["domains"]] == pytest.approx([300, 120], rel=0.02)
    assert all(row["live"]["moved"] for row in told["domains"])


@pytest.mark.usefixtures("laptop", "two_gpus")
def test_terminal() -> None:
    text = run()
    assert "Can be measured" in text
    assert "rapl:psys" in text
    assert "never added" in text
    assert "sole tenancy" in text
    assert "Cannot be measured" in text  # the profiled process is not in the fake procfs


def test_a_terminal_is_not_overrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither to its right, nor by what a driver calls its channel."""
    host = loading.build("arc_b580", tmp_path)
    loading.show(host, "class/hwmon/hwmon5/energy2_label", "\x1b[2Jpkg")
    for name, value in trees.environment(host).items():
        monkeypatch.setenv(name, value)
    assert "\x1b" not in run("--collectors", "intel_gpu")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    shown = run("--collectors", "intel_gpu")
    assert "\x1b[2J" not in shown
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert max(map(len, lines)) <= 80
    # What goes on below stands as far in.
    first = next(number for number, line in enumerate(lines) if line.startswith("    not split between processes: "))
    assert lines[first + 1].startswith("    ")
    assert lines[first + 1].strip()


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (trees.empty_vm, ("virtual machine", "remedy: measure on the host")),
        (trees.masked_container, ("MaskedPaths", "GREENGEN_SYSFS")),
    ],
)
def test_terminal_says_why_and_what_would_help(
    machine: Any,  # noqa: ANN401 -- one of the tree writers
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in trees.environment(machine(tmp_path)).items():
        monkeypatch.setenv(name, value)
    text = run("--collectors", "rapl")
    assert "Can be measured: nothing" in text
    assert all(word in text for word in words)


def test_text_in_brackets_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    domains = (Domain("x:[red]a", "x", "gpu", "x", detail="[bold]b", split_reason="[/c]"),)
    found = Found((), domains, (Unavailable("[d]", "[/e]", "[f]"),), ("[/g]",))
    doctor._print(doctor.describe(found, [], read_live(found, lambda seconds: None)))
    text = capsys.readouterr().out
    assert all(part in text for part in ("x:[red]a", "[bold]b", "[/c]", "[d]", "[/e]", "[f]", "[/g]"))


def test_what_is_not_supported_is_told_with_why_and_what_instead() -> None:
    text = run("--collectors", "rapl")
    told = json.loads(run("--collectors", "rapl", "--json"))["unsupported"]
    assert {"interface", "reason", "remedy"} == set(told[0])
    assert len({row["interface"] for row in told}) == len(told)
    for row in told:
        assert all(row.values())
        assert f"{row['interface']}: {row['reason']}" in text
        assert f"instead: {row['remedy']}" in text


def test_unknown_collector() -> None:
    with pytest.raises(UsageError, match="known are"):
        CliRunner().invoke(doctor.command, ["--collectors", "rapll"], catch_exceptions=False)


def test_this_machine() -> None:
    """The real thing, in a process of its own: it ends well and says something of every built-in interface."""
    program = "from greengen.cli.doctor import command\ncommand()"
    line = [sys.executable, "-c", program, "--json", "--seconds", "0.2"]
    child = subprocess.run(line, capture_output=True, text=True, check=True)
    told = json.loads(child.stdout)
    interfaces = {row["interface"].partition(":")[0] for row in told["unavailable"]}
    assert {row["collector"] for row in told["domains"]} | interfaces >= {"rapl", "nvml"}
    moving = [row for row in told["domains"] if row["collector"] == "cpu_model"]
    assert all(row["live"]["power_w"] > 0 for row in moving)


# --- the self-test ------------------------------------------------------------------------------------------


class Scripted:
    """A collector of one domain whose readings are `step_s` apart; None for a reading that fails."""

    name = "two"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, *values: float | None, step_s: float = 2.0, **domain: Any) -> None:  # noqa: ANN401
        self.domain = Domain("two:0", "two", "gpu", "two", **domain)
        self._rows = iter([(round(i * step_s * 1e9), value) for i, value in enumerate(values)])

    def discover(self) -> Discovery:
        return Discovery((self.domain,))

    def read(self) -> Iterator[Sample | Event]:
        t_ns, value = next(self._rows)
        if value is None:
            yield Event(t_ns, "gap", "two:0", "it fell off")
        else:
            yield Sample("two:0", t_ns, value, self.domain.reading)

    def close(self) -> None:
        return


class Slow(Scripted):
    """It says one thing, and then nothing more."""

    said = False

    def read(self) -> Iterator[Sample | Event]:
        if not self.said:
            self.said = True
            yield from super().read()


def live(collector: Scripted, seconds: float = 0.1) -> Live:
    """What so many seconds show; nobody sleeps."""
    waited: list[float] = []
    told = read_live(Found((collector,), (collector.domain,)), waited.append, seconds)["two:0"]
    assert waited == [0.1] * round(seconds / 0.1)
    return told


def test_a_counter_that_moves() -> None:
    assert live(Scripted(10.0, 30.0)) == Live(moved=True, power_w=10.0, readings=2)
    assert live(Scripted(10.0, 30.0, max_power_w=10.0)).plausible is True


def test_how_often_there_is_something_new() -> None:
    counter = Scripted(*(100.0 * (i // 3) for i in range(11)), step_s=0.1, max_power_w=900.0)
    told = live(counter, 1.0)
    assert told.readings == 11
    assert told.changed_every_s == pytest.approx(0.3)
    assert told.power_w == pytest.approx(300)
    assert words(asdict(told)) == (
        "self-test: 11 readings, it moved, something new every 0.3 s, its power is below the most it can draw"
    )


def test_something_new_at_each_reading() -> None:
    told = live(Scripted(*(30.0 * i for i in range(11)), step_s=0.1), 1.0)
    assert words(asdict(told)) == "self-test: 11 readings, it moved, something new at each of them"


def test_a_counter_that_stands_still() -> None:
    told = live(Scripted(10.0, 10.0, max_power_w=100.0))
    assert (told.moved, told.power_w, told.plausible, told.changed_every_s) == (False, 0.0, False, None)
    assert "stood still for 2.00 s" in told.note
    assert words(asdict(told)) == "self-test: 2 readings, it held one value"


def test_a_counter_that_steps_back() -> None:
    told = live(Scripted(10.0, 3.0))
    assert (told.power_w, told.plausible) == (None, False)
    assert "a wrap, or a reset" in told.note
    # Were the first and the last looked at alone, it would have gained 50 J.
    assert "a wrap" in live(Scripted(10.0, 20.0, 5.0, 60.0), 0.3).note


def test_a_counter_that_runs_away() -> None:
    told = live(Scripted(0.0, 30.0, max_power_w=12.0))
    assert (told.power_w, told.plausible) == (15.0, False)
    assert "12 W" in told.note


def test_a_gauge() -> None:
    assert live(Scripted(80.0, 90.0, reading="power")) == Live(moved=True, power_w=90.0, readings=2)
    held = live(Scripted(80.0, 80.0, 80.0, reading="power", max_power_w=100.0), 0.2)
    assert (held.moved, held.power_w, held.plausible, held.note) == (False, 80.0, True, "")


def test_a_gauge_in_another_unit() -> None:
    told = live(Scripted(80_000.0, 90_000.0, reading="power", max_power_w=400.0))
    assert told.plausible is False
    assert "more than the 400 W" in told.note


def test_a_slow_gauge_that_said_one_thing() -> None:
    """What is asked every five seconds has been asked once."""
    gauge = Slow(80.0, reading="power", max_power_w=400.0)
    told = live(gauge, 0.5)
    assert (told.moved, told.power_w, told.plausible, told.readings) == (None, 80.0, True, 1)
    assert words(asdict(told)) == ""


def test_a_reading_that_fails() -> None:
    assert live(Scripted(10.0, None)) == Live(moved=None, power_w=None, note="it fell off", readings=1)
    assert live(Scripted(None, None)) == Live(moved=None, power_w=None, note="it fell off")


def test_one_that_failed_for_a_while_says_so() -> None:
    told = live(Scripted(10.0, None, 50.0), 0.2)
    assert (told.moved, told.power_w, told.note) == (True, 10.0, "it fell off")


def test_a_collector_that_raises() -> None:
    told = live(Scripted(1.0))
    assert told.moved is None
    assert "reading two failed" in told.note
