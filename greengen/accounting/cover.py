"""Which domains a total adds up: one cover of what was measured, and never a domain with its parts."""

from __future__ import annotations

from collections.abc import Sequence

from greengen.collector import Domain


def cover(domains: Sequence[Domain], readable: frozenset[str]) -> dict[str, str]:
    """uid → why the domain is not in the total; empty for those that are.

    Of domains that contain one another the outer counts, but for an alternative total (psys, wall),
    which counts only where none of its parts was read. `readable`: uids with any known energy.
    """
    by_uid = {domain.uid: domain for domain in domains}
    verdict: dict[str, str] = {}
    for domain in domains:
        if domain.uid not in readable:
            verdict[domain.uid] = "no reading of it"
            continue
        parts = [uid for uid in domain.contains if uid in readable]
        if domain.alternative and parts:
            names = ", ".join(by_uid[uid].name for uid in parts if uid in by_uid)
            verdict[domain.uid] = f"another way to know what {names} already make up"
            continue
        outer = [
            other
            for other in domains
            if domain.uid in other.contains
            and other.uid in readable
            and not (other.alternative and _has_parts(other, readable))
        ]
        verdict[domain.uid] = f"part of {outer[0].name}" if outer else ""
    return verdict


def _has_parts(domain: Domain, readable: frozenset[str]) -> bool:
    return any(uid in readable for uid in domain.contains)
