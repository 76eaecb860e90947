"""One repeat of a deployment, per functional unit: joules, grams and water of each tier, and what they rest on.

What is counted is the energy of requests and of the spans inside them, or of whole recordings. PUE goes where it
belongs (`facility`), each tier has the grid and the hardware of its own site, and the network is a tier whose
energy is declared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from greengen.accounting import crossing, embodied, facility, functional, network, sci, single, tally, verdict, water
from greengen.accounting.carbon import REMEDY, Footprint, Site, grams
from greengen.accounting.chapter import Chapter
from greengen.accounting.curves import NS, Ints
from greengen.accounting.declared import factor
from greengen.accounting.facility import TIERS
from greengen.accounting.ledger import Ledger, account_of
from greengen.accounting.single import NONE, Each
from greengen.accounting.timelines import as_one
from greengen.basis import NO_GRID
from greengen.quantity import Quantity, total

Counts = Literal["requests", "run"]

#: Errors of readings that each repeat makes anew; the others are of the meter or of the work, and the same in all.
#: What a gauge averages beyond the edges of the work (`timing` of one with a window) leaks the same way each time.
_ANEW = ("timing:", "sampling:", "ticks:", "resolution:")

_NOTHING = "there is no request in it that was read: count whole recordings, with --counts run"

#: (energy, kind of its domain)
Part = tuple[Quantity, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """What to count, and per what.

    counts      the energy of requests, or of whole recordings
    units       how many of the unit each repeat made, where its spans do not tell
    kwh_per_gb  the energy of a transfer between tiers; None: not stated, and then no line of the network
    link        where that energy is used
    """

    unit: str = functional.REQUEST
    counts: Counts = "requests"
    units: float | None = None
    kwh_per_gb: float | None = None
    link: Site = field(default_factory=Site)


@dataclass(frozen=True, slots=True)
class TierUse:
    """One tier's part, per functional unit.

    energy       J of IT, and facility: with PUE where it belongs
    operational  gCO2e, and embodied: of the site's hardware for the time that requests were live
    seconds      that time, per unit
    """

    tier: str | None
    energy: Quantity
    facility: Quantity
    operational: Quantity
    embodied: Quantity
    water: Quantity
    seconds: float
    site: Site

    @property
    def both(self) -> Quantity:
        """Operational and embodied gCO2e; a network's are operational only."""
        if self.tier == "network":
            return self.operational
        unit = self.operational.unit
        added = sci.with_embodied(replace(self.operational, unit="g"), replace(self.embodied, unit="g"))
        return replace(added, unit=unit)


@dataclass(frozen=True, slots=True)
class Repeat:
    """One repeat, per functional unit; `energy` and the others are sums over its tiers.

    units, tokens  how many functional units and output tokens it made
    busy           s of busy time behind modelled energy; missing where no energy is modelled
    each           the requests one by one
    accounts       (account, J) of the whole recordings
    """

    name: str
    tiers: tuple[TierUse, ...]
    units: float | None
    tokens: float | None
    energy: Quantity
    per_token: Quantity
    operational: Quantity
    embodied: Quantity
    total: Quantity
    water: Quantity
    busy: Quantity
    seconds: float
    network_bytes: float | None = None
    each: Each = NONE
    accounts: tuple[tuple[str, Quantity], ...] = ()


