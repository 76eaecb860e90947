"""Sample documents (schema "greengen.report/1") and their power series, as a run would give them."""

from __future__ import annotations

from typing import Any

from greengen.quantity import Error, Grade, Quantity, total
from greengen.reports.series import PowerSeries

Document = dict[str, Any]
Sample = tuple[Document, list[PowerSeries]]

GRID = Quantity(344.0, "g/kWh", "declared", (Error("grid", 4.3),), basis="average; lifecycle")
PUE = Quantity(1.2, "", "declared")
NO_ZONE = "no grid zone was given"

#: Text that tries to leave its place: as a tag, an attribute, a script, rich markup, another line.
HOSTILE: dict[str, str] = {
    "script": "</script><img src=x onerror=alert(1)>",
    "markup": "[red]x[/red] [link=http://evil.example]y[/link]",
    "separator": "line\u2028separator\u2029end",
    "quotes": "\"double\" 'single' `back` onmouseover=alert(2)",
    "long": "id-" + "0123456789abcdef" * 20,
    "rtl": "نموذج \u202egpj.exe عربي",
    "template": "{{ 7 * 7 }} {% raw %} %{x} $a$ <b>bold</b> &lt;i&gt;",
    "control": "bell\x07 escape\x1b[31mred\x1b[0m new\nline null\x00",
    "surrogate": "caf\udce9.py",
    "comment": "<!-- <script> --> ]]> <a href='javascript:alert(3)'>z</a>",
}


def modelled(value: float, unit: str = "J") -> Quantity:
    """A number of a CPU power model: known to ×/÷ 2."""
    return Quantity(value, unit, "modelled", (Error("cpu model", 0.354 * value, log=True),))


def sensed(value: float, grade: Grade = "measured", unit: str = "J") -> Quantity:
    """A number of a GPU's counter: known to ± 5 %."""
    return Quantity(value, unit, grade, (Error("gpu counter", 0.0255 * value, gain=True),))


def carbon(energy: Quantity, reason: str = "") -> Quantity:
    """What the energy emits on a German grid, or nothing with the reason."""
    if reason:
        return Quantity.missing("g", reason)
    delivered = energy.times(PUE, "PUE", unit="J", source="declared")
    return delivered.to("kWh").times(GRID, "grid intensity", unit="g", source="Ember 2025, DEU")


def span(uid: str, t0_s: float, t1_s: float | None, energy: Quantity, **given: Any) -> Document:  # noqa: ANN401
    """A row of `spans` or `requests`."""
    row: Document = {
        "id": uid,
        "kind": "request",
        "model": None,
        "name": None,
        "parent": None,
        "tier": "edge",
        "trace_id": None,
        "outcome": "ok",
        "flags": [],
        "labels": {},
        "t0_s": t0_s,
        "t1_s": t1_s,
        "input_tokens": None,
        "output_tokens": None,
        "coverage": 1.0,
        "energy_j": energy.as_dict(),
        "energy_j_inclusive": energy.as_dict(),
        "carbon_g": carbon(energy, NO_ZONE).as_dict(),
    }
    return row | given


def account(name: str, kind: str, spans: int, energy: Quantity, co2: Quantity, model: str | None = None) -> Document:
    """A row of `accounts`."""
    return {
        "account": name,
        "type": "span" if kind not in {"overhead", "other", "idle"} else kind,
        "kind": kind if model is not None else None,
        "model": model,
        "spans": spans,
        "energy_j": energy.as_dict(),
        "carbon_g": co2.as_dict(),
    }


def model(name: str, rows: list[Document], energy: Quantity, reason: str) -> Document:
    """A row of `models` from its requests."""
    n = len(rows)
    out = sum(row["output_tokens"] or 0 for row in rows)
    co2 = carbon(energy, reason)
    per_token = (energy / float(out)) if out else Quantity.missing("J", "no output tokens were recorded")
    succeeded = [row for row in rows if row["outcome"] == "ok"]
    per_success = energy / float(len(succeeded)) if succeeded else Quantity.missing("J", "no request succeeded")
    wasted = [row["energy_j"]["value"] or 0.0 for row in rows if row["outcome"] != "ok"]
    return {
        "model": name,
        "requests": n,
        "succeeded": sum(row["outcome"] == "ok" for row in rows),
        "input_tokens": sum(row["input_tokens"] or 0 for row in rows),
        "output_tokens": out,
        "span_s": sum((row["t1_s"] or row["t0_s"]) - row["t0_s"] for row in rows),
        "energy_j": energy.as_dict(),
        "energy_j_per_request": (energy / float(n)).as_dict(),
        "energy_j_per_success": per_success.as_dict(),
        "energy_j_wasted": modelled(sum(wasted)).as_dict(),
        "energy_j_per_output_token": per_token.as_dict(),
        "carbon_g": co2.as_dict(),
        "carbon_g_per_request": (co2 / float(n)).as_dict(),
    }


