"""A table of a report with what is to be said around it: the same in every format.

A cell is text, a count, or a quantity in its JSON shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Cell = str | int | Mapping[str, Any]


class Column(NamedTuple):
    """A heading. `bounds`: the 95 % interval is shown too where a table has a column for it."""

    title: str
    number: bool = True
    bounds: bool = False


class Section(NamedTuple):
    """A table with what is to be said before and after it. `foot`: sums, which are not sorted with the rows."""

    id: str
    title: str
    lead: str
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Cell]]
    foot: Sequence[Sequence[Cell]] = ()
    notes: tuple[str, ...] = ()
