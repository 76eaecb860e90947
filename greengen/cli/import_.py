"""`greengen import FORMAT …`: bring in logs recorded elsewhere, as a run like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from greengen.errors import UsageError

if TYPE_CHECKING:
    from greengen.integrations._logs import PowerLog
    from greengen.integrations._rows import About
    from greengen.integrations._times import Clock
    from greengen.rows import Rows

F = TypeVar("F", bound=Callable[..., object])

EPOCHS = ("s", "ms", "us", "ns")
KINDS = ("wall", "psys", "board", "gpu", "npu", "soc", "package", "dram")
TIERS = ("cloud", "edge", "device")

_FILE = click.Path(path_type=Path)


@click.group("import", short_help="Bring in logs recorded elsewhere.")
def command() -> None:
    """Make a run of logs that were recorded elsewhere; `greengen report` then reads it like any other.

    Zones, units and columns that a log leaves open are asked for, never guessed.
    """


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def add(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return add


_OUT = _options(
    click.option("-o", "--out", type=_FILE, required=True, metavar="RUN", help="The run file to write."),
    click.option("--force", is_flag=True, help="Overwrite an existing run file."),
    click.option("--tier", type=click.Choice(TIERS), help="Where the work ran."),
    click.option("--host", metavar="NAME", help="The name of the machine."),
)
_CLOCK = _options(
    click.option("--timezone", metavar="Z", help="Zone of times that name none, such as UTC or Europe/Berlin."),
    click.option("--utc-offset", metavar="+HH:MM", help="The same as an offset."),
    click.option("--epoch", type=click.Choice(EPOCHS), help="Unit of times that are numbers."),
    click.option("--time-format", metavar="F", help="How times are written, as strptime takes it."),
)
_REQUESTS_CLOCK = _options(
    click.option("--requests-timezone", metavar="Z", help="The same for the requests, where they differ."),
    click.option("--requests-utc-offset", metavar="+HH:MM"),
    click.option("--requests-epoch", type=click.Choice(EPOCHS)),
    click.option("--requests-time-format", metavar="F"),
    click.option("--requests-shift", type=float, default=0.0, metavar="S", help="Seconds to add to their times."),
)
_POWER = _options(
    click.option("--time-column", metavar="C", help="Column of the times of the power log."),
    click.option("--power-column", metavar="C", help="Column of the powers."),
    click.option("--device-column", metavar="C", help="Column that tells several meters apart."),
    click.option("--power-unit", metavar="U", help="Unit of powers that name none: W, kW, mW, uW."),
    click.option("--covers", type=click.Choice(KINDS), help="What the meter covers."),
    click.option("--window", type=float, default=0.0, metavar="S", help="Seconds over which each reading averages."),
    click.option("--gain", type=float, default=0.0, metavar="U", help="The meter's relative standard uncertainty."),
    click.option("--drop-bad", is_flag=True, help="Leave lines that are wrong out, and list them."),
)
_MODEL = click.option("--model", metavar="NAME", help="The model that was served.")


@command.command("mlperf", short_help="An MLPerf run with power: PTDaemon and loadgen.")
@click.argument("directory", type=_FILE, metavar="DIR")
@_MODEL
@_CLOCK
@_OUT
def mlperf(directory: Path, model: str | None, **given: Any) -> None:  # noqa: ANN401 -- click's options
    """An MLPerf run with power: spl.txt (PTDaemon) and mlperf_log_detail.txt (loadgen) in DIR or DIR/run_1."""
    from greengen.integrations import mlperf as logs  # noqa: PLC0415 -- for whom it concerns

    _write(given, logs.read(directory, _about("mlperf", given), model=model, clock=_clock(given)))


@command.command("csv", short_help="Tables of powers and of requests.")
@click.option("--power", type=_FILE, metavar="F", help="The power log.")
@click.option("--requests", type=_FILE, metavar="F", help="The request log.")
@_POWER
@_options(
    *(
        click.option(f"--{name}-column", metavar="C", help=f"Column of a request's {told}.")
        for name, told in (
            ("start", "arrival"),
            ("end", "end"),
            ("model", "model"),
            ("input-tokens", "input tokens"),
            ("output-tokens", "output tokens"),
            ("cached-tokens", "cached input tokens"),
            ("first-token", "first token's time"),
            ("scheduled", "first scheduled time"),
            ("id", "id"),
            ("outcome", "outcome"),
        )
    ),
    click.option("--label", "labels", multiple=True, metavar="C", help="Column that groups requests; may be repeated."),
)
@_MODEL
@_CLOCK
@_REQUESTS_CLOCK
@_OUT
def csv(power: Path | None, requests: Path | None, labels: tuple[str, ...], **given: Any) -> None:  # noqa: ANN401 -- click's options
    """A power log and a request log as tables (CSV, or with tabs or semicolons); either one alone will do."""
    from greengen.integrations import _rows, requests_csv  # noqa: PLC0415 -- for whom it concerns

    if power is None and requests is None:
        msg = "name a log: --power F, --requests F, or both"
        raise UsageError(msg)
    names = {name: given[f"{name}_column"] for name in requests_csv.FIELDS if given[f"{name}_column"] is not None}
    columns = requests_csv.Columns(names, labels, given["model"], given["drop_bad"])
    served = None if requests is None else requests_csv.read(requests, columns, _clock(given, "requests_"))
    _write(given, _rows.together(_about("csv", given), _power(power, given), served))


@command.command("serving", short_help="JSON lines of a serving engine or proxy.")
@click.argument("file", type=_FILE, metavar="F")
@click.option("--power", type=_FILE, metavar="P", help="The power log: a table, or what nvidia-smi wrote.")
@_POWER
@_MODEL
@_CLOCK
@_REQUESTS_CLOCK
@_OUT
def serving(file: Path, power: Path | None, **given: Any) -> None:  # noqa: ANN401 -- click's options
    """A serving log F: one JSON object per request and line, with arrival, first token and end; alone or with power."""
    from greengen.integrations import _rows  # noqa: PLC0415 -- for whom it concerns
    from greengen.integrations import serving as logs  # noqa: PLC0415

    served = logs.read(file, _clock(given, "requests_"), model=given["model"], drop_bad=given["drop_bad"])
    _write(given, _rows.together(_about("serving", given), _power(power, given), served))


@command.command("nvidia-smi", short_help="The CSV or XML of nvidia-smi.")
@click.argument("file", type=_FILE, metavar="F")
@click.option("--field", type=click.Choice(("power.draw", "power.draw.instant", "power.draw.average")), help="Which.")
@click.option("--window", type=float, metavar="S", help="Seconds over which the power averages, where known.")
@click.option("--columns", metavar="A,B,...", help="The columns of a file without a header, as --query-gpu had them.")
@_CLOCK
@_OUT
def nvidia_smi(file: Path, field: str | None, window: float | None, columns: str | None, **given: Any) -> None:  # noqa: ANN401 -- click's options
    """What nvidia-smi wrote: the CSV of `--query-gpu=timestamp,uuid,power.draw,... -l 1`, or XML (`-q -x`)."""
    from greengen.integrations import _rows  # noqa: PLC0415 -- for whom it concerns
    from greengen.integrations import nvidia_smi as logs  # noqa: PLC0415

    _not_negative("--window", window)
    names = tuple(name.strip() for name in columns.split(",")) if columns else ()
    log = logs.read(file, _clock(given), logs.Choice(field, window, names))
    _write(given, _rows.together(_about("nvidia-smi", given), log, None))


@command.command("energyrunner", short_help="An MLPerf Tiny run: energy per sample.")
@click.argument("directory", type=_FILE, metavar="DIR")
@_MODEL
@click.option("--inferences", type=click.IntRange(1, 10**12), metavar="N", help="Inferences of each window.")
@_OUT
def energyrunner(directory: Path, model: str | None, inferences: int | None, **given: Any) -> None:  # noqa: ANN401 -- click's options
    """An EEMBC EnergyRunner run (MLPerf Tiny): trace1-energy.bin and trace1-timestamps.json in DIR."""
    from greengen.integrations import energyrunner as logs  # noqa: PLC0415 -- for whom it concerns

    _write(given, logs.read(directory, _about("energyrunner", given), model=model, inferences=inferences))


@command.command("codecarbon", short_help="The emissions.csv of codecarbon.")
@click.argument("file", type=_FILE, metavar="F")
@click.option("--run-id", metavar="ID", help="Which line, where the file holds several.")
@_CLOCK
@_OUT
def codecarbon(file: Path, run_id: str | None, **given: Any) -> None:  # noqa: ANN401 -- click's options
    """One run of codecarbon's emissions.csv: the energies of CPU, GPU and RAM, without the PUE that is in them."""
    from greengen.integrations import codecarbon as logs  # noqa: PLC0415 -- for whom it concerns

    _write(given, logs.read(file, _about("codecarbon", given), run_id=run_id, clock=_clock(given)))