def domain(
    uid: str,
    name: str,
    kind: str,
    energy: Quantity,
    accounts: list[tuple[str, Quantity]],
    **given: Any,  # noqa: ANN401
) -> Document:
    """A row of `domains`."""
    row: Document = {
        "domain": uid,
        "name": name,
        "kind": kind,
        "collector": uid.partition(":")[0],
        "grade": "modelled" if uid.startswith("cpu_model") else "measured",
        "scope": "device",
        "in_total": True,
        "why_not_in_total": "",
        "energy_j": energy.as_dict(),
        "known_s": 62.4,
        "coverage": 1.0,
        "idle_power_w": Quantity.missing("W", "no idle stretch was recorded").as_dict(),
        "accounts": [{"account": who, "energy_j": what.as_dict()} for who, what in accounts],
        "unknown": [],
    }
    return row | given


def shared(group: str, policy: str, coefficients: dict[str, float], fallback: str = "") -> Document:
    """A run's `policy`: how one group of spans was shared."""
    details = {"windows": 240.0, "explained": 0.998}
    how = {"policy": policy, "coefficients": coefficients, "fallback": fallback, "share_sigma": 0.013}
    return {
        "name": "auto",
        "coefficients": coefficients,
        "groups": [{"group": group, "details": details} | how],
        "rules": None,
    }


def _frame(**given: Any) -> Document:  # noqa: ANN401
    frame: Document = {
        "schema": "greengen.report/1",
        "run": {
            "path": "/data/runs/charlm.greengen",
            "started": "2026-11-20T09:15:04Z",
            "duration_s": 62.4,
            "hostname": "edge-07",
            "platform": "Linux 6.1 x86_64",
            "python": "3.11.7",
            "command": "python examples/charlm.py",
            "greengen_version": "0.1.0",
            "policy": {"name": "equal", "coefficients": {}, "groups": [], "rules": None},
            "segments": 1,
            "tier": "edge",
            "interval_s": 0.1,
            "complete": True,
        },
        "boundary": {"covered": [], "not_covered": []},
        "totals": {},
        "accounts": [],
        "domains": [],
        "models": [],
        "spans": [],
        "requests": [],
        "requests_left_out": 0,
        "events": [],
        "warnings": [],
        "factors": {
            "intensity": None,
            "intensity_source": "",
            "zone": None,
            "year": None,
            "pue": None,
            "remedy": "pass --zone ZONE (such as DEU) or --intensity G (gCO2e/kWh)",
        },
        "recorder": {"cpu_s": 0.31, "threads": 2, "note": "booked to overhead"},
        "versions": {"greengen": "0.1.0", "numpy": "2.4.6", "plotly": "7.1.0"},
    }
    return frame | given


