"""Sample documents (schema "greengen.comparison/1"), as a comparison would give them."""

from __future__ import annotations

import math
from typing import Any

from tests.unit.documents import HOSTILE

Document = dict[str, Any]

HOURS = [f"{hour:02d}" for hour in range(24)]
NO_ZONE = "no grid zone was given: pass --zone ZONE (such as DEU), or --intensity G (gCO2e/kWh)"
GRID = 344.0


def q(value: float, unit: str, spread: float = 1.3, grade: str = "modelled") -> Document:
    """A quantity known to ×/÷ `spread`."""
    return {"value": value, "low": value / spread, "high": value * spread, "unit": unit, "grade": grade}


def none(unit: str, reason: str) -> Document:
    return {"value": None, "unit": unit, "reason": reason}


def ratio(value: float, spread: float, verdict: str, than: str) -> Document:
    less = f"{abs(1 - value):.0%} {'less' if value < 1 else 'more'} modelled energy per request than {than}"
    return {
        "value": value,
        "low": value / spread,
        "high": value * spread,
        "unit": "",
        "grade": "modelled",
        "p_better": 0.9997 if verdict == "less" else 0.0003 if verdict == "more" else 0.61,
        "verdict": verdict,
        "words": f"{less} (ratio {value:.2f}). The evidence is busy time.",
        "method": "Welch's t on the log ratio",
        "repeats": [5, 5],
        "repeat_sigma": 0.02,
        "meter_sigma": 0.13,
        "degrees_of_freedom": 7.3,
        "reason": "",
    }


def site(zone: str | None = "DEU", pue: float | None = 1.2) -> Document:
    laptop = {"name": "laptop", "count": 1, "made_g": q(2.0e5, "g", 1.4, "declared"), "utilisation": 0.2}
    return {
        "zone": zone,
        "intensity": q(GRID, "g/kWh", 1.05, "declared") if zone else None,
        "intensity_source": "Ember 2025" if zone else "",
        "year": "2025" if zone else "",
        "pue": pue,
        "hardware": [laptop | {"lifetime_y": q(4.0, "y", 1.2, "declared")}] if zone else [],
        "wue": None,
    }


def power(mean_w: float, seed: int) -> list[Document]:
    t = [0.25 * i for i in range(121)]
    cpu: list[float | None] = [mean_w * (1 + 0.35 * math.sin(i / 7 + seed) * (i % 40 > 12)) for i in range(120)]
    cpu[60:66] = [None] * 6
    gpu = [0.6 * mean_w * (0.4 + 0.6 * (i % 30 > 10)) for i in range(120)]
    return [
        {"domain": "cpu-model", "name": "CPU (modelled)", "grade": "modelled", "t_s": t, "power_w": cpu},
        {"domain": "nvml:GPU-0", "name": "GPU 0", "grade": "measured", "t_s": t, "power_w": gpu},
    ]


