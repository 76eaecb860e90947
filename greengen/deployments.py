"""From what a user names, runs, logs or published figures, to the options of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greengen import stated
from greengen.errors import UsageError
from greengen.run import Run

if TYPE_CHECKING:
    from greengen.accounting.carbon import Site
    from greengen.accounting.choice import Plan
    from greengen.accounting.deployment import Asked
    from greengen.accounting.ledger import Ledger
    from greengen.accounting.option import Measured

#: One repeat: a run, or those of the tiers that it crossed.
Recorded = Run | str | Path | Sequence[Run | str | Path]


@dataclass(frozen=True, slots=True)
class Deployment:
    """One of the choices being compared.

    runs      a repeat each: a run, or several of one repeat (device, edge, cloud), read as one
    site      where it stands: a site file, or options as in `greengen.sites.OPTIONS`; before the common ones
    tiers     the same for single tiers
    quality   its figure of the comparison's quality metric, as in `greengen.accounting.quality`
    declared  a published figure in place of runs, as in `greengen.published`
    units     how many functional units each repeat made, where its spans do not tell
    batch     the batch size, as declared
    """

    runs: Sequence[Recorded] = ()
    site: Mapping[str, Any] | str | Path | None = None
    tiers: Mapping[str, Mapping[str, Any] | str | Path] = field(default_factory=dict)
    quality: float | Mapping[str, Any] | None = None
    declared: Mapping[str, Any] | None = None
    units: float | None = None
    batch: float | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all options alike.

    plan    how energy is shared, and the rule for idle time
    site    options of the common site
    link    those of the network between tiers, and kwh_per_gb
    counts  the energy of requests, or of whole recordings (`run`)
    """

    unit: str
    plan: Plan
    site: Mapping[str, Any]
    link: Mapping[str, Any]
    counts: str = "requests"

    @property
    def idle(self) -> str:
        """The rule for idle time, in words."""
        from greengen.accounting.option import WHOLE  # noqa: PLC0415 -- numpy is for those who ask

        return WHOLE if self.counts == "run" else self.plan.idle


def deployment(name: str, given: object) -> Deployment:
    """A deployment from however it is told. Raises UsageError."""
    told = _deployment(name, given)
    check(name, told)
    return told


def check(name: str, told: Deployment, where: str = "") -> None:
    """Raises UsageError for what no deployment can have. `where`: what the message begins with, such as a file."""
    for key, value in (("units", told.units), ("batch", told.batch)):
        if value is not None and not stated.is_above_0(value):
            msg = f"{where}{key} {repr(value)[:40]} of {name!r} is not possible: pass {stated.ABOVE_0}"
            raise UsageError(msg)
    from greengen.accounting.quality import quality  # noqa: PLC0415 -- numpy is for those who ask

    try:
        quality(name, told.quality)
    except UsageError as error:
        msg = f"{where}{error}"
        raise UsageError(msg) from error


def _deployment(name: str, given: object) -> Deployment:
    if isinstance(given, Deployment):
        return given
    if isinstance(given, Mapping):
        if set(given) & {"runs", "declared", "site", "tiers", "quality", "units", "batch"}:
            return _of_table(name, given)
        return Deployment(declared=given)
    if isinstance(given, Run | str | Path):
        return Deployment(runs=[given])
    if isinstance(given, Sequence):
        return Deployment(runs=list(given))
    msg = f"deployment {name!r} is {type(given).__name__}: pass runs, a Deployment, or a table of a published figure"
    raise UsageError(msg)


def measured(name: str, of: Deployment, rules: Rules) -> Measured:
    """An option with all its repeats read. Raises GreengenError."""
    if of.declared is not None and of.runs:
        msg = f"deployment {name!r} has runs and a published figure: they are two deployments"
        raise UsageError(msg)
    if of.declared is not None:
        from greengen import published  # noqa: PLC0415 -- numpy is for those who ask

        return published.option(name, of.declared, of, rules)
    if not of.runs:
        msg = f"deployment {name!r} has neither runs nor a published figure: state runs = [...] or declared = {{...}}"
        raise UsageError(msg)
    return _recorded(name, of, rules)


def site_of(of: Deployment, rules: Rules, period: tuple[int, int] | None = None) -> tuple[Site, dict[str | None, Site]]:
    """Where a deployment stands, and its tiers. Raises UsageError."""
    from greengen.run import site  # noqa: PLC0415 -- numpy is for those who ask

    own = before(rules.site, _options(of.site))
    tiers: dict[str | None, Site] = {
        tier: site(**before(own, _options(told)), period=period) for tier, told in of.tiers.items()
    }
    return site(**own, period=period), tiers


def known_tiers(name: str, of: Deployment, told: Iterable[str | None]) -> None:
    """Raises UsageError for a tier that there is not. `told`: what the spans, or a published figure, call theirs."""
    from greengen.accounting.facility import TIERS  # noqa: PLC0415 -- numpy is for those who ask

    known = list(dict.fromkeys([*TIERS, *(tier for tier in told if tier is not None)]))
    strange = [tier for tier in of.tiers if tier not in known]
    if strange:
        hint = stated.nearest(strange[0], known)
        msg = f"tiers of {name!r}: there is no tier {strange[0]!r}; {hint}known are {', '.join(known)}"
        raise UsageError(msg)


