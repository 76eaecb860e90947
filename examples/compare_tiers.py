"""One model on a device, at the edge, in the cloud, or on a device that asks the cloud: which uses least?

    python examples/compare_tiers.py --html tiers.html

Every tier is a process of this machine that records itself; a request that crosses tiers is one request
of both recordings, joined by its W3C `traceparent`. Between tiers lie links: processes that hand on what
they are given as late as a real link would. In each of the five rounds the deployments take turns:

    cloud   eight people ask at once, and what waits together is answered in one batch
    edge    two people ask a server nearby
    device  one person's own device computes everything
    hybrid  eight devices answer with the model's first block, where it is sure; else they ask the cloud

All computing is measured here, on one and the same processor: that the cloud needs fewer joules for a
request than a device is what batches save, and nothing else. Declared, in compare_tiers.toml beside this
file, are the places, what their buildings add, and what the network uses per byte.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

import greengen

from compare_models import folder_of, in_turn
from tiers import device, link, server
from tiers.device import Done, Load
from tiers.link import Shape
from translate.learn import exam, figure, learn_exits, parts, taught, translate
from translate.model import WindowLM
from translate.smaller import first_exit
from translate.task import languages

DECLARED = Path(__file__).with_suffix(".toml")

#: Sentences that are asked over and over.
ASKED = 200

#: How long a process may be silent, s.
PATIENCE_S = 60.0

#: Links from a device: through a data network to another country, and to the next room.
LINKS = {"cloud": Shape(one_way_s=0.015, bit_per_s=50e6), "edge": Shape(one_way_s=0.002, bit_per_s=100e6)}

#: Requests that a server answers at once, at most.
BATCH = {"cloud": 8, "edge": 2}


@dataclass(frozen=True, slots=True)
class Deployed:
    """One of the choices: people who ask at once, what their devices compute (as in `Load`), who answers else."""

    people: int
    here: str
    tier: str | None


CHOICES = {
    "cloud": Deployed(8, "", "cloud"),
    "edge": Deployed(2, "", "edge"),
    "device": Deployed(1, "all", None),
    "hybrid": Deployed(8, "first", "cloud"),
}


@dataclass(frozen=True, slots=True)
class Setting:
    """How long everything goes on: steps of training, repeats of each choice, and seconds of a repeat."""

    steps: int = 210
    repeats: int = 5
    seconds: float = 2.0


QUICK = Setting(steps=6, repeats=3, seconds=0.1)


@dataclass(frozen=True, slots=True)
class Tiers:
    """The processes: pipes to the devices and to the servers, and the ports of the links to those."""

    devices: Pipe
    servers: Mapping[str, Pipe]
    ports: Mapping[str, int]


@contextmanager
def started(model: WindowLM, asked: list[list[int]]) -> Iterator[Tiers]:
    """All tiers and links, each in a process of its own that ends with this one."""
    # Forked, so that torch is loaded once; nothing is recorded yet, and no thread of ours runs.
    context = get_context("fork")
    processes = []

    def start(target: Callable[..., None], *arguments: object) -> Pipe:
        ours, theirs = context.Pipe()
        process = context.Process(target=_with_parent, args=(target, theirs, *arguments), daemon=True)
        process.start()
        theirs.close()
        processes.append(process)
        return ours

    try:
        servers = {tier: start(server.serve, tier, model, batch) for tier, batch in BATCH.items()}
        devices = start(device.use, model, asked)
        links = {tier: start(link.carry, LINKS[tier], told(pipe)) for tier, pipe in servers.items()}
        yield Tiers(devices, servers, {tier: told(pipe) for tier, pipe in links.items()})
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _with_parent(target: Callable[..., None], *arguments: object) -> None:
    """Be a process that does not outlive the one that started it, however that ends."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
    target(*arguments)


def told(pipe: Pipe) -> Any:  # noqa: ANN401 -- each process tells something else
    """What a process tells next."""
    if not pipe.poll(PATIENCE_S):
        msg = f"a tier has told nothing for {PATIENCE_S:g} s"
        raise TimeoutError(msg)
    return pipe.recv()