_PHONE_REQUESTS = _options(
    click.option("--requests", type=_FILE, metavar="F", help="A table of requests, on the phone's boot clock."),
    _MODEL,
    _REQUESTS_CLOCK,
    _OUT,
)


@command.command("odpm", short_help="A Pixel phone's power rails as text.")
@click.argument("file", type=_FILE, metavar="F")
@_PHONE_REQUESTS
def odpm(file: Path, **given: Any) -> None:  # noqa: ANN401 -- click's options
    """What `cat iio:device*/energy_value` or `dumpsys …power.stats.IPowerStats/default delta` said, again and again."""
    from greengen.integrations import odpm as logs  # noqa: PLC0415 -- for whom it concerns

    _write_phone("odpm", logs.read(file), given)


@command.command("perfetto", short_help="Power rails of a Perfetto trace, as CSV.")
@click.argument("file", type=_FILE, metavar="F")
@_PHONE_REQUESTS
def perfetto(file: Path, **given: Any) -> None:  # noqa: ANN401 -- click's options
    """The power rails of an Android trace: ts, name and value of its counters, as the trace processor exports them."""
    from greengen.integrations import perfetto as logs  # noqa: PLC0415 -- for whom it concerns

    _write_phone("perfetto", logs.read(file), given)


def _write_phone(format_: str, log: PowerLog, given: dict[str, Any]) -> None:
    from greengen.integrations import _rows, requests_csv  # noqa: PLC0415 -- for whom it concerns

    served = None
    if given["requests"] is not None:
        given |= dict.fromkeys(("timezone", "utc_offset", "epoch", "time_format"))
        columns = requests_csv.Columns(model=given["model"])
        served = requests_csv.read(given["requests"], columns, _clock(given, "requests_"))
    _write(given, _rows.together(_about(format_, given), log, served))


