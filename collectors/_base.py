"""What collectors share: files held open, meters asked in a thread, and the whole host as a domain."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from greengen.collector import Domain, Event, Host, Sample, Usage
from greengen.collectors._poller import SlowMeters
from greengen.collectors._sysfs_meter import SysfsMeters


def undivided(what: str) -> str:
    """Why `other` is not measured of a domain that no `Usage` divides."""
    return f"no weight divides {what} between processes, so sole tenancy is assumed"


#: What holds for a meter of the whole machine, to be completed by `dataclasses.replace`. It stands beside its
#: parts, of whose joules it is better known whose work they were.
WHOLE_HOST = Domain(
    uid="",
    collector="",
    kind="wall",
    name="",
    reading="power",
    scope="host",
    contains=("*",),
    alternative=True,
    split_reason=undivided("what a whole machine draws"),
    activity="cpu",
)


class SysfsCollector:
    """Reads files of sysfs, held open. `open_file` opens a path with os.open's flags."""

    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host, open_file: Callable[[str, int], int] = os.open) -> None:
        self._host = host
        self._meters = SysfsMeters(host, open_file)

    def read(self) -> Iterable[Sample | Usage | Event]:
        """One sample per meter; a `gap` event when one begins to fail."""
        return self._meters.read()

    def close(self) -> None:
        """Close the files."""
        self._meters.close()


class PolledCollector:
    """Asks slow meters, each in a thread of its own."""

    fallback_for: tuple[str, ...] = ()

    def __init__(self, host: Host) -> None:
        self._host = host
        self._meters = SlowMeters(host.monotonic_ns)

    def read(self) -> Iterator[Sample | Event]:
        """What the meters have said since the last reading; waits for none."""
        return self._meters.read()

    def close(self) -> None:
        """End the threads, and what they still ask."""
        self._meters.close()
