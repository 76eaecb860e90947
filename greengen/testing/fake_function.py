"""A function of a C library, for libraries that are not at hand: it takes what it was declared to take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class FakeFunction:
    """As ctypes shows one: `restype` and `argtypes` are set by whoever is to call it."""

    def __init__(self, called: Callable[..., Any]) -> None:
        self._called = called
        self.restype: Any = None
        self.argtypes: list[Any] = []

    def __call__(self, *arguments: Any) -> Any:  # noqa: ANN401 -- C's
        """What the function gives. Raises TypeError where it takes another number of arguments."""
        if len(arguments) != len(self.argtypes):
            msg = f"{self._called.__name__} takes {len(self.argtypes)} arguments"
            raise TypeError(msg)
        return self._called(*arguments)
