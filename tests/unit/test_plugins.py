"""Plug-ins through real entry points: installed distributions, broken ones among them, written under tmp_path."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from greengen import plugins
from greengen.collector import Collector, Discovery, Domain, Event, Host, Sample, Unavailable, Usage
from greengen.errors import UsageError
from greengen.testing import trees

BUILT_IN = {"rapl", "nvml", "cpu_model", "procfs"}

GOOD = """
from greengen.collector import Discovery

class Good:
    name = "good"
    fallback_for = ()
    def __init__(self, host): self.host = host
    def discover(self): return Discovery()
    def read(self): return ()
    def close(self): pass

class Bad(Good):
    def __init__(self, host): raise RuntimeError("no wires")

not_a_collector = lambda host: 42
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Makes a distribution with entry points of `greengen.collectors` importable."""

    def installed(distribution: str, module: str = GOOD, **entries: str) -> None:
        site = tmp_path / distribution
        info = site / f"{distribution}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(("[greengen.collectors]", *lines)) + "\n")
        (site / f"{distribution}_module.py").write_text(module)
        monkeypatch.syspath_prepend(str(site))
        modules.append(f"{distribution}_module")

    modules: list[str] = []
    yield installed
    for module in modules:
        sys.modules.pop(module, None)


def test_the_built_in_collectors_come_by_entry_points() -> None:
    made, problems = plugins.collectors(Host())
    assert {collector.name for collector in made} >= BUILT_IN
    assert not [why for why in problems if why.interface in BUILT_IN]
    assert all(isinstance(collector, Collector) for collector in made)


def test_a_tree_named_by_nothing_is_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENGEN_SYSFS", "")
    monkeypatch.setenv("GREENGEN_PROCFS", "")
    host = Host.from_environment()
    assert (host.sysfs, host.procfs) == (Path("/sys"), Path("/proc"))


def test_the_root_is_the_process_that_procfs_knows_us_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in `unshare --pid --fork`, where /proc is still that of the namespace outside."""
    monkeypatch.setenv("GREENGEN_PROCFS", str(tmp_path))
    assert Host.from_environment().root_pid == os.getpid()
    (tmp_path / "self").symlink_to("4242")
    assert Host.from_environment().root_pid == 4242
    assert Host.from_environment(7).root_pid == 7


def test_a_third_partys_collector(install: Install) -> None:
    install("meters", good="meters_module:Good")
    host = Host()
    made, problems = plugins.collectors(host, ["good"])
    assert problems == []
    (collector,) = made
    assert collector.name == "good"
    assert collector.host is host  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("no_such_module:Good", "No module named 'no_such_module'"),
        ("meters_module:Gone", "Gone"),
        ("meters_module:Bad", "no wires"),
        ("meters_module:not_a_collector", "int"),
    ],
    ids=["import error", "wrong attribute", "cannot be started", "no collector"],
)
def test_a_broken_plug_in_is_one_problem_and_the_rest_load(install: Install, value: str, word: str) -> None:
    install("meters", broken=value, good="meters_module:Good")
    made, problems = plugins.collectors(Host())
    assert {collector.name for collector in made} >= BUILT_IN | {"good"}
    (problem,) = problems
    assert problem.interface == "broken"
    assert word in problem.reason


def test_an_exception_at_import_is_one_problem(install: Install) -> None:
    install("meters", "raise SystemError('boom')", broken="meters_module:Good")
    _, problems = plugins.collectors(Host())
    assert [problem.interface for problem in problems] == ["broken"]
    assert "SystemError: boom" in problems[0].reason


