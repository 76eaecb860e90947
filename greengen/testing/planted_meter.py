"""The planted meter: a process that drives the files of a fake machine from what real processes do, once per ms.

    P = P0 + Σ c_j · (CPU time of process j)

over every process that this machine shows: those that registered under a name are read at every
step, the others (`STRAYS`) at every scan, and the meter counts itself, for it is work on this
machine as any other. What a process used before the meter found it is charged when it is found, and
one that ended is missing at most what it did since it was last read: all CPU time is charged, once.
That of strays is charged evenly until the next scan: power has no peak at each of them.
P0 and c_j come from a secret in a sealed file; whoever checks greengen opens it after greengen has
answered. What is shown of it, and how, is that of a kind of counter (`planted_counters`).
"""

from __future__ import annotations

import csv
import gc
import hashlib
import json
import math
import os
import random
import socket
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from greengen.testing.planted_counters import COUNTERS, Shown

NS = 1_000_000_000
STEP_NS = 1_000_000

#: How often processes that nobody registered are looked for and read.
SCAN_NS = 20_000_000

#: The names under which the log tells the meter's own CPU time and that of unregistered processes.
METER, STRAYS = "meter", "strays"

#: Between what P0 and c are drawn.
Powers = tuple[tuple[float, float], tuple[float, float]]

#: In a negative control each c_j lies within this factor of their common middle: two differ by its square at most.
APART = 2.0

#: P0, and W per busy CPU, are drawn from these.
P0_W, C_W = (5.0, 20.0), (8.0, 20.0)
_ANSWER_S = 30.0


@dataclass(frozen=True, slots=True)
class Sealed:
    """The secret behind the power model.

    differing  every process has a c of its own
    p0, c      between what P0 is drawn, W, and between what c, W per busy CPU
    """

    secret: str
    differing: bool = False
    p0: tuple[float, float] = P0_W
    c: tuple[float, float] = C_W

    @property
    def p0_w(self) -> float:
        """Power that does not depend on work, W."""
        return random.Random(f"{self.secret}:P0").uniform(*self.p0)

    def c_w(self, name: str) -> float:
        """W per busy CPU of the process registered as `name`."""
        common = random.Random(f"{self.secret}:c").uniform(*self.c)
        if not self.differing:
            return common
        return common * math.exp(random.Random(f"{self.secret}:c:{name}").uniform(-1, 1) * math.log(APART))


def draw(seed: int | None, *, differing: bool = False, powers: Powers = (P0_W, C_W)) -> Sealed:
    """A secret; of a `seed` the same one every time."""
    secret = os.urandom(16).hex() if seed is None else hashlib.sha256(f"planted {seed}".encode()).hexdigest()[:32]
    return Sealed(secret, differing, *powers)


def seal(path: Path, seed: int | None, *, differing: bool, powers: Powers = (P0_W, C_W)) -> Sealed:
    """Draw the secret, or take the one that an earlier meter left at `path`: the same P0 and c_j once more."""
    if path.exists():
        return unseal(path)
    sealed = draw(seed, differing=differing, powers=powers)
    path.write_text(json.dumps(asdict(sealed)), encoding="utf-8")
    return sealed


def unseal(path: Path) -> Sealed:
    """Open the sealed file."""
    told = json.loads(path.read_text(encoding="utf-8"))
    return Sealed(told["secret"], told["differing"], tuple(told["p0"]), tuple(told["c"]))