def cpu_only(per_model: int = 40) -> Sample:
    """No power counter: a modelled CPU, two models with `per_model` requests each, one training run."""
    requests: list[Document] = []
    energies: dict[str, list[Quantity]] = {"charlm-fp32": [], "charlm-int8": []}
    for i in range(per_model):
        for j, (name, watts) in enumerate((("charlm-fp32", 14.0), ("charlm-int8", 7.5))):
            t0 = 22.0 + i * 40.0 / per_model + j * 0.21
            length = 0.52 + 0.07 * ((i * 7 + j * 3) % 11)
            energy = modelled(watts * length)
            energies[name].append(energy)
            uid = f"p1/{2 * i + j + 4}"
            more: Document = {"input_tokens": 32, "output_tokens": 64 + i % 5, "model": name, "trace_id": f"{i:032x}"}
            if (i, j) == (3, 1):
                more |= {"outcome": "error", "flags": ["async"]}
            requests.append(span(uid, t0, t0 + length, energy, **more))
    train = modelled(231.0)
    step = modelled(40.5)
    spans = [
        span("p1/1", 1.2, 20.1, train, kind="train", model="charlm-fp32", name="3 epochs",
             energy_j_inclusive=(train + step).as_dict()),
        span("p1/2", 14.0, 17.0, step, kind="eval", model="charlm-fp32", parent="p1/1"),
    ]  # fmt: skip
    sums = {name: total(parts, "J") for name, parts in energies.items()}
    rest = {"overhead": modelled(9.1), "other": modelled(4.3), "idle": modelled(11.8)}
    booked: list[tuple[str, str, int, Quantity, str | None]] = [
        ("train/charlm-fp32", "train", 1, train, "charlm-fp32"),
        ("eval/charlm-fp32", "eval", 1, step, "charlm-fp32"),
        *((f"request/{n}", "request", per_model, q, n) for n, q in sums.items()),
        *((n, n, 0, q, None) for n, q in rest.items()),
    ]
    everything = total([q for _, _, _, q, _ in booked], "J")
    document = _frame(
        boundary={
            "covered": [
                {"domain": "cpu_model:package-0", "kind": "package", "name": "CPU package 0", "grade": "modelled",
                 "scope": "vm", "detail": "AMD EPYC 7B13, 8 of 128 threads, 2.6 W per busy thread"},
            ],
            "not_covered": [
                {"what": "CPU counters (RAPL)", "why": "/sys/class/powercap has no intel-rapl zone: this is a guest",
                 "remedy": "record on the host, or pass its RAPL through"},
                {"what": "DRAM", "why": "no counter", "remedy": ""},
                {"what": "power supply, fans, network", "why": "no sensor reaches them", "remedy": "use a wall meter"},
            ],
        },
        totals={"energy_j": everything.as_dict(), "carbon_g": carbon(everything, NO_ZONE).as_dict(),
                "coverage": 0.9968, "known_s": 62.2},
        accounts=[account(n, k, s, q, carbon(q, NO_ZONE), m) for n, k, s, q, m in booked],
        domains=[domain("cpu_model:package-0", "CPU package 0", "package", everything,
                        [(n, q) for n, _, _, q, _ in booked], scope="vm", known_s=62.2, coverage=0.9968,
                        idle_power_w=modelled(3.9, "W").as_dict())],
        models=[model(n, [r for r in requests if r["model"] == n], q, NO_ZONE) for n, q in sums.items()],
        spans=spans,
        requests=requests,
        events=[{"t_s": 31.4, "kind": "gap", "subject": "cpu_model:package-0", "reason": "no poll for 0.2 s"}],
    )  # fmt: skip
    t = [0.1 * i for i in range(625)]
    power = [6.0 + (8.0 if 12 < i < 201 else 0.0) + (5.0 if i > 220 else 0.0) + 0.6 * (i * 37 % 11) for i in range(624)]
    line: list[float | None] = [*power, None]
    line[314] = line[315] = None
    return document, [PowerSeries("cpu_model:package-0", "CPU package 0", "modelled", t, line)]


