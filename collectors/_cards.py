"""Accelerator cards that a command of their maker tells of: asked in a thread of its own, one domain for each card.

What a command says of a card is a sample or it is not: no number, 0 W, more than the card can draw, or a card
that is listed no longer begins a `gap`, told once. One that shows the same fraction of a watt for a minute is
told as a `freeze`, and still read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from greengen.collector import MACHINE, Discovery, Domain, Event, Host, Sample, Unavailable, Usage
from greengen.collectors._outage import Outages
from greengen.collectors._poller import Polled, Poller

_SHARED = "no tool tells how much of the card each process used, so sole tenancy is assumed"
#: Answers further apart than so many refresh times have a gap between them.
_LONGEST = 5
_FROZEN_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Card:
    """One card in an answer.

    key      what stays its own over boots: a serial number, a UUID, a bus address
    power_w  None where the command tells none; `trouble` says why
    busy     how much of the time it worked, 0 to 1; None where that is not told
    limit_w  the most it may draw, None where that is not told
    note     what is peculiar to its power
    """

    key: str
    name: str
    power_w: float | None
    trouble: str = ""
    busy: float | None = None
    limit_w: float | None = None
    note: str = ""


class Tool(NamedTuple):
    """A command, and what is common to all cards that it tells of.

    most_w     no card draws more, W; of one that states a limit, no more than twice that
    gain       relative standard uncertainty of the cards' sensors
    refresh_s  how often their sensors have something new
    detail     what the power covers, in words
    remedy     where the command fails
    """

    collector: str
    program: str
    options: tuple[str, ...]
    period_s: float
    timeout_s: float
    most_w: float
    gain: float
    refresh_s: float
    detail: str
    remedy: str


def installed(program: str, environ: Mapping[str, str]) -> bool:
    """Whether a program is on the PATH (shutil, which also knows, takes 5 ms to load on every machine)."""
    return any(os.access(Path(folder or ".", program), os.X_OK) for folder in environ.get("PATH", "").split(os.pathsep))


def beside_path(host: Host, *folders: str) -> Host:
    """With folders at the end of its PATH: where makers put what they do not link."""
    return replace(host, environ={**host.environ, "PATH": os.pathsep.join([host.environ.get("PATH", ""), *folders])})


def number(text: str, unit: str = "") -> float | None:
    """A number in a cell, with or without its unit; None for `N/A`, `-` and whatever else is no number."""
    text = text.strip().removesuffix(unit).strip()
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


class Cards:
    """The polled cards of a collector.

    ask  takes what runs the tool, with more arguments, and gives the cards in its answer; raises OSError or ValueError
    """

    def __init__(self, host: Host, tool: Tool, ask: Callable[[Callable[..., str]], Sequence[Card]]) -> None:
        self._host, self._tool, self._ask = host, tool, ask
        self._polled: Polled[dict[str, Card]] | None = None
        self._use: list[Usage] = []

    def discover(self) -> Discovery:
        """Ask once where the tool is installed, for `timeout_s` at most; go on where any card tells its power."""
        self.close()
        tool = self._tool
        if not installed(tool.program, self._host.environ):
            return Discovery()
        from greengen.collectors._command import Command  # noqa: PLC0415 -- loads subprocess

        command = Command([tool.program, *tool.options], self._host, tool.timeout_s)

        def answer() -> dict[str, Card]:
            return {card.key: card for card in self._ask(command.run)}

        clock = self._host.monotonic_ns
        poller = Poller(tool.program, answer, period_s=tool.period_s, clock=clock, abort=command.abort)
        poller.start()
        first = poller.first(tool.timeout_s)
        domains: dict[str, Domain] = {}
        told = [Unavailable(tool.collector, first.trouble, tool.remedy)] if first.value is None else []
        for key, card in (first.value or {}).items():
            domain = _domain(tool, card)
            trouble = _trouble(domain, card)
            if trouble:
                told.append(Unavailable(domain.uid, f"{card.name}: {trouble}"))
            else:
                domains[key] = domain
        if not domains:
            poller.close()
            return Discovery(unavailable=tuple(told))
        uids = [domain.uid for domain in domains.values()]
        self._polled = Polled(uids, poller, _Rows(tool.program, domains, self._use), 2 * tool.timeout_s)
        return Discovery(tuple(domains.values()), tuple(told))

    def read(self) -> Iterator[Sample | Usage | Event]:
        """What the command has said since the last reading; waits for nothing."""
        if self._polled is not None:
            yield from self._polled.read(self._host.monotonic_ns())
            yield from self._use
            self._use.clear()

    def close(self) -> None:
        """End the thread, and a command that still runs."""
        if self._polled is not None:
            self._polled.poller.close()
        self._polled = None
        self._use = []


@dataclass(slots=True)
class _Rows:
    """Answers as rows of the cards found at the start. `use` takes how long they were busy."""

    program: str
    domains: Mapping[str, Domain]
    use: list[Usage]
    outages: Outages = field(default_factory=Outages)
    busy_ns: dict[str, int] = field(default_factory=dict)
    busy_from_ns: dict[str, int] = field(default_factory=dict)
    same: dict[str, tuple[float, int]] = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)

    def __call__(self, t_ns: int, cards: Mapping[str, Card]) -> Iterator[Sample | Event]:
        for key, domain in self.domains.items():
            card = cards.get(key)
            trouble = f"{self.program} lists it no longer" if card is None else _trouble(domain, card)
            if card is None or card.power_w is None or trouble:
                self.busy_from_ns.pop(key, None)
                yield from self.outages.begin(t_ns, domain.uid, trouble)
                continue
            self.outages.end(domain.uid)
            yield Sample(domain.uid, t_ns, card.power_w, "power")
            self._busy(t_ns, key, domain, card)
            yield from self._freeze(t_ns, key, domain, card.power_w)

    def _busy(self, t_ns: int, key: str, domain: Domain, card: Card) -> None:
        from_ns = self.busy_from_ns.pop(key, None)
        if card.busy is None:
            return
        self.busy_from_ns[key] = t_ns
        # Of a time in which the command said nothing, nobody knows how busy the card was.
        known = from_ns is not None and t_ns - from_ns <= _LONGEST * domain.refresh_s * 1e9
        worked_ns = int((t_ns - from_ns) * min(max(card.busy, 0.0), 1.0)) if known and from_ns is not None else 0
        self.busy_ns[key] = self.busy_ns.get(key, 0) + worked_ns
        if domain.activity is not None:
            self.use.append(Usage(domain.activity, MACHINE, t_ns, self.busy_ns[key]))

    def _freeze(self, t_ns: int, key: str, domain: Domain, power_w: float) -> Iterator[Event]:
        before_w, since_ns = self.same.get(key, (None, t_ns))
        if before_w != power_w:
            self.same[key] = power_w, t_ns
            self.frozen.discard(key)
        # A card of whole watts may well stand still.
        elif t_ns - since_ns >= _FROZEN_NS and power_w != round(power_w) and key not in self.frozen:
            self.frozen.add(key)
            still_s = (t_ns - since_ns) / 1e9
            reason = f"{self.program} has shown {power_w:.6g} W for {still_s:.0f} s: its sensor may have stopped"
            yield Event(t_ns, "freeze", domain.uid, reason)


def _trouble(domain: Domain, card: Card) -> str:
    """Why its power is no reading; "" where it is one."""
    if card.power_w is None:
        return card.trouble or "no power is told"
    most_w = domain.max_power_w or float("inf")
    if not 0.0 < card.power_w <= most_w:
        what = "0 W, which no card draws" if not card.power_w else f"{card.power_w:.6g} W, which it cannot draw"
        return f"it shows {what}"
    return ""


def _domain(tool: Tool, card: Card) -> Domain:
    uid = f"{tool.collector}:{card.key}"
    return Domain(
        uid=uid,
        collector=tool.collector,
        kind="npu",
        name=card.name,
        reading="power",
        split_reason=_SHARED,
        activity=None if card.busy is None else uid,
        max_power_w=min(tool.most_w, 2 * card.limit_w) if card.limit_w else tool.most_w,
        refresh_s=max(tool.refresh_s, tool.period_s),
        gain=tool.gain,
        detail=tool.detail + (f"; {card.note}" if card.note else ""),
    )