def record(tiers: Tiers, choice: Deployed, into: Path, seconds: float) -> tuple[Done, list[Path]]:
    """One repeat: what was done, and the recordings of all tiers that took part."""
    paths = [into.with_suffix(".device.greengen")]
    remote = None if choice.tier is None else tiers.servers[choice.tier]
    if remote is not None:
        paths.append(into.with_suffix(f".{choice.tier}.greengen"))
        remote.send(str(paths[1]))
        told(remote)
    port = None if choice.tier is None else tiers.ports[choice.tier]
    tiers.devices.send(Load(str(paths[0]), choice.people, seconds, choice.here, port))
    done = told(tiers.devices)
    if remote is not None:
        remote.send("enough")
        told(remote)
    return done, paths


def recorded(tiers: Tiers, setting: Setting, folder: Path) -> None:
    """Record every choice into `folder`, one run file per repeat."""
    parts = folder / "tiers"
    parts.mkdir(exist_ok=True)
    every: dict[str, list[Done]] = {name: [] for name in CHOICES}
    print(f"recording: {setting.repeats} repeats of {setting.seconds:g} s each, in turn", flush=True)
    for number, name in in_turn(list(CHOICES), setting.repeats):
        done, paths = record(tiers, CHOICES[name], parts / f"{name}-{number}", setting.seconds)
        every[name].append(done)
        first, *others = (greengen.Run(path) for path in paths)
        first.merge(*others, out=folder / f"{name}-{number}.greengen", force=True)
    for name, each in every.items():
        requests, sent_on = sum(done.requests for done in each), sum(done.sent_on for done in each)
        print(f"  {name:7}{requests:6} requests, {100 * sent_on / requests:4.0f} % of them sent on", flush=True)


def quality_of(model: WindowLM, asked: Tensor, right: Tensor) -> dict[str, dict[str, object]]:
    """The part of the words that every choice gets right: the hybrid's are the first block's, where that is sure."""
    full = translate(model, asked)
    early, sure = first_exit(model, asked)
    answers = dict.fromkeys(CHOICES, full) | {"hybrid": torch.where((sure >= device.SURE)[:, None], early, full)}
    return {name: figure(parts(answer, right)) for name, answer in answers.items()}


def stated(folder: Path, quality: Mapping[str, object]) -> Path:
    """The comparison's file beside the recordings: what is declared, and how good the answers were."""
    import tomli_w  # noqa: PLC0415 -- processes of this program do not need it

    file = folder / DECLARED.name
    file.write_text(f"{DECLARED.read_text('utf-8')}\n{tomli_w.dumps({'quality': quality})}", encoding="utf-8")
    return file


def trained(steps: int) -> WindowLM:
    """The model, with ways out that know what they say."""
    began = time.perf_counter()
    print(f"training: {steps} steps", flush=True)
    spoken = languages()
    model = taught(spoken, steps)
    learn_exits(model, spoken, steps // 6)
    print(f"  {time.perf_counter() - began:.0f} s", flush=True)
    return model


@click.command()
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the page.")
@click.option("--json", type=click.Path(path_type=Path, dir_okay=False), help="Write the comparison as JSON.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Keep the recordings in this folder.")
@click.option("--quick", is_flag=True, help="Everything once around in seconds; the model learns nothing of use.")
def main(html: Path | None, json: Path | None, out: Path | None, quick: bool) -> None:  # noqa: FBT001 -- click passes flags so
    """Train, deploy, measure and compare."""
    from greengen.comparison import from_file  # noqa: PLC0415 -- processes of this program do not need it

    torch.set_num_threads(1)
    setting = QUICK if quick else Setting()
    model = trained(setting.steps)
    with folder_of(out) as folder:
        asked, right = exam(languages(), ASKED)
        with started(model, asked.tolist()) as tiers:
            recorded(tiers, setting, folder)
        comparison = from_file(stated(folder, quality_of(model, asked, right)))
        print(comparison.render("terminal"))
        if json:
            comparison.to_json(json)
        if html:
            print(f"The page: {comparison.to_html(html).resolve().as_uri()}")


if __name__ == "__main__":
    main()