def option(name: str, joules: float, seed: int, **given: Any) -> Document:  # noqa: ANN401
    """An option of `joules` per request; what it emits is on a German grid at PUE 1.2."""
    tiers = given.pop("tiers", None)
    grams, made = joules / 3.6e6 * 1.2 * GRID, 0.35 * joules / 3.6e6 * GRID + 2e-5
    peak = 12 + 2 * seed
    counts = [round(400 * math.exp(-(((i - peak) / 3.5) ** 2))) for i in range(40)]
    parts = tiers or {None: 1.0}
    row: Document = {
        "name": name,
        "baseline": False,
        "origin": "recorded",
        "models": [f"llama-{name}"],
        "n": 5,
        "labels": {},
        "energy_j": q(joules, "J/request"),
        "energy_j_per_output_token": q(joules / 40, "J/output_token"),
        "carbon_operational_g": q(grams, "g/request", 1.35),
        "carbon_embodied_g": q(made, "g/request", 1.6, "declared"),
        "carbon_total_g": q(grams + made, "g/request", 1.4),
        "water_l": q(joules * 5e-7, "L/request", 1.8, "declared"),
        "busy_s": q(joules / 15, "s/request", 1.02, "measured"),
        "units": 1200.0,
        "output_tokens": 48_000,
        "duration_s": 63.1,
        "throughput_per_s": 19.0,
        "tokens_per_s": 760.0,
        "latency": {
            "requests": 1200,
            "p50_s": q(joules / 60, "s", 1.05, "measured"),
            "p95_s": q(joules / 30, "s", 1.1, "measured"),
            "p99_s": q(joules / 22, "s", 1.2, "measured"),
            "deadline_s": 0.5,
            "missed": 12,
            "missed_share": q(0.01, "", 1.5, "measured"),
        },
        "quality": {"value": 0.93 - 0.012 * seed, "metric": "accuracy", "source": "declared", "higher_is_better": True},
        "batch": {"mean": 3.7, "declared": None, "source": "requests live at once"},
        "by_batch": [
            {
                "batch": b,
                "requests": 120 // b,
                "energy_j_per_output_token": q(joules / 40 / b**0.4, "J/output_token", 1.1),
            }
            for b in (1, 2, 4, 8)
        ],
        "tiers": [
            {
                "tier": tier,
                "energy_j": q(share * joules, "J/request", 1.3, "declared" if tier == "network" else "modelled"),
                "carbon_operational_g": q(share * grams, "g/request", 1.4),
                "share_of_carbon": share,
                "site": site(),
            }
            for tier, share in parts.items()
        ],
        "declared_share": None,
        "site": site(),
        "accounts": [
            {"account": f"request/llama-{name}", "type": "span", "energy_j": q(joules, "J/request")},
            {"account": "overhead", "type": "overhead", "energy_j": q(0.06 * joules, "J/request")},
            {"account": "other", "type": "other", "energy_j": none("J/request", "no weight can be read")},
            {"account": "idle", "type": "idle", "energy_j": q(0.4 * joules, "J/request")},
        ],
        "domains": [
            {
                "domain": f"{name}:{domain}",
                "name": domain,
                "grade": "modelled",
                "energy_j": q(share * joules * 1.46, "J/request"),
                "coverage": 0.98,
            }
            for domain, share in (("CPU package 0", 0.7), ("DRAM", 0.3))
        ],
        "repeats": [
            {
                "run": f"{name}-{i}.greengen",
                "started": f"2026-11-20T10:{seed:02d}:{i:02d}Z",
                "order": 6 * i + seed + 1,
                "host": "edge-07",
                "units": 240.0,
                "seconds": 12.6,
                "energy_j": q(joules * (1 + 0.02 * (i - 2)), "J/request"),
                "carbon_total_g": q((grams + made) * (1 + 0.02 * (i - 2)), "g/request", 1.4),
                "latency_p50_s": joules / 60,
            }
            for i in range(5)
        ],
        "distribution": {"counts": counts, "below": 0, "above": 2},
        "power": power(joules * 2, seed),
        "phases": [
            {"kind": kind, "t0_s": t0, "t1_s": t0 + long}
            for kind, start, step, long in (("prefill", 1.0, 6.0, 1.2), ("decode", 2.2, 6.0, 4.0))
            for t0 in (start, start + step, start + 2 * step, start + 3 * step)
        ],
        "ratio": {},
        "warnings": [],
    }
    return row | given


def document(options: list[Document], **given: Any) -> Document:  # noqa: ANN401
    """A comparison of these; the first is the baseline, and their ratios follow from their joules."""
    base = options[0]
    base["baseline"] = True
    for row in options[1:]:
        known = row["energy_j"]["value"] is not None and base["energy_j"]["value"] is not None
        value = row["energy_j"]["value"] / base["energy_j"]["value"] if known else 0.0
        verdict = "less" if value < 0.9 else "more" if value > 1.1 else "not distinguishable"
        missing = none("", "its energy is not known") | {"verdict": "no verdict", "words": "no verdict"}
        row["ratio"] = {"energy": ratio(value, 1.13, verdict, base["name"]) if known else missing}
        row["ratio"]["carbon_total"] = row["ratio"]["energy"]
    base["ratio"] = {}
    best = min(options, key=lambda row: row["energy_j"]["value"] or math.inf)["name"]
    edges = [0.02 * 1.2**i for i in range(41)]
    order = [row["name"] for _ in range(2) for row in options[:8]]
    made: Document = {
        "schema": "greengen.comparison/1",
        "title": None,
        "unit": {"id": "request", "name": "request", "meaning": "a request"},
        "baseline": base["name"],
        "boundary": {
            "name": "machine",
            "holds": "all that the machine drew as far as it was read: CPU package and memory",
            "energy": "requests",
            "idle": "none",
            "rules": None,
            "policy": "auto",
            "covered": ["CPU package 0", "DRAM"],
            "not_covered": [{"what": "display, disks, power supply", "why": "no meter reads them"}],
        },
        "basis": "average; lifecycle; generated",
        "verdict": {
            "metric": "energy",
            "headline": f"{best} uses less modelled energy per request than {base['name']}: 0.31 of it (0.27 to 0.35).",
            "sentences": [row["ratio"]["energy"]["words"] for row in options[1:]],
            "best": best,
            "screening": "screening comparison, not an ISO 14044 comparative assertion",
            "caveats": ["31 % of the grams of hybrid are declared: the link and a published figure."],
        },
        "metrics": [
            {"id": "energy", "name": "energy", "unit": "J/request", "key": "energy_j"},
            {"id": "carbon_total", "name": "CO2e", "unit": "g/request", "key": "carbon_total_g"},
        ],
        "options": options,
        "distribution": {
            "unit": "J/request",
            "scale": "log",
            "edges": edges,
            "note": "joules of single requests, never independent samples",
        },
        "drift": [
            {
                "host": "edge-07",
                "repeats": 10,
                "slope_per_repeat": 0.004,
                "p": 0.03,
                "told": "energy rose by 0.4 % a repeat (p 0.03): taken out.",
            }
        ],
        "order": [
            {
                "host": "edge-07",
                "sequence": order,
                "interleaved": True,
                "told": "On edge-07 the options were interleaved.",
            }
        ],
        "state_differences": ["governor was not the same throughout: powersave in 3 of 25 repeats"],
        "tiers": ["device", "network", "cloud"],
        "warnings": ["The recordings of fp32 and int8 are of different days."],
        "method": ["The repeat is the unit of the statistics: requests of one run are no independent samples."],
        "sources": [
            {
                "what": "grid intensity, DEU",
                "value": q(GRID, "g/kWh", 1.05, "declared"),
                "source": "Ember, Yearly electricity data",
                "year": "2025",
                "options": [row["name"] for row in options],
            }
        ],
        "environment": {
            "hosts": [{"hostname": "edge-07", "platform": "Linux 6.8 x86_64", "python": "3.12.4"}],
            "greengen": "0.1.0",
            "runs": [repeat["run"] for row in options for repeat in row["repeats"]],
            "state": [{"host": "edge-07", "subject": "governor", "value": "performance"}],
        },
        "what_if": [],
        "tornado": [],
    }
    return made | given


