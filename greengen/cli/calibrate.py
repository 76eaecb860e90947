"""`greengen calibrate RUN…`: what this machine's CPUs draw, idle and busy, fitted to a meter that was read once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from greengen.accounting.added import Added
    from greengen.accounting.calibration import Line
    from greengen.accounting.stretches import Source


_USE, _USE_BESIDE = "GREENGEN_CALIBRATION={out}", "GREENGEN_ACCELERATOR={name}=@{out}"


@click.command("calibrate", short_help="Fit this machine's idle and active power to a meter.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--meter",
    "meters",
    multiple=True,
    metavar="DOMAIN",
    help="The meter's domain, such as rapl:package-0; again for each package. Default: the one nearest the CPU.",
)
@click.option(
    "--accelerator",
    metavar="NAME",
    default="",
    help="Fit what this accelerator adds while it is busy (rknpu, tpu-0 ...), as collector `accelerator` told it.",
)
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="Write to FILE instead of stdout.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def command(
    *, runs: tuple[Path, ...], meters: tuple[str, ...], accelerator: str, out: Path | None, force: bool
) -> None:
    """Fit power = idle + active x busy part of the CPUs, over stretches of a run with a real meter.

    RUN is a recording of this machine with idle and busy times; the imported log of a wall plug may
    stand beside it. With GREENGEN_CALIBRATION=FILE, recordings of the same machine take the fitted
    powers wherever no counter can be read. They stay modelled. With --accelerator it is what an
    accelerator adds to the meter while it is busy, and GREENGEN_ACCELERATOR=NAME=@FILE takes it.
    """
    from greengen.cli.arithmetic import load_numpy  # noqa: PLC0415 -- after the options are known to be right

    load_numpy()
    from greengen.accounting import added, calibration, stretches  # noqa: PLC0415 -- they import it
    from greengen.errors import UsageError  # noqa: PLC0415 -- the same
    from greengen.run import Run  # noqa: PLC0415 -- the same

    if out is not None and out.exists() and not force:
        msg = f"{out} exists: name another file with --out, or pass --force"
        raise UsageError(msg)
    told = stretches.source(Run(*runs).rows(), meters, f"accelerator:{accelerator}" if accelerator else "")
    if accelerator:
        plane = added.fit(*stretches.stretches_beside(told), told.gain)
        text, words, use = (
            _text(_beside(told, plane, accelerator)),
            _words_beside(told, plane, accelerator),
            _USE_BESIDE,
        )
    else:
        line = calibration.fit(stretches.stretches(told), told.gain)
        text, words, use = _text(_document(told, line)), _words(told, line), _USE
    if out is None:
        click.echo(text, nl=False)
    else:
        try:
            out.write_text(text, encoding="utf-8")
        except OSError as error:
            msg = f"cannot write {out}: {error.strerror}"
            raise UsageError(msg) from error
    click.echo(f"greengen: {words}", err=True)
    if out is not None:
        click.echo(f"greengen: use it with {use.format(name=accelerator.partition('-')[0], out=out)}", err=True)


def _document(told: Source, line: Line) -> dict[str, Any]:
    """What `greengen.collectors._calibration` reads."""
    from greengen.collectors._calibration import SCHEMA  # noqa: PLC0415 -- only this verb needs it

    mean_w = line.idle_w + line.active_w * sum(line.busy) / 2
    return {
        "schema": SCHEMA,
        "idle_w": line.idle_w,
        "idle_interval_w": line.idle_interval_w,
        "active_w": line.active_w,
        "active_interval_w": line.active_interval_w,
        "sigma": line.sigma,
        "scatter": line.residual_w / mean_w,
        "residual_w": line.residual_w,
        "r2": line.r2,
        "stretches": line.stretches,
        "outliers": line.outliers,
        "busy": line.busy,
        **_circumstances(told),
    }


def _beside(told: Source, plane: Added, name: str) -> dict[str, Any]:
    """The same of an accelerator."""
    from greengen.collectors._calibration import SCHEMA_ACCELERATOR  # noqa: PLC0415 -- only this verb needs it

    return {
        "schema": SCHEMA_ACCELERATOR,
        "accelerator": name.partition("-")[0],
        "active_w": plane.active_w,
        "active_interval_w": plane.active_interval_w,
        "sigma": plane.sigma,
        "scatter": plane.residual_w / plane.active_w,
        "residual_w": plane.residual_w,
        "beside": {"idle_w": plane.idle_w, "cpu_w": plane.cpu_w},
        "stretches": plane.stretches,
        "outliers": plane.outliers,
        "busy": plane.busy,
        **_circumstances(told),
    }


def _circumstances(told: Source) -> dict[str, Any]:
    """Of which machine, by which meter, when."""
    from datetime import UTC, datetime  # noqa: PLC0415 -- only this verb needs it
    from importlib.metadata import version  # noqa: PLC0415 -- the same

    from greengen.errors import UsageError  # noqa: PLC0415 -- the same

    if "logical_cpus" not in told.info:
        msg = "the run does not say which CPU it is of: it was recorded by an older greengen, record another one"
        raise UsageError(msg)
    return {
        "machine": {"cpu": told.info.get("cpu", ""), "logical_cpus": told.info["logical_cpus"]},
        "meter": {
            "domains": [domain.uid for domain in told.domains],
            "kind": told.domains[0].kind,
            "grade": told.domains[0].grade,
            "gain": told.gain,
            "detail": told.domains[0].detail,
            "without": [curve.domain.uid for curve in told.parts],
        },
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "greengen": version("greengen"),
    }


def _text(document: dict[str, Any]) -> str:
    import json  # noqa: PLC0415 -- only this verb needs it

    return json.dumps(document, indent=2) + "\n"


def _words_beside(told: Source, plane: Added, name: str) -> str:
    low, high = plane.active_interval_w
    meter = ", ".join(domain.uid for domain in told.domains)
    return (
        f"{name} adds {plane.active_w:.3g} W [{low:.3g} ... {high:.3g}] while it is busy: {meter} over "
        f"{plane.stretches} stretches ({plane.outliers} left out), beside {plane.idle_w:.3g} W idle and "
        f"{plane.cpu_w:.3g} W of all CPUs"
    )


def _words(told: Source, line: Line) -> str:
    idle, active = line.idle_interval_w, line.active_interval_w
    meter = ", ".join(domain.uid for domain in told.domains)
    without = f" without {', '.join(curve.domain.uid for curve in told.parts)}" if told.parts else ""
    return (
        f"idle {line.idle_w:.3g} W [{idle[0]:.3g} ... {idle[1]:.3g}], and {line.active_w:.3g} W "
        f"[{active[0]:.3g} ... {active[1]:.3g}] more with every CPU busy: {meter}{without} over {line.stretches} "
        f"stretches ({line.outliers} left out), R2 {line.r2:.3f}"
    )