def test_only_chosen_plug_ins_are_imported(install: Install) -> None:
    install("meters", "raise SystemError('boom')", broken="meters_module:Good")
    made, problems = plugins.collectors(Host(), ["-broken", "-nvml"])
    assert problems == []
    names = {collector.name for collector in made}
    assert names >= BUILT_IN - {"nvml"}
    assert not names & {"broken", "nvml"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (None, BUILT_IN),
        ([], BUILT_IN),
        (["rapl"], {"rapl"}),
        (["rapl", "procfs"], {"rapl", "procfs"}),
        (["-cpu_model"], BUILT_IN - {"cpu_model"}),
        (["rapl", "nvml", "-nvml"], {"rapl"}),
    ],
)
def test_names_choose_and_exclude(names: list[str] | None, expected: set[str]) -> None:
    assert set(plugins.load(plugins.COLLECTORS, names).plugins) & BUILT_IN == expected


@pytest.mark.parametrize("names", [["rapll"], ["-rapll"]])
def test_an_unknown_name_lists_the_known_ones(names: list[str]) -> None:
    with pytest.raises(UsageError, match=r"'rapll'.*cpu_model.*nvml.*procfs.*rapl"):
        plugins.collectors(Host(), names)


@pytest.mark.parametrize(
    ("text", "names"),
    [(None, None), ("", None), (" , ", None), ("rapl", ["rapl"]), ("rapl, -nvml,", ["rapl", "-nvml"])],
)
def test_parse_names(text: str | None, names: list[str] | None) -> None:
    assert plugins.parse_names(text) == names


def test_two_plug_ins_of_one_name(install: Install) -> None:
    install("first", good="first_module:Good")
    install("second", good="second_module:Good")
    loaded = plugins.load(plugins.COLLECTORS, ["good"])
    (problem,) = loaded.problems
    assert "two plug-ins" in problem.reason
    assert loaded.plugins["good"].__module__ in ("first_module", "second_module")
    assert f"{loaded.plugins['good'].__module__}:Good is used" in problem.reason


def test_one_distribution_seen_twice_is_no_conflict(install: Install) -> None:
    install("meters", good="meters_module:Good")
    install("meters_again", good="meters_module:Good")
    assert plugins.load(plugins.COLLECTORS, ["good"]).problems == ()


def test_importing_plugins_imports_no_plug_in() -> None:
    program = (
        "import sys\nbefore = set(sys.modules)\nimport greengen.plugins\n"
        "print(*(n for n in set(sys.modules) - before if n.startswith(('greengen', 'importlib.metadata', 'pynvml'))))"
    )
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    core = (
        "greengen",
        "greengen.plugins",
        "greengen.installed",
        "greengen.collector",
        "greengen.helpers",
        "greengen.errors",
    )
    assert set(child.stdout.split()) == set(core)


# --- what collectors find together ----------------------------------------------------------------------


@dataclass
class Scripted:
    """A collector of given domains, each of which reads 1 J."""

    name: str
    domains: tuple[Domain, ...] = ()
    fallback_for: tuple[str, ...] = ()
    unavailable: tuple[Unavailable, ...] = ()
    fails: bool = False
    closed: bool = field(default=False)

    def discover(self) -> Discovery:
        if self.fails:
            raise ZeroDivisionError
        return Discovery(self.domains, self.unavailable)

    def read(self) -> Iterable[Sample | Usage | Event]:
        yield from (Sample(domain.uid, 0, 1.0) for domain in self.domains)
        yield Usage("cpu", "machine", 0, 1)
        yield from (Event(0, "gap", domain.uid, "") for domain in self.domains)
        if self.fails:
            raise ZeroDivisionError

    def close(self) -> None:
        self.closed = True


def domain(uid: str, kind: str, collector: str = "") -> Domain:
    return Domain(uid, collector or uid.partition(":")[0], kind, uid)


def test_a_fallback_stands_down_where_the_kind_is_read() -> None:
    model = Scripted("model", (domain("model:package", "package"),), ("package",))
    rapl = Scripted("rapl", (domain("rapl:package-0", "package"),))
    for order in ([model, rapl], [rapl, model]):
        model.closed = False
        found = plugins.discover_all(order)
        assert [item.uid for item in found.domains] == ["rapl:package-0"]
        assert found.collectors == (rapl,)
        assert model.closed
        assert found.warnings == ()


