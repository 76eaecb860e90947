"""The tables greengen ships, and one shape for their rows: value, unit, interval, source, year and licence.

Nothing is read before it is asked for. A row that lacks any of these does not load.
"""

from __future__ import annotations

import csv
import datetime as dt
import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from types import MappingProxyType

from greengen.errors import UsageError
from greengen.quantity import Z95, Error, Quantity

#: table → what its rows are, and what their errors are named after: one source for one thing.
TABLES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "grid_intensity_country": ("grid intensity by country, yearly", "intensity"),
        "gcp_region_intensity": ("grid intensity by region of Google Cloud, yearly", "intensity"),
        "fuel_factors": ("emissions of generation by fuel", "fuel"),
        "pue": ("facility energy per IT energy", "PUE"),
        "wue": ("on-site water per IT energy", "WUE"),
        "water_offsite": ("water of electricity generation by country", "water"),
        "embodied_hardware": ("emissions of making hardware", "embodied"),
        "embodied_coefficients": ("parts to build an embodied figure from", "embodied-part"),
        "lifetimes": ("how long hardware is in use", "lifetime"),
        "network_models": ("energy of networks", "network"),
        "pedigree_factors": ("widths by quality of data", "pedigree"),
    }
)

#: What each row states.
REQUIRED = ("id", "name", "value", "unit", "kind", "basis", "scope", "year", "valid_to", "source", "source_url")
_COLUMNS = frozenset({*REQUIRED, "low", "high", "gsd", "licence", "retrieved", "note"})


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `value` in `unit`, 95 % within `low` to `high`, known to a factor of `gsd`.

    spread    "uniform" where the source gives a range, else "lognormal"
    kind      average, PUE, product carbon footprint …; with `basis` it is what the value is of
    year      that the value is of; after `valid_to` it is past its date
    more      columns that only this table has
    """

    table: str
    id: str
    name: str
    value: float
    unit: str
    low: float
    high: float
    gsd: float
    spread: str
    kind: str
    basis: str
    scope: str
    year: str
    valid_to: dt.date
    source: str
    source_url: str
    licence: str
    retrieved: str
    note: str = ""
    more: Mapping[str, str] = field(default_factory=dict)

    def quantity(self) -> Quantity:
        """The value with its error: one factor for all that it is used for. Of an intensity, with its basis."""
        name = f"{TABLES[self.table][1] if self.table in TABLES else 'intensity'}:{self.id}"
        error = Error(name, self.value * math.log(self.gsd), gain=True, log=True)
        basis = f"{self.kind}; {self.basis}" if self.unit == "g/kWh" else None
        unit = "" if self.unit == "1" else self.unit
        return Quantity(self.value, unit, "declared", (error,), basis=basis)

    def past_its_date(self, today: dt.date) -> str:
        """What to say of a row that is used after `valid_to`; else nothing."""
        if today <= self.valid_to:
            return ""
        return f"{self.table}: the figure for {self.id} is of {self.year}, and was to be replaced by {self.valid_to}."


def table(name: str) -> dict[str, Row]:
    """All rows of a table, by id. Raises UsageError for an unknown one."""
    if name not in TABLES:
        msg = f"unknown table {name!r}: pass one of {', '.join(TABLES)}"
        raise UsageError(msg)
    text = files(__name__).joinpath(f"{name}.csv").read_text(encoding="utf-8")
    return parse(name, text.splitlines())


def parse(name: str, lines: Iterable[str]) -> dict[str, Row]:
    """The rows of a table's text. Raises ValueError for a row that is not complete, or is there twice."""
    rows: dict[str, Row] = {}
    for told in csv.DictReader(lines):
        row = checked(name, told)
        if row.id in rows:
            msg = f"{name}: {row.id} is there twice"
            raise ValueError(msg)
        rows[row.id] = row
    return rows


