"""Lines as users name them, with the power that is published of them: `fixed:users=2`, `mobile`."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from greengen import data
from greengen.accounting.transfer import Stage, View, Way
from greengen.errors import UsageError
from greengen.quantity import Quantity

#: line → its stages: what it is, and the rows of its baseline and slope. Of the 4G figure the core's slope is apart.
LINES: dict[str, tuple[tuple[str, str | None, str], ...]] = {
    "fixed": (("home equipment, line and core", "fixed-line", "fixed-slope"),),
    "mobile": (("4G radio", "mobile-line", "mobile-slope"), ("core", None, "fixed-core-slope")),
}

_FORM = "fixed:users=2, mobile, or either with view=marginal"


def way(text: str) -> Way:
    """The way of a line. Raises UsageError; a fixed line's baseline is shared by a stated number of users."""
    name, _, options = text.strip().partition(":")
    if name not in LINES:
        msg = f"network {text!r} is not known: write {_FORM}"
        raise UsageError(msg)
    told = dict(_option(text, part) for part in filter(None, options.split(",")))
    view = told.get("view", "attributional")
    if told.keys() - {"users", "view"} or view not in ("attributional", "marginal"):
        msg = f"network {text!r} is not understood: write {_FORM}"
        raise UsageError(msg)
    if name == "fixed" and view == "attributional" and "users" not in told:
        msg = f"network {text!r}: a line draws its power for all its users; state how many, as in fixed:users=2"
        raise UsageError(msg)
    try:
        users = float(told.get("users", "1"))
    except ValueError:
        users = 0.0
    stages = tuple(
        Stage(what, _watts(slope), None if baseline is None else _watts(baseline), users=users)
        for what, baseline, slope in LINES[name]
    )
    return Way(text.strip(), stages, cast("View", view))


def _watts(id_: str) -> Quantity:
    """A row's figure: W of a line, or W per Mbps."""
    quantity = data.row("network_models", id_).quantity()
    return replace(quantity, unit="W") if quantity.unit == "W/line" else quantity


def _option(text: str, part: str) -> tuple[str, str]:
    key, equals, value = part.partition("=")
    if not equals:
        msg = f"network {text!r}: {part!r} is not understood; write {_FORM}"
        raise UsageError(msg)
    return key.strip(), value.strip()
