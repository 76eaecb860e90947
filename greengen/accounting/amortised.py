"""What training a model cost, and what that is per request of a lifetime that the user states.

A column of its own: it is in no account and in no energy of a request. The number of requests is never
guessed; without it there is no such number.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from greengen.accounting.curves import NS, Bools
from greengen.accounting.table import SpanTable
from greengen.quantity import Quantity, total

if TYPE_CHECKING:
    from greengen.accounting.ledger import Ledger

#: Spans of these kinds are a model's training, with all that is inside them.
TRAINING = ("train", "epoch", "step", "eval", "checkpoint")


def trained(ledger: Ledger) -> tuple[str, ...]:
    """The models whose training is in a ledger."""
    models = [
        row.model
        for chapter in ledger.chapters
        for row, inside in zip(chapter.table.rows, _training(chapter.table), strict=True)
        if inside and row.model is not None
    ]
    return tuple(dict.fromkeys(models))


def training(ledger: Ledger, model: str) -> Quantity:
    """The own joules of all spans that train a model, over the cover; each once, however they nest."""
    parts = []
    for chapter in ledger.chapters:
        inside = _training(chapter.table) & np.array([row.model == model for row in chapter.table.rows], dtype=bool)
        members = np.flatnonzero(inside)
        if members.size and not chapter.totalled:
            return Quantity.missing("J", "no domain was read while it was trained")
        if members.size:
            parts += [entries.spans(members, f"training/{model}") for entries in chapter.totalled]
    if not parts:
        return Quantity.missing("J", f"no training of {model} was recorded")
    return total(parts, "J", skip_missing=True)


def training_s(ledger: Ledger, model: str) -> float:
    """For how long a model was being trained: what was trained at the same time counts once, by host."""
    seconds = 0.0
    for chapter in ledger.chapters:
        table = chapter.table
        inside = _training(table) & np.array([row.model == model for row in table.rows], dtype=bool)
        reached = 0
        for start, end in sorted(zip(table.t0_ns[inside].tolist(), table.t1_ns[inside].tolist(), strict=True)):
            seconds += max(0, end - max(start, reached)) / NS
            reached = max(reached, end)
    return seconds


def per_request(energy: Quantity, requests: int) -> Quantity:
    """Training's joules over a stated number of requests, which is taken as exact."""
    share = energy / float(requests)
    if not share.known:
        return share
    return replace(share, note="; ".join(filter(None, (share.note, f"over {requests:,} requests, as stated"))))


def _training(table: SpanTable) -> Bools:
    """Which spans are training, shape (n,); a request inside one is priced as a request."""
    found = np.zeros(len(table), dtype=bool)
    for i, row in enumerate(table.rows):
        outer = int(table.parent[i])
        # A parent stands before its children.
        found[i] = row.kind in TRAINING or (0 <= outer < i and bool(found[outer]))
    return np.asarray(found & (table.request < 0))
