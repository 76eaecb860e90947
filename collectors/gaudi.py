"""Intel Gaudi accelerators, by ``hl-smi``'s CSV: the power of each card, of the moment.

hl-smi numbers cards by their bus, frameworks by module (``HABANA_VISIBLE_MODULES``): only the modules that
this variable names are read, where it is set. A card's name in a run is its UUID.

Facts: docs.habana.ai, System Management Interface Tool (options, the query's column names, limits); a real output
of Gaudi 3 in docs.rs' all-smi 0.26.2, src/device/hlsmi/parser.rs (``0, 01P4-HL3090A0-18-U4V193-22-07-00, HL-325L, …
226 W, 850 W, 36 C, 0 %``); opea-project/GenAIExamples, .github/workflows/scripts/get_idle_device.sh (index and
module_id beside one another, ``0 %``, ``768 MiB``); HabanaAI/Model-References,
PyTorch/examples/multi_tenants/README.md (HABANA_VISIBLE_MODULES).
"""

from __future__ import annotations

from collections.abc import Mapping

from greengen.collector import Host
from greengen.collectors._cards import Card, Cards, Tool, number

_VISIBLE = "HABANA_VISIBLE_MODULES"
_COLUMNS = ("index", "module_id", "uuid", "name", "power.draw", "power.max", "utilization.aip")
_TOOL = Tool(
    collector="gaudi",
    program="hl-smi",
    options=("-Q", ",".join(_COLUMNS), "-f", "csv,noheader"),
    period_s=1.0,
    timeout_s=5.0,
    # Gaudi 3 is allowed 850 W (docs.habana.ai, option --power-max).
    most_w=1_700.0,
    # ±10 % at 95 %: no document states an error; a judgement.
    gain=0.05,
    refresh_s=1.0,
    detail="the card, memory included, as hl-smi shows it",
    remedy="load the habanalabs driver; in a container, run with --runtime=habana, and name a folder that may be "
    "written in HABANA_LOGS",
)


def cards(text: str, visible: str | None = None) -> list[Card]:
    """The cards in hl-smi's CSV. Raises ValueError where there is none.

    visible  as HABANA_VISIBLE_MODULES has it: numbers of modules, with commas; None: all
    """
    wanted = None if visible is None else {module.strip() for module in visible.split(",")}
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines()]
    every = [dict(zip(_COLUMNS, row, strict=True)) for row in rows if len(row) == len(_COLUMNS) and row[0].isdigit()]
    if not every:
        msg = f"hl-smi lists no card: {text.strip()[:80]!r}"
        raise ValueError(msg)
    ours = [row for row in every if wanted is None or row["module_id"] in wanted]
    if not ours:
        there = ", ".join(row["module_id"] for row in every)
        msg = f"{_VISIBLE}={visible} names none of the modules that hl-smi lists ({there})"
        raise ValueError(msg)
    return [_card(row) for row in ours]


def _card(row: Mapping[str, str]) -> Card:
    power_w, percent = number(row["power.draw"], "W"), number(row["utilization.aip"], "%")
    return Card(
        key=row["uuid"],
        name=f"Intel Gaudi {row['name']} (module {row['module_id']})",
        power_w=power_w,
        trouble="" if power_w is not None else f"hl-smi shows {row['power.draw']!r} for its power",
        busy=None if percent is None else percent / 100,
        limit_w=number(row["power.max"], "W"),
    )


class GaudiCollector:
    """Runs hl-smi in a thread of its own, where it is installed."""

    name = "gaudi"
    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host) -> None:
        made = Cards(host, _TOOL, lambda run: cards(run(), host.environ.get(_VISIBLE)))
        self.discover, self.read, self.close = made.discover, made.read, made.close
