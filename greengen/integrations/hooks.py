"""Hooks: methods of single objects, wrapped for a while and given back. Classes are never touched."""

from __future__ import annotations

import functools
import re
import weakref
from collections.abc import Callable
from importlib import metadata
from typing import Any

from greengen.errors import UsageError

#: Called with the method that it replaces, and what that was called with.
Around = Callable[..., Any]


def require(package: str, first: str, before: str) -> None:
    """Raise UsageError where `package` is not there, or its version not in [`first`, `before`).

    What a hook reads is no stable interface: another version may mean something else by the same name.
    """
    works = f"greengen works with {package} >={first},<{before}: pip install '{package}>={first},<{before}'"
    try:
        found = metadata.version(package)
    except metadata.PackageNotFoundError:
        msg = f"{package} is not installed; {works}"
        raise UsageError(msg) from None
    if not _release(first) <= _release(found) < _release(before):
        msg = f"{package} {found} is not supported; {works}"
        raise UsageError(msg)


def _release(version: str) -> tuple[int, ...]:
    """The first two numbers of a version."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


class Hooks:
    """Wraps methods on instances until `remove()`. Keeps nothing alive that it has wrapped."""

    def __init__(self) -> None:
        self.removed = False
        # object → its wrapped methods, and whether each had stood on the object itself before
        self._wrapped: weakref.WeakKeyDictionary[Any, dict[str, bool]] = weakref.WeakKeyDictionary()

    def wrap(self, owner: Any, name: str, around: Around) -> None:
        """Let `owner.name(...)` call `around(method, ...)`. Wrapped already: does nothing. Raises UsageError."""
        names = self._wrapped.setdefault(owner, {})
        if name in names:
            return
        original = getattr(owner, name)
        if isinstance(getattr(original, "greengen_hooks", None), Hooks):
            msg = f"{type(owner).__name__} is being recorded already: leave the one recording of it first"
            raise UsageError(msg)
        names[name] = name in vars(owner)

        @functools.wraps(original)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            # Someone may have wrapped this in turn, and call it ever after.
            return original(*args, **kwargs) if self.removed else around(original, *args, **kwargs)

        wrapper.greengen_hooks = self  # type: ignore[attr-defined]
        setattr(owner, name, wrapper)

    def remove(self) -> None:
        """Give all methods back."""
        self.removed = True
        for owner, names in list(self._wrapped.items()):
            for name, stood_there in names.items():
                wrapper = vars(owner).get(name)
                if getattr(wrapper, "greengen_hooks", None) is not self:
                    continue  # wrapped in turn, which is not ours to undo
                if stood_there:
                    setattr(owner, name, wrapper.__wrapped__)
                else:
                    delattr(owner, name)
        self._wrapped.clear()
