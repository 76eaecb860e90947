"""The accelerator behind a span: work on CUDA outlives the call that launched it."""

from __future__ import annotations

import sys


def in_use() -> bool:
    """Whether this process has begun to use CUDA through torch; never imports torch itself."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    initialized = getattr(cuda, "is_initialized", None)
    return initialized is not None and bool(initialized())


def wait(sync: object) -> None:
    """Wait until the device has done what was launched: by calling `sync`, or for True by torch."""
    if callable(sync):
        sync()
    elif sync and in_use():
        sys.modules["torch"].cuda.synchronize()
