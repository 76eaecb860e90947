"""The options of a comparison, and what refuses to be compared: each refusal says what to change (law 10).

Two figures are compared where they are per the same functional unit, cover the same, count idle time by the same
rule, and where their grams are of one kind of intensity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from greengen import basis as bases
from greengen.accounting import boundary, facility
from greengen.accounting.carbon import Site
from greengen.accounting.deployment import Repeat
from greengen.accounting.ledger import Ledger
from greengen.accounting.quality import Quality
from greengen.accounting.verdict import Repeats
from greengen.errors import KindMismatchError
from greengen.quantity import Quantity

Origin = Literal["recorded", "imported", "declared"]

#: What `idle` says of energy that is counted by whole recordings.
WHOLE = "all of the recording"


@dataclass(frozen=True, slots=True)
class Measured:
    """One option.

    repeats   what each cost; of a published figure there is one, which is no repeat
    unit      the functional unit
    boundary  what its energy covers; None: it fits the machine's and the facility's alike
    idle      the rule for idle time
    hosts     where each repeat was recorded, and `places`: each one's place in the order there; -1: not known
    facts     of each repeat what a document tells of it
    """

    name: str
    origin: Origin
    repeats: tuple[Repeat, ...]
    unit: str
    boundary: str | None
    idle: str
    site: Site
    hosts: tuple[str, ...] = ()
    places: tuple[int, ...] = ()
    models: tuple[str, ...] = ()
    quality: Quality | None = None
    batch: float | None = None
    source: str = ""
    facts: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    @property
    def n(self) -> int:
        """How many repeats there are."""
        return 0 if self.origin == "declared" else len(self.repeats)

    def of(self, metric: str) -> tuple[Quantity, ...]:
        """A figure of each repeat."""
        return tuple(getattr(one, metric) for one in self.repeats)

    def repeated(self, metric: str) -> Repeats:
        """The same as what a verdict takes."""
        ordered = len(set(self.hosts)) == 1 and all(place >= 0 for place in self.places)
        return Repeats(self.of(metric), self.places if ordered else (), self.hosts[0] if ordered else f"of {self.name}")


def covers(ledger: Ledger, stated: dict[str | None, float | None]) -> str | None:
    """What a run's energy covers; None where it stands outside of data centres only, so that no PUE belongs on it.

    stated  tier -> its PUE, None where there is none
    """
    inside = set()
    for chapter in ledger.chapters:
        kinds = {entries.books.domain.kind for entries in chapter.totalled}
        if not kinds:
            continue
        if boundary.of_domains(kinds, None) == "accelerator":
            return "accelerator"
        tiers: set[str | None] = {row.tier for row in chapter.table.rows}
        inside |= {stated.get(tier) is not None for tier in tiers for kind in kinds if facility.applies(kind, tier)}
    if not inside:
        return None
    return "facility" if inside == {True} else "machine"


def refuse(options: Sequence[Measured]) -> None:
    """Raises KindMismatchError for the first two options that cannot be compared."""
    first = options[0]
    for other in options[1:]:
        _units(first, other)
    for one in options:
        if one.repeats and not any(repeat.units for repeat in one.repeats):
            msg = (
                f"cannot compare per {one.unit}: {one.name!r} tells none. Record it with the requests "
                "(tokens, labels), state `units`, or choose another unit"
            )
            raise KindMismatchError(msg)
    stated = [one for one in options if one.boundary is not None]
    for other in stated[1:]:
        _boundaries(stated[0], other)
    for other in options[1:]:
        if other.idle != first.idle:
            msg = (
                f"cannot compare {first.name!r} (idle time: {first.idle}) with {other.name!r} (idle time: "
                f"{other.idle}): count both by one rule, with --idle and --counts"
            )
            raise KindMismatchError(msg)
    _kinds(options)


def _units(one: Measured, other: Measured) -> None:
    if one.unit != other.unit:
        msg = (
            f"cannot compare {one.name!r} per {one.unit} with {other.name!r} per {other.unit}: "
            "choose one unit with --unit, or state how many there are of one in the other"
        )
        raise KindMismatchError(msg)


def _boundaries(one: Measured, other: Measured) -> None:
    if one.boundary == other.boundary:
        return
    pair = {one.boundary, other.boundary}
    wide = one if one.boundary == "facility" else other
    narrow = other if wide is one else one
    remedy = f"widen the narrower one with a stated figure, or read the same of {one.name!r} as of {other.name!r}"
    if pair == {"machine", "facility"}:
        remedy = f"state the PUE of {narrow.name!r} too, or leave out that of {wide.name!r}"
    apart = f"{one.name!r} (boundary {one.boundary}) with {other.name!r} (boundary {other.boundary})"
    msg = f"cannot compare {apart}: {remedy}"
    raise KindMismatchError(msg)


def _kinds(options: Sequence[Measured]) -> None:
    """The grams of all are of one kind of intensity."""
    told: list[tuple[str, str | None]] = []
    for one in options:
        for repeat in one.repeats[:1]:
            told += [(one.name, use.operational.basis) for use in repeat.tiers if use.operational.known]
    for name, text in told[1:]:
        first, found = told[0]
        try:
            bases.common((found, text), "compare")
        except KindMismatchError as error:
            where = repr(first) if first == name else f"{first!r} and {name!r}"
            msg = f"{where}: {error}, with --kind, --scope or an intensity of the same kind for both"
            raise KindMismatchError(msg) from error
