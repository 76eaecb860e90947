"""A request log as a table: a start and an end, and whatever else the user names a column for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from greengen.errors import LogError
from greengen.integrations._files import Row, Table, count, read_bytes, table
from greengen.integrations._logs import Rejected, Request, RequestLog, refused
from greengen.integrations._times import Clock, Kind, Stamp, parse, told

#: What a log calls a request that went well. Any other word is kept as it is, and is no success.
OK = frozenset({"ok", "success", "succeeded", "successful", "completed", "stop", "length", "200", "true"})

#: Names of columns that mean one thing only.
_USUAL = {
    "start": ("start", "start_time", "arrival", "arrival_time", "arrived_at"),
    "end": ("end", "end_time", "finish_time", "finished_time", "finished_at"),
    "model": ("model", "model_name", "gen_ai.request.model"),
    "input_tokens": ("input_tokens", "prompt_tokens", "gen_ai.usage.input_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens", "gen_ai.usage.output_tokens"),
    "cached_tokens": ("cached_tokens",),
    "first_token": ("first_token_time", "first_token"),
    "scheduled": ("scheduled_time", "first_scheduled_time"),
    "id": ("id", "request_id"),
    "outcome": ("outcome", "status", "finish_reason"),
}
_NEEDED = ("start", "end")
_NOTHING = ("", "n/a", "na", "none", "null", "-")


@dataclass(frozen=True, slots=True)
class Columns:
    """What the user says of a request log.

    names     field (start, end, model, …) -> the name of its column
    labels    names of columns that group requests: tenant, pod, key id
    model     the model of all requests, where there is no column
    drop_bad  leave lines that are wrong out and list them, instead of refusing the log
    """

    names: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    model: str | None = None
    drop_bad: bool = False


FIELDS = tuple(_USUAL)


def read(path: Path, columns: Columns, clock: Clock) -> RequestLog:
    """The requests of a table. Raises LogError."""
    content = read_bytes(path)
    given = table(path, content)
    places = _places(given, columns)
    labels = {name: given.column(name, "--label") for name in columns.labels}
    rejected = [
        refused(row.line, ",".join(row.cells), row.cut_off(path), drop_bad=columns.drop_bad) for row in given.cut
    ]
    found: list[Request] = []
    kinds: set[Kind] = set()
    for row in given.rows:
        try:
            request, kind = _request(given, row, places, labels, columns.model, clock)
        except LogError as error:
            rejected.append(refused(row.line, ",".join(row.cells), error, drop_bad=columns.drop_bad))
            continue
        found.append(request)
        kinds.add(kind)
    return finished(path, content, found, kinds, sorted(rejected))


def finished(
    path: Path, content: bytes, found: list[Request], kinds: set[Kind], rejected: list[Rejected]
) -> RequestLog:
    """A request log. Raises LogError where it has no request, or times of several kinds."""
    if not found:
        msg = f"{path} holds no request: name a log with rows"
        raise LogError(msg)
    if len(kinds) > 1:
        several = ", ".join(sorted(kinds))
        msg = f"{path} mixes times of several kinds ({several}): pass --requests-timezone or --requests-epoch"
        raise LogError(msg)
    return RequestLog(path, content, kinds.pop(), found, rejected)


def checked(request: Request, kind: Kind, where: str) -> Request:
    """The request itself. Raises LogError where its times run backwards, or more tokens were cached than read."""
    order = [
        ("start", request.t0_ns),
        ("scheduled time", request.scheduled_ns),
        ("first token", request.first_token_ns),
        ("end", request.t1_ns),
    ]
    known = [(name, t_ns) for name, t_ns in order if t_ns is not None]
    for (before, t0_ns), (after, t1_ns) in pairwise(known):
        if t1_ns < t0_ns:
            msg = (
                f"{where}: the {after}, {told(t1_ns, kind)}, lies before the {before}, {told(t0_ns, kind)}: "
                "are the columns or the units of its times mixed up?"
            )
            raise LogError(msg)
    if (request.cached_tokens or 0) > (request.input_tokens if request.input_tokens is not None else 2**62):
        msg = f"{where}: {request.cached_tokens} cached tokens of {request.input_tokens} input tokens"
        raise LogError(msg)
    return request


def outcome(text: str) -> str:
    """`ok`, or what the log says."""
    return "ok" if not text or text.lower() in OK else text[:200]


def _places(given: Table, columns: Columns) -> dict[str, int]:
    places: dict[str, int] = {}
    for name, usual in _USUAL.items():
        asked = columns.names.get(name)
        option = f"--{name.replace('_', '-')}-column"
        place = given.column(asked, option) if asked is not None else given.usual(usual)
        if place is not None:
            places[name] = place
        elif name in _NEEDED:
            names = ", ".join(given.header)
            msg = f"{given.path}: which column holds the {name} of a request? Pass {option}, one of {names}"
            raise LogError(msg)
    if columns.model is not None and "model" not in columns.names:
        places.pop("model", None)
    return places


def _request(
    given: Table, row: Row, places: Mapping[str, int], labels: Mapping[str, int], model: str | None, clock: Clock
) -> tuple[Request, Kind]:
    def cell(name: str) -> str:
        text = row.cells[places[name]] if name in places else ""
        return "" if text.lower() in _NOTHING else text

    def at(name: str) -> Stamp | None:
        text = cell(name)
        return parse(text, clock, given.where(row, places[name])) if text else None

    def tokens(name: str) -> int | None:
        text = cell(name)
        return count(text, given.where(row, places[name])) if text else None

    start, end = (parse(cell(name), clock, given.where(row, places[name])) for name in _NEEDED)
    stamps = [start, end, at("scheduled"), at("first_token")]
    kinds = {stamp.kind for stamp in stamps if stamp is not None}
    if len(kinds) > 1:
        msg = f"{given.path} line {row.line} mixes times of several kinds: {', '.join(sorted(kinds))}"
        raise LogError(msg)
    request = Request(
        t0_ns=start.t_ns,
        t1_ns=end.t_ns,
        line=row.line,
        model=cell("model") or model,
        name=cell("id") or None,
        scheduled_ns=stamps[2].t_ns if stamps[2] is not None else None,
        first_token_ns=stamps[3].t_ns if stamps[3] is not None else None,
        input_tokens=tokens("input_tokens"),
        output_tokens=tokens("output_tokens"),
        cached_tokens=tokens("cached_tokens"),
        outcome=outcome(cell("outcome")),
        labels={name: row.cells[place] for name, place in labels.items() if row.cells[place]},
    )
    return checked(request, start.kind, f"{given.path} line {row.line}"), start.kind
