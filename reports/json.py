"""The document as strict JSON: the machine's interface."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any


def render(document: Mapping[str, Any]) -> str:
    """The document as JSON text, ASCII only, in the document's key order.

    A row of a table takes one line, so that two reports can be compared line by line. A number that
    is not finite has no JSON form: such a quantity is missing, with that reason; elsewhere it is null.
    """
    try:
        return _lines(document)
    except ValueError:
        return _lines(_finite(document))


def _lines(document: Mapping[str, Any]) -> str:
    parts = []
    for key, item in document.items():
        if isinstance(item, Sequence) and not isinstance(item, str) and item:
            rows = ",\n".join(f"    {_compact(row)}" for row in item)
            parts.append(f"  {_compact(key)}: [\n{rows}\n  ]")
        else:
            parts.append(f"  {_compact(key)}: {_compact(item)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _compact(item: Any) -> str:  # noqa: ANN401 -- any JSON value
    return json.dumps(item, allow_nan=False)


def _finite(item: Any) -> Any:  # noqa: ANN401 -- any JSON value
    if isinstance(item, Mapping):
        value = item.get("value")
        if "unit" in item and isinstance(value, float) and not math.isfinite(value):
            return {"value": None, "unit": item["unit"], "reason": f"not a finite number: {value}"}
        return {key: _finite(part) for key, part in item.items()}
    if isinstance(item, Sequence) and not isinstance(item, str):
        return [_finite(part) for part in item]
    return None if isinstance(item, float) and not math.isfinite(item) else item
