"""Libraries that take seconds to import: loaded when a test first uses one, and not where tests are collected."""

from __future__ import annotations

import importlib
from typing import Any


class Library:
    """An importable module, by its name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:  # noqa: ANN401 -- whatever the library has
        return getattr(importlib.import_module(self._name), attribute)