def checked(name: str, told: Mapping[str, str]) -> Row:
    """A row from its cells. Raises ValueError that names what is missing or cannot be."""
    where = f"{name}: {told.get('id') or 'a row'}"
    for column in (*REQUIRED, "licence", "retrieved"):
        if not (told.get(column) or "").strip():
            msg = f"{where} has no {column}"
            raise ValueError(msg)
    value = float(told["value"])
    ranged = bool(told.get("low") and told.get("high"))
    if not ranged and not told.get("gsd"):
        msg = f"{where} has no interval: it needs low and high, or gsd"
        raise ValueError(msg)
    low, high = (float(told["low"]), float(told["high"])) if ranged else (math.nan, math.nan)
    gsd = math.exp(math.log(high / low) / (2 * Z95)) if ranged else float(told["gsd"])
    if not ranged:
        low, high = value / gsd**Z95, value * gsd**Z95
    if not (math.isfinite(value) and value >= 0 and 1 <= gsd < math.inf and low <= value <= high):
        msg = f"{where} is not possible: {value:g} within {low:g} to {high:g}"
        raise ValueError(msg)
    return Row(
        table=name,
        value=value,
        low=low,
        high=high,
        gsd=gsd,
        spread="uniform" if ranged else "lognormal",
        valid_to=dt.date.fromisoformat(told["valid_to"]),
        note=told.get("note") or "",
        more={column: cell for column, cell in told.items() if column not in _COLUMNS},
        **{column: told[column] for column in _TEXT},
    )


_TEXT = ("id", "name", "unit", "kind", "basis", "scope", "year", "source", "source_url", "licence", "retrieved")


def row(name: str, wanted: str) -> Row:
    """One row of a table by its id. Raises UsageError that suggests the nearest names."""
    rows = table(name)
    found = rows.get(wanted.strip()) or rows.get(wanted.strip().lower())
    if found is None:
        raise UsageError(unknown(f"{TABLES[name][1]} {wanted!r}", wanted, rows.values(), "see `greengen factors`"))
    return found


def unknown(what: str, wanted: str, rows: Iterable[Row], remedy: str) -> str:
    """What to say of an id that no row has: the nearest ones by code or name, or the remedy."""
    rows = list(rows)
    typed = wanted.strip().casefold()
    names = {row.name.casefold(): row for row in rows}
    near = [row for name, row in names.items() if len(typed) > 2 and name.startswith(typed)]  # noqa: PLR2004 -- shorter is a code
    near += [names[name] for name in difflib.get_close_matches(typed, names, n=2, cutoff=0.75)]
    codes = {row.id.casefold(): row for row in rows}
    close = difflib.get_close_matches(typed, codes, n=3, cutoff=0.5)
    near += [row for code, row in codes.items() if code in close]
    hint = ", ".join(dict.fromkeys(f"{row.id} ({row.name})" for row in near[:4]))
    return f"unknown {what}: " + (f"did you mean {hint}?" if hint else remedy)


def grid_intensities() -> list[Row]:
    """Yearly average intensity by ISO-3 country."""
    return list(table("grid_intensity_country").values())


def grid_intensity(zone: str) -> Row:
    """The row of an ISO-3 country, or of a zone within one. Raises UsageError that suggests the nearest names."""
    from greengen.data import subnational  # noqa: PLC0415 -- another package's files, which most zones do not need

    countries = table("grid_intensity_country")
    found = countries.get(zone.strip().upper())
    if found is not None:
        return found
    within = subnational.zones()
    finer = within.get(subnational.normal(zone))
    if finer is not None:
        return finer
    wanted = subnational.normal(zone)
    part = "-" in wanted or wanted[-1:].isdigit()
    rows = [row for id_, row in within.items() if part and id_[:2] == wanted[:2]] or list(countries.values())
    raise UsageError(unknown(f"zone {zone!r}", zone, rows, "pass an ISO-3 country code such as DEU, or USA-CA, SE3"))
