"""Options that several verbs share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from greengen.errors import UsageError

#: What the beginning of a report holds, as JSON, a page or Markdown. CSV has room for none.
_MARKS = (
    b'"greengen.report/',
    b'"greengen.comparison/',
    b'<meta name="generator" content="greengen">',
    b"# greengen report",
    b"# greengen comparison",
)

F = TypeVar("F", bound=Callable[..., object])


def site(command: F) -> F:
    """Where the energy was used, and with what: --zone, --intensity, --pue, --hardware, --wue … or --site FILE."""
    for option in (
        click.option(
            "--site",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="A greengen.toml that says zone, PUE, hardware, WUE; none is read unless it is named.",
        ),
        click.option(
            "--bought", metavar="KWH,KWH", help="kWh bought in each hour of the run, for the market-based figure."
        ),
        click.option("--residual", type=float, metavar="G", help="Residual mix, gCO2e per kWh: adds that figure."),
        click.option("--widen", metavar="B", help="A wider boundary: facility:machine=1.5,facility=1.1."),
        click.option("--network", metavar="L", help="Line of the requests' bytes: fixed:users=2 or mobile."),
        click.option("--device-power", type=float, metavar="W", help="What a user's device draws while it waits."),
        click.option("--wue", type=float, metavar="L", help="On-site water, L per kWh of data-centre IT energy."),
        click.option(
            "--hardware",
            multiple=True,
            metavar="H",
            help="What the run had to itself, for embodied CO2e and SCI: NAME[*N][:lifetime=Y,utilisation=U,kg=KG].",
        ),
        click.option("--pue", type=float, metavar="P", help="Facility energy per IT energy, 1.0 or more."),
        *_grid(),
    ):
        command = option(command)
    return command


def grid(command: F) -> F:
    """Which grid it came from: --zone, --cloud, --intensity, --kind, --scope, --live, --strict."""
    for option in _grid():
        command = option(command)
    return command


def _grid() -> Sequence[Callable[[F], F]]:
    return (
        click.option("--strict", is_flag=True, default=None, help="Take nothing in place of --live."),
        click.option(
            "--live",
            metavar="SOURCE",
            help="Ask electricitymaps, entsoe, uk or watttime, or SOURCE:ITS-ZONE, by the hour.",
        ),
        click.option("--scope", type=click.Choice(["lifecycle", "direct"]), help="Of the intensity."),
        click.option(
            "--kind", type=click.Choice(["average", "marginal_short", "marginal_long"]), help="Of the intensity."
        ),
        click.option(
            "--intensity", metavar="G", help="Grid intensity, gCO2e per kWh, instead of a zone: a number or a CSV."
        ),
        click.option("--cloud", metavar="P:R", help="Cloud region such as aws:eu-west-3, or auto: its zone, PUE, WUE."),
        click.option("--zone", metavar="Z", help="Grid zone: an ISO-3 country such as DEU, or USA-CA, SE3."),
    )


def chosen_site(given: dict[str, Any]) -> dict[str, Any]:
    """Those options of `site` that were given, as `Run.report` takes them; all are taken out of `given`."""
    from greengen.sites import OPTIONS  # noqa: PLC0415 -- after the cheap checks

    every = {name: given.pop(name) for name in OPTIONS if name in given}
    return {name: value for name, value in every.items() if value is not None and value != ()}


def rules(command: F) -> F:
    """Whose idle and static power is: --idle, --static, --held; what a step costs: --coefficients; and --exact."""
    for option in (
        click.option("--exact", is_flag=True, help="Count in whole nanojoules: slower, and every sum is exact."),
        click.option(
            "--coefficients",
            type=(float, float, float, float),
            metavar="FIXED PREFILL DECODE CONTEXT",
            help="What a step of an engine costs, and each token in it, instead of fitting it from the run.",
        ),
        click.option("--held", type=float, metavar="PART", help="Part of the machine held, for capacity-share."),
        click.option(
            "--static", default="busy-share", show_default=True, metavar="RULE", help="Or capacity-share; see --held."
        ),
        click.option(
            "--idle", default="none", show_default=True, metavar="RULE", help="Or pro-rata, resident-time: give it out."
        ),
    ):
        command = option(command)
    return command


def chosen_rules(
    *,
    idle: str,
    static: str,
    held: float | None,
    coefficients: tuple[float, float, float, float] | None,
    exact: bool,
) -> dict[str, Any]:
    """The options of `rules`, as `Run.report` takes them."""
    from greengen.accounting.policies import Coefficients  # noqa: PLC0415 -- numpy is for those who ask

    given = None if coefficients is None else Coefficients(*coefficients)
    if coefficients is not None and not any(coefficients):
        msg = "--coefficients 0 0 0 0 say that no step costs anything: pass one above 0"
        raise click.UsageError(msg)
    if held is not None and static == "busy-share":
        msg = f"--held {held:g} says nothing under --static busy-share: pass --static capacity-share with it"
        raise click.UsageError(msg)
    return {"idle": idle, "static": static, "held": held, "given": given, "exact": exact}


def beside(command: F) -> F:
    """What to show beside the books: --marginal, --amortise with --training, --network-kwh-per-gb."""
    for option in (
        click.option(
            "--network-kwh-per-gb",
            type=float,
            metavar="X",
            help="Energy of the bytes that spans tell, on its own line.",
        ),
        click.option(
            "--training",
            type=click.Path(path_type=Path),
            multiple=True,
            metavar="RUN",
            help="Where the models of --amortise were trained. Default: in the same runs.",
        ),
        click.option(
            "--amortise",
            type=(str, str),
            multiple=True,
            metavar="MODEL REQUESTS",
            help="Training of MODEL per request, over the REQUESTS of its lifetime.",
        ),
        click.option("--marginal", is_flag=True, help="What steps would not have cost without each request."),
    ):
        command = option(command)
    return command


def chosen_beside(
    *,
    marginal: bool,
    amortise: Sequence[tuple[str, str]],
    training: tuple[Path, ...],
    network_kwh_per_gb: float | None,
) -> dict[str, Any]:
    """The options of `beside`, as `Run.report` takes them. Raises UsageError."""
    lifetimes: dict[str, int] = {}
    for model, requests in amortise:
        if model in lifetimes:
            msg = f"--amortise names {model!r} twice: a model has one lifetime"
            raise UsageError(msg)
        lifetimes[model] = _whole(model, requests)
    if training and not lifetimes:
        msg = "--training alone says nothing: name the model and its requests with --amortise MODEL REQUESTS"
        raise UsageError(msg)
    return {
        "marginal": marginal,
        "amortise": lifetimes,
        "training": training or None,
        "network_kwh_per_gb": network_kwh_per_gb,
    }


def _whole(model: str, text: str) -> int:
    """A whole number of 1 or more, also as 1e6."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not (1 <= number < float("inf") and number == int(number)):
        msg = f"--amortise {model} {text}: {text!r} is no number of requests; pass a whole one, such as 1000000 or 1e6"
        raise UsageError(msg)
    return int(number)


