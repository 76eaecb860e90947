"""The tables greengen ships: each row with value, unit, spread, source, year and licence."""

from __future__ import annotations

import csv
import difflib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from greengen.errors import UsageError
from greengen.quantity import Error, Quantity


@dataclass(frozen=True, slots=True)
class GridIntensity:
    """One row of `grid_intensity_country.csv`: `value` in gCO2e/kWh, known to a factor of `gsd`."""

    zone: str
    name: str
    value: float
    gsd: float
    basis: str
    year: str
    source: str

    def quantity(self) -> Quantity:
        """The intensity with its error: one factor for all energy of the zone."""
        error = Error(f"intensity:{self.zone}", self.value * math.log(self.gsd), gain=True, log=True)
        return Quantity(self.value, "g/kWh", "declared", (error,), basis=self.basis)


def grid_intensities() -> Iterator[GridIntensity]:
    """Yearly average intensity by ISO-3 country."""
    table = files(__name__).joinpath("grid_intensity_country.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(table.splitlines()):
        yield GridIntensity(
            zone=row["zone"],
            name=row["name"],
            value=float(row["value"]),
            gsd=float(row["gsd"]),
            basis=row["basis"],
            year=row["year"],
            source=row["source"],
        )


def grid_intensity(zone: str) -> GridIntensity:
    """The row of an ISO-3 zone. Raises UsageError that suggests the nearest names."""
    rows = list(grid_intensities())
    wanted = zone.strip().upper()
    for row in rows:
        if row.zone == wanted:
            return row
    names = {row.name.casefold(): row for row in rows}
    near = [row for name, row in names.items() if len(wanted) > 2 and name.startswith(zone.strip().casefold())]  # noqa: PLR2004
    near += [
        names[name]
        for name in difflib.get_close_matches(zone.casefold(), names, n=2, cutoff=0.75)
        if names[name] not in near
    ]
    codes = difflib.get_close_matches(wanted, [row.zone for row in rows], n=3, cutoff=0.5)
    near += [row for row in rows if row.zone in codes and row not in near]
    hint = ", ".join(f"{row.zone} ({row.name})" for row in near[:4])
    msg = f"unknown zone {zone!r}: " + (f"did you mean {hint}?" if hint else "pass an ISO-3 country code such as DEU")
    raise UsageError(msg)