def ask(address: str, message: str) -> None:
    """Send the meter at `address` a message, and wait until it has obeyed. Raises OSError where none answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.settimeout(_ANSWER_S)
        # Linux gives a socket that is bound to no name an address of its own, which the answer needs.
        channel.bind("")
        channel.sendto(message.encode(), f"\0{address}")
        channel.recv(16)


def register(address: str, name: str, pid: int | None = None) -> None:
    """Have this process, or `pid`, read at every step from now on, under `name`."""
    ask(address, f"{os.getpid() if pid is None else pid} {name}")


def say(line: str) -> None:
    """A line on stdout, at once, for the process that started this one."""
    os.write(1, f"{line}\n".encode())


@dataclass(slots=True)
class _Process:
    clock: int
    c_w: float
    seen_ns: int
    used_ns: int = 0


@dataclass(slots=True)
class Meter:
    """Reads CPU clocks, integrates power, and shows it in `counter`.

    names     registered processes in the order of the log's columns
    rows      the truth: t_ns, µJ so far, CPU ns so far of strays and of each registered process
    """

    sealed: Sealed
    counter: Shown
    names: list[str] = field(default_factory=list)
    rows: list[list[int]] = field(default_factory=list)
    _named: list[_Process] = field(default_factory=list)
    _others: dict[int, int] = field(default_factory=dict)
    _strays: _Process = field(default_factory=lambda: _Process(0, 0.0, 0))
    _p0_w: float = 0.0
    _energy_j: float = 0.0
    _owed_j: float = 0.0
    _owed_w: float = 0.0
    _t_ns: int = 0
    _scan_ns: int = 0

    def start(self) -> None:
        """Begin now: what was used before is not charged."""
        self._p0_w = self.sealed.p0_w
        self._strays.c_w = self.sealed.c_w(STRAYS)
        self._others = self._clocks()
        self._t_ns = time.monotonic_ns()
        self._scan_ns = self._t_ns + SCAN_NS
        self.register(METER, os.getpid())

    def register(self, name: str, pid: int) -> None:
        """Read `pid` at every step. What it used since the last scan, or since its birth, comes with the next."""
        self.names.append(name)
        self._named.append(_Process(_clock(pid), self.sealed.c_w(name), self._others.pop(pid, 0)))

    def step(self, *, last: bool = False) -> None:
        """Charge what was used since the last step, show it, and log it; the `last` one leaves nothing owed."""
        now = time.monotonic_ns()
        energy_j = self._energy_j + self._p0_w * (now - self._t_ns) / NS
        for process in self._named:
            with suppress(OSError):
                clock_ns = time.clock_gettime_ns(process.clock)
                energy_j += process.c_w * (clock_ns - process.seen_ns) / NS
                process.used_ns += clock_ns - process.seen_ns
                process.seen_ns = clock_ns
        if now >= self._scan_ns:
            used_ns = self._scan()
            self._strays.used_ns += used_ns
            self._owed_j += self._strays.c_w * used_ns / NS
            self._owed_w = self._owed_j / SCAN_NS * NS
            self._scan_ns = now + SCAN_NS
        due_j = self._owed_j if last else min(self._owed_j, self._owed_w * (now - self._t_ns) / NS)
        self._owed_j -= due_j
        energy_j += due_j
        self._energy_j, self._t_ns = energy_j, now
        self.counter.show(now, energy_j)
        self.rows.append(
            [now, int(energy_j * 1e6), self._strays.used_ns, *(process.used_ns for process in self._named)]
        )

    def _scan(self) -> int:
        """CPU ns that unregistered processes used since the last scan; a new one counts from its birth."""
        before, self._others = self._others, self._clocks()
        used_ns = 0
        for pid, clock_ns in self._others.items():
            seen_ns = before.get(pid, 0)
            # A clock that went back is a new process under an old number.
            used_ns += clock_ns - seen_ns if clock_ns >= seen_ns else clock_ns
        return used_ns

    def _clocks(self) -> dict[int, int]:
        known = {process.clock for process in self._named}
        clocks = {}
        for entry in os.listdir("/proc"):  # noqa: PTH208 -- names are all that is wanted, at a fifth of the cost
            if entry.isdigit() and (clock := _clock(int(entry))) not in known:
                with suppress(OSError):
                    clocks[int(entry)] = time.clock_gettime_ns(clock)
        return clocks

    def log(self, path: Path) -> None:
        """Write the truth."""
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["t_ns", "energy_uj", STRAYS, *self.names])
            columns = 3 + len(self.names)
            table.writerows(row + [0] * (columns - len(row)) for row in self.rows)


def _clock(pid: int) -> int:
    # The kernel's number for the CPU clock of a process: clock_getcpuclockid(3).
    return (~pid << 3) | 2


def run(meter: Meter, address: str, truth: Path) -> None:
    """Step until told to stop, or until the process that started this one is gone; then write the log."""
    parent = os.getppid()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0{address}")
        channel.setblocking(False)  # noqa: FBT003 -- it has no keyword
        # The log grows by a list a step, and nothing here is ever garbage.
        gc.disable()
        # A real meter does not wait for a CPU. Where this is not allowed the log shows what was achieved.
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        meter.start()
        say("ready")
        due_ns = time.monotonic_ns()
        while os.getppid() == parent:
            meter.step()
            with suppress(BlockingIOError):
                message, sender = channel.recvfrom(256)
                if message == b"stop":
                    meter.step(last=True)
                    meter.log(truth)
                    channel.sendto(b"ok", sender)
                    return
                pid, _, name = message.decode().partition(" ")
                meter.register(name, int(pid))
                channel.sendto(b"ok", sender)
            due_ns += STEP_NS
            # At a random moment of each step: the kernel counts the machine's busy time by its tick, and
            # would never see a process that sleeps through every one of them.
            wait_ns = due_ns + int(STEP_NS * random.random()) - time.monotonic_ns()
            if wait_ns > 0:
                time.sleep(wait_ns / NS)
            else:
                due_ns = time.monotonic_ns()


def main(arguments: list[str]) -> None:
    """ADDRESS COUNTER SYSFS SEALED TRUTH: what to answer to, which kind to drive where, what to take and to write."""
    address, counter, sysfs, sealed, truth = arguments
    shown = COUNTERS[counter].open(Path(sysfs))
    try:
        run(Meter(unseal(Path(sealed)), shown), address, Path(truth))
    finally:
        shown.close()


if __name__ == "__main__":
    main(sys.argv[1:])
