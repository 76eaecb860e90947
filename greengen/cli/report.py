"""`greengen report RUN…`: show what a run cost."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from greengen.cli import options
from greengen.errors import UsageError

FORMATS = ("terminal", "json", "html", "csv", "markdown", "codecarbon", "impact-framework")

_IF = "impact-framework"

_ENDINGS = {
    ".json": "json",
    ".html": "html",
    ".htm": "html",
    ".csv": "csv",
    ".md": "markdown",
    ".yml": _IF,
    ".yaml": _IF,
}


@click.command("report", short_help="Show what a run cost.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--format", "format_", type=click.Choice(FORMATS), help="Default: by the name of -o, else terminal.")
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="F", help="Write to a file instead of stdout.")
@click.option("--requests", default="all", show_default=True, metavar="all|top:N|none", help="Which requests to list.")
@click.option("--policy", default="auto", show_default=True, metavar="P", help="How live spans share a cell's energy.")
@options.rules
@options.beside
@options.site
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def command(  # noqa: PLR0913 -- one parameter per option
    *,
    runs: tuple[Path, ...],
    format_: str | None,
    out: Path | None,
    requests: str,
    policy: str,
    idle: str,
    static: str,
    held: float | None,
    coefficients: tuple[float, float, float, float] | None,
    exact: bool,
    force: bool,
    **more: Any,  # noqa: ANN401 -- the options of `options.site` and `options.beside`, as they name them
) -> None:
    """Show what RUN cost; several runs are read as one. A page that greengen wrote is shown again."""
    from greengen.cli import page  # noqa: PLC0415 -- after the options are known to be right
    from greengen.cli.arithmetic import load_numpy  # noqa: PLC0415 -- the same
    from greengen.run import Run  # noqa: PLC0415 -- the same

    options.check_output(out, force=force)
    if out is not None and not page.among(runs) and options.real(out) in map(options.real, runs):
        msg = f"{out} is one of the runs to report: its recording would be lost; name another file"
        raise UsageError(msg)
    chosen = format_ or options.by_ending(out, _ENDINGS)
    if chosen == "html" and out is None and sys.stdout.isatty():
        msg = "a page is not for a terminal: name a file with -o, such as -o report.html"
        raise UsageError(msg)
    if page.among(runs):
        text = page.shown(page.held(runs, "runs"), chosen)
    else:
        load_numpy()
        run = Run(*runs)
        where = options.chosen_site(more)
        rules = options.chosen_rules(idle=idle, static=static, held=held, coefficients=coefficients, exact=exact)
        beside = options.chosen_beside(**more)
        text = run.render(chosen, requests=requests, policy=policy, **rules, **where, **beside)
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        msg = f"cannot write {out}: {error.strerror}"
        raise UsageError(msg) from error
    click.echo(f"greengen: {chosen} report {out}", err=True)
