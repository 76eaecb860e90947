"""A comparison as a TOML file: sites, links and deployments, said once. Paths in it are relative to it.

unit = "request"
baseline = "cloud"
deadline_s = 0.5
quality_metric = "accuracy"

[site]                      # common; or site = "greengen.toml"
zone = "DEU"

[links]
kwh_per_gb = 0.05
zone = "DEU"

[sites.home]
zone = "FRA"

[[deployment]]
name = "cloud"
runs = ["cloud-*.greengen", ["device-1.greengen", "server-1.greengen"]]
site = "home"
tiers = { device = "home" }
quality = { correct = 182, of = 200, source = "our exam" }    # or 0.91; as in greengen.accounting.quality

[[deployment]]
name = "an API"
declared = { energy_j = 860, gsd = 1.5, per = "request", boundary = "machine", source = "..." }

[[what_if]]
kind = "break_even"

[quality]                   # or here, by the names of deployments
"an API" = 0.91
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greengen import site_file, stated
from greengen.comparison import OPTIONS, check
from greengen.deployments import Deployment
from greengen.deployments import check as check_deployment
from greengen.errors import UsageError

#: What stands at the top of a file beside `OPTIONS` of the comparison.
_TABLES = ("site", "hardware", "sites", "links", "deployment", "what_if")

#: What of `OPTIONS` a file tells in a table of its own.
_ELSEWHERE = {"link", "network_kwh_per_gb"}

#: In a name of run files, these stand for several.
_WILD = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Read:
    """What a file states: deployments, options as `greengen.compare` takes them, and what is asked."""

    deployments: dict[str, Deployment]
    options: dict[str, Any]
    what_if: list[dict[str, Any]]


def read(path: str | Path) -> Read:
    """What a comparison file states. Raises UsageError."""
    file = Path(path)
    try:
        with file.open("rb") as opened:
            told = tomllib.load(opened)
    except OSError as error:
        msg = f"comparison file {path} cannot be read: {error.strerror}"
        raise UsageError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"comparison file {path} is no TOML: {error}"
        raise UsageError(msg) from error
    known = (*(OPTIONS.keys() - _ELSEWHERE), *_TABLES)
    strange = sorted(told.keys() - set(known))
    if strange:
        msg = f"comparison file {path}: {stated.unknown(strange, sorted(known))}"
        raise UsageError(msg)
    check(told, f"comparison file {path}: ")
    for name, figure in told.get("quality", {}).items():
        check_deployment(name, Deployment(quality=figure), f"comparison file {path}: ")
    sites = _table(path, "sites", told.get("sites", {}))
    where = _Where(file, {name: _site(path, f"[sites.{name}]", value) for name, value in sites.items()})
    options = {key: value for key, value in told.items() if key not in _TABLES}
    if "site" in told:
        options |= where.options("[site]", told["site"])
    if "hardware" in told:
        options |= _site(path, "hardware", {"hardware": told["hardware"]})
    if "links" in told:
        links = _table(path, "links", told["links"])
        price = {"kwh_per_gb": links.pop("kwh_per_gb")} if "kwh_per_gb" in links else {}
        options["link"] = _site(path, "[links]", links, also=["kwh_per_gb"]) | price
    rows = told.get("deployment", [])
    if not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
        msg = f"comparison file {path}: deployment is no list of tables; write [[deployment]] on a line of its own"
        raise UsageError(msg)
    asked = told.get("what_if", [])
    if not (isinstance(asked, list) and all(isinstance(row, dict) for row in asked)):
        msg = f"comparison file {path}: what_if is no list of tables; write [[what_if]] on a line of its own"
        raise UsageError(msg)
    return Read(dict(_deployments(where, rows)), options, asked)


@dataclass(frozen=True, slots=True)
class _Where:
    """A file, and the sites that it names."""

    file: Path
    sites: Mapping[str, dict[str, Any]]

    def options(self, what: str, told: object) -> dict[str, Any]:
        """A site as options: one of the file's, a site file's, or keys in place."""
        if isinstance(told, str):
            if told in self.sites:
                return self.sites[told]
            path = self.file.parent / told
            if not path.is_file():
                named = ", ".join(self.sites) or "none"
                msg = f"comparison file {self.file}: {what} {told!r} is no site of it ({named}), and no site file"
                raise UsageError(msg)
            return {"site": str(path)}
        return _site(self.file, what, told)

    def runs(self, name: str, told: object) -> list[Any]:
        """The repeats that a deployment names."""
        every = [told] if isinstance(told, str) else told
        if not isinstance(every, list):
            msg = f"comparison file {self.file}: runs of {name!r} is no list of run files"
            raise UsageError(msg)
        found: list[Any] = []
        for one in every:
            if isinstance(one, list) and one and all(isinstance(path, str) for path in one):
                found.append([self.file.parent / path for path in one])
            elif isinstance(one, str):
                found += self._files(name, one)
            else:
                msg = f"comparison file {self.file}: runs of {name!r} has {one!r}: name run files, or lists of them"
                raise UsageError(msg)
        return found

    def _files(self, name: str, pattern: str) -> list[Path]:
        if not _WILD & set(pattern):
            return [self.file.parent / pattern]
        base = Path(pattern)
        folder = Path(base.anchor) if base.is_absolute() else self.file.parent
        relative = str(base.relative_to(base.anchor)) if base.is_absolute() else pattern
        found = sorted(folder.glob(relative))
        if not found:
            msg = f"comparison file {self.file}: no run file is called {pattern!r}, as {name!r} has it"
            raise UsageError(msg)
        return found


def _deployments(where: _Where, rows: list[dict[str, Any]]) -> list[tuple[str, Deployment]]:
    found: list[tuple[str, Deployment]] = []
    known = ("name", *Deployment.__dataclass_fields__)
    for number, row in enumerate(rows, 1):
        name = row.get("name")
        if not isinstance(name, str) or not name:
            msg = f"comparison file {where.file}: the deployment at place {number} has no name"
            raise UsageError(msg)
        if name in dict(found):
            msg = f"comparison file {where.file}: two deployments are called {name!r}"
            raise UsageError(msg)
        strange = sorted(row.keys() - set(known))
        if strange:
            msg = f"comparison file {where.file}: {stated.unknown(strange, known, f'of {name!r}')}"
            raise UsageError(msg)
        given = {key: value for key, value in row.items() if key != "name"}
        if "runs" in given:
            given["runs"] = where.runs(name, given["runs"])
        if "site" in given:
            given["site"] = where.options(f"site of {name!r}", given["site"])
        tiers = _table(where.file, f"tiers of {name!r}", given.get("tiers", {}))
        given["tiers"] = {
            tier: where.options(f"site of tier {tier!r} of {name!r}", told) for tier, told in tiers.items()
        }
        if "declared" in given:
            given["declared"] = _table(where.file, f"declared of {name!r}", given["declared"])
        found.append((name, Deployment(**given)))
        check_deployment(*found[-1], f"comparison file {where.file}: ")
    return found


def _site(path: str | Path, what: str, told: object, also: Sequence[str] = ()) -> dict[str, Any]:
    """The keys of a `[site]`, and hardware in place, as options."""
    table = _table(path, what, told)
    machines = table.pop("hardware", [])
    several = [machines] if isinstance(machines, str | dict) else machines
    if not (isinstance(several, list) and all(isinstance(one, str | dict) for one in several)):
        msg = f"comparison file {path}: hardware of {what} is no list of names or tables"
        raise UsageError(msg)
    return site_file.options(path, table, several, what, also)


def _table(path: str | Path, what: str, told: object) -> dict[str, Any]:
    if not isinstance(told, dict):
        msg = f"comparison file {path}: {what} is no table"
        raise UsageError(msg)
    return dict(told)