def full() -> Document:
    """Six options with everything that a page can show."""
    hybrid = option(
        "hybrid, escalation to the cloud",
        4.4,
        3,
        tiers={"device": 0.35, "network": 0.15, "cloud": 0.5},
        declared_share=0.31,
    )
    api = option("published API", 14.0, 5, origin="declared", n=0, models=[], declared_share=1.0)
    api |= {
        "repeats": [],
        "distribution": None,
        "power": [],
        "phases": [],
        "by_batch": [],
        "accounts": [],
        "domains": [],
    }
    api |= {"latency": {"requests": 0, "reason": "a published figure tells no latency"}}
    api["quality"] = {"value": None, "reason": "quality unknown: no figure was given"}
    options = [
        option("fp32", 9.2, 0),
        option("int8 dynamic", 5.1, 1),
        option("unstructured-pruned", 9.0, 2),
        option("distilled student", 2.84, 4),
        hybrid,
        api,
    ]
    return document(options, title="One task, six ways to serve it", what_if=_what_if(), tornado=_tornado())


def _tornado() -> list[Document]:
    sources = [
        ("workload, CPU model", 2.3, 3.6, 0.71),
        ("meter, CPU model", 2.5, 3.3, 0.22),
        ("repeats", 2.7, 3.0, 0.07),
    ]
    return [
        {
            "option": "distilled student",
            "metric": "energy",
            "source": s,
            "low": low,
            "high": high,
            "share": share,
            "unit": "J/request",
        }
        for s, low, high, share in sources
    ]


def _what_if() -> list[Document]:
    x = [10_000.0 * 1.5**i for i in range(14)]
    old, new = [v * 0.51e-3 for v in x], [200 + v * 0.20e-3 for v in x]
    shape = [1 - 0.45 * math.exp(-(((hour - 13) / 3.2) ** 2)) for hour in range(24)]
    zones = {"DEU": 0.0014, "FRA": 0.0002, "POL": 0.0025, "USA-CA": 0.0009}
    grid = [[round(top * part, 7) for part in shape] for top in zones.values()]
    return [
        {
            "id": "break-even-1",
            "kind": "break_even",
            "title": "After how many requests does the new laptop pay back?",
            "words": "After 645,161 requests (402,000 to 1,180,000) the new laptop has emitted less in all.",
            "assumes": ["the same requests", "200 kg for making it, declared"],
            "x": {"name": "requests", "unit": "", "scale": "linear", "values": x},
            "lines": [
                {
                    "name": "old",
                    "unit": "kgCO2e",
                    "values": old,
                    "low": [0.8 * v for v in old],
                    "high": [1.2 * v for v in old],
                },
                {
                    "name": "new",
                    "unit": "kgCO2e",
                    "values": new,
                    "low": [0.9 * v for v in new],
                    "high": [1.1 * v for v in new],
                },
            ],
            "marks": [{"x": 645_161.0, "low": 402_000.0, "high": 1_180_000.0, "text": "break-even"}],
            "missing": None,
        },
        {
            "id": "hour-1",
            "kind": "hour",
            "title": "Which zone, at which hour?",
            "words": "France has the least at every hour; in Germany noon is at 55 % of midnight.",
            "assumes": ["the mean day of 2025, average intensity"],
            "grid": {
                "rows": list(zones),
                "columns": HOURS,
                "values": grid,
                "unit": "gCO2e/request",
                "winner": [["edge" if 10 <= hour <= 16 else "cloud" for hour in range(24)] for _ in zones],
            },
            "missing": None,
        },
        {
            "id": "router-1",
            "kind": "router",
            "title": "A router that escalates",
            "words": "With 30 % of requests escalated the hybrid takes 4.1 J/request (3.2 to 5.3), modelled.",
            "assumes": [],
            "x": {"name": "share escalated", "unit": "", "scale": "linear", "values": [0.0, 0.25, 0.5, 0.75, 1.0]},
            "lines": [
                {
                    "name": "hybrid",
                    "unit": "J/request",
                    "values": [2.8, 4.4, 6.0, 7.6, 9.2],
                    "low": [2.2, 3.4, 4.6, 5.8, 7.1],
                    "high": [3.6, 5.7, 7.8, 9.9, 12.0],
                }
            ],
            "table": {
                "columns": ["", "energy"],
                "rows": [[0.25, q(4.4, "J/request")], ["all", q(9.2, "J/request")]],
            },
            "missing": None,
        },
        {"id": "split-1", "kind": "split", "title": "Split at a layer", "missing": "no cut point was measured"},
    ]


