"""A ledger told at the facility: the same entries, with PUE on those domains where it belongs.

A total over several domains holds IT energy of a data centre beside what a plug or a phone read, so PUE cannot be
put on the total: it is put on each domain's entries, once, and then summed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

from greengen.accounting import facility
from greengen.accounting.chapter import Chapter
from greengen.accounting.entries import Entries
from greengen.accounting.ledger import Ledger
from greengen.quantity import Quantity

_FIELDS = tuple(field.name for field in fields(Entries))


@dataclass(frozen=True, slots=True)
class Weighed(Entries):
    """A domain's entries, each number as `weigh` tells it."""

    weigh: Callable[[Quantity], Quantity]

    def told(self, quantity: Quantity) -> Quantity:
        """What stands in place of one of the domain's numbers."""
        return self.weigh(quantity)


def tier(chapter: Chapter) -> str | None:
    """The tier that a recording says it ran on, if it says one."""
    for segment in chapter.timeline.segments:
        said = segment.info.get("tier")
        if isinstance(said, str):
            return said
    return None


def at_facility(ledger: Ledger, pue: Quantity | None) -> Ledger:
    """The ledger with PUE where it belongs; the ledger itself where it belongs nowhere, or none is stated."""
    if pue is None or not any(where.inside for where in places(ledger)):
        return ledger
    return weighed(ledger, lambda energy: facility.energy(energy, pue))


def weighed(ledger: Ledger, weigh: Callable[[Quantity], Quantity], *, elsewhere: bool = True) -> Ledger:
    """The ledger with the numbers of data-centre domains as `weigh` tells them.

    elsewhere  keep what was read outside of data centres, as it is
    """
    chapters = []
    for chapter in ledger.chapters:
        here = tier(chapter)
        entries: list[Entries] = []
        for each in chapter.entries:
            if facility.applies(each.books.domain.kind, here):
                entries.append(Weighed(**{name: getattr(each, name) for name in _FIELDS}, weigh=weigh))
            elif elsewhere:
                entries.append(each)
        chapters.append(replace(chapter, entries=tuple(entries)))
    return replace(ledger, chapters=tuple(chapters))


class Place(NamedTuple):
    """Where a counted domain was read, and why PUE is not on it ("" where it belongs)."""

    domain: str
    name: str
    kind: str
    tier: str | None
    why_not: str

    @property
    def inside(self) -> bool:
        """Whether it is IT of a data centre, as far as was stated."""
        return not self.why_not


def places(ledger: Ledger) -> Iterator[Place]:
    """Each domain that the total counts."""
    for chapter in ledger.chapters:
        here = tier(chapter)
        for each in chapter.totalled:
            domain = each.books.domain
            yield Place(domain.uid, domain.name, domain.kind, here, facility.why_not(domain.kind, here))
