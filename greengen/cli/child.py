"""The command under `greengen profile`: started, signalled and waited for as a shell would."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Mapping, Sequence

#: Shell conventions: found but not executable, not found, and ended by signal n.
NOT_EXECUTABLE, NOT_FOUND, BY_SIGNAL = 126, 127, 128

#: Linux: the kernel sent it, as a terminal's interrupt key makes it do, and so to the command as
#: well. kill(2) says 0.
_SI_KERNEL = 128

_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


class Child:
    """One child process. `hold_signals`, `start`, `wait`, in this order."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)
        self.pid = 0
        self.trouble = ""
        self._mask: set[signal.Signals] | None = None

    def hold_signals(self) -> None:
        """From here on signals wait for `wait` to pass them on; threads started later inherit this."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        held = {signal.SIGCHLD, *_FORWARDED}
        self._mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, held))  # type: ignore[arg-type]

    def start(self, environment: Mapping[str, str]) -> int:
        """Start the command; 0, or the exit code that says why it was not."""
        early = signal.sigpending() & set(_FORWARDED)
        if early:
            number = min(early)
            self.trouble = f"{signal.Signals(number).name} came before {self.command[0]} was started"
            return BY_SIGNAL + int(number)
        if not self.command[0]:
            self.trouble = "'': command not found"
            return NOT_FOUND
        try:
            self.pid = os.posix_spawnp(
                self.command[0],
                self.command,
                {**os.environ, **environment},
                setsigmask=self._mask or set(),
                # Python ignores these two; a child that does not expect it would not die of a closed pipe.
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
            )
        except FileNotFoundError:
            self.trouble = f"{self.command[0]}: command not found"
            return NOT_FOUND
        except OSError as error:
            self.trouble = f"{self.command[0]}: cannot be executed: {error.strerror}"
            return NOT_EXECUTABLE
        return 0

    def wait(self) -> int:
        """Wait for the command's end, passing signals on; its exit code, 128+n if signal n ended it."""
        watch = threading.Thread(target=self._watch, args=(threading.get_ident(),), name="greengen-child", daemon=True)
        with contextlib.suppress(RuntimeError):  # no more threads: the kernel's own signal will do
            watch.start()
        while True:
            # Not `sigtimedwait`: stopped (Ctrl-Z) beyond its timeout, CPython's returns memory that nobody has set.
            received = signal.sigwaitinfo({signal.SIGCHLD, *_FORWARDED})
            if received.si_signo == signal.SIGCHLD:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    code = os.waitstatus_to_exitcode(status)
                    return BY_SIGNAL - code if code < 0 else code
            elif received.si_code != _SI_KERNEL:
                os.kill(self.pid, received.si_signo)

    def _watch(self, waiting: int) -> None:
        """Tell the thread that waits of the end: one that a library started before us may swallow its SIGCHLD."""
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            signal.pthread_kill(waiting, signal.SIGCHLD)