def joules_only() -> Document:
    """Two options of two repeats on a machine without a zone, without tokens, quality and latency: no verdict."""
    options = [option("a", 3.0, 0, n=2), option("b", 3.1, 1, n=2)]
    for row in options:
        missing = none("g/request", NO_ZONE)
        row |= {"carbon_operational_g": missing, "carbon_embodied_g": missing, "carbon_total_g": missing}
        row |= {"water_l": none("L/request", NO_ZONE), "energy_j_per_output_token": none("J/output_token", "no tokens")}
        row |= {"latency": {"requests": 0, "reason": "no request ended"}, "by_batch": [], "batch": None, "power": []}
        row |= {"quality": {"value": None, "reason": "quality unknown: no figure was given"}, "site": site(None, None)}
        row |= {"distribution": None, "tiers": [], "repeats": row["repeats"][:2]}
        for repeat in row["repeats"]:
            repeat["carbon_total_g"] = missing
    made = document(options, distribution=None, basis=None, sources=[])
    why = none("", "two repeats of each: three are needed for a verdict")
    options[1]["ratio"] = {"energy": why | {"verdict": "no verdict", "words": "No verdict: three repeats are needed."}}
    made["verdict"] |= {"headline": "No verdict: three repeats of each option are needed.", "best": None, "caveats": []}
    return made


def hostile() -> Document:
    """Every text that a user, a file or a driver chose tries to leave its place."""
    texts = list(HOSTILE.values())
    made = document([option(text, 2.0 + i, i) for i, text in enumerate(texts)], title=HOSTILE["script"])
    made["what_if"] = _what_if()
    made["tornado"] = [row | {"option": texts[1], "source": texts[0]} for row in _tornado()]

    def poisoned(item: Any, at: int) -> Any:  # noqa: ANN401
        if isinstance(item, dict):
            return {
                key: poisoned(part, at + i) if key not in KEPT else part for i, (key, part) in enumerate(item.items())
            }
        if isinstance(item, list):
            return [poisoned(part, at + i) for i, part in enumerate(item)]
        return texts[at % len(texts)] if isinstance(item, str) else item

    for key in (
        "unit",
        "boundary",
        "drift",
        "order",
        "state_differences",
        "warnings",
        "method",
        "sources",
        "environment",
        "what_if",
    ):
        made[key] = poisoned(made[key], 0)
    made["options"] = [row | {key: poisoned(row[key], 1) for key in POISONED} for row in made["options"]]
    made["verdict"] |= {"headline": texts[0], "sentences": texts, "caveats": texts}
    made["basis"] = texts[2]
    return made


#: Keys whose words are the library's own, which code reads.
KEPT = {"id", "kind", "grade", "unit", "scale", "type"}
POISONED = (
    "models",
    "latency",
    "quality",
    "tiers",
    "site",
    "accounts",
    "domains",
    "repeats",
    "power",
    "phases",
    "warnings",
)


def many(count: int = 200) -> Document:
    """A comparison of many options, each at its full size, of a million requests together."""
    options = [option(f"option {i:03d}, batch {2 ** (i % 6)}", 1.0 + (i * 37 % 199) / 20, i % 8) for i in range(count)]
    bins = 40
    for i, row in enumerate(options):
        row |= {"units": 1e6 / count, "distribution": {"counts": [i + b for b in range(bins)], "below": 0, "above": 0}}
        row["power"] = [line | {"t_s": line["t_s"][:76], "power_w": line["power_w"][:75]} for line in row["power"]]
    return document(options)


ALL = {"full": full, "joules_only": joules_only, "hostile": hostile, "many": many}
