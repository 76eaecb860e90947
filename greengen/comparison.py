"""Deployments held against one another: `greengen.compare`, and the comparison that it gives.

greengen.compare({"edge int8": [run_a1, run_a2, run_a3], "cloud bf16": [...]}, zone="DEU").to_html("report.html")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greengen import stated
from greengen.deployments import Deployment, Rules, deployment, measured
from greengen.errors import KindMismatchError, UsageError

if TYPE_CHECKING:
    from greengen.accounting.option import Measured

#: What holds of a comparison as a whole, and what it is; beside them the options of a site (`greengen.sites.OPTIONS`).
OPTIONS = {
    "unit": "functional unit: request, output_token, input_token, image, audio_s, video_s",
    "baseline": "the name of the deployment that the others are held against; the first one where none is named",
    "quality": "deployment -> its figure of the quality metric, or a table (`greengen.accounting.quality`)",
    "quality_metric": "what that is, such as accuracy",
    "higher_is_better": "whether more of it is better",
    "deadline_s": "latency objective of a request, s",
    "network_kwh_per_gb": "energy of the bytes that went between tiers",
    "link": "where that is used: options of a site",
    "idle": "none, pro-rata or resident-time: whether idle energy is given out",
    "counts": "requests: the energy of requests and what is inside them; run: of whole recordings",
    "policy": "how live spans share energy",
    "strict": "refuse what is shown with a caveat otherwise: an unknown quality",
    "title": "a title",
}


#: Which values each of `OPTIONS` may have, and how a message says so.
_POSSIBLE: Mapping[str, tuple[Callable[[object], bool], str]] = {
    **dict.fromkeys(
        ("unit", "baseline", "quality_metric", "idle", "counts", "policy", "title"), (stated.is_text, "a text")
    ),
    **dict.fromkeys(("higher_is_better", "strict"), (stated.is_truth, "true or false")),
    **dict.fromkeys(("quality", "link"), (stated.is_table, "a table")),
    "deadline_s": (stated.is_above_0, stated.ABOVE_0),
    "network_kwh_per_gb": (stated.is_number, stated.NUMBER),
}


@dataclass(slots=True)
class Comparison:
    """Options, measured or published, of one unit, boundary, idle rule and kind of intensity.

    asked        tables of what to ask "what if" of, as a file states them
    what_if      what came of it, as the document shows it
    deployments  what the options were made of, and `said`: those of `OPTIONS` that were stated
    folder       what paths in `asked` are relative to
    """

    options: tuple[Measured, ...]
    baseline: str
    rules: Rules
    title: str | None = None
    quality_metric: str = "quality"
    higher_is_better: bool = True
    deadline_s: float | None = None
    strict: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)
    what_if: list[dict[str, Any]] = field(default_factory=list)
    deployments: Mapping[str, Deployment] = field(default_factory=dict)
    said: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path()

    def document(self) -> dict[str, Any]:
        """The comparison as `greengen.comparison/1`."""
        from greengen.document import comparison  # noqa: PLC0415 -- numpy is for those who ask

        return comparison.build(self)

    def render(self, renderer: str, document: Mapping[str, Any] | None = None) -> str:
        """The comparison as text of a renderer: terminal, json, html, csv, markdown. `document`: where it is made."""
        from greengen import plugins  # noqa: PLC0415 -- 20 ms, for those who ask

        render = plugins.load(plugins.REPORTS, [renderer]).plugins[renderer]
        return str(render(document or self.document())).encode("utf-8", "replace").decode()

    def to_html(self, path: str | Path) -> Path:
        """Write the comparison as one self-contained page."""
        return self._write("html", path)

    def to_json(self, path: str | Path) -> Path:
        """Write the comparison as JSON."""
        return self._write("json", path)

    def to_markdown(self, path: str | Path) -> Path:
        """Write the comparison as Markdown, for a pull request."""
        return self._write("markdown", path)

    def to_toml(self, path: str | Path) -> Path:
        """Write the file that tells the comparison again. Raises UsageError where something cannot be told in one."""
        from greengen import comparison_toml  # noqa: PLC0415 -- for those who ask

        target = Path(path)
        target.write_text(comparison_toml.text(self, target.parent), encoding="utf-8")
        return target

    def _write(self, renderer: str, path: str | Path) -> Path:
        target = Path(path)
        target.write_text(self.render(renderer), encoding="utf-8")
        return target

    def __repr__(self) -> str:
        return f"Comparison({', '.join(one.name for one in self.options)} against {self.baseline})"


def compare(deployments: Mapping[str, object], **options: Any) -> Comparison:  # noqa: ANN401 -- each has its own type
    """Hold deployments against one another. Raises UsageError, KindMismatchError, RunFileError.

    deployments  name -> its repeats (runs, or lists of the runs of one repeat's tiers), a `Deployment`, or a
                 published figure
    options      `OPTIONS`, and those of a common site (zone or intensity, pue, hardware, wue, site …)
    """
    from greengen.accounting.functional import UNITS  # noqa: PLC0415 -- numpy is for those who ask
    from greengen.accounting.option import refuse  # noqa: PLC0415 -- the same

    said, where = _apart(options)
    check(said)
    told = {name: deployment(name, given) for name, given in deployments.items()}
    unit = said.get("unit", "request")
    if unit not in UNITS:
        msg = f"unit {unit!r} is not known: pass {', '.join(UNITS)}"
        raise UsageError(msg)
    if len(told) < 2:  # noqa: PLR2004 -- one choice is none
        msg = "a comparison is of two deployments or more: name another one"
        raise UsageError(msg)
    baseline = _baseline(said.get("baseline"), tuple(told))
    told = _with_quality(told, said.get("quality") or {})
    if said.get("strict"):
        _known_quality(told)
    rules = _rules(said, where, unit)
    found = _in_order([measured(name, one, rules) for name, one in told.items()])
    _each_once(found)
    refuse(found)
    return Comparison(
        options=tuple(found),
        baseline=baseline,
        rules=rules,
        title=said.get("title"),
        quality_metric=said.get("quality_metric") or "quality",
        higher_is_better=said.get("higher_is_better", True),
        deadline_s=said.get("deadline_s"),
        strict=bool(said.get("strict")),
        deployments=told,
        said=said,
    )


def from_file(path: str | Path, **options: Any) -> Comparison:  # noqa: ANN401 -- each has its own type
    """The comparison that a TOML file states; `options` go before what it says. Raises UsageError and as `compare`."""
    from greengen import comparison_file  # noqa: PLC0415 -- for those who have one

    read = comparison_file.read(path)
    given = {name: value for name, value in options.items() if value is not None}
    common = read.options
    if given.keys() & {"zone", "intensity", "cloud", "live"}:
        common = {key: value for key, value in common.items() if key not in {"zone", "intensity", "cloud", "live"}}
    if "quality" in given:
        given["quality"] = {**common.get("quality", {}), **given["quality"]}
    comparison = compare(read.deployments, **(common | given))
    comparison.asked, comparison.folder = read.what_if, Path(path).parent
    if read.what_if:
        from greengen import what_if  # noqa: PLC0415 -- for those who ask

        comparison.what_if = what_if.evaluate(comparison, folder=comparison.folder)
    return comparison


def check(said: Mapping[str, Any], where: str = "") -> None:
    """Raises UsageError for a value that one of `OPTIONS` cannot have. `where`: what the message begins with."""
    for key, value in said.items():
        if key in _POSSIBLE and value is not None and not _POSSIBLE[key][0](value):
            msg = f"{where}{key} {repr(value)[:40]} is not possible: pass {_POSSIBLE[key][1]} ({OPTIONS[key]})"
            raise UsageError(msg)


def _apart(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Those of the comparison, and those of the common site; what is None is not told."""
    from greengen.sites import OPTIONS as SITE  # noqa: PLC0415 -- for those who ask

    given = {name: value for name, value in options.items() if value is not None}
    unknown = sorted(given.keys() - OPTIONS.keys() - SITE.keys())
    if unknown:
        msg = f"{', '.join(unknown)} says nothing of a comparison: known are {', '.join((*OPTIONS, *SITE))}"
        raise TypeError(msg)
    return (
        {name: value for name, value in given.items() if name in OPTIONS},
        {name: value for name, value in given.items() if name in SITE and (name not in OPTIONS or "live" in given)},
    )


def _rules(said: Mapping[str, Any], where: Mapping[str, Any], unit: str) -> Rules:
    from greengen.accounting.choice import Plan  # noqa: PLC0415 -- numpy is for those who ask
    from greengen.accounting.network import checked  # noqa: PLC0415 -- the same

    counts = said.get("counts", "requests")
    if counts not in ("requests", "run"):
        msg = f"counts {counts!r} is not known: requests (and what is inside them) or run (whole recordings)"
        raise UsageError(msg)
    link = dict(said.get("link") or {})
    if said.get("network_kwh_per_gb") is not None:
        link["kwh_per_gb"] = said["network_kwh_per_gb"]
    if link.get("kwh_per_gb") is not None:
        checked(link["kwh_per_gb"])
    plan = Plan(said.get("policy", "auto"), idle=said.get("idle", "none"))
    return Rules(unit, plan, where, link, counts)


def _baseline(name: str | None, names: Sequence[str]) -> str:
    if name is None:
        return names[0]
    if name not in names:
        msg = f"baseline {name!r} is none of the deployments: {', '.join(names)}"
        raise UsageError(msg)
    return name


def _with_quality(told: Mapping[str, Deployment], quality: Mapping[str, Any]) -> dict[str, Deployment]:
    from greengen.accounting.quality import quality as checked  # noqa: PLC0415 -- numpy is for those who ask

    strange = sorted(quality.keys() - told.keys())
    if strange:
        near = stated.nearest(str(strange[0]), told)
        msg = (
            f"quality of {', '.join(map(repr, strange))}: there is no such deployment; {near}there is {', '.join(told)}"
        )
        raise UsageError(msg)
    found = {name: replace(one, quality=quality.get(name, one.quality)) for name, one in told.items()}
    for name, one in found.items():
        checked(name, one.quality)
    return found


def _known_quality(told: Mapping[str, Deployment]) -> None:
    unknown = [name for name, one in told.items() if one.quality is None]
    if unknown:
        named = ", ".join(map(repr, unknown[:3])) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")  # noqa: PLR2004 -- so many are named
        msg = f"quality unknown of {named}: state it (quality = ...), or compare without --strict"
        raise UsageError(msg)


def _in_order(options: Sequence[Measured]) -> list[Measured]:
    """The options with each repeat's place in the order of recording on its host."""
    began: dict[str, list[tuple[int, int, int]]] = {}
    for o, one in enumerate(options):
        for r, fact in enumerate(one.facts):
            if fact["start_ns"] is not None:
                began.setdefault(fact["host"], []).append((fact["start_ns"], o, r))
    places = {(o, r): place for every in began.values() for place, (_, o, r) in enumerate(sorted(every))}
    return [
        replace(one, places=tuple(places.get((o, r), -1) for r in range(len(one.facts))))
        for o, one in enumerate(options)
    ]


def _each_once(options: Sequence[Measured]) -> None:
    """Raises KindMismatchError where one recording is given as two repeats: a copy is no repeat."""
    seen: dict[str, tuple[str, int, str]] = {}
    for one in options:
        for number, fact in enumerate(one.facts):
            for recording in fact["recordings"]:
                name, at, path = seen.setdefault(recording, (one.name, number, fact["paths"][0]))
                if (name, at) != (one.name, number):
                    msg = (
                        f"{fact['paths'][0]} of {one.name!r} and {path} of {name!r} hold the same recording: "
                        "a copy is no repeat, so name each run once"
                    )
                    raise KindMismatchError(msg)
