"""What users and plug-ins pass, as values that SQLite takes: no row of theirs may cost the others."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable, Mapping
from typing import Any, SupportsIndex, cast

from greengen.recording.trace import trace_id

#: Attributes that have a column of their own, or none at all; all others are labels.
_COLUMNS = frozenset(
    {
        *("kind", "model", "tier", "name", "trace_id", "input_tokens", "output_tokens", "cached_tokens"),
        *("phases", "devices", "requests", "sync", "traceparent"),
    }
)

#: The flag of a span that was told a token count which is none: a negative one, or one beyond `INTEGER`.
MISCOUNTED = "miscounted"

#: SQLite's integers end here.
INTEGER = 2**63


def span_row(
    span: Any,  # noqa: ANN401 -- spans imports the writer, and that this
    labels_of_process: Mapping[str, str],
) -> tuple[object, ...]:
    """A span's columns, but for its process. Its end is None while it is open."""
    # One call per span, in the workload's process: no more copies than there are labels.
    known = span.get
    labels = {text(key): text(value) for key, value in dict(span).items() if key not in _COLUMNS and value is not None}
    for key, value in labels_of_process.items():
        labels.setdefault(key, value)
    told = known("input_tokens"), known("output_tokens"), known("cached_tokens")
    read, written, cached = map(count, told)
    flags = span.flags
    if None in (read, written, cached) and any(t is not None and count(t) is None for t in told):
        flags = (*flags, MISCOUNTED)
    return (
        span.seq,
        span.parent_uid,
        text(known("kind")) or span.kind,
        span.t0_ns,
        span.t1_ns or None,
        text(known("model")),
        text(known("tier")),
        text(known("name")),
        text(known("trace_id")) or trace_id(known("traceparent")),
        read,
        written,
        text(span.outcome) or "ok",
        " ".join(flags),
        json.dumps(labels) if labels else "{}",
        cached,
        json.dumps([phase for phase in known("phases") if phase[1] >= span.t0_ns]) if "phases" in span else "[]",
        json.dumps(texts(known("devices"))) if "devices" in span else "[]",
        count(known("requests", 1)) or 1,
    )


def texts(value: object) -> list[str]:
    """One name or several, as texts."""
    several = [value] if isinstance(value, str) or not isinstance(value, Iterable) else value
    return [said for said in map(text, several) if said is not None]


def text(value: object) -> str | None:
    """A value as text; one that cannot say what it is keeps its type."""
    if value is None or (type(value) is str and value.isascii()):
        return value
    try:
        said = str(value)
    except Exception:  # noqa: BLE001 -- a stranger's __str__ must not stop the recording
        said = f"<{type(value).__name__}>"
    # Half a surrogate pair is a str that no file takes.
    return str.encode(said, "utf-8", "replace").decode()


def count(value: object) -> int | None:
    """A token count, or None for what is not one."""
    try:
        number = operator.index(cast("SupportsIndex", value))
    except TypeError:
        return None
    return number if 0 <= number < INTEGER else None


def is_number(value: object) -> bool:
    """Whether a reading is a number that SQLite keeps: it makes NULL of a NaN."""
    return isinstance(value, (int, float)) and -INTEGER <= value < INTEGER


def plain(value: object) -> object:
    """A value of any other row."""
    return value if value is None or is_number(value) else text(value)
