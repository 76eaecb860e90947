"""`greengen merge RUN… -o RUN`: several ranks, hosts or tiers into one run."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("merge", short_help="Put several runs into one.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), metavar="RUN", help="The run to write.")
@click.option("--force", is_flag=True, help="Overwrite an existing run.")
def command(*, runs: tuple[Path, ...], out: Path, force: bool) -> None:
    """Put several runs into one: ranks, hosts, tiers, or pieces of one recording.

    Each reading of each meter counts once, whatever is given twice and in whatever order. The spans
    of one request on several tiers are joined by their trace id.
    """
    from greengen.errors import UsageError  # noqa: PLC0415 -- after the options are known to be right
    from greengen.run import Run  # noqa: PLC0415 -- the same

    if any(out.exists() and path.exists() and path.samefile(out) for path in runs):
        msg = f"{out} is one of the runs to merge: name another file with --out"
        raise UsageError(msg)
    first, *others = (Run(path) for path in runs)
    merged = first.merge(*others, out=out, force=force)
    timelines = merged.rows().timelines
    spans = sum(len(timeline.spans) for timeline in timelines)
    hosts = len({timeline.hostname for timeline in timelines})
    click.echo(f"greengen: {len(runs)} runs of {hosts} host(s), {spans} spans, merged into {out}", err=True)
