"""Which domains a total adds up: one cover of what was measured, and never a domain with its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from greengen.collector import Domain


def cover(domains: Sequence[Domain], readable: frozenset[str]) -> dict[str, str]:
    """uid → why the domain is not in the total; empty for those that are.

    Of domains that contain one another the outer counts, but for an alternative total (psys, wall),
    which counts only where none of its parts was read, or where it is measured and they are all
    modelled. Of several meters of the whole host (a wall plug and a battery) those of one collector
    count. `readable`: uids with any known energy.
    """
    parts = {domain.uid: inside(domain, domains) & readable for domain in domains}
    names = {domain.uid: domain.name for domain in domains}
    grades = {domain.uid: domain.grade for domain in domains}
    counting = [d for d in domains if d.uid in readable and not _stands_back(d, parts[d.uid], grades)]
    best = min((_rank(d) for d in counting if _is_whole(d)), default=None)
    beside = {d.uid for d in counting if _is_whole(d) and best is not None and _rank(d)[2:] != best[2:]}
    counting = [domain for domain in counting if domain.uid not in beside]
    verdict: dict[str, str] = {}
    for domain in domains:
        outer = [other.name for other in counting if domain.uid in parts[other.uid]]
        if domain.uid not in readable:
            verdict[domain.uid] = "no reading of it"
        elif domain.uid in beside:
            whole = ", ".join(sorted(other.name for other in counting if _is_whole(other)))
            verdict[domain.uid] = f"another way to know what {whole} already tells"
        elif domain not in counting:
            made_up = ", ".join(names[uid] for uid in sorted(parts[domain.uid]))
            verdict[domain.uid] = f"another way to know what {made_up} already make up"
        else:
            verdict[domain.uid] = f"part of {outer[0]}" if outer else ""
    return verdict


def parts_of(domain: Domain, domains: Sequence[Domain], readable: frozenset[str]) -> list[str]:
    """uids of the outermost readable domains inside one: what it holds, each joule once."""
    held = inside(domain, domains) & readable
    by_uid = {other.uid: other for other in domains}
    grades = {other.uid: other.grade for other in domains}
    # What is itself another way to know a part's parts is none.
    kept = {uid for uid in held if not _stands_back(by_uid[uid], inside(by_uid[uid], domains) & readable, grades)}
    within = {inner for uid in kept for inner in inside(by_uid[uid], domains)}
    return sorted(kept - within)


def inside(domain: Domain, domains: Sequence[Domain]) -> frozenset[str]:
    """All that a domain contains at any depth: its parts' parts too, though a part itself be unreadable."""
    contains = {other.uid: _named(other, domains) for other in domains}
    found: set[str] = set()
    waiting = list(contains[domain.uid])
    while waiting:
        uid = waiting.pop()
        if uid not in found and uid != domain.uid:
            found.add(uid)
            waiting.extend(contains.get(uid, ()))
    return frozenset(found)


def _stands_back(domain: Domain, parts: frozenset[str], grades: Mapping[str, str]) -> bool:
    """Whether an alternative leaves the total to its readable parts."""
    return domain.alternative and any(grades[uid] in ("measured", domain.grade) for uid in parts)


def _is_whole(domain: Domain) -> bool:
    """Whether it meters all of its host."""
    return "*" in domain.contains


def _rank(domain: Domain) -> tuple[bool, float, str, str]:
    """Of several meters of one host the surest is taken, and its like."""
    return domain.grade != "measured", domain.gain, domain.kind, domain.collector


def _named(domain: Domain, domains: Sequence[Domain]) -> list[str]:
    """What a domain says it contains, with all that its patterns mean."""
    found = [uid for uid in domain.contains if not uid.endswith("*")]
    for start in (uid[:-1] for uid in domain.contains if uid.endswith("*")):
        found += [other.uid for other in domains if other.uid.startswith(start) and not _is_whole(other)]
    return found
