"""Run commands to which file permissions apply: root is asked to leave its exemption behind."""

from __future__ import annotations

import os
import shutil

import pytest

#: To put before a command. Its user stays the same, so that it can still read the interpreter.
PREFIX = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--"] if os.getuid() == 0 else []

needed = pytest.mark.skipif(bool(PREFIX) and not shutil.which("setpriv"), reason="root, and no setpriv to become less")
