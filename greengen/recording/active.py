"""The recording this process writes to: the one piece of process-wide state there is.

`greengen profile` and `greengen.profile(...)` name the run file in an environment variable, read
once, so that children find it. A forked child starts with empty buffers and a connection of its
own; what its parent had buffered is its parent's to write.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from pathlib import Path

from greengen.recording.writer import Writer

#: Names the run file of the recording that this process and its children belong to.
ENVIRONMENT_VARIABLE = "GREENGEN_RECORDING"


class _State:
    """`writer` is None while nothing is recorded: every span is then a no-op.

    lock     held while a recording begins, so that of two threads one does
    forking  the writer that a fork under way holds still, by thread: several may fork at once
    """

    __slots__ = ("forking", "hooked", "inherited", "lock", "writer")

    def __init__(self) -> None:
        path = os.environ.get(ENVIRONMENT_VARIABLE)
        self.writer: Writer | None = Writer(Path(path), "spans") if path else None
        self.forking = threading.local()
        self.inherited: list[Writer] = []
        self.hooked = False
        self.lock = threading.Lock()


STATE = _State()


def activate(writer: Writer) -> None:
    """Make `writer` the one that spans go to, here and in children."""
    os.environ[ENVIRONMENT_VARIABLE] = str(writer.path)
    STATE.writer = writer


def deactivate() -> None:
    """Spans are no-ops again."""
    os.environ.pop(ENVIRONMENT_VARIABLE, None)
    STATE.writer = None


def start(writer: Writer) -> None:
    """Start the writer's thread at the first span, and see that it is flushed however the process ends."""
    writer.ensure_running()
    if not STATE.hooked:
        STATE.hooked = True
        atexit.register(_close_at_exit)
    # A multiprocessing child leaves through os._exit, which skips atexit. Not imported: where another thread
    # was importing it at the time of a fork, the child would wait for that thread, which it has not, for ever.
    finalize = getattr(sys.modules.get("multiprocessing.util"), "Finalize", None)
    if finalize is not None:
        finalize(None, _close_at_exit, exitpriority=0)


def say_if_incomplete(writer: Writer) -> None:
    """One line on stderr where a recording has lost something, once it is over."""
    if writer.lost_rows or writer.trouble:
        why = writer.trouble or "for a while it could not be written"
        print(  # noqa: T201 -- the process ends: there is nobody else to tell
            f"greengen: the recording of process {writer.pid} in {writer.path} is incomplete: {why}; "
            f"{writer.lost_rows} rows were dropped",
            file=sys.stderr,
        )


def _close_at_exit() -> None:
    writer = STATE.writer
    if writer is not None and writer.role == "spans" and writer.pid == os.getpid() and writer.running:
        STATE.writer = None
        writer.close()
        say_if_incomplete(writer)


def _before_fork() -> None:
    writer = STATE.writer
    STATE.forking.writer = writer if writer is not None and writer.before_fork() else None


def _after_fork() -> None:
    writer: Writer | None = STATE.forking.writer
    STATE.forking.writer = None
    if writer is not None:
        writer.after_fork()


def _after_fork_in_child() -> None:
    _after_fork()
    STATE.lock = threading.Lock()
    writer = STATE.writer
    if writer is not None:
        # Kept, for a connection that could not be closed before: closing it here would end the
        # parent's transaction on the same file.
        STATE.inherited.append(writer)
        writer.close_alarm()
        STATE.writer = Writer(writer.path, "spans")


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
