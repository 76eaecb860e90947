"""What an NVIDIA GPU's own meters are worth: how often each shows a new number, and whether they agree.

    python examples/gpu_meter.py
    python examples/continuous_batching.py --device cuda    # and what each request costs there

Under three loads (nothing; matrix products without a pause; the same for a third of the time) greengen records the
GPU, while a thread of this program asks NVML for its energy counter and both power gauges, some hundred times a
second. Gauges look at a part of the time only and may show a mean over a second (arXiv:2312.02741): over a steady
load they add up to what the counter counts, over a bursty one they need not. Without CUDA in torch there is no load
to be had but idle.
"""

from __future__ import annotations

import importlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

import greengen
from greengen.quantity import Quantity

#: nvml.h: the power of this moment, beside the call whose window depends on the chip.
INSTANT = 186

#: How long to wait between two looks, s: the finest that is told of a meter's refresh.
LOOK_S = 0.002

#: The bursts of the third load: so long, and so far apart, s.
BURST_S, EVERY_S = 0.13, 0.4

#: Edge of the matrices that are multiplied.
EDGE = 8192


@dataclass(slots=True)
class Meter:
    """One number of NVML: `read` gives J or W and raises what NVML raises; `t_s` and `values` are what it showed."""

    name: str
    read: Callable[[], float]
    counts: bool
    t_s: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def look(self) -> None:
        """Ask once."""
        value = self.read()
        self.t_s.append(time.monotonic())
        self.values.append(value)

    def energy_j(self) -> float:
        """J over all looks: what a counter rose by, or a gauge adds up to."""
        if self.counts:
            return self.values[-1] - self.values[0]
        power_w = np.array(self.values)
        return float(((power_w[1:] + power_w[:-1]) / 2 * np.diff(self.t_s)).sum())

    def refresh(self) -> str:
        """How far apart new numbers came."""
        moved_s = np.diff(np.array(self.t_s[1:])[np.diff(self.values) != 0])
        if not len(moved_s):
            return "showed no two new numbers"
        low, median, high = np.percentile(1000 * moved_s, (5, 50, 95))
        return f"a new number every {median:.0f} ms (5 to 95 %: {low:.0f} to {high:.0f})"


def meters_of(nvml: Any, handle: Any) -> list[Meter]:  # noqa: ANN401 -- NVML's
    """Those that this board has."""

    def instant_w() -> float:
        told = nvml.nvmlDeviceGetFieldValues(handle, [INSTANT])[0]
        if told.nvmlReturn:
            raise nvml.NVMLError(told.nvmlReturn)
        return float(told.value.uiVal / 1000)

    every = [
        Meter("energy counter", lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000, counts=True),
        Meter("gauge, instant", instant_w, counts=False),
        Meter("gauge", lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000, counts=False),
    ]
    found = []
    for meter in every:
        try:
            meter.read()
        except nvml.NVMLError as error:
            print(f"{meter.name}: not on this board ({error})")
        else:
            found.append(meter)
    return found


def watch(meters: list[Meter], over: threading.Event) -> None:
    """Look at all of them until it is `over`."""
    while True:
        for meter in meters:
            meter.look()
        if over.wait(LOOK_S):
            return


def loads(seconds: float) -> Iterator[tuple[str, Callable[[], None]]]:
    """Each load by its name, to be called; it takes so long."""
    yield "idle", lambda: time.sleep(seconds)
    matrix = on_gpu()
    if matrix is None:
        print("\ntorch has no CUDA here: idle is all that there is to be measured")
        return
    yield "steady", lambda: multiply(matrix, seconds)

    def bursts() -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            multiply(matrix, BURST_S)
            time.sleep(EVERY_S - BURST_S)

    yield "bursty", bursts


def on_gpu() -> Any:  # noqa: ANN401 -- a tensor, where there is torch
    """A matrix on the first CUDA device, which has been at work for a moment; None where there is none."""
    try:
        import torch  # noqa: PLC0415 -- idle needs none
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    matrix = torch.randn(EDGE, EDGE, device="cuda", dtype=torch.float16)
    multiply(matrix, 2.0)
    return matrix


def multiply(matrix: Any, seconds: float) -> None:  # noqa: ANN401 -- a tensor
    """Keep the device at work for so long."""
    import torch  # noqa: PLC0415 -- as above

    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        torch.mm(matrix, matrix)
        torch.cuda.synchronize()


def recorded(path: Path, load: Callable[[], None], meters: list[Meter]) -> Quantity:
    """J of the GPU by greengen, while `meters` are looked at."""
    over = threading.Event()
    watcher = threading.Thread(target=watch, args=(meters, over))
    with greengen.profile(path, collectors=("nvml",)) as run:
        watcher.start()
        try:
            load()
        finally:
            over.set()
            watcher.join()
    return run.ledger().total()


def chosen(nvml: Any, index: int) -> Any:  # noqa: ANN401 -- NVML's
    """The handle of one GPU, from now on the only one for torch and for greengen."""
    try:
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        os.environ["CUDA_VISIBLE_DEVICES"] = nvml.nvmlDeviceGetUUID(handle)
        print(nvml.nvmlDeviceGetName(handle))
    except nvml.NVMLError as error:
        msg = f"GPU {index} of NVIDIA's cannot be read: {error}; greengen doctor says more"
        raise click.UsageError(msg) from error
    return handle


@click.command()
@click.option("--gpu", type=click.IntRange(min=0), default=0, show_default=True, help="Its index in nvidia-smi.")
@click.option("--seconds", type=click.FloatRange(min=0.5), default=20.0, show_default=True, help="How long each load.")
def main(gpu: int, seconds: float) -> None:
    """Record each load, and print what every meter made of it."""
    nvml = importlib.import_module(os.environ.get("GREENGEN_PYNVML") or "pynvml")
    handle = chosen(nvml, gpu)
    folder = Path(tempfile.mkdtemp())
    for name, load in loads(seconds):
        meters = meters_of(nvml, handle)
        booked = recorded(folder / f"{name}.greengen", load, meters)
        took_s = meters[0].t_s[-1] - meters[0].t_s[0] if meters else seconds
        print(f"\n{name}, {took_s:.1f} s: {booked} by greengen")
        for meter in meters:
            energy_j = meter.energy_j()
            beside = f"{energy_j / booked.value:.3f} of it" if booked.value else ""
            print(f"  {meter.name:<15}{energy_j:12.2f} J  {energy_j / took_s:8.1f} W  {beside:<13}{meter.refresh()}")
    print(f"\nrecorded in {folder}")
    nvml.nvmlShutdown()


if __name__ == "__main__":
    main()
