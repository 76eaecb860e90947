"""dcgm-exporter over a real HTTP server on loopback, in the format of its own source."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from greengen.accounting.cover import cover
from greengen.collector import Collector, Discovery, Domain, Event, Host, Sample
from greengen.collectors._dcgm_gpus import parse_gpus
from greengen.collectors._prometheus import Metric, parse
from greengen.collectors.dcgm import DcgmCollector, _Rows, _Scrape
from greengen.testing.http_meters import Fault, HttpMeter, PlantedPower, dcgm
from tests.unit.readings import gather, opened

A, B = "GPU-5c2f6a8e-0d1b-4b7e-9a42-3f1e6d7c8b90", "GPU-9e5b8fec-61bf-5124-a0a9-079af1b65cc6"

#: The labels and the repetition are those of an A800 with three instances; "N/A" as in the exporter's README.
MIG = f"""# HELP DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION Total energy consumption since boot (in mJ).
# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION counter
DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{gpu="0",UUID="{A}",GPU_I_PROFILE="2g.20gb",GPU_I_ID="3"}} 257858316
DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{gpu="0",UUID="{A}",GPU_I_PROFILE="2g.20gb",GPU_I_ID="5"}} 257858316
DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{gpu="1",UUID="{B}"}} 9223372036854775794
DCGM_FI_DEV_POWER_USAGE{{gpu="1",UUID="{B}"}} 55.011000
DCGM_FI_DEV_POWER_USAGE{{gpu="0",UUID="{A}",modelName="x"}} 140737488355328.000000
DCGM_FI_DEV_GPU_UTIL{{gpu="0" this line is not looked at
"""


def exporter(url: str, environ: Mapping[str, str] | None = None) -> DcgmCollector:
    return DcgmCollector(Host(environ={"GREENGEN_DCGM": url, **(environ or {})}))


def two() -> tuple[tuple[str, PlantedPower], ...]:
    return ((A, PlantedPower(300.0, 15_152_422.938)), (B, PlantedPower(120.0, 187_554.325)))


def test_is_a_collector_that_asks_nobody_by_default() -> None:
    collector = DcgmCollector(Host())
    assert isinstance(collector, Collector)
    assert collector.discover() == Discovery()
    assert list(collector.read()) == []


def test_counters_in_joules() -> None:
    with HttpMeter(dcgm(two())) as meter, opened(exporter(f"http://127.0.0.1:{meter.port}")) as (collector, found):
        assert [domain.uid for domain in found.domains] == [f"dcgm:{A}", f"dcgm:{B}"]
        first = found.domains[0]
        assert (first.kind, first.reading, first.name, first.scope) == ("gpu", "energy", "NVIDIA L40S (DCGM)", "device")
        assert "sole tenancy" in first.split_reason
        rows = gather(collector, lambda rows: len(rows) >= 4)
        series = [(row.t_ns / 1e9, row.value) for row in rows if isinstance(row, Sample) and row.domain == first.uid]
        assert series[0][1] == pytest.approx(15_152_422.938, abs=2000)
        (t0, e0), (t1, e1) = series[:2]
        assert (e1 - e0) / (t1 - t0) == pytest.approx(300, rel=0.05)


def test_an_answer_that_is_repeated_is_no_reading() -> None:
    text = dcgm(two())("/metrics")
    with HttpMeter(lambda path: text) as meter, opened(exporter(f"http://127.0.0.1:{meter.port}")) as (collector, _):
        asked = len(meter.asked)
        rows: list[Sample | Event] = []
        while len(meter.asked) < asked + 3:
            rows += collector.read()
            time.sleep(0.02)
        assert rows == []


def test_a_gpu_is_counted_once_beside_nvml() -> None:
    with HttpMeter(dcgm(two())) as meter, opened(exporter(f"http://127.0.0.1:{meter.port}")) as (_, found):
        nvml = Domain(f"nvml:{A}", "nvml", "gpu", "the same board")
        domains = (*found.domains, nvml)
        verdict = cover(domains, frozenset(domain.uid for domain in domains))
        assert {uid for uid, why in verdict.items() if not why} == {nvml.uid, f"dcgm:{B}"}
        assert verdict[f"dcgm:{A}"] == "another way to know what the same board already make up"
        alone = cover(domains, frozenset(domain.uid for domain in found.domains))
        assert {uid for uid, why in alone.items() if not why} == {f"dcgm:{A}", f"dcgm:{B}"}


def test_instances_of_a_board_are_one_and_blank_values_none() -> None:
    gpus = parse_gpus(MIG)
    assert list(gpus) == [A, B]
    assert (gpus[A].energy_j, gpus[A].power_w) == (257_858.316, None)
    assert (gpus[B].energy_j, gpus[B].power_w) == (None, 55.011)
    with HttpMeter(lambda path: MIG) as meter, opened(exporter(f"http://127.0.0.1:{meter.port}/metrics")) as (_, found):
        assert [(domain.uid, domain.reading) for domain in found.domains] == [
            (f"dcgm:{A}", "energy"),
            (f"dcgm:{B}", "power"),
        ]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, [A, B]),
        ({"CUDA_VISIBLE_DEVICES": "1"}, [B]),
        ({"CUDA_VISIBLE_DEVICES": f"{B[:12]},0"}, [B, A]),
        ({"CUDA_VISIBLE_DEVICES": f"MIG-{A}/3/0"}, [A]),
        ({"CUDA_VISIBLE_DEVICES": "MIG-7e5b8fec-61bf-5124-a0a9-079af1b65cc6"}, [A, B]),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
        ({"CUDA_VISIBLE_DEVICES": "7,0"}, []),
        ({"NVIDIA_VISIBLE_DEVICES": B}, [B]),
        ({"NVIDIA_VISIBLE_DEVICES": "1", "CUDA_VISIBLE_DEVICES": "0"}, [B]),
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, [A, B]),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "llm-1"}, [B]),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "web-0"}, []),
        ({"HOSTNAME": "web-0"}, [A, B]),
    ],
)
def test_only_the_gpus_of_this_process(environ: dict[str, str], expected: list[str]) -> None:
    with (
        HttpMeter(dcgm(two(), pods=("llm-0", "llm-1"))) as meter,
        opened(exporter(f"http://127.0.0.1:{meter.port}", environ)) as (_, found),
    ):
        assert [domain.uid for domain in found.domains] == [f"dcgm:{uuid}" for uuid in expected]
        assert bool(found.unavailable) == (not expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "neither"),
        ("<html>", "neither"),
        ('DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-a} 3', "format"),
        ('DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-a"} watts', "could not convert"),
        ('DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-a"} NaN', "neither its energy nor its power"),
        ('DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-a"} 0', "neither its energy nor its power"),
    ],
)
def test_what_is_no_answer_is_no_domain(text: str, words: str) -> None:
    with HttpMeter(lambda path: text) as meter, opened(exporter(f"http://127.0.0.1:{meter.port}")) as (_, found):
        assert found.domains == ()
        assert words in found.unavailable[0].reason


@pytest.mark.parametrize("url", ["10.0.0.1:9400", "ftp://10.0.0.1", "http://:9400"])
def test_what_cannot_be_configured_is_told(url: str) -> None:
    with opened(exporter(url)) as (_, found):
        assert "GREENGEN_DCGM" in found.unavailable[0].reason


@pytest.mark.parametrize(("fault", "words"), [("500", "500"), ("html", "neither"), ("hang", "no answer within 3 s")])
def test_a_fault_is_one_gap_of_each_gpu_and_then_readings_again(fault: Fault, words: str) -> None:
    with HttpMeter(dcgm(two())) as meter, opened(exporter(f"http://127.0.0.1:{meter.port}")) as (collector, _):
        gather(collector, bool)
        meter.fault = fault
        rows = gather(collector, lambda rows: any(isinstance(row, Event) for row in rows))
        events = [row for row in rows if isinstance(row, Event)]
        assert {(event.kind, event.subject) for event in events} == {("gap", f"dcgm:{A}"), ("gap", f"dcgm:{B}")}
        assert all(words in event.reason for event in events)
        meter.fault = ""
        rows = gather(collector, lambda rows: any(isinstance(row, Sample) for row in rows))
        assert not [row for row in rows if isinstance(row, Event)]


def test_a_gpu_that_goes_is_a_gap_and_the_other_goes_on() -> None:
    board_a, board_b = two()
    with (
        HttpMeter(dcgm((board_a, board_b))) as meter,
        opened(exporter(f"http://127.0.0.1:{meter.port}")) as (collector, _),
    ):
        meter.answers = dcgm((board_a,))
        rows = gather(collector, lambda rows: len(rows) >= 4)
        assert [row.subject for row in rows if isinstance(row, Event)] == [f"dcgm:{B}"]
        assert {row.domain for row in rows if isinstance(row, Sample)} == {f"dcgm:{A}"}


def test_an_exporter_whose_source_hangs_is_frozen() -> None:
    gpus = parse_gpus(MIG)
    rows = _Rows((Domain(f"dcgm:{A}", "dcgm", "gpu", "x"),))
    told = [row for t in range(300) for row in rows(t * 10**9, _Scrape(gpus, is_new=t == 0))]
    assert [type(row) for row in told] == [Sample, Event]
    assert isinstance(told[1], Event)
    assert (told[1].kind, told[1].t_ns) == ("freeze", 120 * 10**9)


def test_prometheus_text() -> None:
    text = '# c\n\nm{a="x\\"y\\\\z\\n,}",b=""} 1.5e3 1700000000\nm 2\nother{ 3\nmm{a="1"} 4\n'
    assert list(parse(text, ("m",))) == [Metric("m", {"a": 'x"y\\z\n,}', "b": ""}, 1500.0), Metric("m", {}, 2.0)]
