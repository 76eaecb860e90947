"""Sources of error in words, for people who have to weigh them: `split:box:rapl:package-0` is how the CPU was split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from greengen.accounting.verdict import ANEW

if TYPE_CHECKING:
    from greengen.comparison import Comparison

#: How a source's name begins -> what it is.
_KINDS = {
    "gain": "gain of the meter",
    "timing": "reading times",
    "sampling": "power between two readings",
    "ticks": "ticks of busy time",
    "resolution": "resolution of the meter",
    "hidden wraps": "wraps that a gap may hide",
    "split": "split among processes",
    "static": "static power",
    "share": "shares among requests",
    "workload": "model's fit to the work",
    "idle": "idle energy that was given out",
}


def domains(comparison: Comparison) -> dict[str, str]:
    """Domain -> what it is called, of all that was recorded."""
    return {
        str(domain["domain"]): str(domain["name"])
        for one in comparison.options
        for fact in one.facts
        for domain in fact["domains"]
    }


def named(source: str, known: Mapping[str, str]) -> str:
    """A source in words; as it is where it is none of ours, such as a factor that somebody stated."""
    repeat, rest = "", source
    if source.startswith(ANEW):
        repeat, _, rest = source.removeprefix(ANEW).partition(": ")
        option, _, number = repeat.rpartition(" ")
        repeat = f"{option}, repeat {number}"
    kind, sign, where = rest.partition(":")
    if not sign or kind not in _KINDS:
        return source
    # The longest: of `rapl:package-1` and `rapl:package-10`, the one that is meant.
    uid = max((uid for uid in known if f":{uid}:" in f":{where}:"), key=len, default=None)
    if uid is None:
        return f"{_KINDS[kind]} ({where})"
    label = f":{where}:".partition(f":{uid}:")[2].strip(":")
    of = "" if label in {"", "all", "window"} else label.partition("/")[2]
    # Of one meter nobody asks which.
    meter = known[uid] if len(known) > 1 else ""
    return ", ".join(part for part in (_KINDS[kind], repeat or of, meter) if part)