def gpu_and_cpu() -> Sample:
    """Counters read: two GPUs without a split weight, a CPU package inside psys, a reset, a grid zone."""
    sole = "no per-process use of the GPU can be read: sole tenancy is assumed"
    requests = []
    for i in range(24):
        name = ("llama-3.2-1b-bf16", "llama-3.2-1b-int8", "qwen3-0.6b")[i % 3]
        q = sensed(180.0 - 45 * (i % 3) + i, "attributed")
        requests.append(
            span(f"r/{i}", 2.0 + i * 1.6, 4.9 + i * 1.6, q, model=name, tier="cloud", input_tokens=512,
                 output_tokens=128, labels={"tenant": "blue" if i % 2 else "green", "pod": f"vllm-{i % 4}"},
                 carbon_g=carbon(q).as_dict())
        )  # fmt: skip
    names = ("llama-3.2-1b-bf16", "llama-3.2-1b-int8", "qwen3-0.6b")
    rows = {n: [r for r in requests if r["model"] == n] for n in names}
    sums = {n: sensed(sum(r["energy_j"]["value"] for r in rows[n]), "attributed") for n in names}
    gpu = {f"request/{n}": q.scaled(0.82) for n, q in sums.items()}
    cpu = {f"request/{n}": modelled(q.scaled(0.18).value or 0.0) for n, q in sums.items()}
    gpu |= {"overhead": sensed(210.0, "attributed"), "idle": sensed(640.0)}
    cpu |= {"overhead": modelled(33.0), "other": modelled(27.0), "idle": modelled(120.0)}
    unread = Quantity.missing("J", sole)
    booked = [
        (f"request/{n}", "request", len(rows[n]), gpu[f"request/{n}"] + cpu[f"request/{n}"], n) for n in names
    ] + [
        ("overhead", "overhead", 0, gpu["overhead"] + cpu["overhead"], None),
        ("other", "other", 0, total([cpu["other"], unread], "J", skip_missing=True), None),
        ("idle", "idle", 0, gpu["idle"] + cpu["idle"], None),
    ]
    everything = total([q for _, _, _, q, _ in booked], "J")
    gpu_total, cpu_total = total(gpu.values(), "J"), total(cpu.values(), "J")
    reset = [{"t0_s": 30.02, "t1_s": 30.52, "reason": "counter reset: the driver was reloaded", "bound_j": 350.0}]
    document = _frame(
        run=_frame()["run"] | {"hostname": "gpu-node-3", "tier": "cloud", "path": "/data/runs/serve.greengen",
                               "command": "python -m serve --port 8000",
                               "policy": shared("serving", "affine", {"fixed": 3.0, "prefill": 1.0, "decode": 2.4})},
        boundary={
            "covered": [
                {"domain": "nvml:GPU-0", "kind": "gpu", "name": "NVIDIA A10 0", "grade": "measured", "scope": "device",
                 "detail": "total energy counter"},
                {"domain": "cpu_model:package-0", "kind": "package", "name": "CPU package 0", "grade": "modelled",
                 "scope": "host", "detail": "busy time x power model"},
            ],
            "not_covered": [{"what": "DRAM", "why": "no counter", "remedy": ""}],
        },
        totals={"energy_j": everything.as_dict(), "carbon_g": carbon(everything).as_dict(), "coverage": 0.992,
                "known_s": 61.9},
        accounts=[account(n, k, s, q, carbon(q), m) for n, k, s, q, m in booked],
        domains=[
            domain("nvml:GPU-0", "NVIDIA A10 0", "gpu", gpu_total, [*gpu.items(), ("other", unread)],
                   known_s=61.9, coverage=0.992, unknown=reset, idle_power_w=sensed(17.5, unit="W").as_dict()),
            domain("cpu_model:package-0", "CPU package 0", "package", cpu_total, list(cpu.items()), scope="host"),
            domain("rapl:psys", "platform", "psys", sensed(4790.0), [], in_total=False,
                   why_not_in_total="it contains the GPU and the CPU package, which are counted already"),
        ],
        models=[model(n, rows[n], q, "") for n, q in sums.items()],
        spans=[span("r/load", 0.4, 1.9, sensed(61.0, "attributed"), kind="load", model=names[0], tier="cloud",
                    carbon_g=carbon(sensed(61.0)).as_dict()),
               span("r/open", 60.0, None, Quantity.missing("J", "the span was still open"), kind="warmup",
                    flags=["open"], coverage=0.0)],
        requests=requests,
        requests_left_out=976,
        events=[{"t_s": 30.52, "kind": "reset", "subject": "nvml:GPU-0", "reason": "the driver was reloaded"}],
        warnings=["the wall meter and the sum of its parts disagree by -3.1 %"],
        factors={"intensity": GRID.as_dict(), "intensity_source": "Ember 2025, yearly, CC BY 4.0",
                 "zone": "DEU", "year": "2025", "pue": 1.2,
                 "remedy": ""},
    )  # fmt: skip
    t = [0.5 * i for i in range(125)]
    gpu_line: list[float | None] = [60.0 + 50 * (4 < i < 86) + 7.0 * (i * 13 % 5) for i in range(125)]
    gpu_line[60] = None
    cpu_line: list[float | None] = [12.0 + 9 * (4 < i < 86) + 1.1 * (i * 5 % 7) for i in range(125)]
    return document, [
        PowerSeries("nvml:GPU-0", "NVIDIA A10 0", "measured", t, gpu_line),
        PowerSeries("cpu_model:package-0", "CPU package 0", "modelled", t, cpu_line),
    ]


