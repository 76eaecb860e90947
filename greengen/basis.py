"""What a carbon intensity, and every gram made with it, is of: kinds that must not mix (law 10).

In Quantity.basis and in JSON a basis is text, its parts joined by "; ": "average; lifecycle;
location-based; generation-based". Here it has a structure. What a source does not state is None and
stays so: it is not the same as what another states, because nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Self

from greengen.errors import KindMismatchError, UsageError

Kind = Literal["average", "marginal_short", "marginal_long"]
Scope = Literal["lifecycle", "direct"]
Accounting = Literal["location", "market"]
Side = Literal["generation", "consumption"]
Losses = Literal["in", "out"]

#: A part of a basis: the user stated the number. What it is of is stated as far as the user said; where
#: that is all that a table states, too, the two mix.
DECLARED = "declared by the user"

#: A basis of its own: grams without an intensity in them (embodied ones), which add to grams of any kind.
NO_GRID = "no grid intensity"

#: attribute -> value -> how it is written. The first one is what str() writes; the others are read too.
_WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "kind": {
        "average": ("average",),
        "marginal_short": ("short-run marginal", "marginal_short", "marginal short-run"),
        "marginal_long": ("long-run marginal", "marginal_long", "marginal long-run"),
    },
    "scope": {"lifecycle": ("lifecycle", "life-cycle"), "direct": ("direct",)},
    "accounting": {"location": ("location-based",), "market": ("market-based",)},
    "side": {
        "generation": ("generation-based", "generation-based (no trade)"),
        "consumption": ("consumption-based", "consumption-based (with imports)"),
    },
    "losses": {"in": ("grid losses in",), "out": ("grid losses out",)},
}


@dataclass(frozen=True, slots=True)
class Basis:
    """What an intensity is of; None: not stated. Two that differ in anything do not mix.

    kind        average, or marginal in the short or in the long run
    scope       lifecycle emissions, or direct ones (of burning the fuel) only
    accounting  of the place's grid, or by contracts and certificates
    side        of what is generated in the zone, or consumed there, with imports
    losses      whether what the grid loses on the way is in
    also        what else has to agree, in words: DECLARED, NO_GRID, the idle rule of the energy …
    """

    kind: Kind | None = None
    scope: Scope | None = None
    accounting: Accounting | None = None
    side: Side | None = None
    losses: Losses | None = None
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for attribute, words in _WORDS.items():
            value = getattr(self, attribute)
            if value is not None and value not in words:
                msg = f"{attribute} {value!r} is none of {', '.join(words)}"
                raise UsageError(msg)

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """The basis that a text tells; parts that name no attribute are kept in `also`.

        Raises UsageError for a text that tells one attribute in two ways.
        """
        told: dict[str, Any] = {}
        also: list[str] = []
        for part in (text or "").split(";"):
            word = " ".join(part.split())
            attribute, value = _BY_WORD.get(word.casefold(), ("", ""))
            if not attribute:
                also.extend([word] if word and word not in also else [])
            elif told.setdefault(attribute, value) != value:
                msg = f"basis {text!r} tells its {attribute} in two ways: {told[attribute]} and {value}"
                raise UsageError(msg)
        return cls(**told, also=tuple(also))

    def __str__(self) -> str:
        """The text of Quantity.basis: what is stated, in the order of the attributes; "" where nothing is."""
        told = (_WORDS[name].get(getattr(self, name) or "", ("",))[0] for name in _WORDS)
        return "; ".join(word for word in (*told, *self.also) if word)

    @property
    def grid(self) -> bool:
        """Whether anything is stated of an intensity."""
        return any(getattr(self, name) for name in _WORDS)

    @property
    def without_grid(self) -> bool:
        """Whether there is no intensity in it, so that its grams add to those of any kind."""
        return NO_GRID in self.also

    def differences(self, other: Basis) -> tuple[str, ...]:
        """Why the two do not mix, in words; empty where they do."""
        ours, theirs = set(self.also) - {NO_GRID}, set(other.also) - {NO_GRID}
        attributes: tuple[str, ...] = ()
        if self.without_grid and other.without_grid:
            apart = min(ours - theirs, theirs - ours, key=len)
        elif self.without_grid or other.without_grid:
            # What the one without an intensity is of besides (an idle rule), the other has to be of, too.
            apart = ours - theirs if self.without_grid else theirs - ours
        else:
            attributes = tuple(self._attributes_apart(other))
            # Who stated a number is no kind of it, once what it is of is stated.
            apart = (ours ^ theirs) - ({DECLARED} if self.grid and other.grid else set())
        return (*attributes, *(f"one is {word!r} and the other is not" for word in sorted(apart)))

    def _attributes_apart(self, other: Basis) -> Iterable[str]:
        for name, words in _WORDS.items():
            one, two = getattr(self, name), getattr(other, name)
            if one != two:
                told = [words[value][0] if value else "not stated" for value in (one, two)]
                yield f"{name} is {told[0]} in one and {told[1]} in the other"


_BY_WORD = {
    word: (attribute, value)
    for attribute, values in _WORDS.items()
    for value, written in values.items()
    for word in written
}


def declared(kind: str | None = None, **stated: str | None) -> Basis:
    """The basis of a number that the user states, as far as the user says; nothing more is stated.

    Raises UsageError for an attribute or a value that is none.
    """
    unknown = sorted(stated.keys() - _WORDS.keys())
    if unknown:
        msg = f"a basis has no {', '.join(unknown)}: pass {', '.join(_WORDS)}"
        raise UsageError(msg)
    told: dict[str, Any] = {"kind": kind, **stated}
    return Basis(**told, also=(DECLARED,))


def common(bases: Iterable[str | None], doing: str) -> str | None:
    """The one basis of numbers that are added or compared, as its text. Raises KindMismatchError for two.

    bases  texts as in Quantity.basis
    doing  what is tried, for the message: "add", "compare"
    """
    texts = list(dict.fromkeys(bases))
    if len(texts) <= 1:
        return texts[0] if texts else None
    first, found = texts[0], Basis.parse(texts[0])
    for text in texts[1:]:
        basis = Basis.parse(text)
        apart = found.differences(basis)
        if apart:
            msg = (
                f"cannot {doing} {_named(first)} and {_named(text)}: {'; '.join(apart)}. "
                "Recompute both on one basis, and state it where it is not stated"
            )
            raise KindMismatchError(msg)
        if _telling(basis) > _telling(found):
            first, found = text, basis
    return first


def _telling(basis: Basis) -> tuple[bool, bool, int]:
    """Which of several that mix speaks for them all: one with an intensity, one that says who stated it."""
    return not basis.without_grid, DECLARED in basis.also, len(basis.also)


def joined(one: str | None, other: str | None) -> str | None:
    """The basis of a product: what either states. Raises KindMismatchError where they state different things."""
    if not one or not other:
        return one or other
    ours, theirs = Basis.parse(one), Basis.parse(other)
    for name in _WORDS:
        here, there = getattr(ours, name), getattr(theirs, name)
        if here and there and here != there:
            msg = f"cannot multiply {_named(one)} by {_named(other)}: the {name} of one is {here}, of the other {there}"
            raise KindMismatchError(msg)
    parts = dict.fromkeys(part.strip() for text in (one, other) for part in text.split(";") if part.strip())
    if ours.grid or theirs.grid:
        parts.pop(NO_GRID, None)
    return "; ".join(parts)


def _named(text: str | None) -> str:
    return f"{text!r}" if text else "a number of no stated basis"