def check_output(path: Path | None, *, force: bool) -> None:
    """Raise UsageError where a report could not be written to `path`, or would replace what is not one."""
    if path is None:
        return
    if path.is_dir():
        msg = f"cannot write {path}: it is a directory; name a file"
        raise UsageError(msg)
    if not path.parent.is_dir():
        msg = f"cannot write {path}: there is no directory {path.parent}; create it or name another file"
        raise UsageError(msg)
    end = Path(real(path))
    if path.is_symlink() and (end.is_symlink() or not end.parent.is_dir()):
        msg = f"cannot write {path}: it is a link that leads nowhere; name another file"
        raise UsageError(msg)
    if path.exists():
        if not os.access(path, os.W_OK | (os.R_OK if path.is_file() else 0)):
            msg = f"cannot write {path}: permission denied; name another file"
            raise UsageError(msg)
        if not force and path.is_file() and path.stat().st_size and not _is_report(path):
            msg = f"{path} exists and is not a greengen report: pass --force to overwrite it, or name another file"
            raise UsageError(msg)
    elif not os.access(path.parent, os.W_OK):
        msg = f"cannot write {path}: permission denied in {path.parent}; name another file"
        raise UsageError(msg)


def by_ending(path: Path | None, endings: Mapping[str, str]) -> str:
    """The format that a file's name asks for; terminal where there is none, or it says nothing. Raises UsageError.

    endings  as in `.json` -> format
    """
    ending = "" if path is None else path.suffix.lower()
    if ending in ("", ".txt"):
        return "terminal"
    if ending not in endings:
        msg = f"{path}: no format has the ending {path.suffix if path else ''}: name {', '.join(endings)} or .txt, "
        msg += "or say which with --format"
        raise UsageError(msg)
    return endings[ending]


def real(path: Path) -> str:
    """Where `path` leads; unlike `Path.resolve`, also where links go round in a circle."""
    return os.path.realpath(path)


def check_distinct(**outputs: Path | None) -> None:
    """Raise UsageError where two outputs are one file. `outputs`: by the option that names each."""
    seen: dict[str, str] = {}
    for option, path in outputs.items():
        if path is not None:
            other = seen.setdefault(real(path), option)
            if other != option:
                msg = f"--{other} and --{option} both name {path}: one would overwrite the other"
                raise UsageError(msg)


def _is_report(path: Path) -> bool:
    """Whether greengen wrote it: an earlier report is replaced without a question."""
    with path.open("rb") as file:
        head = file.read(2048)
    return any(mark in head for mark in _MARKS)
