"""A process that reads Apple's Energy Model five times a second and writes a line of JSON each time.

On its own because it calls a private library without a header: what would end a process here ends no workload.
It ends when nobody reads it any more, and with a reason on standard error where the library is not to be had.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time

from greengen.collectors._ioreport_api import EnergyModel, load

#: Names a module with a function `load`, for tests.
VARIABLE = "GREENGEN_IOREPORT"
EVERY_S = 0.2


def main() -> int:
    """Its exit code."""
    stand_in = os.environ.get(VARIABLE, "")
    try:
        model = EnergyModel(importlib.import_module(stand_in).load() if stand_in else load())
        while True:
            begun = time.monotonic()
            line = json.dumps({"channels": model.sample(), "t_ns": time.monotonic_ns()})
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
            time.sleep(max(0.0, begun + EVERY_S - time.monotonic()))
    except BrokenPipeError:
        os._exit(0)  # the interpreter would flush what nobody takes
    except (OSError, AttributeError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