def test_a_fallback_stands_in_where_nothing_else_reads_the_kind() -> None:
    model = Scripted("model", (domain("model:package", "package"),), ("package",))
    found = plugins.discover_all([model, Scripted("nvml", (domain("nvml:0", "gpu"),)), Scripted("rapl")])
    assert [item.uid for item in found.domains] == ["model:package", "nvml:0"]
    assert len(found.collectors) == 3
    assert not model.closed


def test_of_two_fallbacks_the_first_stands_in() -> None:
    one = Scripted("one", (domain("one:a", "package"), domain("one:b", "package")), ("package",))
    two = Scripted("two", (domain("two:a", "package"),), ("package",))
    found = plugins.discover_all([one, two])
    assert [item.uid for item in found.domains] == ["one:a", "one:b"]


def test_a_fallback_keeps_its_domains_of_other_kinds_and_reads_only_those() -> None:
    both = Scripted("both", (domain("both:package", "package"), domain("both:gpu", "gpu")), ("package",))
    found = plugins.discover_all([both, Scripted("rapl", (domain("rapl:package-0", "package"),))])
    assert [item.uid for item in found.domains] == ["both:gpu", "rapl:package-0"]
    rows = list(found.collectors[0].read())
    assert [row.domain for row in rows if isinstance(row, Sample)] == ["both:gpu"]
    assert [row.subject for row in rows if isinstance(row, Event)] == ["both:gpu"]
    assert len([row for row in rows if isinstance(row, Usage)]) == 1
    assert isinstance(found.collectors[0], Collector)
    found.collectors[0].close()
    assert both.closed


def test_one_uid_of_two_collectors_is_read_once() -> None:
    first = Scripted("first", (domain("gpu:0", "gpu", "first"),))
    second = Scripted("second", (domain("gpu:0", "gpu", "second"), domain("gpu:1", "gpu", "second")))
    found = plugins.discover_all([first, second])
    assert [(item.uid, item.collector) for item in found.domains] == [("gpu:0", "first"), ("gpu:1", "second")]
    (warning,) = found.warnings
    assert warning == "first and second both read gpu:0: the one of first is used"
    samples = [row.domain for collector in found.collectors for row in collector.read() if isinstance(row, Sample)]
    assert samples == ["gpu:0", "gpu:1"]


def test_a_failing_discovery_is_one_problem() -> None:
    broken = Scripted("broken", fails=True)
    why = Unavailable("x", "y")
    found = plugins.discover_all([broken, Scripted("fine", (domain("fine:0", "gpu"),), unavailable=(why,))])
    assert [item.uid for item in found.domains] == ["fine:0"]
    assert found.unavailable[0].interface == "broken"
    assert "ZeroDivisionError" in found.unavailable[0].reason
    assert found.unavailable[1] == why


def test_read_once_keeps_what_came_before_the_failure() -> None:
    rows, why = plugins.read_once(Scripted("broken", (domain("a:0", "gpu"),), fails=True))
    assert len(rows) == 3
    assert "ZeroDivisionError" in why
    assert plugins.read_once(Scripted("fine"))[1] == ""


def test_the_model_stands_down_for_a_real_rapl_tree(tmp_path: Path) -> None:
    made, _ = plugins.collectors(trees.intel_laptop(tmp_path), ["rapl", "cpu_model", "procfs"])
    found = plugins.discover_all(made)
    assert {collector.name for collector in found.collectors} == {"rapl", "procfs"}
    assert {item.collector for item in found.domains} == {"rapl"}
    for collector in found.collectors:
        collector.close()


def test_the_model_stands_in_for_a_masked_one(tmp_path: Path) -> None:
    made, _ = plugins.collectors(trees.masked_container(tmp_path), ["rapl", "cpu_model", "procfs"])
    found = plugins.discover_all(made)
    assert [item.uid for item in found.domains] == ["cpu_model:package"]
    for collector in found.collectors:
        collector.close()
