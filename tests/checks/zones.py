"""Hold the shipped zones against other sources, and print where they disagree: run it after a table is renewed.

    python tests/checks/zones.py [--second FILE.csv]

Countries are held against codecarbon's installed file (Our World in Data, 2021 to 2023), and with --second against a
CSV with `zone` and the columns `ember_2022_24` and `owid_codecarbon`; cloud regions against the countries that
codecarbon states, and against the zones of Electricity Maps beside them; a table past its date is told.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import importlib.util
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from greengen import data
from greengen.data import cloud

#: Two years of one grid may differ by so much beside what the row itself claims: grids change.
YEARS_APART = 1.15
#: A difference is told where it is greater than this many standard deviations.
SIGMAS = 2.0

#: Looked at, and left as they are.
KNOWN = {"gcp:asia-east2": "Hong Kong, whose grid is not the mainland's that codecarbon names"}


def codecarbon(name: str) -> Path:
    """A data file of the installed codecarbon, which is not imported."""
    found = importlib.util.find_spec("codecarbon")
    assert found is not None
    assert found.submodule_search_locations is not None
    return Path(found.submodule_search_locations[0], "data", name)


def by_codecarbon() -> dict[str, float]:
    """g/kWh by ISO-3, lifecycle, as Our World in Data had it."""
    told = json.loads(codecarbon("private_infra/global_energy_mix.json").read_text(encoding="utf-8-sig"))
    return {zone: row["carbon_intensity"] for zone, row in told.items() if row.get("carbon_intensity")}


def by_second(path: Path) -> dict[str, dict[str, float]]:
    """source → g/kWh by ISO-3."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = ("ember_2022_24", "owid_codecarbon")
    return {name: {row["zone"]: float(row[name]) for row in rows if row.get(name)} for name in names}


def disagreements(others: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Countries whose figure differs from another source's by more than both can explain."""
    for row in data.grid_intensities():
        allowed = SIGMAS * math.hypot(math.log(row.gsd), math.log(YEARS_APART))
        for name, figures in others.items():
            other = figures.get(row.id)
            if other and abs(math.log(row.value / other)) > allowed:
                yield f"{row.id} ({row.name}): {row.value:g} here, {other:g} in {name}, {row.value / other:.2f} times"


def unchecked(others: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Countries that no other source has."""
    for row in data.grid_intensities():
        if not any(figures.get(row.id) for figures in others.values()):
            yield f"{row.id} ({row.name}): no other source has it"


def regions() -> Iterator[str]:
    """Cloud regions whose country another source tells otherwise, or whose finer zone lies in another country."""
    with codecarbon("cloud/impact.csv").open(encoding="utf-8-sig") as file:
        stated = {f"{row['provider']}:{row['region']}": row["countryIsoCode"] for row in csv.DictReader(file)}
    letters = {row.id: row.more["iso2"] for row in data.grid_intensities()}
    for id_, region in cloud.regions().items():
        other = stated.get(id_)
        if other and other != region.zone and id_ not in KNOWN:
            yield f"{id_}: {region.zone} here, {other} in codecarbon's cloud/impact.csv"
        if region.em_zone and region.em_zone.partition("-")[0] != letters[region.zone]:
            yield f"{id_}: {region.zone} here, but its finer zone is {region.em_zone}"


def past_their_date(today: dt.date) -> Iterator[str]:
    """Rows that were to be replaced."""
    for table in data.TABLES:
        yield from filter(None, (row.past_its_date(today) for row in data.table(table).values()))
    for region in cloud.regions().values():
        if today > region.valid_to:
            yield f"cloud_regions: {region.id} was to be looked up again by {region.valid_to}."


def main(arguments: list[str]) -> int:
    """Print all of it; 1 where there is anything to look at."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--second", type=Path)
    asked = parser.parse_args(arguments)
    others: dict[str, Mapping[str, float]] = {"codecarbon": by_codecarbon()}
    if asked.second is not None:
        others |= by_second(asked.second)
    today = dt.datetime.now(dt.UTC).date()
    found = [*disagreements(others), *unchecked(others), *regions(), *past_their_date(today)]
    print("\n".join(found) or "All zones agree with their other sources.")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