def _about(format_: str, given: dict[str, Any]) -> About:
    from greengen.integrations._rows import About  # noqa: PLC0415 -- for whom it concerns

    return About(format_, given["host"], given["tier"])


def _clock(given: dict[str, Any], prefix: str = "") -> Clock:
    """The clock of a log: for the requests, what was said of them, else what was said of both."""
    from greengen.integrations import _times  # noqa: PLC0415 -- for whom it concerns

    own = {name: given.get(f"{prefix}{name}") for name in ("timezone", "utc_offset", "epoch", "time_format")}
    if prefix and own["timezone"] is None and own["utc_offset"] is None:
        own |= {name: given[name] for name in ("timezone", "utc_offset")}
    for name in ("epoch", "time_format"):
        own[name] = given[name] if own[name] is None else own[name]
    shift_s = float(given.get(f"{prefix}shift") or 0.0) if prefix else 0.0
    if not abs(shift_s) < 1e9:  # noqa: PLR2004 -- 30 years, and NaN
        msg = f"--requests-shift {shift_s} is not understood: pass seconds, such as 0.25"
        raise UsageError(msg)
    return _times.clock(own["timezone"], own["utc_offset"], own["epoch"], own["time_format"], shift_s)


def _power(path: Path | None, given: dict[str, Any]) -> PowerLog | None:
    from greengen.integrations import power_csv  # noqa: PLC0415 -- for whom it concerns

    if path is None:
        return None
    for option in ("window", "gain"):
        _not_negative(f"--{option}", given[option])
    columns = power_csv.Columns(
        time=given["time_column"],
        power=given["power_column"],
        device=given["device_column"],
        unit=given["power_unit"],
        covers=given["covers"],
        window_s=given["window"],
        gain=given["gain"],
        drop_bad=given["drop_bad"],
    )
    return power_csv.read(path, columns, _clock(given))


def _not_negative(option: str, value: float | None) -> None:
    if value is not None and not 0 <= value < 1e6:  # noqa: PLR2004 -- and no NaN
        msg = f"{option} {value} is not understood: pass 0 or more"
        raise UsageError(msg)


def _write(given: dict[str, Any], rows: Rows) -> None:
    """Write the run, now that all of it could be read."""
    from greengen.recording import export  # noqa: PLC0415 -- after the logs are known to be right

    out: Path = given["out"]
    export.write(rows, out, force=given["force"])
    (timeline,) = rows.timelines
    for line in timeline.segments[0].info["imported"]["summary"]:
        text = f"greengen: {line['what']}: {line['told']}"
        click.echo("".join(char if char.isprintable() else "?" for char in text), err=True)
    for event in timeline.events:
        text = f"greengen: {event.reason}"
        click.echo("".join(char if char.isprintable() else "?" for char in text), err=True)
    click.echo(f"greengen: run file {out}", err=True)
