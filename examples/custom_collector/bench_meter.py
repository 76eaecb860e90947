"""A collector of one's own: a bench meter that writes its watts into a file (or a serial port), a number per line."""

from __future__ import annotations

from pathlib import Path

from greengen.collector import Discovery, Domain, Event, Host, Sample, Unavailable

BOARD = Domain(
    *("bench_meter:board", "bench_meter", "board", "board on the bench"),
    reading="power",
    split_reason="the meter sees the whole board",
    gain=0.005,  # 1 % at 95 %, as its maker says
)


class BenchMeter:
    """Reads the file that BENCH_METER names."""

    name, fallback_for = "bench_meter", ()

    def __init__(self, host: Host) -> None:
        self._now, self._path = host.monotonic_ns, host.environ.get("BENCH_METER", "")

    def discover(self) -> Discovery:
        """The board, if its meter answers."""
        [found] = self.read()
        if isinstance(found, Sample):
            return Discovery((BOARD,))
        return Discovery(unavailable=(Unavailable("bench_meter", found.reason, "BENCH_METER=/dev/ttyUSB0"),))

    def read(self) -> list[Sample | Event]:
        """The newest number; a gap where there is none."""
        try:
            return [Sample(BOARD.uid, self._now(), float(Path(self._path).read_text().split()[-1]), "power")]
        except (OSError, ValueError, IndexError) as error:
            return [Event(self._now(), "gap", BOARD.uid, f"{self._path or 'BENCH_METER is not set'}: {error}")]

    def close(self) -> None:
        """Nothing is held open."""
