"""`greengen profile -- COMMAND`: record a command from a process of its own."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import click

from greengen import plugins
from greengen.cli import options
from greengen.cli.child import Child
from greengen.recording.profiler import Options, Profiler
from greengen.recording.runfile import remove
from greengen.recording.spans import span


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
@click.option("--cgroup", metavar="self|PID|PATH", help="Profile the processes of this cgroup, not COMMAND's.")
@click.option("--force", is_flag=True, help="Overwrite existing output files.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(  # noqa: PLR0913 -- one parameter per option
    ctx: click.Context,
    /,
    *,
    out: Path | None,
    html: Path | None,
    json_: Path | None,
    interval: float,
    tier: str | None,
    collectors: str | None,
    cgroup: str | None,
    force: bool,
    command: tuple[str, ...],
    **more: Any,  # noqa: ANN401 -- the options of `options.site`, as it names them
) -> None:
    """Run COMMAND and record what it costs.

    stdout belongs to COMMAND, the summary goes to stderr, and COMMAND's exit code is passed on.
    """
    if not command:
        msg = "no command to profile: write it after --, as in `greengen profile -- python serve.py`"
        raise click.UsageError(msg)
    names = plugins.parse_names(collectors)
    chosen = tuple(names) if names else None
    recording = Options(interval_s=interval, tier=tier, collectors=chosen, own_process=True, cgroup=cgroup)
    where = options.chosen_site(more)
    _check(where, out, html, json_, force=force)
    # Before anything starts a thread: threads inherit it.
    child = Child(command)
    child.hold_signals()
    profiler = Profiler(out, recording, command=" ".join(command))
    profiler.start(force=force)
    try:
        # Inside another recording, this one is a span of it.
        with span("profile", name=str(profiler.path)):
            failure = child.start(profiler.environment)
            code = failure or child.wait()
    finally:
        profiler.stop()
    if failure:
        remove(profiler.path)
        click.echo(f"greengen: {child.trouble}", err=True)
    else:
        with contextlib.suppress(OSError):  # nobody listens on stderr
            _tell(profiler, html, json_, where)
    ctx.exit(code)


def _check(where: dict[str, Any], out: Path | None, html: Path | None, json_: Path | None, *, force: bool) -> None:
    """Tell of every mistake before the command runs."""
    if where:
        from greengen.run import site  # noqa: PLC0415 -- for those who state one

        site(**where)
    options.check_distinct(out=out, html=html, json=json_)
    for target in (html, json_):
        options.check_output(target, force=force)


def _tell(profiler: Profiler, html: Path | None, json_: Path | None, where: dict[str, Any]) -> None:
    """The reports, and the summary on stderr."""
    from greengen.cli.arithmetic import load_numpy  # noqa: PLC0415 -- not while the command runs
    from greengen.run import Run  # noqa: PLC0415 -- the same

    run, summary, trouble = Run(profiler.path), "", ""
    written = [("run", profiler.path)] if profiler.path.exists() else []
    try:
        load_numpy()
        summary = run.render("terminal", requests="top:10", **where)
        if json_:
            run.to_json(json_, **where)
            written.append(("report", json_))
        if html:
            run.to_html(html, **where)
            written.append(("page", html))
    except Exception as error:  # noqa: BLE001 -- the command has done its work: its exit code counts, whatever we do wrong
        trouble = f"no report: {error or type(error).__name__}"
    click.echo(summary, err=True, nl=False)
    if profiler.trouble or profiler.lost_rows:
        why = profiler.trouble or "for a while it could not be written"
        _say(f"the recording is incomplete: {why}; {profiler.lost_rows} rows were dropped")
    if trouble:
        _say(trouble)
    for name, target in written:
        _say(f"{name} {target}")


def _say(line: str) -> None:
    click.echo(f"greengen: {line}", err=True)
