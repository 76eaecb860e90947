"""`greengen compare RUN… | FILE.toml`: deployments held against one another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from greengen.cli import options
from greengen.errors import UsageError

FORMATS = ("terminal", "json", "html", "csv", "markdown", "toml")

_ENDINGS = {".json": "json", ".html": "html", ".htm": "html", ".csv": "csv", ".md": "markdown", ".toml": "toml"}


@click.command("compare", short_help="Hold deployments against one another.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...|FILE.toml")
@click.option("--format", "format_", type=click.Choice(FORMATS), help="Default: by the name of -o, else terminal.")
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="F", help="Write to a file instead of stdout.")
@click.option("--baseline", metavar="NAME", help="What the others are held against. Default: the first.")
@click.option("--unit", metavar="U", help="Functional unit: request (default), output_token, input_token, image ...")
@click.option("--deadline", "deadline_s", type=float, metavar="S", help="Latency objective of a request, s.")
@click.option(
    "--quality", multiple=True, metavar="NAME=Q", help="Quality figure of a deployment: 0.91, or 182/200 correct."
)
@click.option("--quality-metric", metavar="M", help="What it is, such as accuracy.")
@click.option("--idle", metavar="RULE", help="none (default), pro-rata or resident-time: give idle energy out.")
@click.option(
    "--counts", type=click.Choice(["requests", "run"]), help="Energy of requests (default), or of whole runs."
)
@click.option("--policy", metavar="P", help="How live spans share a cell's energy.")
@click.option("--network-kwh-per-gb", type=float, metavar="X", help="Energy of the bytes between tiers.")
@click.option(
    "--fail-on",
    multiple=True,
    metavar="COND",
    help='Exit with 1 where the whole 95 % interval is beyond, as in "energy>+5%".',
)
@options.site
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def command(
    *,
    runs: tuple[str, ...],
    format_: str | None,
    out: Path | None,
    quality: tuple[str, ...],
    fail_on: tuple[str, ...],
    force: bool,
    **more: Any,  # noqa: ANN401 -- the others, as `greengen.compare` names them
) -> int:
    """Hold deployments against one another.

    NAME=RUN says which deployment a run is a repeat of; runs without a name are put together by the models that they
    served. RUN+RUN is one repeat whose tiers recorded a run each. Or a FILE.toml says it all; -o FILE.toml writes one.

    With --strict, an unknown quality is refused too. A page that compare wrote is shown again.
    """
    from greengen import comparison, comparison_toml, gate  # noqa: PLC0415 -- after the options are known to be right
    from greengen.cli import page  # noqa: PLC0415 -- the same
    from greengen.cli.arithmetic import load_numpy  # noqa: PLC0415 -- the same

    options.check_output(out, force=force)
    conditions = [gate.condition(text) for text in fail_on]
    given = {name: value for name, value in more.items() if value not in (None, ())}
    if quality:
        given["quality"] = dict(_quality(text) for text in quality)
    chosen = format_ or options.by_ending(out, _ENDINGS)
    again = [Path(name) for name in runs]
    if page.among(again):
        document = page.held(again, "runs", also=["fail_on"])
        if document["schema"] != "greengen.comparison/1":
            msg = f"{again[0]} is the page of a report: greengen report shows it, and its run files can be compared"
            raise UsageError(msg)
        if chosen == "toml":
            msg = f"{again[0]} holds what came of a comparison: a TOML file is written from the runs, or from its own"
            raise UsageError(msg)
        _write(page.shown(document, chosen), chosen, out)
        return _judged(document, conditions)
    load_numpy()
    if any(name.lower().endswith(".toml") for name in runs):
        if len(runs) > 1:
            msg = f"{len(runs)} arguments, one of them a TOML file: name the file alone, or runs alone"
            raise UsageError(msg)
        compared = comparison.from_file(runs[0], **given)
    else:
        compared = comparison.compare(_deployments(runs), **given)
    document = compared.document()
    text = comparison_toml.text(compared, out.parent if out else "") if chosen == "toml" else None
    _write(compared.render(chosen, document) if text is None else text, chosen, out)
    return _judged(document, conditions)


def _judged(document: dict[str, Any], conditions: Sequence[Any]) -> int:
    """1 where a condition of --fail-on holds, which is told."""
    from greengen import gate  # noqa: PLC0415 -- for those who ask

    failing = gate.failing(document, conditions) if conditions else []
    for line in failing:
        click.echo(f"greengen: {' '.join(line.split())}", err=True)
    return 1 if failing else 0


def _write(text: str, chosen: str, out: Path | None) -> None:
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        msg = f"cannot write {out}: {error.strerror}"
        raise UsageError(msg) from error
    click.echo(f"greengen: {chosen} comparison {out}", err=True)


def _quality(text: str) -> tuple[str, float | dict[str, float]]:
    name, _, told = text.rpartition("=")
    number, sign, of = told.partition("/")
    try:
        figure = {"correct": float(number), "of": float(of)} if sign else float(number)
    except ValueError:
        name = ""
    if not name:
        msg = f"--quality {text!r} is not understood: pass NAME=NUMBER, or NAME=CORRECT/OF"
        raise UsageError(msg)
    return name, figure


def _deployments(runs: tuple[str, ...]) -> dict[str, list[list[str]]]:
    """name -> its repeats, each a list of run files."""
    told: dict[str, list[list[str]]] = {}
    for text in runs:
        name, sign, path = ("", "", text) if text and Path(text).exists() else text.partition("=")
        if not sign:
            name, path = "", text
        parts = [path] if path and Path(path).exists() else path.split("+")
        if not all(part.strip() for part in parts):
            msg = f"{text!r} names no run file{' beside the +' * (len(parts) > 1)}: pass RUN, NAME=RUN or NAME=RUN+RUN"
            raise UsageError(msg)
        if sign and not name.strip():
            msg = f"{text!r} has no name before the =: pass NAME={path}, or {path} alone"
            raise UsageError(msg)
        told.setdefault(name or _by_models(parts), []).append(parts)
    return told


def _by_models(paths: list[str]) -> str:
    """What a run without a name is called: the models that it served, and where, if it says."""
    from greengen.run import Run  # noqa: PLC0415 -- for those that have no name

    rows = Run(*paths).rows()
    spans = [span for timeline in rows.timelines for span in timeline.spans if span.kind == "request"]
    models = sorted({span.model for span in spans if span.model is not None})
    tiers = sorted(
        {str(s.info["tier"]) for timeline in rows.timelines for s in timeline.segments if s.info.get("tier")}
    )
    if not models:
        msg = f"{paths[0]} tells no model to call it by: name its deployment, as in NAME={paths[0]}"
        raise UsageError(msg)
    return " ".join(["+".join(models), *(["on", "+".join(tiers)] if tiers else [])])
