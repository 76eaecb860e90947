"""Which domains a total adds up: one cover of what was measured, and never a domain with its parts."""

from __future__ import annotations

from collections.abc import Sequence

from greengen.collector import Domain


def cover(domains: Sequence[Domain], readable: frozenset[str]) -> dict[str, str]:
    """uid → why the domain is not in the total; empty for those that are.

    Of domains that contain one another the outer counts, but for an alternative total (psys, wall),
    which counts only where none of its parts was read. `readable`: uids with any known energy.
    """
    parts = {domain.uid: _inside(domain, domains) & readable for domain in domains}
    names = {domain.uid: domain.name for domain in domains}
    counting = [d for d in domains if d.uid in readable and not (d.alternative and parts[d.uid])]
    verdict: dict[str, str] = {}
    for domain in domains:
        outer = [other.name for other in counting if domain.uid in parts[other.uid]]
        if domain.uid not in readable:
            verdict[domain.uid] = "no reading of it"
        elif domain not in counting:
            made_up = ", ".join(names[uid] for uid in sorted(parts[domain.uid]))
            verdict[domain.uid] = f"another way to know what {made_up} already make up"
        else:
            verdict[domain.uid] = f"part of {outer[0]}" if outer else ""
    return verdict


def _inside(domain: Domain, domains: Sequence[Domain]) -> frozenset[str]:
    """All that a domain contains at any depth: its parts' parts too, though a part itself be unreadable."""
    contains = {other.uid: other.contains for other in domains}
    found: set[str] = set()
    waiting = list(domain.contains)
    while waiting:
        uid = waiting.pop()
        if uid not in found and uid != domain.uid:
            found.add(uid)
            waiting.extend(contains.get(uid, ()))
    return frozenset(found)
