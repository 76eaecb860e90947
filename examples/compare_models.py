"""Six forms of one model on one task, measured here: which of them saves energy, and what does it cost in accuracy?

    python examples/compare_models.py --zone DEU --html models.html

A small language model learns to translate between two made-up languages. Then the model as it is, with
8-bit weights, with half of its inner features cut out, with half of its weights set to zero, a student
of it, and the model with early exits answer the same questions, one at a time, in five repeats each.
The order of the forms is another in every round, so that a machine that warms up favours none of them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import click
import torch
from torch import Tensor, nn

import greengen

from translate.learn import accuracy, exam, figure, taught, translate
from translate.smaller import forms, weights
from translate.task import LENGTH, languages

#: Objective of a request, s.
DEADLINE_S = 0.02


@dataclass(frozen=True, slots=True)
class Setting:
    """How long everything goes on.

    steps    of training
    exam     sentences that the forms are judged by
    asked    those of them that are asked over and over
    repeats  of each form
    seconds  of a repeat
    """

    steps: int = 210
    exam: int = 200
    asked: int = 25
    repeats: int = 5
    seconds: float = 1.3


QUICK = Setting(steps=6, exam=10, asked=3, repeats=3, seconds=0.05)


def made(setting: Setting) -> tuple[dict[str, nn.Module], dict[str, dict[str, object]], Tensor]:
    """The forms, the part of the words that each gets right, and the questions, shape (n, WINDOW)."""
    spoken = languages()
    asked, right = exam(spoken, setting.exam)
    began = time.perf_counter()
    print(f"training: {setting.steps} steps", flush=True)
    found, quality = {}, {}
    for name, form in forms(taught(spoken, setting.steps), spoken, setting.steps):
        each = accuracy(form, asked, right)
        found[name], quality[name] = form, figure(each)
        numbers, zeros = weights(form)
        print(
            f"  {name:13}{numbers / 1e6:5.2f} M weights, {100 * zeros / numbers:3.0f} % of them 0;"
            f" {100 * fmean(each):5.1f} % of the words right",
            flush=True,
        )
    print(f"  {spoken.text(asked[0].tolist())}  →  {spoken.text(translate(found['fp32'], asked[:1])[0].tolist())}")
    print(f"  {time.perf_counter() - began:.0f} s", flush=True)
    return found, quality, asked[: setting.asked]


def in_turn(names: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
    """(round, name): every round begins with another form, and every second one goes backwards."""
    for number in range(rounds):
        start = number % len(names)
        order = [*names[start:], *names[:start]]
        yield from ((number + 1, name) for name in (order if number % 2 == 0 else reversed(order)))


def record(path: Path, name: str, form: nn.Module, asked: Tensor, seconds: float) -> None:
    """One repeat: ask all questions, and all of them again until the time is over."""
    translate(form, asked[:5])  # its weights into the caches
    with greengen.profile(path, force=True):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for question in asked.split(1):
                with greengen.request(model=name) as req:
                    translate(form, question)
                    req.tokens(input=LENGTH, output=LENGTH)


def recorded(found: Mapping[str, nn.Module], asked: Tensor, setting: Setting, folder: Path) -> dict[str, list[Path]]:
    """The run files of every form."""
    runs: dict[str, list[Path]] = {name: [] for name in found}
    print(f"recording: {setting.repeats} repeats of {setting.seconds:g} s each, in turn", flush=True)
    for number, name in in_turn(list(found), setting.repeats):
        path = folder / f"{name.replace(' ', '-')}-{number}.greengen"
        record(path, name, found[name], asked, setting.seconds)
        runs[name].append(path)
    return runs


@contextmanager
def folder_of(out: Path | None) -> Iterator[Path]:
    """Where recordings go: to a folder that was named, or to one that is gone afterwards."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix="greengen-") as passing:
            yield Path(passing)
    else:
        out.mkdir(parents=True, exist_ok=True)
        yield out


@click.command()
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the page.")
@click.option("--json", type=click.Path(path_type=Path, dir_okay=False), help="Write the comparison as JSON.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Keep the recordings in this folder.")
@click.option("--zone", help="Where this machine stands, for grams: DEU, USA-CA ... Without it there are joules only.")
@click.option("--quick", is_flag=True, help="Everything once around in seconds; the model learns nothing of use.")
def main(html: Path | None, json: Path | None, out: Path | None, zone: str | None, quick: bool) -> None:  # noqa: FBT001 -- click passes flags so
    """Train, shrink, measure and compare."""
    torch.set_num_threads(1)
    setting = QUICK if quick else Setting()
    found, quality, asked = made(setting)
    with folder_of(out) as folder:
        comparison = greengen.compare(
            recorded(found, asked, setting, folder),
            baseline="fp32",
            quality=quality,
            quality_metric="accuracy",
            deadline_s=DEADLINE_S,
            zone=zone,
            title="Six forms of one model, one question at a time",
        )
        print(comparison.render("terminal"))
        if json:
            comparison.to_json(json)
        if html:
            print(f"The page: {comparison.to_html(html).resolve().as_uri()}")


if __name__ == "__main__":
    main()
