"""Regions of cloud providers: the grid zone of each, and what is published of its PUE and WUE."""

from __future__ import annotations

import csv
import datetime as dt
import difflib
from dataclasses import dataclass
from importlib.resources import files

from greengen import data
from greengen.errors import UsageError


@dataclass(frozen=True, slots=True)
class Region:
    """A region and its zone, which two sources name; where they differ, the provider's own list is right.

    zone     the ISO-3 country
    em_zone  the finer zone of Electricity Maps, where the sources agree on it; else ""
    """

    id: str
    zone: str
    em_zone: str
    year: str
    valid_to: dt.date
    source: str
    source_url: str
    source2: str
    source2_url: str
    licence: str
    retrieved: str
    note: str = ""

    @property
    def provider(self) -> str:
        """aws, azure or gcp."""
        return self.id.partition(":")[0]

    def pue(self) -> data.Row | None:
        """What the provider publishes of this region, else of its fleet; None: nothing."""
        rows = data.table("pue")
        return rows.get(self.id) or rows.get(self.provider)

    def wue(self) -> data.Row | None:
        """Litres on site per kWh of IT energy: of this region, else of the provider's fleet; None: nothing."""
        rows = data.table("wue")
        return rows.get(self.id) or rows.get(self.provider)


def regions() -> dict[str, Region]:
    """All regions, by ``provider:region``."""
    text = files(data).joinpath("cloud_regions.csv").read_text(encoding="utf-8")
    return {told["id"]: _region(told) for told in csv.DictReader(text.splitlines())}


def region(wanted: str) -> Region:
    """A region by ``provider:region``. Raises UsageError that suggests the nearest."""
    known = regions()
    found = known.get(wanted.strip().lower())
    if found is not None:
        return found
    providers = sorted({region.provider for region in known.values()})
    provider, colon, name = wanted.strip().lower().partition(":")
    if not colon or provider not in providers:
        # A bare region may be of one provider only.
        near = [id_ for id_ in known if id_.partition(":")[2] == (name or provider)]
        hint = f"did you mean {near[0]}?" if near else f"pass {', '.join(f'{p}:REGION' for p in providers)}"
    else:
        near = difflib.get_close_matches(name, [i.partition(":")[2] for i in known if i.startswith(provider)], n=3)
        hint = f"did you mean {', '.join(f'{provider}:{name}' for name in near)}?" if near else ""
        hint = hint or "its zone is not in the table; pass --zone with the country it stands in"
    msg = f"unknown cloud region {wanted!r}: {hint}"
    raise UsageError(msg)


def _region(told: dict[str, str]) -> Region:
    for column, cell in told.items():
        if column not in ("em_zone", "note") and not (cell or "").strip():
            msg = f"cloud_regions: {told.get('id') or 'a row'} has no {column}"
            raise ValueError(msg)
    return Region(**(told | {"valid_to": dt.date.fromisoformat(told["valid_to"])}))  # type: ignore[arg-type]
