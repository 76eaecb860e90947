"""A comparison written as the TOML file that would tell it again: `greengen.comparison_file` reads it.

All that was stated is in it, however it was stated: sites in place, run files by paths from the file's own folder,
quality with its counts or repeats, published figures, questions.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greengen import site_file
from greengen.errors import UsageError
from greengen.run import Run

if TYPE_CHECKING:
    from greengen.comparison import Comparison
    from greengen.deployments import Deployment, Recorded

_BARE = re.compile(r"[A-Za-z0-9_-]+")

#: What a basic string of TOML holds only as an escape.
_CONTROLS = frozenset((*range(0x20), 0x7F))


def text(comparison: Comparison, folder: str | Path = "") -> str:
    """The file's text, for a file in `folder`. Raises UsageError where something cannot be told in one."""
    target = Path(folder).absolute()
    top = {key: value for key, value in comparison.said.items() if key not in {"quality", "link", "network_kwh_per_gb"}}
    parts = [_lines(top)]
    site = _site("the common site", comparison.rules.site)
    parts += [table("site", site)] if site else []
    links = dict(comparison.rules.link)
    price = {"kwh_per_gb": links.pop("kwh_per_gb")} if "kwh_per_gb" in links else {}
    told = price | _site("the links", links)
    parts += [table("links", told)] if told else []
    parts += [table("deployment", row, several=True) for row in _deployments(comparison, target)]
    parts += [table("what_if", _moved(row, comparison.folder, target), several=True) for row in comparison.asked]
    return "\n".join(part for part in parts if part)


def table(name: str, rows: Mapping[str, Any], *, several: bool = False) -> str:
    """A table with its heading; `several`: one of a list of such."""
    ends = ("[[", "]]") if several else ("[", "]")
    return f"{ends[0]}{_key(name)}{ends[1]}\n{_lines(rows)}"


def _lines(rows: Mapping[str, Any]) -> str:
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in rows.items())


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


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _value(value: Any) -> str:  # noqa: ANN401 -- whatever can be told in TOML
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | Path):
        return _string(str(value))
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(str(key))} = {_value(part)}" for key, part in value.items() if part is not None)
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, Sequence):
        return f"[{', '.join(map(_value, value))}]"
    return str(value)  # dates and times, which TOML writes as Python does


def _string(value: str) -> str:
    told = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(f"\\u{ord(c):04x}" if ord(c) in _CONTROLS else c for c in told) + '"'
