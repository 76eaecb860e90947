"""Plug-ins, found by entry points: the built-in collectors and reporters like anybody else's.

A broken plug-in never takes the rest with it: it becomes one `Unavailable` that says why. This is
the one place, with the reading of third-party collectors, where any exception is caught.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from greengen import installed
from greengen.collector import Collector, Discovery, Domain, Event, Host, Sample, Stateful, Unavailable, Usage
from greengen.errors import UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

#: The entry-point groups.
COLLECTORS, REPORTS, POLICIES = "greengen.collectors", "greengen.reports", "greengen.policies"


class Loaded(NamedTuple):
    """What the entry points of a group name, by their names, and which of them are broken."""

    plugins: dict[str, Any]
    problems: tuple[Unavailable, ...] = ()


class Found(NamedTuple):
    """What a set of collectors found on this machine.

    collectors   those to read: all but those whose every domain was dropped; they read no dropped one
    domains      those to record
    warnings     what was decided between collectors that claim one domain
    """

    collectors: tuple[Collector, ...]
    domains: tuple[Domain, ...]
    unavailable: tuple[Unavailable, ...] = ()
    warnings: tuple[str, ...] = ()


def parse_names(text: str | None) -> list[str] | None:
    """The names in a comma-separated list, as options take it; None where nothing is chosen."""
    return [name.strip() for name in (text or "").split(",") if name.strip()] or None


class _Without:
    """A collector that keeps some of its domains to itself, because another one reads them."""

    def __init__(self, collector: Collector, dropped: frozenset[str]) -> None:
        self.name, self.fallback_for = collector.name, collector.fallback_for
        self.discover, self.close = collector.discover, collector.close
        self._collector, self._dropped = collector, dropped

    def state(self) -> Mapping[str, str]:
        """All that it says: a state is of a device, whoever reads its energy."""
        return self._collector.state() if isinstance(self._collector, Stateful) else {}

    def read(self) -> Iterator[Sample | Usage | Event]:
        for row in self._collector.read():
            subject = row.domain if isinstance(row, Sample) else row.subject if isinstance(row, Event) else None
            if subject not in self._dropped:
                yield row


def load(group: str, names: Sequence[str] | None = None) -> Loaded:
    """The plug-ins of an entry-point group; only the chosen ones are imported.

    `names` chooses ("rapl", "nvml") or excludes ("-cpu_model"); None takes all. Raises UsageError
    for a name that no plug-in has.
    """
    entries, problems = _entries(group)
    plugins: dict[str, Any] = {}
    for name in _chosen(group, sorted(entries), names):
        try:
            plugins[name] = entries[name].load()
        except Exception as error:  # noqa: BLE001 -- third-party code: whatever it raises, the rest goes on
            problems.append(_broken(group, name, f"{entries[name].value} cannot be loaded", error))
    return Loaded(plugins, tuple(problems))


def collectors(host: Host, names: Sequence[str] | None = None) -> tuple[list[Collector], list[Unavailable]]:
    """A collector of each chosen plug-in for this host, and which plug-ins are broken.

    `names` as for `load`. Raises UsageError for a name that no plug-in has.
    """
    loaded = load(COLLECTORS, names)
    made: list[Collector] = []
    problems = list(loaded.problems)
    for name, make in loaded.plugins.items():
        try:
            collector = make(host)
        except Exception as error:  # noqa: BLE001 -- third-party code: whatever it raises, the rest goes on
            problems.append(_broken(COLLECTORS, name, "it cannot be started", error))
            continue
        if isinstance(collector, Collector):
            made.append(collector)
        else:
            reason = f"plug-in {name} of {COLLECTORS} makes a {type(collector).__name__}, which is no Collector"
            problems.append(Unavailable(name, reason))
    return made, problems


def discover_all(some: Iterable[Collector]) -> Found:
    """What the collectors find together.

    A domain of a kind in its collector's `fallback_for` is dropped where another collector reads a
    domain of that kind; of several that stand in, a measured one goes before a modelled one. Of two
    domains with one uid the first is kept, with a warning.
    """
    found: list[tuple[Collector, Discovery]] = []
    unavailable: list[Unavailable] = []
    for collector in some:
        try:
            discovery = collector.discover()
        except Exception as error:  # noqa: BLE001 -- third-party code: whatever it raises, the rest goes on
            unavailable.append(_broken(COLLECTORS, collector.name, "its discovery failed", error))
            continue
        found.append((collector, discovery))
        unavailable.extend(discovery.unavailable)
    found.sort(key=lambda one: any(domain.grade == "modelled" for domain in one[1].domains))
    warnings: list[str] = []
    domains: dict[str, Domain] = {}
    kept: list[Collector] = []
    read_for_real = {d.kind for c, discovery in found for d in discovery.domains if d.kind not in c.fallback_for}
    stood_in: set[str] = set()
    for collector, discovery in found:
        dropped: set[str] = set()
        for domain in discovery.domains:
            if domain.uid in domains:
                first = domains[domain.uid].collector
                warnings.append(f"{first} and {collector.name} both read {domain.uid}: the one of {first} is used")
                dropped.add(domain.uid)
            elif domain.kind in collector.fallback_for and domain.kind in read_for_real | stood_in:
                dropped.add(domain.uid)
            else:
                domains[domain.uid] = domain
        stood_in |= {domain.kind for domain in discovery.domains} & set(collector.fallback_for)
        if not dropped:
            kept.append(collector)
        elif len(dropped) < len(discovery.domains):
            kept.append(_Without(collector, frozenset(dropped)))
        else:
            collector.close()
    return Found(tuple(kept), tuple(domains.values()), tuple(unavailable), tuple(warnings))


def read_once(collector: Collector) -> tuple[list[Sample | Usage | Event], str]:
    """One reading, and why it broke off ("" where it did not)."""
    rows: list[Sample | Usage | Event] = []
    try:
        rows.extend(collector.read())
    except Exception as error:  # noqa: BLE001 -- third-party code: whatever it raises, the rest goes on
        return rows, f"reading {collector.name} failed: {type(error).__name__}: {error}"
    return rows, ""


def state_of(collector: Collector) -> dict[str, str]:
    """In which state its devices are; nothing where it does not say, or fails."""
    if not isinstance(collector, Stateful):
        return {}
    try:
        return {str(subject): str(value) for subject, value in collector.state().items()}
    except Exception:  # noqa: BLE001 -- as above; a state that is not known costs no joule
        return {}


def _entries(group: str) -> tuple[dict[str, EntryPoint], list[Unavailable]]:
    entries: dict[str, EntryPoint] = {}
    problems = []
    for entry in installed.entry_points(group):
        first = entries.setdefault(entry.name, entry)
        # One distribution may be listed twice: beside its sources and where it is installed.
        if first.value != entry.value:
            reason = f"two plug-ins of {group} are named {entry.name}: {first.value} is used, {entry.value} is not"
            problems.append(Unavailable(entry.name, reason, "uninstall one of the two"))
    return entries, problems


def _chosen(group: str, known: list[str], names: Sequence[str] | None) -> list[str]:
    wanted = [name for name in names or () if not name.startswith("-")]
    unwanted = [name[1:] for name in names or () if name.startswith("-")]
    for name in (*wanted, *unwanted):
        if name not in known:
            msg = f"there is no plug-in {name!r} in {group}: known are {', '.join(known) or 'none'}"
            raise UsageError(msg)
    return [name for name in known if (not wanted or name in wanted) and name not in unwanted]


def _broken(group: str, name: str, what: str, error: Exception) -> Unavailable:
    reason = f"plug-in {name} of {group}: {what}: {type(error).__name__}: {error}"
    return Unavailable(name, reason, "mend or uninstall it, or leave it out by name")
