"""numpy for a command of our own: loaded in one thread."""

from __future__ import annotations

import os

#: What numpy's OpenBLAS reads once, when it is loaded.
_VARIABLE = "OPENBLAS_NUM_THREADS"


def load_numpy() -> None:
    """Import numpy with one BLAS thread, and leave the environment as it was.

    With one for each core, as is the default, each of the others spins for 2^28 cycles before it goes to sleep
    (OpenBLAS issue 5171): a tenth of a second of CPU time per core, where we solve systems of four equations.
    """
    if _VARIABLE in os.environ:
        return
    os.environ[_VARIABLE] = "1"
    try:
        import numpy as np  # noqa: F401, PLC0415 -- to have it loaded
    finally:
        del os.environ[_VARIABLE]
