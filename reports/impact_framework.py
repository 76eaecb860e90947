"""The footprint as a manifest of the Impact Framework (Green Software Foundation), to be read and computed again.

Shape as of `if` 1.1.0 (github.com/Green-Software-Foundation/if: src/common/util/validations.ts, builtins Multiply, Sum
and Sci), whose `if-run` reproduces `outputs` from `inputs`. Units are theirs: kWh, g, s. SCI needs embodied emissions
and requests, and operational carbon a grid intensity: what the run does not have is left out, with a line that says
why. YAML is written here as indented keys with JSON scalars, which YAML 1.2 reads as they are.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from greengen.quantity import convert

#: Keys that YAML takes for text without quotes.
_PLAIN = re.compile(r"[a-z][a-z/-]*")

Yaml = Mapping[str, Any] | Sequence[Any] | str | float | None


def render(document: Mapping[str, Any]) -> str:
    """The manifest as YAML text."""
    said = _why_not(document)
    manifest = {
        "name": f"greengen {document['run']['path'].rpartition('/')[2]}",
        "description": _description(document),
        "tags": {"kind": "measurement", "category": "software", "complexity": None},
        "initialize": {"plugins": _plugins(document)},
        "tree": {"children": {"run": _component(document)}},
    }
    head = ["greengen report, as a manifest of the Impact Framework", *said]
    return "".join(f"# {' '.join(line.split())}\n" for line in head) + "\n".join(_lines(manifest)) + "\n"


def _component(document: Mapping[str, Any]) -> dict[str, Any]:
    observed = _observed(document)
    return {
        "pipeline": {"compute": list(_plugins(document))},
        "inputs": [observed],
        "outputs": [observed | _computed(document)],
    }


def _observed(document: Mapping[str, Any]) -> dict[str, Any]:
    """What `if` takes: the energy at the facility, the grid's intensity, what was made, the requests."""
    run, footprint = document["run"], document["footprint"]
    intensity = document["factors"]["intensity"]
    observed: dict[str, Any] = {
        "timestamp": run["started"] or "1970-01-01T00:00:00+00:00",
        "duration": run["duration_s"],
    }
    energy = footprint["facility_j"]
    if energy["value"] is not None:
        observed["energy"] = convert(energy["value"], energy["unit"], "kWh")
    if intensity is not None and intensity["value"] is not None:
        observed["grid/carbon-intensity"] = intensity["value"]
    if footprint["embodied_g"]["value"] is not None:
        observed["carbon-embodied"] = footprint["embodied_g"]["value"]
    requests = sum(row["requests"] - row.get("requests_not_measured", 0) for row in document["models"])
    if _scored(document) and requests:
        observed["requests"] = requests
    return observed


def _computed(document: Mapping[str, Any]) -> dict[str, Any]:
    footprint = document["footprint"]
    told = {
        "carbon-operational": footprint["operational_g"]["value"],
        "carbon": footprint["total_g"]["value"],
        "sci": _score(document),
    }
    return {name: value for name, value in told.items() if value is not None}


def _plugins(document: Mapping[str, Any]) -> dict[str, Any]:
    """Those whose inputs the run has, in the order in which they are computed."""
    computed = _computed(document)
    plugins: dict[str, Any] = {}
    if "carbon-operational" in computed:
        plugins["operational"] = _plugin(
            "Multiply",
            {
                "input-parameters": ["energy", "grid/carbon-intensity"],
                "output-parameter": "carbon-operational",
            },
        )
    if "carbon" in computed:
        both = {"input-parameters": ["carbon-operational", "carbon-embodied"], "output-parameter": "carbon"}
        plugins["sum"] = _plugin("Sum", both)
    if _scored(document):
        plugins["sci"] = _plugin("Sci", {"functional-unit": "requests"})
    return plugins


def _plugin(method: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"path": "builtin", "method": method, "config": config}


def _score(document: Mapping[str, Any]) -> float | None:
    told = {row["unit"]: row["score_g"]["value"] for row in document["footprint"]["sci"]}
    value = told.get("request")
    return None if value is None else float(value)


def _scored(document: Mapping[str, Any]) -> bool:
    return _score(document) is not None


def _description(document: Mapping[str, Any]) -> str:
    factors, footprint = document["factors"], document["footprint"]
    parts = [f"boundary: {footprint['boundary'] or 'nothing was read'}"]
    if factors["intensity"]:
        parts.append(
            f"intensity: {factors['intensity'].get('basis') or 'basis not stated'}, {factors['intensity_source']}"
        )
    parts.append("PUE in the energy" if factors["pue"] is not None and footprint["pue_on"] else "no PUE in the energy")
    grade = footprint["facility_j"].get("grade")
    return "; ".join([*parts, *([f"energy is {grade}"] if grade else [])])


def _why_not(document: Mapping[str, Any]) -> list[str]:
    footprint = document["footprint"]
    told = (footprint["facility_j"], footprint["operational_g"], footprint["embodied_g"])
    undated = [] if document["run"]["started"] else ["the log does not say when it was recorded: the timestamp is none"]
    return [*undated, *dict.fromkeys(f"left out: {each['reason']}" for each in told if each["value"] is None)]


def _lines(value: Yaml, indent: int = 0) -> list[str]:
    """A mapping or a list as indented lines."""
    lines: list[str] = []
    pad = " " * indent
    if isinstance(value, Mapping):
        for key, item in value.items():
            if _nested(item):
                lines += [f"{pad}{_key(key)}:", *_lines(item, indent + 2)]
            else:
                lines.append(f"{pad}{_key(key)}: {_scalar(item)}")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            if _nested(item):
                first, *rest = _lines(item, indent + 2)
                lines += [f"{pad}- {first.lstrip()}", *rest]
            else:
                lines.append(f"{pad}- {_scalar(item)}")
    return lines


def _key(key: str) -> str:
    return key if _PLAIN.fullmatch(key) else _scalar(key)


def _nested(item: Yaml) -> bool:
    return isinstance(item, Mapping | list | tuple) and bool(item)


def _scalar(item: Yaml) -> str:
    """As JSON has it: no text is taken for a number, a key or a comment."""
    if isinstance(item, float) and not math.isfinite(item):
        return "null"
    return json.dumps(item)
