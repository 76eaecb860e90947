"""A stand-in for Apple's libraries CoreFoundation and IOReport, as far as `_ioreport_api` calls them.

In one process: ``EnergyModel(FakeLibraries(channels).load())``; every reference is counted, and releasing one that is
not held raises. In a subprocess: ``GREENGEN_IOREPORT=greengen.testing.fake_ioreport``, with channels as JSON in
``GREENGEN_FAKE_IOREPORT``: ``{"GPU Energy": ["nJ", 5.0]}`` is 5 W in nJ; ``"exit_after": 3`` samples it dies like a
process that called a library wrongly.
"""
# ruff: noqa: D102, N802 -- the names are Apple's, and what they do is in Apple's documents

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from greengen.testing.fake_function import FakeFunction

_PER_J = {"mJ": 1e3, "uJ": 1e6, "nJ": 1e9}


@dataclass
class FakeLibraries:
    """channels: name → (unit, value), anew for each sample; `held`: reference → (object, how often it is held)."""

    channels: Callable[[], Mapping[str, tuple[str, int]]]
    group: str = "Energy Model"
    held: dict[int, tuple[Any, int]] = field(default_factory=dict)

    def load(self) -> tuple[Any, Any]:
        """CoreFoundation and IOReport."""
        found = []
        for prefix in ("CF", "IOReport"):
            names = [name for name in dir(type(self)) if name.startswith(prefix)]
            found.append(SimpleNamespace(**{name: FakeFunction(getattr(self, name)) for name in names}))
        return found[0], found[1]

    def _made(self, what: Any) -> int:  # noqa: ANN401 -- any object
        reference = 0x1000 + 16 * len(self.held)
        while reference in self.held:
            reference += 16
        self.held[reference] = (what, 1)
        return reference

    def _of(self, reference: int | None) -> Any:  # noqa: ANN401 -- any object
        if reference is None or reference not in self.held:
            msg = f"{reference} is no reference that is held: here a real library ends the process"
            raise AssertionError(msg)
        return self.held[reference][0]

    def CFRelease(self, reference: int) -> None:
        what = self._of(reference)
        del self.held[reference]
        # What an object holds goes with it.
        for part in what if isinstance(what, list) else what.values() if isinstance(what, dict) else ():
            if isinstance(part, int):
                self.CFRelease(part)

    def CFStringCreateWithCString(self, _allocator: None, text: bytes, encoding: int) -> int:
        return self._made(text.decode({0x08000100: "utf-8"}[encoding]))

    def CFStringGetCString(self, string: int, held: Any, size: int, _encoding: int) -> int:  # noqa: ANN401 -- a buffer
        data = self._of(string).encode() + b"\0"
        if len(data) > size:
            return 0
        held.raw = data.ljust(size, b"\0")
        return 1

    def CFDictionaryGetCount(self, dictionary: int) -> int:
        return len(self._of(dictionary))

    def CFDictionaryCreateMutableCopy(self, _allocator: None, _capacity: int, dictionary: int) -> int:
        return self._made(dict.fromkeys(self._of(dictionary)))

    def CFDictionaryGetValue(self, dictionary: int, key: int) -> int | None:
        found: int | None = self._of(dictionary).get(self._of(key))
        return found

    def CFArrayGetCount(self, array: int) -> int:
        return len(self._of(array))

    def CFArrayGetValueAtIndex(self, array: int, index: int) -> int:
        found: int = self._of(array)[index]
        return found

    def IOReportCopyChannelsInGroup(self, group: int, subgroup: None, *_zeros: int) -> int | None:
        return self._made({"IOReportChannels": None}) if self._of(group) == self.group and subgroup is None else None

    def IOReportCreateSubscription(self, _a: None, channels: int, out: Any, *_rest: Any) -> int:  # noqa: ANN401 -- a pointer
        out._obj.value = channels  # noqa: SLF001 -- what byref points to
        self._of(channels)
        return self._made("a subscription")

    def IOReportCreateSamples(self, subscription: int, channels: int, _rest: None) -> int | None:
        if self._of(subscription) != "a subscription" or "IOReportChannels" not in self._of(channels):
            return None
        items = [
            self._made({"name": self._made(name), "unit": self._made(unit), "value": str(value)})
            for name, (unit, value) in self.channels().items()
        ]
        return self._made({"IOReportChannels": self._made(items)})

    def IOReportChannelGetChannelName(self, item: int) -> int:
        found: int = self._of(item)["name"]
        return found

    def IOReportChannelGetUnitLabel(self, item: int) -> int:
        found: int = self._of(item)["unit"]
        return found

    def IOReportSimpleGetIntegerValue(self, item: int, _index: int) -> int:
        return int(self._of(item)["value"])


def load() -> tuple[Any, Any]:
    """The libraries of ``GREENGEN_FAKE_IOREPORT``, whose counters run with the monotonic clock."""
    rig: dict[str, Any] = json.loads(os.environ["GREENGEN_FAKE_IOREPORT"])
    left = [rig.pop("exit_after", -1)]
    if rig.pop("absent", False):
        msg = "dlopen(/usr/lib/libIOReport.dylib): no such file"
        raise OSError(msg)

    def channels() -> dict[str, tuple[str, int]]:
        left[0] -= 1
        if left[0] == -1:
            os._exit(139)
        now_s = time.monotonic()
        return {name: (unit, int(watts * now_s * _PER_J.get(unit, 1.0))) for name, (unit, watts) in rig.items()}

    return FakeLibraries(channels).load()
