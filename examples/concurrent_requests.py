"""Four requests at the same time: do their energies add up to what was used?

In greengen they do, and what nobody asked for stands on accounts of its own. codecarbon gives each
of four concurrent trackers the whole machine, so that the parts sum to about four times the whole.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from codecarbon import OfflineEmissionsTracker

import greengen

REQUESTS, SECONDS = 4, 5.0
JOULES_PER_KWH = 3.6e6


def work() -> None:
    """Stand in for a model: keep a core busy for a while."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        sum(range(10_000))


def at_once(task: Callable[[int], None]) -> None:
    """Run `task(0)` to `task(3)` together, a thread each."""
    threads = [threading.Thread(target=task, args=(number,)) for number in range(REQUESTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def with_greengen(path: Path) -> None:
    """Print what is booked to each account of a recording, and what its domains used."""

    def answer(number: int) -> None:
        with greengen.request(model="busy", name=f"request {number}"):
            work()

    with greengen.profile(path) as run:
        at_once(answer)
    ledger = run.ledger()
    accounts = ledger.by("name")["energy_j"].to_dict()
    accounts |= {name: ledger.account(name).value for name in ("overhead", "other", "idle")}
    known = {name: joules for name, joules in accounts.items() if joules is not None}
    for name, joules in known.items():
        print(f"  {name:26}{joules:8.2f} J")
    print(f"  {'sum of the accounts':26}{sum(known.values()):8.2f} J")
    print(f"  {'used, by the domains':26}{ledger.total().value or 0.0:8.2f} J")


def tracker() -> OfflineEmissionsTracker:
    """Return a tracker that writes no file and asks no network."""
    return OfflineEmissionsTracker(country_iso_code="FRA", save_to_file=False, log_level="error")


def with_codecarbon() -> None:
    """Print what four trackers say of their own thread's request, and what one around all of them says."""
    parts: list[float] = []

    def answer(_number: int) -> None:
        with tracker() as own:
            work()
        parts.append(own.final_emissions_data.energy_consumed * JOULES_PER_KWH)

    with tracker() as outer:
        at_once(answer)
    whole = outer.final_emissions_data.energy_consumed * JOULES_PER_KWH
    for number, joules in enumerate(parts):
        print(f"  {f'request {number}':26}{joules:8.2f} J")
    print(f"  {'sum of the parts':26}{sum(parts):8.2f} J")
    print(f"  {'used, by an outer tracker':26}{whole:8.2f} J, which is the sum / {sum(parts) / whole:.1f}")


def main() -> None:
    """Do the same work under each."""
    with tempfile.TemporaryDirectory() as directory:
        print(f"greengen: {REQUESTS} requests at once, one recording")
        with_greengen(Path(directory) / "concurrent.greengen")
    print(f"codecarbon: {REQUESTS} requests at once, a tracker each")
    with_codecarbon()


if __name__ == "__main__":
    main()
