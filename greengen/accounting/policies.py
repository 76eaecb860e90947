"""Policies: how a cell's energy is shared among its live spans. A policy gives each span a weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from greengen.accounting.curves import Floats
from greengen.accounting.table import SpanTable
from greengen.errors import PolicyError

Policy = Callable[[SpanTable], Floats]


def equal(table: SpanTable) -> Floats:
    """Each live span the same share of each cell; a waiting one (weight 0) none. Shape (n,)."""
    return (table.weight > 0).astype(float)


POLICIES: Mapping[str, Policy] = MappingProxyType({"equal": equal})


def find(name: str) -> Policy:
    """The policy of that name. Raises PolicyError with the names there are."""
    if name not in POLICIES:
        import difflib  # noqa: PLC0415 -- only for a typo

        near = difflib.get_close_matches(name, POLICIES, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        msg = f"unknown policy {name!r}: {hint}there is {', '.join(POLICIES)}"
        raise PolicyError(msg)
    return POLICIES[name]
