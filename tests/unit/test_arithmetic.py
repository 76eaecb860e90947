"""How a command of our own loads numpy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(program: str, **environment: str) -> str:
    told = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"} | environment
    return subprocess.run([sys.executable, "-c", program], env=told, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in procfs")
def test_it_starts_no_thread() -> None:
    """On one core numpy starts none by itself either."""
    program = "import os; {}; print(len(os.listdir('/proc/self/task')))"
    assert run(program.format("from greengen.cli.arithmetic import load_numpy; load_numpy()")) == "1\n"


def test_the_environment_stays_as_it_was() -> None:
    """A command that is profiled has it, and may compute in as many threads as it likes."""
    program = (
        "import os, sys; before = dict(os.environ)\n"
        "from greengen.cli.arithmetic import load_numpy; load_numpy()\n"
        "print(dict(os.environ) == before, 'numpy' in sys.modules)"
    )
    assert run(program) == "True True\n"


def test_what_a_user_has_set_holds() -> None:
    program = (
        "import os; from greengen.cli.arithmetic import load_numpy; load_numpy(); import numpy\n"
        "print(os.environ['OPENBLAS_NUM_THREADS'])"
    )
    assert run(program, OPENBLAS_NUM_THREADS="2") == "2\n"
