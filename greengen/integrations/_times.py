"""Times of a log as ns since 1970: what a text leaves open (zone, unit, order of day and month) is asked for.

A time is `absolute` (it names its zone, or the user did), `local` (a wall clock of no known zone) or
`relative` (a count from an unknown start). Two logs are only laid beside one another on absolute
times, or on relative ones that the user says are of one clock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Literal, NamedTuple

from greengen.errors import LogError, UsageError
from greengen.integrations._files import shown
from greengen.stated import nearest

Kind = Literal["absolute", "local", "relative"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PER_UNIT = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
EPOCHS = tuple(_PER_UNIT)

#: 2001-09-09 to 2100: a number that lies there in one unit lies there in no other.
_PLAUSIBLE_NS = (10**18, 41 * 10**17)
#: Numbers below this, in the unit that the user named, count from another start than 1970.
_SINCE_1970_NS = 10**17
#: No time is as large as this in any unit.
_LARGEST = Decimal(10**19)

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
_FRACTION = re.compile(r"(?<=:\d\d)[.,](\d+)")
_OFFSET = re.compile(r"(?:UTC)?([+-])(\d{1,2}):?(\d\d)?", re.IGNORECASE)
_DAY_FIRST = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{4}")
_MOST_OFFSET_H = 14


@dataclass(frozen=True, slots=True)
class Clock:
    """What the user says of a log's times.

    zone      the zone of times that name none
    epoch     the unit of times that are numbers: s, ms, us, ns
    pattern   how dates are written, as `strptime` takes it
    shift_ns  what to add to each time: the log's clock was that much behind
    """

    zone: tzinfo | None = None
    epoch: str | None = None
    pattern: str | None = None
    shift_ns: int = 0


class Stamp(NamedTuple):
    """A time, ns since 1970 (or since the log's own start), and what is known of its clock."""

    t_ns: int
    kind: Kind


def clock(
    zone: str | None = None,
    offset: str | None = None,
    epoch: str | None = None,
    pattern: str | None = None,
    shift_s: float = 0.0,
) -> Clock:
    """A clock from options. Raises UsageError for an unknown zone or offset, or for both at once."""
    if zone is not None and offset is not None:
        msg = "pass --timezone or --utc-offset, not both: they are two answers to one question"
        raise UsageError(msg)
    chosen = _zone(zone) if zone is not None else _offset(offset) if offset is not None else None
    return Clock(chosen, epoch, pattern, round(shift_s * 1e9))


def parse(text: str, clock: Clock, where: str) -> Stamp:
    """A time as text. Raises LogError, which names what to pass where it can be read in two ways."""
    if not text:
        msg = f"{where}: there is no time"
        raise LogError(msg)
    if clock.pattern is None and _NUMBER.fullmatch(text):
        return number(Decimal(text), clock, where)
    digits = _FRACTION.search(text) if clock.pattern is None else None
    fraction_ns = int(digits[1][:9].ljust(9, "0")) if digits else 0
    plain = text[: digits.start()] + text[digits.end() :] if digits else text
    told = _date(plain, text, clock, where)
    if told.tzinfo is None and clock.zone is None:
        return Stamp(_ns(told.replace(tzinfo=UTC)) + fraction_ns + clock.shift_ns, "local")
    if told.tzinfo is None and clock.zone is not None:
        told = _in_zone(told, clock.zone, where)
    return Stamp(_ns(told) + fraction_ns + clock.shift_ns, "absolute")


def number(value: Decimal | int, clock: Clock, where: str) -> Stamp:
    """A time as a number. Raises LogError where its unit is neither told nor plain."""
    exact = Decimal(value)
    # Before it is made whole: 1e999999999 would be written out.
    if not exact.is_finite() or not -_LARGEST < exact < _LARGEST:
        msg = f"{where}: {shown(value)} is not a time"
        raise LogError(msg)
    if clock.epoch is not None:
        t_ns = int(value * _PER_UNIT[clock.epoch])
        if abs(t_ns) >= 2**62:
            msg = f"{where}: {value} {clock.epoch} since 1970 is out of range: is it in another unit (--epoch)?"
            raise LogError(msg)
        return Stamp(t_ns + clock.shift_ns, "absolute" if t_ns >= _SINCE_1970_NS else "relative")
    least, most = _PLAUSIBLE_NS
    for per_unit in _PER_UNIT.values():
        t_ns = int(value * per_unit)
        if least <= t_ns < most:
            return Stamp(t_ns + clock.shift_ns, "absolute")
    msg = f"{where}: the time {value} could be in several units: pass --epoch s, ms, us or ns"
    raise LogError(msg)


def told(t_ns: int, kind: Kind) -> str:
    """A time for a person, to the millisecond."""
    if kind == "relative":
        return f"{t_ns / 1e9:.3f} s"
    text = (EPOCH + timedelta(milliseconds=t_ns // 10**6)).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return f"{text} UTC" if kind == "absolute" else f"{text} (no zone)"


def told_range(times: Sequence[int], kind: Kind) -> str:
    """From the first of some times to the last."""
    return f"{told(min(times), kind)} to {told(max(times), kind)}"


def _ns(at: datetime) -> int:
    since = at - EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000


def _date(plain: str, text: str, clock: Clock, where: str) -> datetime:
    if clock.pattern is not None:
        try:
            return datetime.strptime(text, clock.pattern)  # noqa: DTZ007 -- the zone follows, or is asked for
        except ValueError as error:
            msg = f"{where}: {shown(text)} is not written as {clock.pattern!r} says: mend --time-format"
            raise LogError(msg) from error
    if _DAY_FIRST.match(plain):
        msg = f"{where}: in {shown(text)} day and month could be either: pass --time-format such as '%d.%m.%Y %H:%M:%S'"
        raise LogError(msg)
    given = plain.replace("/", "-")
    given = re.sub(r"\s*(UTC|GMT)$", "+00:00", given)
    try:
        return datetime.fromisoformat(re.sub(r"\s+([+-]\d\d:?\d\d)$", r"\1", given))
    except ValueError as error:
        remedy = "pass --time-format, or write times as 2024-07-17T20:58:36Z"
        msg = f"{where}: {shown(text)} is not a time that is understood: {remedy}"
        raise LogError(msg) from error


def _in_zone(local: datetime, zone: tzinfo, where: str) -> datetime:
    first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        msg = (
            f"{where}: {local:%Y-%m-%d %H:%M:%S} in {zone} could be {told(_ns(first), 'absolute')} or "
            f"{told(_ns(second), 'absolute')}, for clocks were put forward or back then: pass --utc-offset"
        )
        raise LogError(msg)
    return first


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones  # noqa: PLC0415 -- if it is asked for

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        near = nearest(name, available_timezones())
        msg = f"unknown time zone {name!r}: {near}pass a name such as Europe/Berlin or UTC, or --utc-offset +02:00"
        raise UsageError(msg) from error


def _offset(text: str) -> tzinfo:
    found = _OFFSET.fullmatch(text.strip())
    hours, minutes = (int(found[2]), int(found[3] or 0)) if found else (99, 0)
    if found is None or hours > _MOST_OFFSET_H or minutes > 59:  # noqa: PLR2004 -- minutes of an hour
        msg = f"--utc-offset {text!r} is not understood: pass one such as +02:00, -07:00 or +00:00"
        raise UsageError(msg)
    sign = -1 if found[1] == "-" else 1
    return timezone(sign * timedelta(hours=hours, minutes=minutes))
