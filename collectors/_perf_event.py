"""perf_event_open(2) for counters of a whole CPU, through ctypes: no library of perf is needed.

Facts: the manual page perf_event_open(2) and the kernel's include/uapi/linux/perf_event.h: struct
perf_event_attr begins with u32 type, u32 size, u64 config; 112 bytes is its version 5, which any
kernel since 4.1 knows. A read of the descriptor gives one u64.
"""

from __future__ import annotations

import ctypes
import os
import struct

#: Syscall numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
_SYSCALL = {"x86_64": 298, "aarch64": 241, "riscv64": 241}
_ATTR_BYTES = 112
_FLAG_CLOEXEC = 8
_ANY_PROCESS, _NO_GROUP = -1, -1
_U64 = struct.Struct("=Q")


def open_event(kind: int, config: int, cpu: int) -> int:
    """A descriptor that counts `config` of the PMU `kind` on a CPU, from 0 on. Raises OSError."""
    number = _SYSCALL.get(os.uname().machine)
    if number is None:
        msg = f"perf_event_open has no known number on {os.uname().machine}"
        raise OSError(msg)
    attr = ctypes.create_string_buffer(struct.pack("=IIQ", kind, _ATTR_BYTES, config), _ATTR_BYTES)
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    # Variadic: each argument as wide as a register, or its upper half is undefined.
    arguments = (_ANY_PROCESS, cpu, _NO_GROUP, _FLAG_CLOEXEC)
    result = syscall(ctypes.c_long(number), attr, *(ctypes.c_long(argument) for argument in arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return int(result)


def read_event(fd: int) -> int:
    """The count. Raises OSError, or ValueError where the event can count no more (its CPU is gone)."""
    raw = os.read(fd, _U64.size)
    if len(raw) != _U64.size:
        msg = "the event counts no more: its CPU went offline"
        raise ValueError(msg)
    return int(_U64.unpack(raw)[0])