def before(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a site, `own` before `common`: of one question, one answer."""
    from greengen.grid import OPTIONS as GRID  # noqa: PLC0415 -- for those who ask

    told = dict(common)
    if own.keys() & {"zone", "intensity", "cloud", "live"} or "site" in own:
        told = {key: value for key, value in told.items() if key not in {*GRID, "water_offsite"}}
    if "site" in own:
        # A file of its own answers whatever the common one does.
        told.pop("site", None)
    return told | dict(own)


def _options(told: Mapping[str, Any] | str | Path | None) -> dict[str, Any]:
    if told is None:
        return {}
    return dict(told) if isinstance(told, Mapping) else {"site": told}


def _of_table(name: str, given: Mapping[str, Any]) -> Deployment:
    known = Deployment.__dataclass_fields__
    strange = sorted(given.keys() - known.keys())
    if strange:
        msg = f"deployment {name!r}: {stated.unknown(list(map(str, strange)), list(known))}"
        raise UsageError(msg)
    runs = given.get("runs", ())
    several = [runs] if isinstance(runs, Run | str | Path) else list(runs)
    return Deployment(**{**given, "runs": several})


def _recorded(name: str, of: Deployment, rules: Rules) -> Measured:
    from greengen import grid  # noqa: PLC0415 -- numpy is for those who ask
    from greengen.accounting import deployment as deployments  # noqa: PLC0415 -- the same
    from greengen.accounting import ledger as ledgers  # noqa: PLC0415 -- the same
    from greengen.accounting.option import Measured, covers  # noqa: PLC0415 -- the same
    from greengen.accounting.quality import quality  # noqa: PLC0415 -- the same
    from greengen.document import recorded  # noqa: PLC0415 -- the same

    repeats, facts, boundaries = [], [], []
    common: Site | None = None
    for number, given in enumerate(of.runs, 1):
        run = _run(given)
        rows = run.rows()
        ledger = ledgers.build(rows, policy=rules.plan)
        known_tiers(name, of, {row.tier for chapter, i in ledger for row in (chapter.table.rows[i],)})
        common, tiers = site_of(of, rules, grid.period(rows))
        place = deployments.merged_sites(common, tiers)
        asked = _asked(of, rules, grid.period(rows))
        repeats.append(deployments.repeat(ledger, f"{name} {number}", asked, place, _each_alone(run, rules)))
        stated = {row.tier: place(row.tier).pue_value for chapter, i in ledger for row in (chapter.table.rows[i],)}
        boundaries.append(covers(ledger, stated))
        facts.append(recorded.facts(rows, ledger, run.paths, series=number == 1))
    apart = set(boundaries)
    if len(apart) > 1:
        told = ", ".join(sorted(str(boundary) for boundary in apart))
        msg = f"the repeats of {name!r} cover different things ({told}): record all of them with the same meters"
        raise UsageError(msg)
    assert common is not None  # noqa: S101 -- there is at least one run
    return Measured(
        name=name,
        origin="imported" if all(fact["imported"] for fact in facts) else "recorded",
        repeats=tuple(repeats),
        unit=rules.unit,
        boundary=boundaries[0],
        idle=rules.idle,
        site=common,
        hosts=tuple(str(fact["host"]) for fact in facts),
        places=(-1,) * len(repeats),
        models=tuple(dict.fromkeys(model for fact in facts for model in fact["models"])),
        quality=quality(name, of.quality),
        batch=of.batch,
        facts=tuple(facts),
    )


def _each_alone(run: Run, rules: Rules) -> Ledger | None:
    """The ledger of tiers on one host that each recorded themselves, where they can stand alone."""
    from greengen.accounting import apart  # noqa: PLC0415 -- numpy is for those who ask
    from greengen.accounting import ledger as ledgers  # noqa: PLC0415 -- the same

    if len(run.paths) == 1 or rules.counts == "run" or rules.plan.idle != "none":
        return None
    rows = apart.alone([Run(path).rows() for path in run.paths])
    return None if rows is None else ledgers.build(rows, policy=rules.plan)


def _asked(of: Deployment, rules: Rules, period: tuple[int, int] | None) -> Asked:
    from greengen.accounting.carbon import Site  # noqa: PLC0415 -- numpy is for those who ask
    from greengen.accounting.deployment import Asked  # noqa: PLC0415 -- the same
    from greengen.run import site  # noqa: PLC0415 -- the same

    link = {key: value for key, value in rules.link.items() if key != "kwh_per_gb"}
    if not link and not of.tiers:
        # One place for all tiers is the network's place, too, as far as was stated.
        link = {key: value for key, value in before(rules.site, _options(of.site)).items() if key != "hardware"}
    kwh_per_gb = rules.link.get("kwh_per_gb")
    counts = "run" if rules.counts == "run" else "requests"
    told = site(**link, period=period) if link and kwh_per_gb is not None else Site()
    return Asked(rules.unit, counts, of.units, kwh_per_gb, told)  # type: ignore[arg-type]


def _run(given: Recorded) -> Run:
    if isinstance(given, Run):
        return given
    if isinstance(given, str | Path):
        return Run(given)
    paths = [path for one in given for path in (one.paths if isinstance(one, Run) else (one,))]
    if not paths:
        msg = "a repeat of no run: name its run files"
        raise UsageError(msg)
    return Run(*paths)
