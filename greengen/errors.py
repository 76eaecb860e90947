"""The errors greengen raises on purpose. Each says what is wrong and what to do about it."""

from __future__ import annotations


class GreengenError(Exception):
    """Something the user can mend: the message names the input and the remedy.

    The CLI prints it on one line and exits with `exit_code`.
    """

    exit_code = 2


class UsageError(GreengenError):
    """A bad argument: an unknown zone, a negative PUE, an interval of 0."""


class LogError(GreengenError):
    """A log recorded elsewhere that cannot be imported: not of this format, cut off, or ambiguous."""


class RunFileError(GreengenError):
    """A run file that cannot be written, or a file that is not a run file this version can read."""


class KindMismatchError(GreengenError, ValueError):
    """Two quantities of different kinds (unit, intensity basis) were added or compared."""


class PolicyError(GreengenError):
    """An unknown policy, or one whose inputs this run does not have."""
