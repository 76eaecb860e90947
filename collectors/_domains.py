"""What domains of several collectors have in common."""

from __future__ import annotations

from greengen.collector import Domain


def undivided(what: str) -> str:
    """Why `other` is not measured of a domain that no `Usage` divides."""
    return f"no weight divides {what} between processes, so sole tenancy is assumed"


#: What holds for a meter of the whole machine, to be completed by `dataclasses.replace`. It stands beside its
#: parts, of whose joules it is better known whose work they were.
WHOLE_HOST = Domain(
    uid="",
    collector="",
    kind="wall",
    name="",
    reading="power",
    scope="host",
    contains=("*",),
    alternative=True,
    split_reason=undivided("what a whole machine draws"),
    activity="cpu",
)
