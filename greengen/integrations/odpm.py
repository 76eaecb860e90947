"""A Pixel phone's rail energies as text: of its power chip's files, or of ``dumpsys``.

    while sleep 1; do cat /sys/bus/iio/devices/iio:device*/energy_value; done                  (as root)
    while sleep 1; do dumpsys android.hardware.power.stats.IPowerStats/default delta; done     (as shell)

Formats: energy_value_show() in drivers/iio/power/odpm.c of google-modules/raviole-device: ``t=<ms>``, then for each
channel ``CH<n>(T=<ms>)[<rail>], <uWs>``; dumpEnergyMeter() in powerstats/PowerStatsAidl.cpp of LineageOS's
android_hardware_google_pixel: ``Elapsed time: <ms> ms`` since the last dump of this kind, then ``[<rail>]:<subsystem>
<mWs> mWs (<since then>)``, in numbers of 32 bits. Its energy consumers are sums of these rails, and are not read.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from greengen.errors import LogError
from greengen.integrations._android_rails import Rails
from greengen.integrations._files import decoded, read_bytes, shown
from greengen.integrations._logs import PowerLog, Rejected

_TIME = re.compile(r"t=(\d{1,15})$")
_CHANNEL = re.compile(r"CH\d+\(T=\d+\)\[([^\]]+)\],\s*(-?\d{1,19})$")
_BEGIN, _END = "PowerStats HAL 2.0 energy meter", "End of PowerStats HAL 2.0 energy meter"
_ELAPSED = re.compile(r"Elapsed time: (\d{1,12}) ms")
_ROW = re.compile(r"\s+(\S.*?)\s{3,}(\d{1,16}\.\d\d) mWs(?: \(\s*(-?\d{1,16}\.\d\d)\))?$")
_BRACKETED = re.compile(r"\[([^\]]+)\]:?.*")
#: A float holds 24 bits of a counter in uWs; what is printed has steps of 10 uWs.
_BITS, _PRINTED_UWS = 24, 10.0
_NS_PER_MS = 10**6


def read(path: Path) -> PowerLog:
    """The rails of a log of either kind. Raises LogError."""
    content = read_bytes(path)
    text = decoded(content)
    rails = Rails(path, content, "odpm")
    if _BEGIN in text:
        _dumps(rails, text)
    elif any(_TIME.match(line.strip()) for line in text.splitlines()):
        _files(rails, text)
    else:
        msg = f"{path} is neither energy_value of a power chip nor a dump of its energy meter: name a log of one"
        raise LogError(msg)
    return rails.log()


def _files(rails: Rails, text: str) -> None:
    t_ns: int | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        time, channel = _TIME.match(line), _CHANNEL.match(line)
        if time:
            t_ns = int(time[1]) * _NS_PER_MS
        elif channel and t_ns is not None:
            rails.add(channel[1], t_ns, float(channel[2]), number)
        elif line:
            rails.rejected.append(Rejected(number, line[:200], "neither a time nor a channel"))


def _dumps(rails: Rails, text: str) -> None:
    """Dumps one after the other; the first is at 0 s."""
    t_ms, dumps = 0, 0
    before: dict[str, float] = {}
    now: dict[str, float] = {}
    elapsed: int | None = None
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if _END in line:
            inside, before = False, now
        elif _BEGIN in line:
            inside, now, elapsed, dumps = True, {}, None, dumps + 1
        if not inside:
            continue
        told = _ELAPSED.search(line)
        if told:
            elapsed = int(told[1])
            t_ms += elapsed if dumps > 1 else 0
        row = _ROW.match(line)
        if row is None:
            continue
        if dumps > 1 and elapsed is None:
            msg = f"{rails.path} line {number}: the dumps name no time between them: take them with `… delta`"
            raise LogError(msg)
        name = _BRACKETED.sub(r"\1", row[1])
        now[name] = energy_uws = float(row[2]) * 1000
        rails.step_uws = max(rails.step_uws, _PRINTED_UWS, _step_uws(energy_uws))
        _check(rails, number, name, (before.get(name), energy_uws, row[3]))
        rails.add(name, t_ms * _NS_PER_MS, energy_uws, number)


def _check(rails: Rails, line: int, name: str, told: tuple[float | None, float, str | None]) -> None:
    """Raise LogError where somebody else took a dump in between: its time is then not in this log."""
    before, now, since = told
    if before is None or since is None:
        return
    slack = 2 * (_step_uws(now) + _PRINTED_UWS)
    if abs(now - before - float(since) * 1000) > slack:
        msg = (
            f"{rails.path} line {line}: {shown(name)} rose by {(now - before) / 1000:.2f} mWs since the last dump "
            f"here, and by {since} mWs since the last dump at all: another one was taken in between, and its time "
            "is missing"
        )
        raise LogError(msg)


def _step_uws(energy_uws: float) -> float:
    """The step of a number of 32 bits of this size."""
    return 0.0 if energy_uws < 1 else 2.0 ** (math.floor(math.log2(energy_uws)) + 1 - _BITS)
