"""A recording's life: make or join the run file, sample until told to stop, leave a file that stands alone."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from greengen import installed, plugins
from greengen.collector import Collector, Event, Host, Unavailable
from greengen.errors import UsageError
from greengen.recording import active, cgroups, containers, identity, runfile
from greengen.recording.columns import text
from greengen.recording.sampler import Sampler
from greengen.recording.state import StateWatch
from greengen.recording.store import Row
from greengen.recording.writer import Writer

#: Shorter than this and reading the counters becomes the workload.
MIN_INTERVAL_S = 0.001

#: Readings of CPU time this near to a line are told by it; the kernel's own step is 10 ms.
_CPU_TOLERANCE_NS = 1e6


@dataclass(frozen=True, slots=True)
class Options:
    """What a recording was asked to do.

    interval_s   time between two readings
    tier         cloud, edge or device; spans may say otherwise
    collectors   names to use, or to leave out with a leading `-`; None: the best set
    own_process  the sampler has a process to itself, and records its children only
    cgroup       the profiled processes are those of a cgroup and not of a tree: self, a process id, or a path
    """

    interval_s: float = 0.1
    tier: str | None = None
    collectors: tuple[str, ...] | None = None
    own_process: bool = False
    cgroup: str | None = None

    def __post_init__(self) -> None:
        if not (self.interval_s >= MIN_INTERVAL_S and math.isfinite(self.interval_s)):
            msg = f"interval {self.interval_s} s cannot be kept: pass {MIN_INTERVAL_S} s or more, such as 0.1"
            raise UsageError(msg)
        if self.tier not in (None, "cloud", "edge", "device"):
            msg = f"unknown tier {self.tier!r}: pass cloud, edge or device"
            raise UsageError(msg)
        if isinstance(self.collectors, str):
            # Taken for its letters, it would be told that there is no collector 'r'.
            msg = f"collectors {self.collectors!r} is a text: pass a tuple of names, such as ('rapl', 'nvml')"
            raise UsageError(msg)


class Profiler:
    """One segment of a recording. `start()` then `stop()`; the sampler belongs to the first process only.

    path  the run file; None: greengen-<time>.greengen in the working directory, once started
    """

    def __init__(self, path: Path | None, options: Options, *, host: Host | None = None, command: str = "") -> None:
        self.path = Path(os.path.abspath(path or "."))  # noqa: PTH100 -- resolve() would follow a link the user chose
        self.options = options
        self._is_named = path is not None
        self.joined = False
        self.trouble = ""
        self.lost_rows = 0
        self.warnings: tuple[str, ...] = ()
        self._host = host or Host.from_environment(include_root=not options.own_process)
        self._command = text(command) or identity.command_line()
        self._pid = os.getpid()
        self._writer: Writer | None = None
        self._sampler: Sampler | None = None
        self._info: dict[str, object] = {}
        self._segment = ""

    def start(self, *, force: bool = False, append: bool = False) -> None:
        """Find the collectors, create the file (or append a segment to it), take the first reading.

        Joins, writing spans only, where another live process already records into this file; a
        recorder with a process of its own refuses that, because the other one does not know its
        children. Raises UsageError for unknown collectors, RunFileError where the file cannot be
        written; nothing runs then, and no file is left behind.
        """
        if self.options.cgroup is not None:
            self._host = replace(self._host, cgroup=self._find_cgroup(self.options.cgroup))
        join = not self.options.own_process
        made, broken = plugins.collectors(self._host, self.options.collectors)
        with runfile.locked(self.path.parent if self._is_named else self.path):
            self.path = self.path if self._is_named else runfile.unused(self.path)
            created = runfile.claim(self.path, force=force, append=append, join=join)
            try:
                self.joined = not self._open_segment()
            except BaseException:
                if created:
                    runfile.remove(self.path)
                raise
        if self.joined:
            self._writer = Writer(self.path, "spans")
            active.activate(self._writer)
            return
        try:
            self._sample(made, broken, created=created)
        except BaseException:
            self.stop()
            if created:
                runfile.remove(self.path)
            raise

    def _open_segment(self) -> bool:
        role = "recorder" if self.options.own_process else "recorder+workload"
        writer = Writer(self.path, role, busy_s=0.25)
        self._segment = f"{writer.uid}/{time.monotonic_ns()}"
        self._info = {"interval_s": self.options.interval_s, "tier": self.options.tier}
        self._info |= {"command": self._command, "greengen": installed.version()}
        self._info |= self._profiled(writer.boot)
        if not runfile.open_segment(self.path, writer, self._segment, self._info):
            return False
        self._writer = writer
        return True

    def _find_cgroup(self, said: str) -> Path:
        host = self._host
        folder = cgroups.find(said, host.procfs, host.sysfs)
        if not self.options.own_process and not cgroups.holds_us(folder, host.procfs, host.sysfs):
            msg = (
                f"the cgroup {folder} does not hold this process, which records: record it from outside, "
                f"with `greengen profile --cgroup {said} -- sleep 60`, or pass cgroup='self'"
            )
            raise UsageError(msg)
        return folder

    def _profiled(self, boot: str) -> dict[str, object]:
        """Whose work is recorded, and whose recordings hold it: merged, each process counts once.

        own_process  whether what the recorder costs is apart from that work, and not a part of it
        """
        host, own_process = self._host, self.options.own_process
        container = containers.of_process(host.procfs, host.environ)
        if host.cgroup is None:
            root = host.root_pid
            above = [*identity.ancestors(root), *cgroups.chain(root, host.procfs, host.sysfs, boot)]
            profiled: dict[str, object] = {"root": identity.process_uid(root), "ancestors": above}
        else:
            held = cgroups.holds_us(host.cgroup, host.procfs, host.sysfs)
            own_process = own_process and not held
            container = container if held else containers.of_paths([f"0::{host.cgroup}"])
            uid, *above = cgroups.above(host.cgroup, boot)
            profiled = {"root": uid, "ancestors": above, "cgroup": str(host.cgroup)}
        return profiled | {"own_process": own_process} | ({"container": container} if container else {})

    def _sample(self, made: Sequence[Collector], broken: Sequence[Unavailable], *, created: bool) -> None:
        writer = self._writer
        assert writer is not None  # noqa: S101 -- _open_segment has made it
        if created:
            meta = {"created_epoch_ns": time.time_ns(), "greengen": installed.version()}
            for key, value in meta.items():
                writer.put("INSERT OR REPLACE INTO meta VALUES(?,?)", key, json.dumps(value))
        state = StateWatch(self._host.sysfs)
        self._sampler = self._discover(writer, made, broken, state)
        # What comes before the first reading is not recorded: looking for collectors takes a while.
        info = json.dumps(self._info | {"state": state.known})
        now = (time.monotonic_ns(), time.time_ns(), info, self._segment)
        writer.put("UPDATE segment SET t0_ns=?, epoch_ns=?, info=? WHERE uid=?", *now)
        writer.tick, writer.drain, writer.tick_s = self._sampler.tick, self._sampler.drain, self.options.interval_s
        if not writer.ensure_running():
            msg = f"the sampling thread cannot be started: {writer.trouble or 'its first reading takes too long'}"
            raise UsageError(msg)
        writer.flush()
        if not self.options.own_process:
            active.activate(writer)

    def _discover(
        self, writer: Writer, made: Sequence[Collector], broken: Sequence[Unavailable], state: StateWatch
    ) -> Sampler:
        found = plugins.discover_all(made)
        self.warnings = (*found.warnings, *(gone.reason for gone in broken))
        now = time.monotonic_ns()
        for warning in self.warnings:
            writer.event(Event(now, "warning", "plugins", warning))
        info = json.dumps(identity.host_info(self._host.procfs))
        writer.put("INSERT OR REPLACE INTO host VALUES(?,?,?)", writer.boot, os.uname().nodename, info)
        for domain in found.domains:
            body = json.dumps(asdict(domain), default=str)
            writer.put("INSERT OR REPLACE INTO domain VALUES(?,?,?)", writer.boot, domain.uid, body)
            writer.readings.tolerate(domain.uid, domain.resolution_j / 2)
        for gone in (*found.unavailable, *broken):
            row = (writer.boot, gone.interface, gone.reason, gone.remedy)
            writer.put("INSERT OR REPLACE INTO unavailable VALUES(?,?,?,?)", *row)
        writer.readings.tolerate("cpu", _CPU_TOLERANCE_NS)
        state.ask(found.collectors)
        wanted = frozenset(domain.uid for domain in found.domains)
        sampler = Sampler(found.collectors, wanted, writer, self.options.own_process, state, self._host.helpers)
        sampler.woke = partial(self._woke, writer)
        return sampler

    def _woke(self, writer: Writer, last_ns: int, now_ns: int) -> None:
        """The machine has slept: what comes is another segment, for nothing was recorded in between."""
        before, self._segment = self._segment, f"{writer.uid}/{now_ns}"
        writer.put(
            "INSERT INTO segment SELECT ?, process, boot, ?, NULL, ?, info FROM segment WHERE uid=?",
            *(self._segment, now_ns, time.time_ns(), before),
        )
        writer.put("UPDATE segment SET t1_ns=? WHERE uid=?", last_ns, before)

    def stop(self) -> None:
        """Take the last reading and close. Does nothing in a forked child, and nothing the second time."""
        writer, self._writer = self._writer, None
        if writer is None or os.getpid() != self._pid:
            return
        if active.STATE.writer is writer:
            active.deactivate()
        final: list[Row] = []
        writer.halt()
        if self._sampler is not None:
            # Which segment the last reading is in, it may tell itself.
            self._sampler.drain()
            self._sampler.close()
        if not self.joined:
            final.append(("UPDATE segment SET t1_ns=? WHERE uid=?", (time.monotonic_ns(), self._segment)))
        writer.close(final=final)
        self.trouble, self.lost_rows = writer.trouble, writer.lost_rows
        if not self.options.own_process:
            active.say_if_incomplete(writer)

    @property
    def environment(self) -> dict[str, str]:
        """What a child process needs to find this recording."""
        return {active.ENVIRONMENT_VARIABLE: str(self.path)}
