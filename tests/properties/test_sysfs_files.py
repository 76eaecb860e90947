"""Whatever a file of sysfs shows: a reading is a finite number within what can be, or a gap. Never an exception."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from greengen.collector import Collector, Event, Host, Sample
from greengen.collectors._gpu_metrics import parse
from greengen.collectors.acpi_power_meter import AcpiPowerMeterCollector
from greengen.collectors.amdgpu import AmdgpuCollector
from greengen.collectors.intel_gpu import IntelGpuCollector
from tests.hosts import loading
from tests.hosts.gpu_metrics import STRUCTURES, pack

TEXTS = st.one_of(
    st.binary(max_size=80),
    st.integers(-(2**70), 2**70).map(lambda number: str(number).encode()),
    st.floats().map(lambda number: str(number).encode()),
    st.text(max_size=20).map(lambda text: text.encode(errors="replace")),
)
TABLES = st.one_of(
    st.binary(max_size=400),
    st.builds(
        lambda revision, power, energy, cut: pack(revision[0], revision[1], power, energy)[:cut],
        st.sampled_from(sorted(STRUCTURES)),
        st.integers(0, 2**16 - 1),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2300),
    ),
)


def reads_or_tells(machine: str, make: Callable[[Host], Collector], file: str, content: bytes, most: float) -> None:
    with tempfile.TemporaryDirectory() as directory:
        host = loading.build(machine, Path(directory))
        collector = make(host)
        assert collector.discover().domains
        os.truncate(host.sysfs / file, 0)
        loading.show(host, file, content)
        rows = list(collector.read())
        collector.close()
    assert rows
    for row in rows:
        if isinstance(row, Sample):
            assert math.isfinite(row.value)
            assert 0.0 <= row.value <= most
        elif isinstance(row, Event):
            assert row.reason


@given(TEXTS)
@example(b"9" * 400)
@example(b"4294967201")
@settings(deadline=None, max_examples=40)
@pytest.mark.parametrize(
    ("machine", "make", "file", "most"),
    [
        ("grace_hopper", AcpiPowerMeterCollector, "class/hwmon/hwmon3/device/power1_average", 1500.0),
        ("radeon", AmdgpuCollector, "class/hwmon/hwmon4/power1_average", 1044.0),
        # A counter may be anywhere; what it may gain is the ledger's to judge.
        ("arc_b580", IntelGpuCollector, "class/hwmon/hwmon5/energy1_input", math.inf),
    ],
)
def test_any_text(machine: str, make: Callable[[Host], Collector], file: str, most: float, content: bytes) -> None:
    reads_or_tells(machine, make, file, content, most)


@given(TABLES)
@settings(deadline=None)
def test_any_table_is_read_or_refused(table: bytes) -> None:
    try:
        metrics = parse(table)
    except ValueError:
        return
    for value in (metrics.power_w, metrics.energy_j):
        assert value is None or (math.isfinite(value) and value >= 0.0)
