"""A comparison written as the TOML file that would tell it again: `greengen.comparison_file` reads it.

All that was stated is in it, however it was stated: sites in place, run files by paths from the file's own folder,
quality with its counts or repeats, published figures, questions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from greengen import site_file
from greengen.errors import UsageError
from greengen.run import Run

if TYPE_CHECKING:
    from greengen.comparison import Comparison
    from greengen.deployments import Deployment, Recorded


def text(comparison: Comparison, folder: str | Path = "") -> str:
    """The file's text, for a file in `folder`. Raises UsageError where something cannot be told in one."""
    target = Path(folder).absolute()
    top = {key: value for key, value in comparison.said.items() if key not in {"quality", "link", "network_kwh_per_gb"}}
    links = dict(comparison.rules.link)
    price = {"kwh_per_gb": links.pop("kwh_per_gb")} if "kwh_per_gb" in links else {}
    tables = {
        "site": _site("the common site", comparison.rules.site),
        "links": price | _site("the links", links),
        "deployment": list(_deployments(comparison, target)),
        "what_if": [_moved(row, comparison.folder, target) for row in comparison.asked],
    }
    return tomli_w.dumps(_plain(top | {name: rows for name, rows in tables.items() if rows}))


def _deployments(comparison: Comparison, target: Path) -> Iterator[dict[str, Any]]:
    for name, of in comparison.deployments.items():
        row: dict[str, Any] = {"name": name}
        if of.runs:
            row["runs"] = [_run(run, target) for run in of.runs]
        site = _site(f"the site of {name!r}", _options(of, None))
        row |= {"site": site} if site else {}
        tiers = {tier: _site(f"the site of tier {tier!r} of {name!r}", _options(of, tier)) for tier in of.tiers}
        row |= {"tiers": tiers} if tiers else {}
        more = {"quality": of.quality, "declared": of.declared, "units": of.units, "batch": of.batch}
        yield row | {key: value for key, value in more.items() if value is not None}


def _options(of: Deployment, tier: str | None) -> Mapping[str, Any]:
    told = of.site if tier is None else of.tiers[tier]
    return told if isinstance(told, Mapping) else {} if told is None else {"site": told}


def _run(run: Recorded, target: Path) -> str | list[str]:
    """A run file, or those of one repeat's tiers."""
    each = run.paths if isinstance(run, Run) else (run,) if isinstance(run, str | Path) else run
    found = [path for one in each for path in (one.paths if isinstance(one, Run) else (one,))]
    told = [_from(target, Path(path)) for path in found]
    return told[0] if len(told) == 1 else told


def _site(what: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """A site as a table; what a site file says stands in it. Raises UsageError."""
    given = {key: value for key, value in told.items() if value is not None}
    if "site" in given:
        from greengen.sites import of_file  # noqa: PLC0415 -- for those who have one

        given = of_file(given)
    machines = given.pop("hardware", [])
    several = [machines] if isinstance(machines, str | Mapping) else list(machines)
    if not all(isinstance(one, str | Mapping) for one in several):
        msg = f"hardware of {what} is an object: name it, or state it as a table, to have it written"
        raise UsageError(msg)
    if isinstance(given.get("bought"), str):
        given["bought"] = [float(each) for each in given["bought"].split(",")]
    site_file.options(f"({what})", given, ())  # tells what cannot be read back
    return given | ({"hardware": several} if several else {})


def _moved(asked: Mapping[str, Any], folder: Path, target: Path) -> dict[str, Any]:
    """A question with its paths, which are of CSV files, from another folder."""

    def moved(value: Any) -> Any:  # noqa: ANN401 -- whatever a question holds
        if isinstance(value, Mapping):
            return {key: moved(part) for key, part in value.items()}
        if isinstance(value, str) and value.lower().endswith(".csv"):
            return _from(target, folder / value)
        return value

    return {key: moved(value) for key, value in asked.items()}


def _from(target: Path, path: Path) -> str:
    """A path as told from a folder; as it is where there is no way between them."""
    try:
        return Path(os.path.relpath(path.absolute(), target)).as_posix()
    except ValueError:  # two drives
        return str(path.absolute())


def _plain(value: Any) -> Any:  # noqa: ANN401 -- whatever can be told in TOML
    """As TOML takes it: paths as texts, and nothing in place of None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items() if part is not None}
    if isinstance(value, Path):
        return str(value)
    return [_plain(part) for part in value] if isinstance(value, Sequence) and not isinstance(value, str) else value
