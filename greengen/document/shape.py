"""A quantity as a comparison tells it: where nothing says how far it may be off, it has no interval."""

from __future__ import annotations

from typing import Any

from greengen.quantity import Quantity


def shape(quantity: Quantity) -> dict[str, Any]:
    """The JSON shape; low and high are null of a number that has no error source: one figure of a paper, one repeat."""
    shape = quantity.as_dict()
    return shape if quantity.value is None or quantity.errors else shape | {"low": None, "high": None}
