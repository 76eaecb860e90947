"""Run another program for a reading: its output as text, and an end to waiting."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Sequence

from greengen.collector import Host
from greengen.collectors._helper import Helper, which

_CHUNK = 1 << 16
#: Many times what any of them says.
_LONGEST = 4_000_000


class CommandError(ValueError):
    """An exit code that is not 0; `output` is what the program said on its standard output all the same."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


class Command:
    """One command line. `run` from one thread, `abort` from any, for good.

    host       whose environment it is looked up in, and sees
    timeout_s  after which it is killed
    """

    def __init__(self, argv: Sequence[str], host: Host, timeout_s: float) -> None:
        self._argv, self._host, self._timeout_s = tuple(argv), host, timeout_s
        self._helper: Helper | None = None
        self._over = False

    def is_installed(self) -> bool:
        """Whether the program is on the PATH."""
        return which(self._argv[0], self._host.environ) is not None

    def run(self, *more: str) -> str:
        """Its standard output, with `more` arguments.

        Raises OSError, CommandError for an exit code that is not 0, with what it said, or ValueError where it does not
        end to speak.
        """
        deadline = time.monotonic() + self._timeout_s
        self._helper = helper = Helper([*self._argv, *more], self._host, subprocess.PIPE)
        if self._over:
            # It was ended while it was being started.
            helper.kill()
        try:
            out, err = _read(helper, self._argv[0], deadline)
            code = helper.wait(deadline - time.monotonic())
        finally:
            self._helper = None
            if helper.code is None:
                helper.kill()
            helper.close()
        if code is None:
            msg = f"{self._argv[0]} took longer than {self._timeout_s:g} s"
            raise TimeoutError(msg)
        if code:
            said = (err or out).strip().splitlines()
            msg = f"{self._argv[0]} failed ({code})" + (f": {said[-1]}" if said else "")
            raise CommandError(msg, out)
        return out

    def abort(self) -> None:
        """End a run that is under way, or is about to be."""
        self._over = True
        helper = self._helper
        if helper is not None:
            helper.kill()


def _read(helper: Helper, name: str, deadline: float) -> tuple[str, str]:
    """What it writes to its output and as errors, until both end, or until a time of the monotonic clock."""
    said = {pipe: b"" for pipe in (helper.output, helper.errors) if pipe is not None}
    with selectors.DefaultSelector() as selector:
        for pipe in said:
            selector.register(pipe, selectors.EVENT_READ, pipe)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            for key, _ in ready:
                chunk = os.read(key.fd, _CHUNK)
                said[key.data] += chunk
                if len(said[key.data]) > _LONGEST:
                    msg = f"{name} writes more than {_LONGEST:,} bytes"
                    raise ValueError(msg)
                if not chunk:
                    selector.unregister(key.fileobj)
            if not ready:
                break
    out, err = (text.decode(errors="replace") for text in said.values())
    return out, err