def hostile() -> Sample:
    """Every text that a user, a driver or a file name can choose tries to get out of its place."""
    document, series = cpu_only(per_model=4)
    texts = list(HOSTILE.values())
    for i, row in enumerate(document["requests"]):
        text = texts[i % len(texts)]
        row |= {"id": f"{text}{i}", "model": text, "name": text, "trace_id": text, "outcome": text,
                "flags": [text], "labels": {text: text}, "tier": text}  # fmt: skip
    rows, sums = document["requests"], [modelled(12.0 + i) for i in range(len(texts))]
    document["models"] = [model(t, rows[:3], q, NO_ZONE) for t, q in zip(texts, sums, strict=True)]
    document["accounts"] = [
        account(f"request/{t}", "request", 3, q, Quantity.missing("g", t), t) for t, q in zip(texts, sums, strict=True)
    ]
    everything = total(sums, "J")
    document["totals"]["energy_j"] = everything.as_dict() | {"note": texts[0]}
    document["totals"]["carbon_g"] = Quantity.missing("g", texts[0]).as_dict()
    document["domains"][0] |= {
        "name": texts[0],
        "energy_j": everything.as_dict(),
        "accounts": [{"account": r["account"], "energy_j": r["energy_j"]} for r in document["accounts"]],
        "unknown": [{"t0_s": 1.0, "t1_s": 2.0, "reason": text, "bound_j": None} for text in texts],
    }
    document["boundary"]["covered"][0] |= {"name": texts[0], "detail": texts[3]}
    document["boundary"]["not_covered"] = [{"what": text, "why": text, "remedy": text} for text in texts]
    document["run"] |= {key: " ".join(texts) for key in ("path", "hostname", "platform", "python", "command", "tier")}
    document["run"]["policy"] = shared(texts[0], texts[1], {texts[3]: 1.0}, fallback=texts[2]) | {"name": texts[0]}
    document["spans"][0] |= {"id": texts[0], "kind": texts[3], "model": texts[8], "parent": texts[0]}
    document["events"] = [{"t_s": 1.0, "kind": t, "subject": t, "reason": t} for t in texts]
    document["warnings"] = texts
    document["factors"] |= {"remedy": texts[0], "intensity_source": texts[3], "zone": texts[0], "year": texts[3]}
    document["recorder"]["note"] = texts[0]
    document["versions"] |= {texts[0]: texts[3]}
    first = series[0]
    return document, [PowerSeries(texts[0], texts[0], first.grade, first.t_s, first.power_w)]


def empty() -> Sample:
    """A counter was read for a moment; no span was recorded."""
    joules = sensed(18.2)
    document = _frame(
        totals={"energy_j": joules.as_dict(), "carbon_g": carbon(joules, NO_ZONE).as_dict(), "coverage": 1.0,
                "known_s": 1.3},
        accounts=[account("overhead", "overhead", 0, joules.scaled(0.75), carbon(joules, NO_ZONE)),
                  account("idle", "idle", 0, joules.scaled(0.25), carbon(joules, NO_ZONE))],
        domains=[domain("rapl:package-0", "CPU package 0", "package", joules,
                        [("overhead", joules.scaled(0.75)), ("idle", joules.scaled(0.25))], known_s=1.3)],
        boundary={"covered": [{"domain": "rapl:package-0", "kind": "package", "name": "CPU package 0",
                               "grade": "measured", "scope": "host", "detail": "intel-rapl:0"}], "not_covered": []},
        run=_frame()["run"] | {"duration_s": 1.3, "command": None, "tier": None},
    )  # fmt: skip
    return document, [PowerSeries("rapl:package-0", "CPU package 0", "measured", [0.0, 0.7, 1.3], [14.0, 14.0, 14.0])]


def nothing_known() -> Sample:
    """Work was done, and nothing could be read: every quantity is missing."""
    why = "no power counter and no power model for this machine"
    nothing = Quantity.missing("J", why)
    requests = [span(f"q/{i}", 0.2 * i, 0.2 * i + 0.15, nothing, model="tiny", coverage=0.0) for i in range(3)]
    document = _frame(
        totals={"energy_j": nothing.as_dict(), "carbon_g": Quantity.missing("g", why).as_dict(), "coverage": 0.0,
                "known_s": 0.0},
        accounts=[account("request/tiny", "request", 3, nothing, Quantity.missing("g", why), "tiny")],
        models=[model("tiny", requests, nothing, why)],
        requests=requests,
        boundary={"covered": [], "not_covered": [{"what": "CPU", "why": why, "remedy": "pass --cpu-watts"}]},
        run=_frame()["run"] | {"duration_s": 0.8, "complete": False},
        recorder={"cpu_s": None, "threads": None, "note": ""},
    )  # fmt: skip
    return document, []


ALL = {f.__name__: f for f in (cpu_only, gpu_and_cpu, hostile, empty, nothing_known)}
