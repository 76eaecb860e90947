"""Device interfaces of Windows through ctypes: which there are of a class, and questions to their drivers.

CM_Get_Device_Interface_ListW of cfgmgr32.h, CreateFileW of fileapi.h, DeviceIoControl of ioapiset.h, as Microsoft
documents them. Text goes over as UTF-16 in buffers, for a wide character of C is not that everywhere.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

#: Names a module with a function `libraries`, for tests.
VARIABLE = "GREENGEN_WINDOWS"

READ, WRITE = 0x80000000, 0x40000000
_SHARE, _OPEN_EXISTING = 0x1 | 0x2, 3
_CR_BUFFER_SMALL = 0x1A
_INVALID = ctypes.c_void_p(-1).value
_REF, _U32 = ctypes.c_void_p, ctypes.c_uint32
_TRIES = 3


class Libraries(NamedTuple):
    """cfgmgr32, kernel32, and what the last error of this thread's calls was."""

    cfgmgr32: Any
    kernel32: Any
    last_error: Callable[[], int]


def load(environ: Mapping[str, str]) -> Libraries:
    """The libraries. Raises OSError where they are not."""
    stand_in = environ.get(VARIABLE, "")
    if stand_in:
        found: Libraries = importlib.import_module(stand_in).libraries()
        return found
    if sys.platform != "win32":
        msg = "this is not Windows"
        raise OSError(msg)
    return Libraries(ctypes.WinDLL("cfgmgr32"), ctypes.WinDLL("kernel32", use_last_error=True), ctypes.get_last_error)


class Devices:
    """What the libraries are called for. Every method raises OSError where Windows refuses."""

    def __init__(self, libraries: Libraries) -> None:
        self._last_error = libraries.last_error
        manager, kernel = libraries.cfgmgr32, libraries.kernel32
        self._size = _declared(manager.CM_Get_Device_Interface_List_SizeW, _U32, _REF, _REF, _REF, _U32)
        self._list = _declared(manager.CM_Get_Device_Interface_ListW, _U32, _REF, _REF, _REF, _U32, _U32)
        self._create = _declared(kernel.CreateFileW, _REF, _REF, _U32, _U32, _REF, _U32, _U32, _REF)
        self._control = _declared(kernel.DeviceIoControl, ctypes.c_int, _REF, _U32, _REF, _U32, _REF, _U32, _REF, _REF)
        self._close = _declared(kernel.CloseHandle, ctypes.c_int, _REF)

    def paths(self, class_guid: str) -> list[str]:
        """The devices of an interface class that are present."""
        guid = ctypes.create_string_buffer(UUID(class_guid).bytes_le, 16)
        for _ in range(_TRIES):  # one may be plugged in between the two questions
            length = _U32()
            code = self._size(ctypes.byref(length), guid, None, 0)
            text = ctypes.create_string_buffer(max(2, 2 * length.value))
            code = code or self._list(guid, None, text, len(text) // 2, 0)
            if code != _CR_BUFFER_SMALL:
                break
        if code:
            msg = f"the configuration manager answers {code:#x}"
            raise OSError(msg)
        return [path for path in text.raw.decode("utf-16-le", "replace").split("\0") if path]

    def open(self, path: str, access: int) -> int:
        """A handle of the device."""
        text = f"{path}\0".encode("utf-16-le")
        name = ctypes.create_string_buffer(text, len(text))
        handle: int | None = self._create(name, access, _SHARE, None, _OPEN_EXISTING, 0, None)
        if handle is None or handle == _INVALID:
            msg = f"it cannot be opened (Windows error {self._last_error()})"
            raise OSError(msg)
        return handle

    def ask(self, handle: int, code: int, size: int, given: bytes = b"") -> bytes:
        """What the driver answers to a control code, `size` bytes at most."""
        asked = ctypes.create_string_buffer(given, len(given)) if given else None
        answer = ctypes.create_string_buffer(size)
        returned = _U32()
        if not self._control(handle, code, asked, len(given), answer, size, ctypes.byref(returned), None):
            msg = f"its driver refuses {code:#x} (Windows error {self._last_error()})"
            raise OSError(msg)
        return answer.raw[: returned.value]

    def close(self, handle: int) -> None:
        """Give a handle back."""
        self._close(handle)


def _declared(function: Any, returns: Any, *takes: Any) -> Any:  # noqa: ANN401 -- ctypes
    function.restype, function.argtypes = returns, list(takes)
    return function