def repeat(
    whole: Ledger, name: str, asked: Asked, site_of: Callable[[str | None], Site], apart: Ledger | None = None
) -> Repeat:
    """What one repeat cost per functional unit. Raises UsageError.

    whole    its ledger
    name     by which its own errors are told from those of other repeats
    site_of  a tier -> where it stands
    apart    the ledger of recordings that stand alone (`greengen.accounting.apart`), from which requests are counted
    """
    ledger = apart or whole
    found = crossing.served(ledger)
    units = asked.units if asked.units is not None else crossing.count(ledger, found, asked.unit)
    tokens = crossing.count(ledger, found, "output_token")
    own = _renamed(ledger, name)

    def per(of: Quantity) -> Quantity:
        return functional.per(of, units, asked.unit)

    tiers = []
    for tier, chapters in _by_tier(ledger, asked.counts).items():
        parts = [(own(part), kind) for chapter, members in chapters for part, kind in _parts(chapter, members)]
        site = site_of(tier)
        if site.hourly:
            site = Footprint(ledger, site).site
        seconds = sum(
            chapter.recorded_s if members is None else crossing.live_s(chapter, members)
            for chapter, members in chapters
        )
        tiers.append(_tier(tier, parts, site, seconds, per))
    moved = network.told(row for chapter, i in ledger for row in (chapter.table.rows[i],)).total
    if asked.kwh_per_gb is not None and moved is not None:
        joules = network.energy(moved, asked.kwh_per_gb)
        tiers.append(_tier("network", [(joules, "network")], asked.link, 0.0, per))
    tiers.sort(key=lambda use: TIERS.index(use.tier) if use.tier in TIERS else len(TIERS))
    divisor = units or math.nan
    told = f"J/{asked.unit}"
    energy = _sum((use.energy for use in tiers), told)
    return Repeat(
        name=name,
        tiers=tuple(tiers),
        units=units,
        tokens=tokens,
        energy=energy,
        per_token=_per_token(energy, units, tokens),
        operational=_sum((use.operational for use in tiers), f"g/{asked.unit}"),
        embodied=_sum((use.embodied for use in tiers if use.tier != "network"), f"g/{asked.unit}"),
        total=_sum((use.both for use in tiers), f"g/{asked.unit}"),
        water=_sum((use.water for use in tiers), f"L/{asked.unit}"),
        busy=per(_busy(ledger)),
        seconds=sum(chapter.recorded_s for chapter in whole.chapters),
        network_bytes=None if moved is None else moved / divisor,
        each=single.each(ledger, found),
        accounts=tuple((account, per(own(joules))) for account, joules in _accounts(whole)),
    )


def priced(
    tier: str | None, energy: Quantity, site: Site, unit: str, *, embodied_g: float | None = None, pue: bool = True
) -> TierUse:
    """A published figure, J per functional unit, on a tier and at a site. `pue`: whether the site's goes on it."""

    def per(of: Quantity) -> Quantity:
        return functional.per(of, 1.0, unit)

    use = _tier(tier, [(energy, "declared")], site if pue else replace(site, pue=None), 0.0, per)
    made = "of making hardware no published part was stated: pass embodied_g"
    grams_each = Quantity.missing("g", made) if embodied_g is None else factor(embodied_g, "g", "embodied, published")
    return replace(use, embodied=per(replace(grams_each, basis=NO_GRID)))


def _tier(
    tier: str | None, parts: list[Part], site: Site, seconds: float, per: Callable[[Quantity], Quantity]
) -> TierUse:
    joules = _sum((part for part, _ in parts), "J")
    at_facility = facility.joules(((part, kind, tier) for part, kind in parts), site.overhead)
    if site.intensity is None:
        where = "" if tier is None else f" of the {tier} tier"
        operational = Quantity.missing("g", f"no grid intensity{where} was given: {REMEDY}")
    else:
        operational = grams(at_facility, site.intensity, source=site.source)
    made = embodied.together(site.hardware, seconds)
    cooled = [part for part, kind in parts if facility.applies(kind, tier)]
    return TierUse(
        tier=tier,
        energy=per(joules),
        facility=per(at_facility),
        operational=per(operational),
        embodied=per(made),
        water=per(_water(cooled, at_facility, site)),
        seconds=per(Quantity(seconds, "s", "measured")).value or 0.0,
        site=site,
    )


def _water(cooled: list[Quantity], at_facility: Quantity, site: Site) -> Quantity:
    """On-site cooling where the energy is a data centre's, and that of generation."""
    if site.water_offsite is None:
        return Quantity.missing("L", "no water of electricity generation is known: state a zone or water_offsite")
    off_site = water.off_site(at_facility, site.water_offsite)
    if not cooled:
        return off_site
    if site.wue is None:
        return Quantity.missing("L", "no water usage effectiveness was stated: pass wue, L per kWh of IT energy")
    return total((water.on_site(_sum(cooled, "J"), site.wue), off_site), "L")


