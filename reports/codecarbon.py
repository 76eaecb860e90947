"""The document as a line of codecarbon's `emissions.csv`, for tools that read that.

Columns and units as of codecarbon 3.3.2 (`output_methods/emissions_data.py`): kg, kWh, s, L. Its energies hold the
PUE, and so do these. What was not measured is an empty cell, where codecarbon would write 0. Water is per kWh of IT
energy: codecarbon multiplies WUE by energy that holds the PUE, which is too much by the PUE.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from greengen.quantity import convert

COLUMNS = (
    "timestamp", "project_name", "run_id", "experiment_id", "duration", "emissions", "emissions_rate",
    "cpu_power", "gpu_power", "ram_power", "cpu_energy", "gpu_energy", "ram_energy", "energy_consumed",
    "water_consumed", "country_name", "country_iso_code", "region", "cloud_provider", "cloud_region", "os",
    "python_version", "codecarbon_version", "cpu_count", "cpu_model", "gpu_count", "gpu_model", "longitude",
    "latitude", "ram_total_size", "tracking_mode", "cpu_utilization_percent", "gpu_utilization_percent",
    "ram_utilization_percent", "ram_used_gb", "on_cloud", "pue", "wue",
)  # fmt: skip

#: kind of domain → whose column it is in; of other kinds (wall, soc …) only the sum is told.
_KINDS = {"package": "cpu", "gpu": "gpu", "npu": "gpu", "dram": "ram"}

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render(document: Mapping[str, Any]) -> str:
    """CSV text: the header, and the run as one line."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerow(_line(document))
    return buffer.getvalue()


def _line(document: Mapping[str, Any]) -> dict[str, object]:
    run, totals, factors, footprint = (document[key] for key in ("run", "totals", "factors", "footprint"))
    seconds = run["duration_s"]
    kilograms = _in(totals["carbon_g"], "kg")
    zone, _, region = str(factors["zone"] or "").partition("-")
    line: dict[str, object] = {
        "timestamp": _ended(run["started"], seconds),
        "project_name": _text(run["command"] or run["path"].rpartition("/")[2]),
        "run_id": _text(run["path"].rpartition("/")[2]),
        "duration": seconds,
        "emissions": kilograms,
        "emissions_rate": _over(kilograms, seconds),
        "energy_consumed": _in(footprint["facility_j"], "kWh"),
        "water_consumed": _in(footprint["water_on_site_l"], "L"),
        "country_iso_code": zone,
        "region": region.lower(),
        "os": _text(run["platform"]),
        "python_version": _text(run["python"]),
        "codecarbon_version": f"greengen {document['versions']['greengen']}",
        "tracking_mode": "machine",
        "on_cloud": "Y" if run["tier"] == "cloud" else "N",
        "pue": _or_empty(factors["pue"]),
        "wue": _or_empty(footprint["wue"] and footprint["wue"]["value"]),
    }
    for part, kilowatt_hours in _parts(document).items():
        line[f"{part}_energy"] = kilowatt_hours
        line[f"{part}_power"] = _over(convert(kilowatt_hours, "kWh", "J"), seconds)
    return line


def _parts(document: Mapping[str, Any]) -> dict[str, float]:
    """kWh by codecarbon's parts, PUE on those where it belongs."""
    with_pue = {place["domain"] for place in document["footprint"]["pue_on"]}
    parts: dict[str, float] = {}
    for row in document["domains"]:
        part, joules = _KINDS.get(row["kind"]), row["energy_j"]["value"]
        if row["in_total"] and part is not None and joules is not None:
            overhead = document["factors"]["pue"] if row["domain"] in with_pue else 1.0
            parts[part] = parts.get(part, 0.0) + convert(joules * overhead, "J", "kWh")
    return parts


def _in(quantity: Mapping[str, Any], unit: str) -> float | str:
    return "" if quantity["value"] is None else convert(quantity["value"], quantity["unit"], unit)


def _over(of: float | str, seconds: float) -> float | str:
    return of / seconds if isinstance(of, float) and seconds else ""


def _or_empty(value: float | None) -> float | str:
    return "" if value is None else value


def _ended(started: str | None, seconds: float) -> str:
    """When it ended, in UTC: codecarbon writes the time without a zone."""
    if started is None:
        return ""
    return (datetime.fromisoformat(started) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def _text(value: object) -> str:
    """Text that no spreadsheet runs as a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
