"""A serving log: one JSON object per request, with its times and token counts, as vLLM, SGLang or a proxy write them.

A field is looked for under the names that these use, at the top and in `metrics`, `usage`, `meta_info`
and `timings`. Times are numbers since 1970 (in seconds, ms, us or ns) or ISO 8601. Durations are not
taken for times.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from greengen.errors import LogError
from greengen.integrations import _times
from greengen.integrations._files import count, decoded, read_bytes, shown
from greengen.integrations._logs import Rejected, Request, RequestLog, refused
from greengen.integrations._times import Clock, Kind, Stamp
from greengen.integrations.requests_csv import checked, finished, outcome

_NAMES: Mapping[str, tuple[str, ...]] = {
    "start": ("arrival_time", "arrival", "request_received_ts", "start_time", "start", "arrived_at"),
    "scheduled": ("first_scheduled_time", "scheduled_time", "scheduled"),
    "first_token": ("first_token_time", "first_token"),
    "end": ("finished_time", "request_finished_ts", "end_time", "end", "finished_at", "last_token_time"),
    "tokens_at": ("token_times", "token_timestamps"),
    "input_tokens": ("prompt_tokens", "input_tokens", "num_prompt_tokens", "gen_ai.usage.input_tokens"),
    "output_tokens": (
        *("completion_tokens", "output_tokens", "num_output_tokens"),
        *("num_generation_tokens", "gen_ai.usage.output_tokens"),
    ),
    "cached_tokens": ("cached_tokens", "num_cached_tokens"),
    "model": ("model", "model_name", "gen_ai.request.model"),
    "id": ("request_id", "id", "rid"),
    "outcome": ("outcome", "status", "finish_reason"),
}
#: Objects inside a record in which a field may stand.
_INSIDE = ("metrics", "usage", "meta_info", "timings", "prompt_tokens_details")
#: vLLM's monotonic stamps: they are of another clock than arrival_time.
_MONOTONIC = ("queued_ts", "scheduled_ts", "first_token_ts", "last_token_ts")


def read(path: Path, clock: Clock, *, model: str | None = None, drop_bad: bool = False) -> RequestLog:
    """The requests of a file of JSON lines. Raises LogError."""
    content = read_bytes(path)
    found: list[Request] = []
    kinds: set[Kind] = set()
    rejected: list[Rejected] = []
    monotonic = False
    for number, line in enumerate(decoded(content).splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        try:
            fields = _fields(line, where)
            monotonic |= any(name in fields for name in _MONOTONIC)
            request, kind = _request(fields, clock, model, (where, number))
        except LogError as error:
            rejected.append(refused(number, line, error, drop_bad=drop_bad))
            continue
        found.append(request)
        kinds.add(kind)
    log = finished(path, content, found, kinds, rejected)
    if monotonic:
        names = ", ".join(_MONOTONIC)
        log.notes.append(f"{path.name}: {names} are of another clock than the request's arrival, and are not used.")
    return log


def _fields(line: str, where: str) -> dict[str, Any]:
    """All fields of a record by name, those at the top first."""
    try:
        record = json.loads(line, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        msg = f"{where} is no JSON object, or is cut off: {shown(line)}; name a file of JSON lines"
        raise LogError(msg) from error
    if not isinstance(record, dict):
        msg = f"{where} is no JSON object: {shown(line)}; name a file with one object per request and line"
        raise LogError(msg)
    fields: dict[str, Any] = {}
    for part in _parts(record):
        for name, value in part.items():
            if value is not None:
                fields.setdefault(str(name), value)
    return fields


def _refuse(constant: str) -> None:
    msg = f"{constant} is no number"
    raise ValueError(msg)


def _parts(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield record
    for name in _INSIDE:
        inner = record.get(name)
        if isinstance(inner, dict):
            yield from _parts(inner)


def _request(fields: Mapping[str, Any], clock: Clock, model: str | None, at: tuple[str, int]) -> tuple[Request, Kind]:
    where, line = at

    def first(field: str) -> tuple[str, Any] | None:
        return next(((name, fields[name]) for name in _NAMES[field] if name in fields), None)

    def stamp(field: str) -> Stamp | None:
        found = first(field)
        return None if found is None else _stamp(found[1], clock, f"{where}, {found[0]}")

    def tokens(field: str) -> int | None:
        found = first(field)
        return None if found is None else count(str(found[1]), f"{where}, {found[0]}")

    def text(field: str) -> str | None:
        found = first(field)
        # JSON may hold half characters, which no file takes.
        return None if found is None else str(found[1]).encode("utf-8", "replace").decode()[:500]

    each = first("tokens_at")
    if each is not None and not isinstance(each[1], list):
        msg = f"{where}, {each[0]}: {shown(each[1])} is not a list of times"
        raise LogError(msg)
    arrived = [_stamp(value, clock, f"{where}, {each[0]}") for value in each[1]] if each else []
    start, end = stamp("start"), stamp("end") or (arrived[-1] if arrived else None)
    for name, known in (("start", start), ("end", end)):
        if known is None:
            msg = f"{where} has no {name} of the request: it is looked for as {', '.join(_NAMES[name])}"
            raise LogError(msg)
    assert start is not None  # noqa: S101 -- see above
    assert end is not None  # noqa: S101 -- see above
    first_token = stamp("first_token") or (arrived[0] if arrived else None)
    scheduled = stamp("scheduled")
    kinds = {known.kind for known in (start, end, first_token, scheduled) if known is not None}
    if len(kinds) > 1:
        msg = f"{where} mixes times of several clocks ({', '.join(sorted(kinds))}): leave the monotonic ones out"
        raise LogError(msg)
    written = tokens("output_tokens")
    request = Request(
        t0_ns=start.t_ns,
        t1_ns=end.t_ns,
        line=line,
        model=model or text("model"),
        name=text("id"),
        scheduled_ns=None if scheduled is None else scheduled.t_ns,
        first_token_ns=None if first_token is None else first_token.t_ns,
        input_tokens=tokens("input_tokens"),
        output_tokens=len(arrived) if written is None and arrived else written,
        cached_tokens=tokens("cached_tokens"),
        outcome=outcome(text("outcome") or ""),
        labels={name: str(value)[:200] for name, value in _labels(fields).items()},
    )
    return checked(request, start.kind, where), start.kind


def _labels(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    labels = fields.get("labels")
    return labels if isinstance(labels, dict) else {}


def _stamp(value: object, clock: Clock, where: str) -> Stamp:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return _times.number(value, clock, where)
    if isinstance(value, str):
        return _times.parse(value.strip(), clock, where)
    msg = f"{where}: {shown(value)} is not a time"
    raise LogError(msg)