def _by_tier(ledger: Ledger, counts: Counts) -> dict[str | None, list[tuple[Chapter, Ints | None]]]:
    """Of each tier, the chapters and the spans in them that count; None for all that was recorded."""
    found: dict[str | None, list[tuple[Chapter, Ints | None]]] = {}
    for chapter in ledger.chapters:
        if counts == "run":
            found.setdefault(tally.tier(chapter), []).append((chapter, None))
            continue
        every = crossing.within(chapter, lambda _: True)
        for tier in dict.fromkeys(chapter.table.rows[i].tier for i in every.tolist()):
            members = crossing.within(chapter, lambda row, tier=tier: row.tier == tier)  # type: ignore[misc]
            found.setdefault(tier, []).append((chapter, members))
    return found


def _parts(chapter: Chapter, members: Ints | None) -> list[Part]:
    """The joules of some spans, or of all, by domain and model: two models are two workloads."""
    if members is None:
        return [(entries.energy(), entries.books.domain.kind) for entries in chapter.totalled]
    rows = chapter.table.rows
    models = dict.fromkeys(rows[i].model for i in members.tolist())
    groups = {model: np.array([i for i in members.tolist() if rows[i].model == model]) for model in models}
    return [
        (entries.spans(those, f"{functional.REQUEST}/{model}"), entries.books.domain.kind)
        for entries in chapter.totalled
        for model, those in groups.items()
    ]


def _renamed(ledger: Ledger, name: str) -> Callable[[Quantity], Quantity]:
    """Error sources as they are between repeats: readings are each one's own, the rest is of the host, not the boot."""
    boots = {chapter.timeline.boot_id: chapter.timeline.hostname for chapter in ledger.chapters}
    leaks = tuple(f"timing:{e.key}:" for chapter in ledger.chapters for e in chapter.entries if e.books.curve.window_s)

    def source(error_name: str) -> str:
        if error_name.startswith(_ANEW) and not (leaks and error_name.startswith(leaks)):
            return f"{verdict.ANEW}{name}: {error_name}"
        for boot, host in boots.items():
            error_name = error_name.replace(f":{boot}:", f":{host}:")
        return error_name

    def own(of: Quantity) -> Quantity:
        errors = tuple(replace(error, name=source(error.name)) for error in of.errors)
        return replace(of, errors=errors, origin=None)

    return own


def _busy(ledger: Ledger) -> Quantity:
    """s in which the profiled processes were busy in requests, of the domains whose energy is modelled from it."""
    seconds, seen = 0.0, False
    for chapter in ledger.chapters:
        uses = as_one(chapter.timeline).uses
        splits = {e.books.domain.split or "": e for e in chapter.totalled if e.books.domain.grade == "modelled"}
        inside = chapter.table.request >= 0
        for split, entries in splits.items():
            if split in uses and len(chapter.table):
                grid = entries.books.grid
                part = entries.books.shares.of(inside)
                seconds += float(part @ uses[split].between(grid.edges).profiled) / NS
                seen = True
    return Quantity(seconds, "s", "measured") if seen else Quantity.missing("s", "no energy here is modelled from it")


def _accounts(ledger: Ledger) -> list[tuple[str, Quantity]]:
    told = [
        (name, ledger.spans(lambda row, name=name: account_of(row) == name, name))  # type: ignore[misc]
        for name in map(str, ledger.groups(account_of))
    ]
    return told + [(name, ledger.account(name)) for name in ("overhead", "other", "idle")]


def _per_token(energy: Quantity, units: float | None, tokens: float | None) -> Quantity:
    if not tokens or not units:
        return Quantity.missing("J/output_token", energy.reason or "no output_token was recorded")
    return replace(energy.scaled(units / tokens), unit="J/output_token")


def _sum(parts: Iterable[Quantity], unit: str) -> Quantity:
    items = list(parts)
    return total(items, unit) if items else Quantity.missing(unit, _NOTHING)


def merged_sites(common: Site, own: Mapping[str | None, Site]) -> Callable[[str | None], Site]:
    """A tier -> its own site, or the common one."""
    return lambda tier: own.get(tier, common)
