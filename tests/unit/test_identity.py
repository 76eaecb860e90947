"""Who is above a process: what tells that one recording's tree holds another's."""

from __future__ import annotations

import os
import subprocess
import sys

from greengen.recording import identity


def test_ancestors_are_told_from_the_parent_up() -> None:
    above = identity.ancestors(os.getpid())
    assert above[0] == identity.process_uid(os.getppid())
    program = "import os; from greengen.recording import identity; print(*identity.ancestors(os.getpid()))"
    child = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert child.stdout.split() == [identity.process_uid(), *above]


def test_of_no_process_nobody_is_above() -> None:
    assert identity.ancestors(0) == []
    assert identity.ancestors(2**30) == []
