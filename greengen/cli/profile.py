"""`greengen profile -- COMMAND`: record a command from a process of its own."""

from __future__ import annotations

import time
from pathlib import Path

import click

from greengen.cli import options
from greengen.cli.child import Child
from greengen.errors import GreengenError
from greengen.recording.profiler import Options, Profiler
from greengen.recording.runfile import remove


@click.command(
    "profile",
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
    short_help="Run a command and record what it costs.",
)
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="RUN", help="The run file to write.")
@click.option("--html", "html", type=click.Path(path_type=Path), metavar="F", help="Also write the page.")
@click.option("--json", "json_", type=click.Path(path_type=Path), metavar="F", help="Also write the report as JSON.")
@options.site
@click.option("--interval", type=float, default=0.1, show_default=True, metavar="S", help="Seconds between readings.")
@click.option("--tier", type=click.Choice(["cloud", "edge", "device"]), help="Where this machine stands.")
@click.option("--collectors", metavar="A,B,-C", help="Collectors to use, or with a leading - to leave out.")
@click.option("--force", is_flag=True, help="Overwrite existing output files.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(  # noqa: PLR0913 -- one parameter per option
    ctx: click.Context,
    *,
    out: Path | None,
    html: Path | None,
    json_: Path | None,
    zone: str | None,
    intensity: float | None,
    pue: float | None,
    interval: float,
    tier: str | None,
    collectors: str | None,
    force: bool,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND and record what it costs.

    stdout belongs to COMMAND, the summary goes to stderr, and COMMAND's exit code is passed on.
    """
    if not command:
        msg = "no command to profile: write it after --, as in `greengen profile -- python serve.py`"
        raise click.UsageError(msg)
    # Before anything starts a thread: threads inherit it.
    child = Child(list(command))
    child.hold_signals()
    names = tuple(name.strip() for name in collectors.split(",") if name.strip()) if collectors else None
    recording = Options(interval_s=interval, tier=tier, collectors=names, own_process=True)
    from greengen.run import site  # noqa: PLC0415 -- after the cheap checks

    where = {"zone": zone, "intensity": intensity, "pue": pue}
    site(**where)  # type: ignore[arg-type] -- a mistake in it is told before the command runs
    for target in (html, json_):
        options.check_output(target, force=force)
    path = out or Path(time.strftime("greengen-%Y%m%d-%H%M%S.greengen"))
    profiler = Profiler(path, recording, command=" ".join(command))
    profiler.start(force=force)
    try:
        failure = child.start(profiler.environment)
        code = failure or child.wait()
    finally:
        profiler.stop()
    if failure:
        remove(profiler.path)
        click.echo(f"greengen: {child.trouble}", err=True)
        ctx.exit(failure)
    _tell(profiler, html, json_, where)
    ctx.exit(code)


def _tell(profiler: Profiler, html: Path | None, json_: Path | None, where: dict[str, object]) -> None:
    """The summary on stderr and the reports; trouble with them does not change the command's exit code."""
    from greengen.run import Run  # noqa: PLC0415

    if profiler.trouble or profiler.lost_rows:
        click.echo(
            f"greengen: the recording is incomplete: {profiler.trouble or 'the disk was full for a while'}; "
            f"{profiler.lost_rows} rows were not written",
            err=True,
        )
    run = Run(profiler.path)
    try:
        click.echo(run.render("terminal", requests="top:10", **where), err=True, nl=False)
        if json_:
            run.to_json(json_, **where)
        if html:
            run.to_html(html, **where)
    except (GreengenError, OSError) as error:
        click.echo(f"greengen: no report: {error}", err=True)
    for name, target in (("run", profiler.path), ("report", json_), ("page", html)):
        if target:
            click.echo(f"greengen: {name} {target}", err=True)
