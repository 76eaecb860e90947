"""What a user states, in a file or by hand: which values are possible, and which known name an unknown one is near."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import cast

#: No figure that anybody states is larger: what is above is a slip, and would leave the range of numbers.
MOST = 1e15
#: Nor any that is not 0 smaller: what is divided by it would leave that range, too.
LEAST = 1e-30

#: How a message says which numbers are possible.
NUMBER = f"a number of 0 or more, from {LEAST:g} to {MOST:g}"
ABOVE_0 = f"a number above 0, from {LEAST:g} to {MOST:g}"


def is_number(value: object, least: float = 0.0) -> bool:
    """Whether it is a number of `least` or more; truth values, NaN and what is endless are none."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    number = cast("float", value)
    return bool(least <= number <= MOST and (number == 0 or abs(number) >= LEAST))


def is_above_0(value: object) -> bool:
    """Whether it is a number above 0."""
    return is_number(value) and value != 0


def is_text(value: object) -> bool:
    """Whether it is a text."""
    return isinstance(value, str)


def is_table(value: object) -> bool:
    """Whether it is a table."""
    return isinstance(value, Mapping)


def is_truth(value: object) -> bool:
    """Whether it is true or false."""
    return isinstance(value, bool)


def nearest(name: str, names: Iterable[str]) -> str:
    """``did you mean 'power_w'? `` or nothing."""
    import difflib  # noqa: PLC0415 -- for a name that is not known

    by_lower = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(repr(by_lower[n]) for n in near)}? " if near else ""


def unknown(strange: Sequence[str], known: Sequence[str], where: str = "") -> str:
    """What to say of keys that are not known: ``zoen says nothing in [site]; did you mean 'zone'? known are …``."""
    hint = nearest(strange[0], known)
    return f"{', '.join(strange)} says nothing{where and ' '}{where}; {hint}known are {', '.join(known)}"
