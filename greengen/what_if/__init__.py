"""What if: questions to a comparison, as tables of its file or as dictionaries, and their answers for a document.

    [[what_if]]
    kind = "break_even"
    old = "cloud"
    new = "edge box"
    made_kg = 200

`KINDS` lists what can be asked. Each answer is a dictionary with `words`, and with `lines`, `grid` or `table` to draw
it from; one that could not be given says why in `missing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greengen.errors import GreengenError, UsageError

if TYPE_CHECKING:
    from greengen.comparison import Comparison

#: kind -> (module, what it answers)
KINDS = {
    "zone": ("places", "the same in other grid zones"),
    "hour": ("places", "the same by zone and hour of the day"),
    "pue": ("places", "the same under other PUEs"),
    "network": ("places", "the same over networks of other kWh per GB"),
    "batch": ("serving", "joules per token at other batch sizes"),
    "utilisation": ("spending", "the rate of use above which hardware of one's own is the smaller"),
    "break_even": ("spending", "after how many requests what was spent once is saved"),
    "router": ("serving", "a small model that passes some requests on to a big one"),
    "split": ("serving", "the best of some measured cut points of a split model"),
    "cache": ("serving", "a cache that answers some requests"),
    "download": ("serving", "a model that is downloaded before it is used"),
    "time_shift": ("shifts", "waiting for a better hour"),
    "region_shift": ("shifts", "doing it in another place"),
    "flips": ("ranking", "the value of each parameter at which the ranking flips"),
}


def evaluate(
    comparison: Comparison, asked: Iterable[Mapping[str, Any]] | None = None, folder: str | Path = ""
) -> list[dict[str, Any]]:
    """The answers, in the order asked. Raises UsageError that names the question.

    asked   questions; None: those of the comparison's file
    folder  what their paths are relative to
    """
    from greengen.what_if.table import Table  # noqa: PLC0415 -- numpy is for those who ask

    answers = []
    for number, told in enumerate(comparison.asked if asked is None else asked, start=1):
        kind = told.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            msg = f"what_if {number}: kind {kind!r} is not known: pass {', '.join(KINDS)}"
            raise UsageError(msg)
        table = Table(comparison, {key: value for key, value in told.items() if key != "kind"}, Path(folder))
        try:
            answer = _module(KINDS[kind][0]).ANSWERS[kind](table)
            table.done()
        except GreengenError as error:
            msg = f"what_if {number} ({kind}): {error}"
            raise UsageError(msg) from error
        answers.append({"id": f"{kind.replace('_', '-')}-{number}", "kind": kind, **answer})
    return answers


def tornado(comparison: Comparison, most: int = 12) -> list[dict[str, Any]]:
    """What drives each option's ratio to the baseline: its widest sources, at the ends of their 95 % intervals."""
    return list(_module("ranking").tornado(comparison, most))


def _module(name: str) -> Any:  # noqa: ANN401 -- a module of answers
    from importlib import import_module  # noqa: PLC0415 -- for those who ask

    return import_module(f"greengen.what_if.{name}")
