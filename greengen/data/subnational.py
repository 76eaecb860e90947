"""Zones within countries: states of the USA, provinces of Canada and China, bidding zones of Sweden and Norway.

The figures are those of the files that codecarbon installs; they are read without importing it.
Each is on the basis of its source, so they do not mix with one another, nor with the countries'.
Canada's are made from its generation by fuel with our own lifecycle factors: codecarbon's give 0 to all that is not
burnt.
"""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from greengen import data
from greengen.errors import UsageError
from greengen.quantity import Z95, convert

#: Nobody republishes it more than yearly.
_VALID_TO = dt.date(2027, 12, 31)

_PROVINCES = {
    "alberta": "AB",
    "british columbia": "BC",
    "manitoba": "MB",
    "new brunswick": "NB",
    "newfoundland and labrador": "NL",
    "northwest territories": "NT",
    "nova scotia": "NS",
    "nunavut": "NU",
    "ontario": "ON",
    "prince edward island": "PE",
    "quebec": "QC",
    "saskatchewan": "SK",
    "yukon": "YT",
}
#: Names of fuels in Canada's file → in our table of factors.
_FUELS = {
    "naturalGas": "gas",
    "petroleum": "oil",
    "coal": "coal",
    "nuclear": "nuclear",
    "biomass": "biomass",
    "solar": "solar",
    "wind": "wind",
    "hydro": "hydro",
}
#: Of a bidding zone whose generation is covered by less than this, the figure is a lower bound.
_COVERED = 0.95


class _Source(NamedTuple):
    """Where figures come from, and what they are of."""

    basis: str
    year: str
    name: str
    url: str
    licence: str


def zones() -> dict[str, data.Row]:
    """All zones, by id: USA-CA, CAN-QC, CHN-BJ, SE3, NO1. Raises UsageError where codecarbon's files are not there."""
    found = (*_usa(), *_canada(), *_china(), *_nordic())
    retrieved = f"codecarbon {version('codecarbon')}"
    return {row.id: replace(row, retrieved=retrieved) for row in found}


def normal(zone: str) -> str:
    """A zone as it stands in the table; ISO 3166-2 (US-CA) is read too."""
    wanted = zone.strip().upper()
    country, dash, part = wanted.partition("-")
    return {"US": "USA", "CA": "CAN", "CN": "CHN"}.get(country, country) + dash + part


def _usa() -> Iterator[data.Row]:
    source = _Source(
        "direct; location-based; generation-based; grid losses out",
        "2023",
        "EPA eGRID2023, annual CO2e total output emission rate",
        "https://www.epa.gov/egrid/download-data",
        "public domain",
    )
    for name, told in _file("2023/usa_emissions.json").items():
        if not name.startswith("_") and len(told["regionCode"]) == 2:  # noqa: PLR2004 -- a state, and not the whole country
            value = convert(told["emissions"], "lb/MWh", "g/kWh")
            yield _row(f"USA-{told['regionCode']}", name.title(), value, source, gsd=1.15)


def _canada() -> Iterator[data.Row]:
    source = _Source(
        "lifecycle; location-based; generation-based; grid losses out",
        "2023 or before (the file states none)",
        "generation by fuel as in codecarbon's canada_energy_mix.json, with our fuel_factors",
        "https://github.com/mlco2/codecarbon",
        "MIT (codecarbon)",
    )
    factors = data.table("fuel_factors")
    for name, mix in _file("2023/canada_energy_mix.json").items():
        known = {fuel: mix[told] for told, fuel in _FUELS.items()}
        generated = sum(known.values())
        if name in _PROVINCES and generated:
            value = sum(share * factors[fuel].value for fuel, share in known.items()) / generated
            yield _row(f"CAN-{_PROVINCES[name]}", name.title(), value, source, gsd=1.3)


def _china() -> Iterator[data.Row]:
    for code, told in _file("2023/china_provincial_emissions.json")["data"].items():
        source = _Source(
            "direct; location-based; consumption-based",
            str(told["year"]),
            "provincial CO2 factors of China's ministry of ecology, as in codecarbon",
            "https://github.com/mlco2/codecarbon",
            "MIT (codecarbon)",
        )
        yield _row(code.replace("CN-", "CHN-"), told["description"], told["emission_factor"], source, gsd=1.15)


def _nordic() -> Iterator[data.Row]:
    for code, told in _file("nordic_emissions.json")["data"].items():
        if "coverage" not in told:  # an older value that its file does not explain
            continue
        covered = float(told["coverage"].partition("%")[0]) / 100
        source = _Source(
            "lifecycle; location-based; generation-based; grid losses out",
            str(told["year"]),
            "ENTSO-E A75 with codecarbon's factors by fuel",
            "https://doi.org/10.5281/zenodo.22285397",
            "MIT (codecarbon)",
        )
        note = "" if covered >= _COVERED else f"a lower bound: {1 - covered:.0%} of generation has no factor"
        gsd = 1.3 if covered >= _COVERED else 1.6
        yield _row(code, told["description"], told["emission_factor"], source, gsd=gsd, note=note)


def _row(id_: str, name: str, value: float, source: _Source, *, gsd: float, note: str = "") -> data.Row:
    return data.Row(
        table="subnational",
        id=id_,
        name=name,
        value=value,
        unit="g/kWh",
        low=value / gsd**Z95,
        high=value * gsd**Z95,
        gsd=gsd,
        spread="lognormal",
        kind="average",
        basis=source.basis,
        scope="sub-national",
        year=source.year,
        valid_to=_VALID_TO,
        source=source.name,
        source_url=source.url,
        licence=source.licence,
        retrieved="codecarbon",
        note="; ".join(filter(None, ("the source states no interval: it is assumed", note))),
    )


def _file(name: str) -> dict[str, Any]:
    found = importlib.util.find_spec("codecarbon")
    for place in (found.submodule_search_locations or ()) if found else ():
        path = Path(place, "data", "private_infra", name)
        if path.is_file():
            told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8-sig"))
            return told
    msg = f"zones within countries come with codecarbon, whose {name} is not there: pip install 'codecarbon>=3.0'"
    raise UsageError(msg)
