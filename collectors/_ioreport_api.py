"""Apple's IOReport library through ctypes: the cumulated values of the group "Energy Model".

A private library without a header. Names and signatures: crates/lib/src/platform/io_report.rs of
github.com/vladkens/macmon and include/zeus_apple_silicon/energy.hpp of github.com/ml-energy/zeus-apple-silicon,
which agree; the latter reads a single sample as a cumulated value, as is done here. Those of CoreFoundation are
Apple's documentation's. What a name with Create or Copy returns is ours to release, what one with Get returns is not.
A value below 0 stands for an error (kIOReportInvalidIntValue in iokit/IOKit/IOReportTypes.h of XNU).

A wrong call here ends the process, so this runs in one of its own: `_ioreport_worker`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any, NamedTuple

_CORE_FOUNDATION = "/System/Library/Frameworks/CoreFoundation.framework/CoreFoundation"
_IOREPORT = "/usr/lib/libIOReport.dylib"
_GROUP, _CHANNELS = b"Energy Model", b"IOReportChannels"
_UTF8 = 0x08000100
_LONGEST_NAME = 256

_REF, _LONG, _U64 = ctypes.c_void_p, ctypes.c_long, ctypes.c_uint64
#: function: (what it returns, what it takes)
_FOUNDATION: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "CFStringCreateWithCString": (_REF, (_REF, ctypes.c_char_p, ctypes.c_uint32)),
    "CFStringGetCString": (ctypes.c_ubyte, (_REF, ctypes.c_char_p, _LONG, ctypes.c_uint32)),
    "CFDictionaryGetCount": (_LONG, (_REF,)),
    "CFDictionaryCreateMutableCopy": (_REF, (_REF, _LONG, _REF)),
    "CFDictionaryGetValue": (_REF, (_REF, _REF)),
    "CFArrayGetCount": (_LONG, (_REF,)),
    "CFArrayGetValueAtIndex": (_REF, (_REF, _LONG)),
    "CFRelease": (None, (_REF,)),
}
_REPORT: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "IOReportCopyChannelsInGroup": (_REF, (_REF, _REF, _U64, _U64, _U64)),
    "IOReportCreateSubscription": (_REF, (_REF, _REF, ctypes.POINTER(_REF), _U64, _REF)),
    "IOReportCreateSamples": (_REF, (_REF, _REF, _REF)),
    "IOReportChannelGetChannelName": (_REF, (_REF,)),
    "IOReportChannelGetUnitLabel": (_REF, (_REF,)),
    "IOReportSimpleGetIntegerValue": (ctypes.c_int64, (_REF, ctypes.c_int32)),
}


class Channel(NamedTuple):
    """One channel of a sample: ``GPU Energy``, ``nJ`` and so many of them since the machine was started."""

    name: str
    unit: str
    value: int


def load() -> tuple[Any, Any]:
    """CoreFoundation and IOReport. Raises OSError where they are not."""
    return ctypes.CDLL(_CORE_FOUNDATION), ctypes.CDLL(_IOREPORT)


class EnergyModel:
    """A subscription to the group. Raises OSError or AttributeError where it cannot be had."""

    def __init__(self, libraries: tuple[Any, Any]) -> None:
        self._cf, self._report = (
            _bind(library, table) for library, table in zip(libraries, (_FOUNDATION, _REPORT), strict=True)
        )
        self._key = self._string(_CHANNELS)
        group = self._string(_GROUP)
        found = self._report["IOReportCopyChannelsInGroup"](group, None, 0, 0, 0)
        self._cf["CFRelease"](group)
        if not found:
            msg = "IOReport has no group Energy Model: a virtual machine, or a Mac with an Intel CPU"
            raise OSError(msg)
        count = self._cf["CFDictionaryGetCount"](found)
        self._channels = self._cf["CFDictionaryCreateMutableCopy"](None, count, found)
        self._cf["CFRelease"](found)
        subscribed = ctypes.c_void_p()
        self._subscription = self._report["IOReportCreateSubscription"](
            None, self._channels, ctypes.byref(subscribed), 0, None
        )
        if not self._subscription:
            msg = "IOReport refuses a subscription to its Energy Model"
            raise OSError(msg)

    def sample(self) -> list[Channel]:
        """All channels now. Raises OSError where there is no answer."""
        sample = self._report["IOReportCreateSamples"](self._subscription, self._channels, None)
        if not sample:
            msg = "IOReport gave no sample"
            raise OSError(msg)
        try:
            return list(self._read(sample))
        finally:
            self._cf["CFRelease"](sample)

    def _read(self, sample: int) -> Iterator[Channel]:
        array = self._cf["CFDictionaryGetValue"](sample, self._key)
        if not array:
            msg = "IOReport's sample holds no channels"
            raise OSError(msg)
        for index in range(self._cf["CFArrayGetCount"](array)):
            item = self._cf["CFArrayGetValueAtIndex"](array, index)
            name = self._text(self._report["IOReportChannelGetChannelName"](item))
            unit = self._text(self._report["IOReportChannelGetUnitLabel"](item))
            yield Channel(name, unit.strip(), self._report["IOReportSimpleGetIntegerValue"](item, 0))

    def _string(self, text: bytes) -> int:
        made: int = self._cf["CFStringCreateWithCString"](None, text, _UTF8)
        return made

    def _text(self, string: int | None) -> str:
        held = ctypes.create_string_buffer(_LONGEST_NAME)
        if not string or not self._cf["CFStringGetCString"](string, held, _LONGEST_NAME, _UTF8):
            return ""
        return held.value.decode("utf-8", "replace")


def _bind(library: Any, table: dict[str, tuple[Any, tuple[Any, ...]]]) -> dict[str, Any]:  # noqa: ANN401 -- a CDLL
    """The functions by name. Raises AttributeError for one that the library lacks."""
    found = {}
    for name, (returns, takes) in table.items():
        function = getattr(library, name)
        function.restype, function.argtypes = returns, list(takes)
        found[name] = function
    return found
