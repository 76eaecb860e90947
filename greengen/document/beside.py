"""What a report shows beside the books, where it is asked for: margins, amortised training, the network.

None of it is in an account or in a total. Each says what it was computed from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from greengen import stated
from greengen.accounting import amortised, network
from greengen.accounting import ledger as ledgers
from greengen.accounting.carbon import Footprint
from greengen.accounting.choice import Plan
from greengen.accounting.ledger import Ledger
from greengen.errors import UsageError
from greengen.rows import Rows, SpanRow

#: What `Run.report` and the command line call them.
OPTIONS = ("marginal", "amortise", "training", "network_kwh_per_gb")


@dataclass(frozen=True, slots=True)
class Beside:
    """What is asked for.

    marginal            the margin of each request
    amortise            model → the requests of its lifetime, over which its training is told
    training            rows of the runs in which they were trained, and `source`, their paths; None: this run
    network_kwh_per_gb  the energy of a transfer

    Raises UsageError.
    """

    marginal: bool = False
    amortise: Mapping[str, int] = field(default_factory=dict)
    training: Rows | None = None
    source: str = ""
    network_kwh_per_gb: float | None = None

    def __post_init__(self) -> None:
        if self.network_kwh_per_gb is not None:
            network.checked(self.network_kwh_per_gb)
        for model, requests in self.amortise.items():
            if isinstance(requests, bool) or not 1 <= requests < math.inf or requests != int(requests):
                msg = f"training of {model!r} over {requests} requests: pass a whole number of 1 or more"
                raise UsageError(msg)
        if self.training is not None and not self.amortise:
            msg = f"the training in {self.source} is over no stated number of requests: name the model and the requests"
            raise UsageError(msg)


def add(document: dict[str, Any], footprint: Footprint, asked: Beside, plan: str | Plan) -> None:
    """Add to a document what is asked for; existing keys stay as they are."""
    ledger = footprint.ledger
    listed = {row["id"] for row in (*document["spans"], *document["requests"])}
    document["marginal"] = _marginal(ledger, listed) if asked.marginal else None
    if asked.amortise:
        _amortise(document["models"], footprint, asked, plan)
    _network(document, ledger, asked.network_kwh_per_gb, listed)


def _marginal(ledger: Ledger, listed: set[str]) -> dict[str, Any]:
    from greengen.accounting import marginal  # noqa: PLC0415 -- for those who ask

    table = marginal.marginals(ledger)
    rows = [(row, row.chapter.table.rows[row.index]) for row in table.rows]
    shown = [
        {
            "id": span.uid,
            "model": span.model,
            "name": span.name,
            "steps": row.steps,
            "steps_alone": row.alone,
            "attributed_j": row.attributed.as_dict(),
            "marginal_j": row.marginal.as_dict(),
        }
        for row, span in rows
        if span.uid in listed
    ]
    return {
        "note": marginal.NOTE,
        "requests": shown,
        "requests_left_out": len(rows) - len(shown),
        "sums": {
            "requests": sum(row.marginal.known for row, _ in rows),
            "attributed_j": table.attributed.as_dict(),
            "marginal_j": table.marginal.as_dict(),
        },
        "engines": [
            {
                "engine": of.cost.name,
                "coefficients": None if of.cost.coefficients is None else asdict(of.cost.coefficients),
                "origin": of.cost.origin or None,
                "scale_j": of.cost.scale,
                "domains": [entries.books.domain.name for entries in of.cost.domains],
                "steps_j": of.metered.as_dict(),
                "predicted_j": of.cost.predicted_j,
                "reason": of.cost.reason,
            }
            for of in table.engines
        ],
    }


def _amortise(models: Sequence[dict[str, Any]], footprint: Footprint, asked: Beside, plan: str | Plan) -> None:
    if asked.training is not None:
        # Trained elsewhere is told as on this site: state another one to a report of that run.
        footprint = Footprint(ledgers.build(asked.training, policy=plan), footprint.site)
    elsewhere = footprint.ledger
    where = asked.source or "this run"
    served, known = {row["model"]: row for row in models}, amortised.trained(elsewhere)
    for model, requests in asked.amortise.items():
        if model not in served:
            raise UsageError(_unknown(model, "requests", "this run", tuple(served)))
        if model not in known:
            raise UsageError(_unknown(model, "training", where, known))
        row = served[model]
        if requests < row["requests"]:
            msg = f"{requests:,} requests are no lifetime of {model!r}: this run alone has {row['requests']:,} of its"
            raise UsageError(msg)
        energy = amortised.training(elsewhere, model)
        row |= {
            "training_j": energy.as_dict(),
            "training_requests": int(requests),
            "training_j_per_request": amortised.per_request(energy, int(requests)).as_dict(),
            "training_source": where,
            "training_g": footprint.training(model).as_dict(),
            "training_g_per_request": footprint.training(model, int(requests)).as_dict(),
        }


def _unknown(model: str, what: str, where: str, known: Sequence[str]) -> str:
    there = f"it has {what} of {', '.join(map(repr, known))}" if known else f"there is no {what} of any model"
    return f"{where} has no {what} of {model!r}: {stated.nearest(model, known)}{there}"


def _network(document: dict[str, Any], ledger: Ledger, kwh_per_gb: float | None, listed: set[str]) -> None:
    spans = [chapter.table.rows[i] for chapter, i in ledger]
    everything = network.told(spans)
    energy = network.energy(everything.total, kwh_per_gb)
    document["network"] = {
        "energy_j": energy.as_dict(),
        "bytes": everything.total,
        "spans": everything.spans,
        "kwh_per_gb": kwh_per_gb,
        "transfers": [
            {
                "id": span.uid,
                "trace_id": span.trace_id,
                "bytes": number,
                "energy_j": network.energy(number, kwh_per_gb).as_dict(),
            }
            for span in spans
            if kwh_per_gb is not None and (number := network.moved(span)) is not None and span.uid in listed
        ],
    }
    of_trace: dict[str | None, list[SpanRow]] = {}
    for span in spans:
        of_trace.setdefault(span.trace_id, []).append(span)
    for trace in document["traces"]:
        mine = of_trace[trace["trace_id"]]
        number = network.told(mine).total
        trace["network"] = {"bytes": number, "energy_j": network.energy(number, kwh_per_gb).as_dict()}
        if _told_twice(mine):
            told = f"two tiers of trace {trace['trace_id']} tell the same {network.LABEL}"
            document["warnings"].append(f"{told}: a transfer is to be told once, by the one that asks.")
    if everything.wrong:
        wrong = ", ".join(map(repr, everything.wrong[:3]))
        document["warnings"].append(f"{network.LABEL} {wrong} is no whole number of bytes, and is not counted.")
    if not energy.known:
        remedy = [f"tell the label {network.LABEL} of a span"] if everything.total is None else []
        remedy += ["pass --network-kwh-per-gb X"] if kwh_per_gb is None else []
        document["boundary"]["not_covered"].append(
            {"what": "network between tiers", "why": energy.reason, "remedy": ", and ".join(remedy)}
        )


def _told_twice(spans: Sequence[SpanRow]) -> bool:
    """Whether both ends of a transfer seem to tell it: its bytes would be counted twice."""
    tiers: dict[int, set[str | None]] = {}
    for span in spans:
        number = network.moved(span)
        if number:
            tiers.setdefault(number, set()).add(span.tier)
    return any(len(told) > 1 for told in tiers.values())
